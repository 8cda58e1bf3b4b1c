"""The notes written by hand as case rows, with a true trace where the note itself shows what decides."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from data.corpus_cases import evidence as quoted
from data.mimic_evidence import apart, evidence
from data.natural import case, claim, records
from sapphire.drg import icd
from sapphire.drg.claims import Context, Evidence, Line, check, lines_for, write
from sapphire.drg.conditions import name
from sapphire.drg.grouper import Claim, drg_of, group

FOLDER = Path(__file__).parent / "natural"
SPLITS = ("train", "dev", "test")


def cases(split: str, folder: Path = FOLDER) -> Iterator[dict]:
    """The rows of `data/natural/<split>`, `natural-<split>` in the column split. ValueError for a file that is not complete."""
    for record in records(folder / split):
        row = case(record, f"natural-{split}", "written by hand")
        lines = true_lines(claim(record), row["text"], shown(record))
        yield row | {
            "trace": write(lines) if lines else None,
            "style": record["style"],
            "note_form": None,
            "trace_form": "cot_first" if lines else None,
            "evidence": [*quoted(lines), *_beyond(lines, shown(record))],
        }


def shown(record: dict) -> dict[str, str]:
    """What a reader of the note says shows a code whose words the tables do not know: code without dot to words of the note."""
    return {icd.normal(code): words for code, words in (record.get("shown") or {}).items()}


def _beyond(lines: Sequence[Line], quotes: dict[str, str]) -> list[dict]:
    told = {code for line in lines for code in line.codes}
    return [{"codes": [code], "quote": quote, "says": "present"} for code, quote in quotes.items() if code not in told]


def true_lines(stay: Claim, text: str, quotes: Mapping[str, str] = MappingProxyType({})) -> list[Line]:
    """The lines of the codes that known words of the text show, or the given quotes; none when these alone would not give the DRG, or a
    line is not true."""
    codes = (stay.pdx, *stay.procedures, *stay.sdx)
    seen = evidence(codes, text)
    known_words = {code for item in seen for code in item.codes}
    seen += [
        Evidence((code,), quotes[code], name((code,)))
        for code in dict.fromkeys(codes)
        if code in quotes and code not in known_words
    ]
    seen.sort(key=lambda item: codes.index(item.codes[0]))
    told = frozenset(code for item in seen for code in item.codes)
    if not seen or seen[0].codes[0] != stay.pdx:
        return []
    known = _only(stay, told)
    if drg_of(known)[0] != drg_of(stay)[0]:
        return []
    seen[:1] = apart(seen[0])
    lines = lines_for(group(known), seen, claim=known)
    verdicts = check(lines, text, stay.version, Context(stay.age, stay.sex, stay.discharge_status, told))
    return lines if all(verdict.true for verdict in verdicts) else []


def _only(stay: Claim, codes: frozenset[str]) -> Claim:
    kept = [(code, poa) for code, poa in zip(stay.sdx, stay.poa[1:], strict=True) if code in codes]
    return replace(
        stay,
        sdx=tuple(code for code, _ in kept),
        poa=(stay.poa[0], *(poa for _, poa in kept)),
        procedures=tuple(code for code in stay.procedures if code in codes),
    )
