"""A note's words in the form in which the condition index compares them: folded, shortened to stems, abbreviations written out.

The same is done to the wordings of the index, so both sides agree. `tables/abbreviations.tsv` holds the abbreviations.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

# What ends a phrase; a list's next item and a blank line do, a line that only wraps does not.
BREAK = "|"
NUMBER = "#"
_TOKEN = re.compile(
    r"(?P<word>[A-Za-z]+[0-9]?[A-Za-z]*)|(?P<number>\d+(?:[.,]\d+)*)|(?P<percent>%)"
    r"|(?P<end>[.;:!?](?=\s|$)|\n\s*(?=\n|[-*•#]|\d+[.)]\s)|\n(?=[A-Z][^\n]{0,40}:))"
)
# Words that may be missing on one side without changing what is named.
EMPTY = frozenset(
    "a an and as at by due for from in is of on or other s specified the this to unspecified was were with that which "  # noqa: SIM905
    "nos elsewhere classified his her".split()
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
    """Short form as it stands in the table → the stems that it stands for."""
    out = {}
    for line in files("sapphire.drg").joinpath("tables", "abbreviations.tsv").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        short, full = line.split("\t")
        out[short] = tuple(stem(word) for word in full.split() if word not in EMPTY)
    return out


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
                out += [Token(each, start, end) for each in stems(found[0])]
            case "number":
                out.append(_number(found[0], start, end))
            case "percent":
                out.append(Token("%", start, end))
            case "end":
                out.append(Token(BREAK, start, end))
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
