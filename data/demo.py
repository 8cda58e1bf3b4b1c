"""Put the fictional demo notes into a new database: `python -m data.demo`, which `make setup` runs. The second time it does nothing."""

import json
import os
import sys
import tempfile
from pathlib import Path

from data.natural import case, records
from sapphire.importing import import_files, imports
from sapphire.paths import database
from sapphire.store import StoreError, open_store

FOLDER = Path(__file__).parent / "demo"
AUTHOR = "Sapphire"


def cases() -> list[dict]:
    return [case(record, split="demo", source="demo (fictional)") for record in records(FOLDER)]


def main() -> int:
    os.umask(0o077)
    try:
        store = open_store(database(), os.environ.get("SAPPHIRE_DB_TOKEN"))
    except StoreError as error:
        print(error, file=sys.stderr)
        return 1
    try:
        # A reader who withdrew the demo notes does not get them back.
        if imports(store):
            return 0
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "demo-notes.jsonl")
            path.write_text(
                "\n".join(json.dumps(each, ensure_ascii=False) for each in cases()) + "\n", encoding="utf-8"
            )
            report = import_files(store, [path], AUTHOR)
    finally:
        store.close()
    for problem in report.problems:
        print(f"{problem.file}, row {problem.row}: {problem.message}", file=sys.stderr)
    print(f"Demo database: {report.notes} fictional notes in {database()}")
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
