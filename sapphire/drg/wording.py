"""Do these words name that code? Decided against the official titles and the names that the knowledge tables give.

Words fit a code when they are its official title or one of its names, or when they share most of their words with its title and
with the title of no other code of the category more. So "acute kidney injury" fits N17.9, and never N17.0, whose title
has more that was not said.
"""

import re
from collections import defaultdict
from functools import cache, lru_cache
from importlib.resources import files

from sapphire.drg import icd

ENOUGH = 0.6  # share of the words, said and official together, that must have a counterpart
_WORD = re.compile(r"[a-z0-9]+")
_DENIED = re.compile(r"\bwithout [^,]*")  # what a title excludes need not be said
_EMPTY = frozenset(
    "a an and as at by due for from in is nos not elsewhere classified of on or s specified "  # noqa: SIM905
    "the this to type unspecified with".split()
)


def fold(words: str) -> str:
    """What two equal names share: lower case words, without marks, one space between."""
    return " ".join(_WORD.findall(words.casefold()))


@lru_cache(maxsize=200_000)
def fits(words: str, codes: tuple[str, ...]) -> bool:
    """Whether the words name the codes (without dots), which a line gives together; the first one leads."""
    name = fold(words)
    named = _names().get(name)
    if named is not None:
        return any(set(codes) <= set(group) for group in named)
    titles = [fold(title) for code in codes if (title := _title(code))]
    return name in titles or any(_nearest(frozenset(_content(words)), code) for code in codes)


def _title(code: str) -> str | None:
    return icd.procedure_title(code) or icd.diagnosis_title(code)


def _nearest(said: frozenset[str], code: str) -> bool:
    if not said or not (own := _contents(code[:3]).get(code)):
        return False
    if any(word.isdigit() and word not in own for word in said):  # type 1 is not type 2
        return False
    score = _share(said, own)
    return score >= ENOUGH and all(_share(said, other) <= score for other in _contents(code[:3]).values())


def _share(said: frozenset[str], official: frozenset[str]) -> float:
    """Words with a counterpart on the other side, as a share of all words of both sides."""
    matched = sum(any(_alike(word, other) for other in official) for word in said)
    covered = sum(any(_alike(word, other) for other in said) for word in official)
    return (matched + covered) / (len(said) + len(official))


def _alike(one: str, other: str) -> bool:
    """Equal, or one stem with different endings (hypertensive, hypertension)."""
    if one == other:
        return True
    longest = max(len(one), len(other))
    common = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return common >= 5 and common >= 0.65 * longest and not (one + other).isdigit()


def _content(words: str) -> list[str]:
    kept = [word for word in _WORD.findall(_DENIED.sub("", words.casefold())) if word not in _EMPTY]
    return kept or _WORD.findall(words.casefold())


@lru_cache(maxsize=512)
def _contents(category: str) -> dict[str, frozenset[str]]:
    """The content words of every title of a category (three characters), by code."""
    return {code: frozenset(_content(title)) for code, title in _categories().get(category, ())}


@cache
def _categories() -> dict[str, list[tuple[str, str]]]:
    out: dict[str, list[tuple[str, str]]] = defaultdict(list)
    procedures = ((code, title) for code, (title, _) in icd._procedures().items())
    for code, title in (*icd._diagnoses().items(), *procedures):
        out[code[:3]].append((code, title))
    return dict(out)


@cache
def _names() -> dict[str, frozenset[tuple[str, ...]]]:
    """Folded name → the code groups that it names, from `tables/names.tsv` (made by `python -m data.corpus_names`)."""
    out: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for line in files("sapphire.drg").joinpath("tables", "names.tsv").read_text(encoding="utf-8").splitlines():
        codes, name = line.split("\t")
        out[fold(name)].add(tuple(codes.split("+")))
    return {name: frozenset(groups) for name, groups in out.items()}
