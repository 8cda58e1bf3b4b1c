"""A note's words in the form in which the condition index compares them: folded, shortened to stems, abbreviations written out.

The same is done to the wordings of the index, so both sides agree. `tables/abbreviations.tsv` holds the abbreviations.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

# What ends a phrase; a list's next item and a blank line do, a line that only wraps does not, nor does the point of C. difficile.
BREAK = "|"
NUMBER = "#"
_TOKEN = re.compile(
    r"(?P<word>[A-Z]&[A-Z]\b|[A-Za-z]+[0-9]?[A-Za-z]*)|(?P<number>\d+(?:[.,]\d+)*)|(?P<percent>%)"
    r"|(?P<end>(?:[;:!?]|\.(?!(?<!\w[A-Z]\.)(?<=[A-Z]\.)\s[a-z]))(?=\s|$)|\n\s*(?=\n|[-*•#]|\d+[.)]\s)|\n(?=[A-Z][^\n]{0,40}:))"
)
# Words that may be missing on one side without changing what is named.
EMPTY = frozenset(
    "a an and as at by due for from in is of on or other s specified the this to unspecified was were with that which "  # noqa: SIM905
    "nos elsewhere classified his her".split()
)
# Abbreviations in capitals that are everyday words in small letters.
EVERYDAY = frozenset(
    "it as all or is am an us no so be he me we to in on at by if may arm ms pa ed ad hit had map age pet sad cap cat dim dip act aim "  # noqa: SIM905
    "tips sob pad mas his who led aid add far bad mod pan pat net nat mac car bed".split()
)
_SPLIT = re.compile(r"(ckd|dm|stage|grade|covid|type)(\d)([a-c]?)", re.IGNORECASE)
_ENDINGS = sorted(
    "ations ation ated ating ional ions ion ive ism ic ical al ous ing ed es s e y i us um a ia ies ary is osis otic".split(),  # noqa: SIM905
    key=len,
    reverse=True,
)


@dataclass(frozen=True, slots=True)
class Token:
    """A folded word with its place in the text; `value` is that of a number."""

    stem: str
    start: int
    end: int
    value: float | None = None


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """A word of small letters without its ending, so that stenosis meets stenotic; at least four letters stay."""
    if len(word) < 5:
        return word[:-1] if len(word) == 4 and word.endswith("s") and not word.endswith("ss") else word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)]
    return word


@cache
def abbreviations() -> dict[str, tuple[str, ...]]:
    """Short form of one word as it stands in the table → the stems that it stands for."""
    return {short: full for short, full in _table().items() if " " not in short}


@cache
def phrases() -> dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """First stem of a phrase of several words → the phrase's stems and those that take their place, longest first."""
    out: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
    for short, full in _table().items():
        if " " in short:
            said = tuple(stem(word) for word in short.split())
            out.setdefault(said[0], []).append((said, full))
    return {first: sorted(group, key=lambda pair: -len(pair[0])) for first, group in out.items()}


@cache
def _lines() -> tuple[tuple[str, str], ...]:
    written = files("sapphire.drg").joinpath("tables", "abbreviations.tsv").read_text(encoding="utf-8")
    return tuple(tuple(line.split("\t")) for line in written.splitlines() if not line.startswith("#"))


def abbreviated() -> list[str]:
    """What the abbreviations stand for, in words."""
    return [full for _, full in _lines()]


@cache
def _table() -> dict[str, tuple[str, ...]]:
    return {short: tuple(stem(word) for word in full.split() if word not in EMPTY) for short, full in _lines()}


@lru_cache(maxsize=200_000)
def stems(word: str) -> tuple[str, ...]:
    """The stems of one written word: none for an empty word, several for an abbreviation."""
    lower = word.lower()
    short = abbreviations()
    for form in (word, lower):
        if form in short:
            return short[form]
    if word.endswith("s") and word[:-1].isupper() and word[:-1] in short:
        return short[word[:-1]]
    if lower in EVERYDAY and word.isupper():
        return (word,)
    if lower in EMPTY:
        return ()
    if parted := _SPLIT.fullmatch(word):
        return (*stems(parted[1]), *filter(None, (parted[2], parted[3].lower())))
    return (stem(lower),)


def tokens(text: str) -> list[Token]:
    """The tokens of a text, with BREAK where a phrase ends."""
    out: list[Token] = []
    for found in _TOKEN.finditer(text):
        start, end = found.span()
        match found.lastgroup:
            case "word":
                said = found[0]
                if said == "L" and out and out[-1].value is not None:  # liters
                    continue
                out += [Token(each, start, end) for each in stems(said)]
            case "number":
                out.append(_number(found[0], start, end))
            case "percent":
                out.append(Token("%", start, end))
            case "end":
                out.append(Token(BREAK, start, end))
    return _replaced(out)


def _replaced(found: list[Token]) -> list[Token]:
    """The tokens with phrases of the table replaced; each new one has the span of all words of the phrase."""
    known, out, i = phrases(), [], 0
    while i < len(found):
        for said, full in known.get(found[i].stem, ()):
            if tuple(each.stem for each in found[i : i + len(said)]) == said:
                start, end = found[i].start, found[i + len(said) - 1].end
                out += [Token(each, start, end) for each in full]
                i += len(said)
                break
        else:
            out.append(found[i])
            i += 1
    return out


def _number(written: str, start: int, end: int) -> Token:
    plain = (
        written.replace(",", "") if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", written) else written.replace(",", ".")
    )
    try:
        value = float(plain)
    except ValueError:  # 1.2.3
        return Token(written, start, end)
    return Token(f"{value:g}", start, end, value)


def folded(words: str) -> tuple[str, ...]:
    """The stems of a wording, without breaks."""
    return tuple(token.stem for token in tokens(words) if token.stem != BREAK)
