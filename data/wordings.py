"""The condition index's tables: `python -m data.wordings` writes what clinicians call each code, and the coder's rules.

`sapphire/drg/tables/wordings.tsv.gz` holds one wording a line: codes (joined by +), kind, source, wording, its stems and ranges as the index
compares them (`sapphire/drg/index.py`). Kind is D (diagnosis) or P (procedure); source n (name) or w (wording) of the knowledge tables, h (wording by hand, `knowledge/wordings.tsv`), t (official title, in
short forms) or o (title of a code for what has no code of its own). Numbers keep their range: "sodium of {118-128}". Nothing that the
test split calls a condition is in it. `coding_rules.json` is `knowledge/index_rules.yaml` and `knowledge/rules.yaml` as the index reads them.
"""

import gzip
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice, product
from pathlib import Path

import sapphire.drg
from data.corpus_phrase import Phrase, Slot, fold
from data.corpus_tables import KNOWLEDGE, Tables, load_tables, read_rules
from sapphire.drg import icd
from sapphire.drg.coding import Rule
from sapphire.drg.index import line as table_line
from sapphire.drg.index import wording

TABLES = Path(sapphire.drg.__file__).parent / "tables"
FILE = TABLES / "wordings.tsv.gz"
RULES = TABLES / "coding_rules.json"
BY_HAND = KNOWLEDGE / "wordings.tsv"
INDEX_RULES = KNOWLEDGE / "index_rules.yaml"
FORMS = 24  # of one phrase with choices
PEOPLE = {
    "man": ("man", "woman"),
    "he": ("he", "she"),
    "his": ("his", "her"),
    "him": ("him", "her"),
    "age": ("{0-120}",),
}
NEVER = "VWXY"  # external causes; no note's words for a condition

# What official titles say at length, and how people say it.
SHORT = [
    (r",? ?(?:initial encounter for (?:closed )?fracture|initial encounter)\b", ""),
    (r"\binitial encounter for open fracture.*", "open"),
    (r"\([^)]*\)|\[[^\]]*\]", ""),
    (r",? (?:unspecified|not elsewhere classified|not otherwise specified)\b|\bunspecified\b", ""),
    (r",? without (?:complications?|mention of|current|status|hemorrhage|obstruction|gangrene|loss of consciousness)[^,]*", ""),
    (r"\bdue to known physiological condition\b|\bas the cause of diseases\b|\bin diseases classified\b.*", ""),
    (r"^(?:Malignant neoplasm|Malignant \w+ neoplasm) of\b(.*)", r"\1 cancer"),
    (r"^Secondary malignant neoplasm of\b(.*)", r"\1 metastasis"),
    (r"^Secondary and unspecified malignant neoplasm of\b(.*)", r"\1 metastasis"),
    (r"^(Acute|Chronic) embolism and thrombosis of (?:deep veins? of )?(.*)", r"\1 deep vein thrombosis \2"),
    (r"\blower extremity\b", "leg"),
    (r"\bupper extremity\b", "arm"),
    (r"\bbronchus or lung\b|\bbronchus and lung\b", "lung"),
    (r"\b(?:native coronary artery)\b", "coronary artery"),
    (r"\s+", " "),
]  # fmt: skip


def lines(tables: Tables) -> list[str]:
    """One line a coding and wording, sorted; the test split's wordings are left out wherever they come from."""
    withheld = {form for record in _records(tables) for phrase in record.words.test for form in phrase.forms(10_000)}
    rows = [*_known(tables), *_by_hand(), *_titles()]
    kept = sorted(row for row in set(rows) if fold(re.sub(r"\{[^}]*\}", "#", row[3])) not in withheld)
    made = (wording(tuple(codes.split("+")), kind, source, words) for codes, kind, source, words in kept)
    return [table_line(each) for each in made if each]


def _records(tables: Tables) -> list:
    return [*tables.conditions.values(), *tables.procedures.values()]


def _known(tables: Tables) -> Iterator[tuple[str, str, str, str]]:
    for record in _records(tables):
        kind = "D" if record.id in tables.conditions else "P"
        for coding in record.codings:
            for phrase in (record.name, *record.words.train):
                source = "n" if phrase is record.name else "w"
                for form in forms(phrase, dict(coding.slots)):
                    yield "+".join(coding.codes), kind, source, form


def forms(phrase: Phrase, slots: dict[str, str]) -> list[str]:
    """A phrase with its choices written out and its numbers as ranges."""
    options = [(part,) if isinstance(part, str) else _options(part, slots) for part in phrase.parts]
    return ["".join(form) for form in islice(product(*options), FORMS)]


def _options(slot: Slot, slots: dict[str, str]) -> tuple[str, ...]:
    if slot.name in slots:
        return (slots[slot.name],)
    if slot.choices:
        return slot.choices
    if slot.count:
        return (f"{{{slot.low:g}-{slot.low + (slot.count - 1) * slot.step:g}}}",)
    return PEOPLE.get(slot.name, ("{0-1000000}",))  # a number said before


def _by_hand() -> Iterator[tuple[str, str, str, str]]:
    for number, line in enumerate(BY_HAND.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        listed, _, words = line.partition("\t")
        codes = [icd.normal(code) for code in listed.split("+")]
        kind = "P" if icd.is_procedure(codes[0]) else "D"
        for code in codes:
            if not (icd.is_diagnosis(code) or icd.is_procedure(code)):
                raise ValueError(f"{BY_HAND.name}, line {number}: {code} is no ICD-10 code; correct it.")
        for said in words.split(" / "):
            yield "+".join(codes), kind, "h", said.strip()


def _titles() -> Iterator[tuple[str, str, str, str]]:
    for code, title in icd._diagnoses().items():
        if code[0] in NEVER or (len(code) == 7 and code[6] not in "ABC" and code[0] in "MST"):
            continue
        short = title
        for pattern, said in SHORT:
            short = re.sub(pattern, said, short, flags=re.IGNORECASE)
        short = short.strip(" ,")
        source = "o" if re.search(r"\bothers?\b", short, re.IGNORECASE) else "t"
        short = re.sub(r"\b(?:other specified|other)\b", "", short, flags=re.IGNORECASE).strip(" ,")
        if len(short) > 2:
            yield code, "D", source, short


def rules(tables: Tables) -> list[Rule]:
    """What only the index needs, then the rules that the corpus follows too. ValueError for a rule that cannot be read."""
    problems: list[str] = []
    own = read_rules(INDEX_RULES, problems)
    if problems:
        raise ValueError("\n".join(problems))
    return [*own, *tables.rules]


def _plain(rules: Sequence[Rule]) -> list[dict]:
    return [
        {"why": rule.why, "has": rule.has, "not": rule.not_, "replace": dict(rule.replace), "before": rule.before,
         "add": dict(rule.add), "drop": rule.drop}
        for rule in rules
    ]  # fmt: skip


def main() -> int:
    tables = load_tables()
    written = lines(tables)
    FILE.write_bytes(gzip.compress("".join(f"{line}\n" for line in written).encode(), mtime=0))
    RULES.write_text(json.dumps(_plain(rules(tables)), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(
        f"{FILE.name}: {len(written):,} wordings, {FILE.stat().st_size / 1e3:,.0f} kB; {RULES.name}: {len(rules(tables))} rules"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
