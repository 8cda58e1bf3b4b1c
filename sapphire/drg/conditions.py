"""The condition index: what conditions and procedures a note names, by which codes, and whether it says that they are so.

    find(text) -> list[Find]        # every mention, in the order of the note, none overlapping another

Nothing but the note's words is used. `grounding.py` makes of the finds what a coder would report.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import pairwise

from sapphire.drg import icd
from sapphire.drg.codebook import DEFAULT_VERSION
from sapphire.drg.grouper import Claim
from sapphire.drg.index import SOURCES, Match, index
from sapphire.drg.rules import answer, facts, is_valid
from sapphire.drg.senses import guarded, misread, talked_of
from sapphire.drg.status import FAMILY, PRESENT, RULED_OUT, section_at, status
from sapphire.drg.tokens import Token, tokens

LEAST = 0.62  # score of a find
RIVAL = 0.6  # an alternative's strength, as a share of the best
ALTERNATIVES = 4
DENIALS = frozenset(("no", "not", "never", "without", "deni", "deny", "neg", "negat"))
_ORDER = {source: i for i, source in enumerate(SOURCES)}


@dataclass(frozen=True, slots=True)
class Find:
    """One mention: text[start:end] is `quote`; `codes` (without dots, reported together) with a `score` from 0 to 1.

    `kind` is "diagnosis" or "procedure", `level` CMS's table level of a diagnosis ("MCC", "CC", "none"), "" for a procedure.
    `status` is one of `status.STATUSES`, `said` the span of the words that say so. `alternatives` are other codes that the same words
    could mean, with their scores. `weight` is the rarity of the words (natural logarithms), `section` the kind of section.
    """

    start: int
    end: int
    quote: str
    kind: str
    codes: tuple[str, ...]
    condition: str
    score: float
    level: str
    status: str
    said: tuple[int, int]
    alternatives: tuple[tuple[tuple[str, ...], float], ...]
    weight: float
    source: str
    section: str


def find(text: str, version: str = DEFAULT_VERSION) -> list[Find]:
    """Every mention of a condition or procedure in the text, in its order; of overlapping ones the most telling."""
    words = index().corrected(tokens(text), text)
    matches = [
        match
        for match in index().matches(words)
        if match.score >= LEAST
        and not _denied_within(match, words, text)
        and all(is_valid(code, _kind(match), version) for code in match.wording.codes)
    ]
    matches.sort(key=_strength, reverse=True)
    taken: dict[int, int] = {}
    chosen: list[Match] = []
    others: list[dict[tuple[str, ...], float]] = []
    for match in matches:
        owners = {taken[place] for place in match.places if place in taken}
        if not owners:
            for place in match.places:
                taken[place] = len(chosen)
            chosen.append(match)
            others.append({})
        elif len(owners) == 1:
            _note_rival(match, chosen[owner := owners.pop()], others[owner])
    finds = [_find(text, words, match, rivals, version) for match, rivals in zip(chosen, others, strict=True)]
    return sorted((each for each in finds if _meant(text, each)), key=lambda each: (each.start, each.end))


def _meant(text: str, find: Find) -> bool:
    """Whether the words are meant as what they name. What is ruled out stays, since the reasoning tells it."""
    if misread(text, find.start, find.end) or (find.kind == "procedure" and talked_of(text, find.end)):
        return False
    # Factors that influence health (Z00 to Z99) may be just what one guards against.
    exempt = find.kind == "procedure" or find.codes[0].startswith("Z") or find.status == RULED_OUT
    return exempt or not guarded(text, find.start, find.end)


def _denied_within(match: Match, words: list[Token], text: str) -> bool:
    """Whether a word between those of a scattered wording denies the next of them: "streptococcus exposure, but no sepsis"."""
    if match.wording.codes[0].startswith("Z"):
        return False
    for here, following in pairwise(match.places):
        for i in range(here + 1, following):
            if words[i].stem in DENIALS and not re.search(r"[,;:()=]", text[words[i].end : words[following].start]):
                return True
    return False


def _kind(match: Match) -> str:
    return "diagnosis" if match.wording.kind == "D" else "procedure"


def _strength(match: Match) -> tuple:
    codes = match.wording.codes
    return round(match.weight * match.score**2, 3), -_ORDER[match.wording.source], usual(codes[0]), codes


def _note_rival(match: Match, best: Match, rivals: dict[tuple[str, ...], float]) -> None:
    same = match.wording.kind == best.wording.kind and match.wording.codes != best.wording.codes
    share = _strength(match)[0] / (_strength(best)[0] or 1)
    if same and share >= RIVAL and len(rivals) < ALTERNATIVES:
        rivals.setdefault(match.wording.codes, round(match.score * share, 3))


def _find(text: str, words: list[Token], match: Match, rivals: dict, version: str) -> Find:
    start = min(words[place].start for place in match.places)
    end = max(words[place].end for place in match.places)
    kind, codes = _kind(match), match.wording.codes
    said = status(text, start, end, procedure=kind == "procedure")
    section = section_at(text, start)
    family = section == "family" and said.status == PRESENT
    return Find(
        start=start,
        end=end,
        quote=text[start:end],
        kind=kind,
        codes=codes,
        condition=name(codes),
        score=round(match.score, 3),
        level=level(codes, version) if kind == "diagnosis" else "",
        status=FAMILY if family else said.status,
        said=(said.start, said.end),
        alternatives=tuple(rivals.items()),
        weight=round(match.weight, 2),
        source=match.wording.source,
        section=section,
    )


def level(codes: tuple[str, ...], version: str = DEFAULT_VERSION) -> str:
    """The highest level in CMS's table of codes that are reported together."""
    return min((_level(code, version) for code in codes), key=("MCC", "CC", "none").index)


@lru_cache(maxsize=50_000)
def _level(code: str, version: str) -> str:
    claim = Claim(
        pdx="Z7682", sdx=(code,), age=50, sex="U", poa=("Y", "Y"), hospital_status="NOT_EXEMPT", version=version
    )
    return facts(claim, answer(claim))[1].level


@lru_cache(maxsize=50_000)
def name(codes: tuple[str, ...]) -> str:
    """What the reasoning calls the codes: their name in `names.tsv`, else the first one's official title in small letters."""
    if named := names().get(codes):
        return named
    title = icd.procedure_title(codes[0]) or icd.diagnosis_title(codes[0]) or codes[0]
    title = title.replace('"', "")
    return title[0].lower() + title[1:] if title[1:2].islower() else title


@cache
def names() -> dict[tuple[str, ...], str]:
    """Codes → the shortest of their names."""
    out: dict[tuple[str, ...], str] = {}
    for line in files("sapphire.drg").joinpath("tables", "names.tsv").read_text(encoding="utf-8").splitlines():
        codes, said = line.split("\t")
        group = tuple(codes.split("+"))
        out[group] = min(said, out.get(group, said), key=len)
    return out


@cache
def counts() -> dict[str, tuple[int, int, int]]:
    """Code → in how many training notes it was found, reported, and the principal diagnosis (`python -m data.fit_ranking`)."""
    file = files("sapphire.drg").joinpath("tables", "code_counts.tsv")
    if not file.is_file():
        return {}
    rows = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines())
    return {code: (int(found), int(coded), int(principal)) for code, found, coded, principal in rows}


def usual(code: str) -> int:
    """How often a code is reported in the training notes: of two equal readings the usual one is taken."""
    return counts().get(code, (0, 0, 0))[1]
