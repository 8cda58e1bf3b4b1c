"""The condition index: notes a second on one core, and how far index and grouper come without a model.

    python -m bench.conditions data/natural/dev CORPUS/dev.parquet     # folders of notes by hand, Parquet files of cases

Precision and recall are of exact ICD-10-CM codes (all, and those with a CC or MCC); the rest is of the first candidate and of all five. The test
splits are for one scoring run when everything is settled.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq

from data.fit_ranking import Example, example, measure
from data.natural import case, records
from sapphire.drg.conditions import counts
from sapphire.drg.grounding import ground
from sapphire.drg.leanings import leanings
from sapphire.drg.ranking import weights


def examples(path: Path, limit: int) -> list[Example]:
    if path.is_dir():
        rows = [(case(record, path.name, ""), record["file"]) for record in records(path)]
    else:
        rows = [(row, "") for row in pq.read_table(path).slice(0, limit).to_pylist()]
    return [replace(example(*row), leaning=leanings(row[0]["text"])) for row in rows[:limit]]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", type=Path, nargs="+")
    parser.add_argument("--limit", type=int, default=1000, help="cases of each path")
    options = parser.parse_args(argv)
    began = time.perf_counter()
    ground("Admitted with pneumonia. Coronary bypass.")
    print(f"loading: {time.perf_counter() - began:.1f} s")
    used = json.loads(json.dumps(weights()))
    for path in options.paths:
        made = examples(path, options.limit)
        began, worked = time.perf_counter(), time.process_time()
        for each in made:
            ground(each.text, age=each.who.age, sex=each.who.sex, discharge_status=each.who.discharge_status)
        seconds, busy = time.perf_counter() - began, time.process_time() - worked
        print(f"{path}: {len(made) / seconds:.0f} notes a second, {len(made) / busy:.0f} a second of processor time")
        print(f"  {measure(made, counts(), used)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
