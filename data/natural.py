"""Notes written one by one (YAML, a list of records a file) as cases: `python -m data.natural data/natural/test` checks a folder.

Each record has id, style, age, sex, discharge_status, pdx, sdx, poa, procedures, trap, drg and text, and may have `shown`: words of
the text for codes whose words the knowledge tables do not know. The label is what CMS's grouper makes of the codes: a record whose drg says
otherwise is an error, never a correction.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import yaml

from data.corpus_levels import changes_drg
from data.corpus_plan import PROBES
from sapphire.drg import icd
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import Claim, Grouping, group
from sapphire.drg.rules import is_valid
from sapphire.quotes import locate

VERSION = "43.1"
FIELDS = ("id", "style", "age", "sex", "discharge_status", "pdx", "sdx", "poa", "procedures", "trap", "drg", "text")


def records(folder: Path) -> Iterator[dict]:
    """Every record of every file of a folder, in the order of the files' names, with `file` added.

    Raises:
        ValueError: when a file is no list of complete records; the message names file and record.
    """
    for path in sorted(folder.glob("*.yaml")):
        # The C loader is ten times faster, and a thousand notes are read at every build.
        loaded = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        for number, record in enumerate(loaded, start=1):
            if missing := [name for name in FIELDS if name not in record]:
                raise ValueError(f"{path.name}, record {number}: {', '.join(missing)} missing.")
            yield record | {"file": path.name}


def claim(record: dict) -> Claim:
    return Claim(
        pdx=icd.normal(record["pdx"]),
        sdx=tuple(map(icd.normal, record["sdx"])),
        procedures=tuple(map(icd.normal, record["procedures"])),
        age=record["age"],
        sex=record["sex"],
        discharge_status=record["discharge_status"],
        poa=tuple(record["poa"]),
        hospital_status="NOT_EXEMPT",
        version=VERSION,
    )


def case(record: dict, split: str, source: str) -> dict:
    """A record with the case columns that everything shares."""
    grouped = claim(record)
    return {
        "note_id": record["id"],
        "subject_id": record["id"],
        "hadm_id": record["id"],
        "text": record["text"].strip(),
        "age": record["age"],
        "sex": record["sex"],
        "discharge_status": record["discharge_status"],
        "pdx": grouped.pdx,
        "sdx": list(grouped.sdx),
        "poa": list(record["poa"]),
        "procedures": list(grouped.procedures),
        "drg": record["drg"],
        "title": codebook(VERSION).drgs[record["drg"]].title,
        "drg_version": VERSION,
        "split": split,
        "trap": list(record["trap"]),
        "trace": None,
        "source": source,
        "credentialed": False,
    }


def faults(record: dict) -> list[str]:
    """What is wrong with a record, in words: codes, indicators, label, length."""
    stay = claim(record)
    if len(stay.poa) != 1 + len(stay.sdx):
        return [f"{len(stay.poa)} POA indicators for {1 + len(stay.sdx)} diagnoses"]
    found = [f"{code} is no diagnosis code" for code in (stay.pdx, *stay.sdx) if not icd.is_diagnosis(code)]
    found += [f"{code} is no procedure code" for code in stay.procedures if not icd.is_procedure(code)]
    found += [
        f"{code} is no code of version {VERSION}, which ignores it"
        for kind, codes in (("diagnosis", (stay.pdx, *stay.sdx)), ("procedure", stay.procedures))
        for code in codes
        if not is_valid(code, kind, VERSION)
    ]
    grouped: Grouping = group(stay)
    if grouped.drg != record["drg"]:
        found.append(f"says {record['drg']}, the grouper says {grouped.drg} {grouped.title} ({grouped.return_code})")
    if "ruled_out" in record["trap"] and not open_to_more(stay):
        found.append("the trap ruled_out, though no CC or MCC more would change the DRG")
    codes = {stay.pdx, *stay.sdx, *stay.procedures}
    for code, quote in (record.get("shown") or {}).items():
        if icd.normal(code) not in codes:
            found.append(f"shows {code}, which is no code of the stay")
        elif not locate(quote, record["text"]):
            found.append(f"shows {code} by words that are not in the text: {quote}")
    words = len(record["text"].split())
    if not 60 <= words <= 650:
        found.append(f"{words} words")
    return found


def open_to_more(stay: Claim) -> bool:
    """Whether a further condition would change the DRG, so that a ruled-out one that is coded would do harm."""
    probes = {code for levels in PROBES.values() for codes in levels.values() for code in codes}
    return any(changes_drg(stay, (code,)) for code in probes - {stay.pdx, *stay.sdx})


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--show", action="store_true", help="print each note's codes with their titles and what counts")
    options = parser.parse_args(argv)
    seen: Counter[str] = Counter()
    wrong = 0
    for record in records(options.folder):
        seen[record["id"]] += 1
        problems = faults(record) + (["id used twice"] if seen[record["id"]] > 1 else [])
        wrong += bool(problems)
        for words in problems:
            print(f"{record['file']}: {record['id']}: {words}")
        if options.show:
            _show(record)
    print(f"{len(seen)} notes, {wrong} with faults")
    return 1 if wrong else 0


def _show(record: dict) -> None:
    grouped = group(claim(record))
    print(f"\n{record['id']}: {grouped.drg} {grouped.title}")
    for diagnosis in (grouped.principal, *grouped.diagnoses):
        print(
            f"  {diagnosis.code:8} {diagnosis.poa:1} {diagnosis.level:4} {'*' if diagnosis.counts else ' '} {diagnosis.title}"
        )
    for procedure in grouped.procedures:
        print(
            f"  {procedure.code:8} {'OR' if procedure.is_or else '  '} {'*' if procedure.counts else ' '} {procedure.title}"
        )


if __name__ == "__main__":
    sys.exit(main())
