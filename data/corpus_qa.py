"""The code book as questions and answers, in chat messages: what a model should know of MS-DRGs before it reasons about notes."""

from collections import defaultdict
from collections.abc import Iterator

from data.corpus_lookup import level
from data.corpus_tables import Tables
from sapphire.drg.codebook import DEFAULT_VERSION, MDC_TITLES, CodeBook, Drg, codebook
from sapphire.drg.lines import dotted

SYSTEM = f"You know the MS-DRG code book (CMS grouper version {DEFAULT_VERSION}) and answer briefly."
SPLIT_WORDS = {
    "MCC": "with MCC",
    "CC": "with CC",
    "none": "without CC/MCC",
    "CC/MCC": "with CC/MCC",
    "without MCC": "without MCC",
    "unsplit": "no severity split",
}
STATUS = {
    "MCC": "It is an MCC (major complication or comorbidity).",
    "CC": "It is a CC (complication or comorbidity).",
    "none": "It is neither a CC nor an MCC.",
}


def rows(tables: Tables) -> Iterator[dict]:
    """Rows with prompt, completion, case_id and kind, the same ones in the same order each time."""
    book = codebook(DEFAULT_VERSION)
    asked = [*_groups(book), *_families(book), *_single(book), *_levels(tables)]
    for number, (kind, question, answer) in enumerate(asked):
        yield {
            "prompt": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
            "completion": [{"role": "assistant", "content": answer}],
            "case_id": f"qa-{number:05d}",
            "kind": kind,
        }


def _groups(book: CodeBook) -> Iterator[tuple[str, str, str]]:
    by_mdc: dict[str, list[Drg]] = defaultdict(list)
    for drg in book.drgs.values():
        by_mdc[drg.mdc].append(drg)
    for mdc, drgs in by_mdc.items():
        name = f"MDC {mdc} ({MDC_TITLES[mdc]})" if mdc else "no MDC"
        yield "mdc", f"List the titles of all MS-DRGs of {name}.", _titles(drgs)
        for kind in ("medical", "surgical"):
            some = [drg for drg in drgs if drg.type == kind]
            if some and len(some) < len(drgs):
                yield "mdc", f"List the titles of the {kind} MS-DRGs of {name}.", _titles(some)


def _families(book: CodeBook) -> Iterator[tuple[str, str, str]]:
    families: dict[str, list[Drg]] = defaultdict(list)
    for drg in book.drgs.values():
        families[drg.base_id].append(drg)
    for members in families.values():
        base = members[0].base.upper()
        yield "family", f"Which MS-DRGs have the base {base}?", _titles(members)
        split = ", ".join(SPLIT_WORDS[drg.level] for drg in members)
        yield "family", f"How is the base DRG {base} split by severity?", _sentence(split)


def _single(book: CodeBook) -> Iterator[tuple[str, str, str]]:
    for drg in book.drgs.values():
        title = drg.title.upper()
        yield "number", f"What is the title of MS-DRG {drg.drg}?", title
        yield (
            "severity",
            f"What severity level does the MS-DRG {title} have?",
            _sentence(SPLIT_WORDS[drg.level]),
        )
        if drg.mdc:
            yield "mdc of a DRG", f"To which MDC does {title} belong?", f"MDC {drg.mdc}, {MDC_TITLES[drg.mdc]}."


def _levels(tables: Tables) -> Iterator[tuple[str, str, str]]:
    """CMS's level of every condition that the tables hold, by its name; the words of the notes stay out (test words are new words)."""
    asked = set()
    for condition in tables.conditions.values():
        for coding in condition.codings:
            name = condition.name.render(None, dict(coding.slots))
            code = min(coding.codes, key=lambda code: ("MCC", "CC", "none").index(level(code)))
            if (name, code) not in asked:
                asked.add((name, code))
                question = f"As a secondary diagnosis, is {name} ({dotted(code)}) an MCC, a CC or neither?"
                yield "level", question, STATUS[level(code)]


def _titles(drgs: list[Drg]) -> str:
    return "\n".join(drg.title.upper() for drg in drgs)


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
