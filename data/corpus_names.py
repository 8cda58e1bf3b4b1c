"""What the reasoning calls each code: `python -m data.corpus_names` writes the names of the knowledge tables for the code checker.

`sapphire/drg/tables/names.tsv` holds codes that belong together (joined by +), a tab, and a name; `sapphire.drg.wording` reads it.
"""

from pathlib import Path

import sapphire.drg
from data.corpus_phrase import PhraseError
from data.corpus_tables import Tables, read_tables
from sapphire.drg.icd import normal

FILE = Path(sapphire.drg.__file__).parent / "tables" / "names.tsv"
SHORT = 60  # characters; a longer official title wants a name of its own in style.yaml


def lines(tables: Tables) -> list[str]:
    """One line a coding and name, sorted."""
    out = {f"{normal(code)}\t{name}" for code, name in tables.style.get("names", {}).items()}
    for record in (*tables.conditions.values(), *tables.procedures.values()):
        for coding in record.codings:
            try:
                name = record.name.render(None, dict(coding.slots))
            except PhraseError as error:
                raise ValueError(
                    f"{record.file}: {record.id}: name: {error}; a name may only use slots that `code:` sets"
                ) from None
            out.add(f"{'+'.join(coding.codes)}\t{name}")
    return sorted(out)


def stale(tables: Tables) -> bool:
    """Whether the file lacks names of the tables or has others."""
    return FILE.read_text(encoding="utf-8").splitlines() != lines(tables)


def main() -> int:
    tables, problems = read_tables()
    print(*problems, sep="\n", end="\n" if problems else "")
    FILE.write_text("".join(f"{line}\n" for line in lines(tables)), encoding="utf-8")
    print(f"{FILE.name}: {len(lines(tables))} names")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
