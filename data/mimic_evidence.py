"""Where a note shows the codes of its stay: the words of the knowledge tables and the official titles, sought in the text.

What is looked for is known to be true of the stay (its coder coded it), so a mention is enough, unless the note denies it there.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache
from importlib.resources import files
from itertools import islice, product

from data.corpus_phrase import Phrase
from data.corpus_tables import load_tables
from sapphire.drg.claims import Evidence
from sapphire.drg.icd import diagnosis_title, procedure_title
from sapphire.drg.wording import fits

FORMS = 24  # wordings of one phrase with choices
# A denial a few words before the mention and in its sentence.
DENIED = re.compile(
    r"\b(?:no|not|non|without|denie[sd]|denying|negative for|neg for|ruled out|r/o|rule out|absence of|unlikely|never had|"
    r"low (?:suspicion|concern) for)\b[^.;:\n]{0,40}$",
    re.IGNORECASE,
)
REFUTED = re.compile(r"^[^.;:\n]{0,20}\b(?:ruled out|excluded|unlikely|negative)\b", re.IGNORECASE)
WINDOW = 12  # words
_LINE = re.compile(r'[^\n.;"]+')
_WORD = re.compile(r"[a-z0-9]+", re.IGNORECASE)
_DELIMITS = re.compile(
    r"\(.*?\)|\[.*?\]|\bwithout [^,]*|\b(?:initial|subsequent) encounter.*|\bnot elsewhere classified\b|\bnot specified as \w+"
)
_EMPTY = frozenset(
    "a an and as at by due for from in is of on or other others specified the this to type unspecified with syndrome disease "  # noqa: SIM905
    "closed approach encounter elsewhere identified".split()
)
_TAIL = re.compile(r",? (?:unspecified|not otherwise specified|initial encounter).*$", re.IGNORECASE)


def evidence(codes: Iterable[str], text: str) -> list[Evidence]:
    """For each code that the text shows, the words that show it; codes that are named together (septic shock) share them.

    Codes without dots, in the order wanted. A code that the text does not show, or only denies, is left out.
    """
    codes = list(dict.fromkeys(codes))
    groups = [group for group in _groups() if set(group) <= set(codes)] + [(code,) for code in codes]
    shown: dict[tuple[str, ...], Evidence] = {}
    taken: set[str] = set()
    for group in sorted(groups, key=len, reverse=True):
        if taken.isdisjoint(group) and (quote := _mention(group, text)):
            shown[group] = Evidence(group, quote, _condition(group))
            taken.update(group)
    return sorted(shown.values(), key=lambda item: codes.index(item.codes[0]))


def apart(item: Evidence) -> list[Evidence]:
    """Codes that are named together, each for itself and under its own name, shown by the same words."""
    return [Evidence((code,), item.quote, _condition((code,))) for code in item.codes]


def _mention(group: tuple[str, ...], text: str) -> str | None:
    """The first words of the text that name the codes and are not denied, on one line."""
    for pattern in _patterns(group):
        for found in pattern.finditer(text):
            if not _denied(text, *found.span()):
                return " ".join(found[0].split())
    spans = _any_order(_essence(group[0]), text) if len(group) == 1 else ()
    return next((" ".join(text[start:end].split()) for start, end in spans if not _denied(text, start, end)), None)


def _denied(text: str, start: int, end: int) -> bool:
    return bool(DENIED.search(text[max(0, start - 60) : start]) or REFUTED.search(text[end : end + 40]))


def _any_order(essence: frozenset[str], text: str) -> Iterator[tuple[int, int]]:
    """The shortest stretches within a line, of no more than WINDOW words, that hold all these words in whatever order."""
    if len(essence) < 2 or not all(stem in text.lower() for stem in (word[:4] for word in essence)):
        return
    for line in _LINE.finditer(text):
        words = [(found[0].lower(), found.span()) for found in _WORD.finditer(text, *line.span())]
        met = [next((word for word in essence if _alike(word, said)), None) for said, _ in words]
        for first, word in enumerate(met):
            missing = set(essence)
            for last in range(first, min(first + WINDOW, len(words)) if word else first):
                missing.discard(met[last])
                if not missing:
                    yield words[first][1][0], words[last][1][1]
                    break


@lru_cache(maxsize=50_000)
def _essence(code: str) -> frozenset[str]:
    """The words of the official title that a note would have to say: none of those that only delimit the code."""
    title = (diagnosis_title(code) or procedure_title(code) or "").lower()
    return frozenset(_WORD.findall(_DELIMITS.sub(" ", title))) - _EMPTY


def _alike(official: str, said: str) -> bool:
    """Equal, or one stem with different endings (alcohol, alcoholic; femur, femoral is not)."""
    if official == said:
        return True
    common = next(
        (i for i, (a, b) in enumerate(zip(official, said, strict=False)) if a != b), min(len(official), len(said))
    )
    return common >= 5 and common >= 0.65 * max(len(official), len(said))


@lru_cache(maxsize=50_000)
def _patterns(group: tuple[str, ...]) -> tuple[re.Pattern, ...]:
    """One pattern for words in capitals only (HTN, as written), one for all others (any case); longest words first."""
    sources = [group, *((code,) for code in _combined().get(group[0], ()) if len(group) == 1)]
    known = {words for codes in sources for words in (*_wordings().get(codes, ()), *_titles(codes))}
    wordings = sorted(known, key=lambda words: (-len(words), words))
    as_written = [words for words in wordings if words.isupper()]
    any_case = [words for words in wordings if not words.isupper()]
    return tuple(_any_of(some, flags) for some, flags in ((any_case, re.IGNORECASE), (as_written, 0)) if some)


def _any_of(wordings: list[str], flags: int) -> re.Pattern:
    written = (r"\s+".join(map(re.escape, words.split())) for words in wordings)
    return re.compile(rf"(?<!\w)(?:{'|'.join(written)})(?!\w)", flags)


def _titles(group: tuple[str, ...]) -> set[str]:
    """The official title of a single code, also without what nobody says ("unspecified", "initial encounter")."""
    if len(group) > 1:
        return set()
    title = diagnosis_title(group[0]) or procedure_title(group[0])
    if not title:
        return set()
    short = _TAIL.sub("", title).replace("(", "").replace(")", "").strip(" ,")
    return {words for words in (title, short) if len(words) > 3 and (words == title or fits(words, group))}


@lru_cache(maxsize=50_000)
def _condition(group: tuple[str, ...]) -> str:
    """What the reasoning calls the codes: the name of the knowledge tables, else the official title of the first."""
    if names := _names().get(group):
        return names[0]
    title = diagnosis_title(group[0]) or procedure_title(group[0]) or ""
    return title.replace('"', "")


@cache
def _names() -> dict[tuple[str, ...], list[str]]:
    """Codes → the names that `sapphire.drg.wording` accepts for them."""
    names: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for line in files("sapphire.drg").joinpath("tables", "names.tsv").read_text(encoding="utf-8").splitlines():
        codes, name = line.split("\t")
        names[tuple(codes.split("+"))].append(name)
    return dict(names)


@cache
def _groups() -> list[tuple[str, ...]]:
    """Codes that some record of the knowledge tables always codes together."""
    return [group for group in _wordings() if len(group) > 1 and group in _names()]


@cache
def _wordings() -> dict[tuple[str, ...], set[str]]:
    """Codes → how clinicians write them, by the knowledge tables. Wordings that need a number are left out: the number
    decides whether they name the condition."""
    tables = load_tables()
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for record in (*tables.conditions.values(), *tables.procedures.values()):
        for coding in record.codings:
            for phrase in (record.name, *record.words.train, *record.words.test):
                found[coding.codes].update(_forms(phrase, dict(coding.slots)))
    return dict(found)


@cache
def _combined() -> dict[str, set[str]]:
    """Combination code → the plain codes that coders combine into it, whose words in the note then show it (I11.0: hypertension)."""
    plain: dict[str, set[str]] = defaultdict(set)
    for rule in load_tables().rules:
        for old, new in (*rule.replace.items(), *((shown_by, new) for new, shown_by in rule.add.items())):
            plain[new].add(old)
    return {new: {*olds, *(older for old in olds for older in plain.get(old, ()))} for new, olds in list(plain.items())}


def _forms(phrase: Phrase, slots: dict[str, str]) -> set[str]:
    options: list[tuple[str, ...]] = []
    for part in phrase.parts:
        if isinstance(part, str):
            options.append((part,))
        elif part.name in slots:
            options.append((slots[part.name],))
        elif part.choices:
            options.append(part.choices)
        else:
            return set()
    return {"".join(form) for form in islice(product(*options), FORMS)}
