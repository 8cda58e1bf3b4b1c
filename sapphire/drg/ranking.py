"""How likely a named condition is reported, and which is the principal diagnosis: two small linear models over plain features.

`reported`: a logistic model of "a coder reports these codes" for each condition or procedure that a note names. `principal`: a conditional
logit (McFadden 1974) over the diagnoses that could be principal. The weights are in `tables/ranking.json`, readable by name; they and
`tables/code_counts.tsv` come from the training notes alone (`python -m data.fit_ranking`).
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from sapphire.drg import icd
from sapphire.drg.conditions import Find, counts
from sapphire.drg.status import FAMILY, HISTORY, PRESENT, RESOLVED, RULED_OUT, UNCERTAIN

Features = dict[str, float]
Count = Callable[[str], tuple[float, float, float]]

# Long-lasting conditions: "history of" them means that they are there still.
CHRONIC = re.compile(
    r"E0[0-9]|E1|E2|E66|E7[0-8]|E8[0348]|D5[05-9]|D6[0-4]|D8|B18|B20|F0[1-3]|F1|F2|F3|F4|F7|F84|G1|G2|G3|G4[0-37]|G6|G7|G8|H40|H35|I1[0-35]"
    r"|I25|I27|I3[4-9]|I42|I44|I45|I48|I49|I50|I6[79]|I7[0-3]|I8[37]|J4[1-7]|J84|J96[12]|K21|K5[01]|K7[0-6]|K86|L4|L97|L89|M0|M1|M3|M4|M8[01]|N18|N4"
    r"|Q|Z|O"
)
_AGAIN = re.compile(r"unspecified|without complication|\bNOS\b", re.IGNORECASE)
_CUE = re.compile(
    r"(?:admit\w*|admission|hospitali[sz]ed|present\w*|came in|brought in|transferred|treated|here|in|reason\w*(?: for (?:admission|stay|hospitali[sz]ation))?"
    r"|principal(?: (?:problem|diagnosis|dx|reason))?|primary(?: (?:problem|diagnosis|dx))?|main (?:problem|diagnosis)(?: this stay)?|diagnosed|diagnosis was|found to have|indication"
    r"|felt to be|this was|chiefly)\W*(?:with|for|as|by|to have|was|is|:|after study|of|-)?\W*(?:an?|the|his|her|acute|new|severe|\w+)?\W*$",
    re.IGNORECASE,
)
_STRONG = re.compile(
    r"(?:principal|primary|main problem|chief(?:ly)?|reason for (?:admission|stay|hospitali[sz]ation|ICU)|leading|admitted (?:with|for)|hospitali[sz]ed for|treated for|indication|elective\w*|diagnosed with|diagnosis was|dx|diagnosis)[^.\n]{0,40}$",
    re.IGNORECASE,
)
_LESSER = re.compile(
    r"(?:also|in addition|additional(?:ly)?|complicated by|secondary|other (?:diagnos\w+|problems|conditions)|comorbid\w*|history|pmhx?|background|known|incidental\w*|chronic|besides|alongside|along with|developed|hospital day|HD ?\d|POD ?\d|postop\w*|post-op\w*|later|then|underlying)[^.\n]{0,50}$",
    re.IGNORECASE,
)
_SMOOTH = 4.0


@dataclass(frozen=True, slots=True)
class Condition:
    """What a note names, mentions put together: `finds` in the order of the note, `level` as in `Find`, `chance` of being reported.

    `general`: the note names something more specific of the same category.
    """

    codes: tuple[str, ...]
    kind: str
    name: str
    level: str
    finds: tuple[Find, ...]
    general: bool = False
    chance: float = 0.0

    @property
    def status(self) -> str:
        """What the mentions say together: family only if all do; ruled out beats suspected; otherwise present where one is."""
        said = Counter(each.status for each in self.finds)
        if said[FAMILY] == len(self.finds):
            return FAMILY
        if said[PRESENT]:
            return PRESENT
        for status in (RULED_OUT, RESOLVED, UNCERTAIN, HISTORY):
            if said[status]:
                return status
        return FAMILY

    @property
    def best(self) -> Find:
        """The mention that shows the status best: the first of that status with the highest score."""
        fitting = [each for each in self.finds if each.status == self.status] or list(self.finds)
        return max(fitting, key=lambda each: (round(each.score, 1), -each.start))


def gathered(finds: Sequence[Find]) -> list[Condition]:
    """The conditions and procedures of a note in the order of their first mention."""
    by_codes: dict[tuple[str, ...], list[Find]] = {}
    for each in finds:
        by_codes.setdefault(each.codes, []).append(each)
    stated = {
        codes[0] for codes, group in by_codes.items() if any(each.status in (PRESENT, UNCERTAIN) for each in group)
    }
    return [
        Condition(codes, group[0].kind, group[0].condition, group[0].level, tuple(group), _general(codes[0], stated))
        for codes, group in by_codes.items()
    ]


@lru_cache(maxsize=50_000)
def _vague(code: str) -> bool:
    title = icd.diagnosis_title(code) or ""
    return bool(_AGAIN.search(title)) or (len(code) < 5 and code.endswith("9"))


def _general(code: str, stated: set[str]) -> bool:
    if not _vague(code):
        return False
    return any(other != code and other[:3] == code[:3] and not _vague(other) for other in stated)


class Prior:
    """Smoothed rates from counts of codes: of being reported when found, of being principal when found."""

    def __init__(self, table: Mapping[str, tuple[int, int, int]]):
        self.table = dict(table)
        self._groups: dict[str, list[float]] = {}
        for code, numbers in self.table.items():
            for group in (code[:3], code[:1], ""):
                row = self._groups.setdefault(group, [0.0, 0.0, 0.0])
                for i, number in enumerate(numbers):
                    row[i] += number

    def rates(self, code: str, less: tuple[int, int, int] = (0, 0, 0)) -> tuple[float, float, float]:
        """Logits of being reported and of being principal, and the logarithm of the count; `less` is what one note adds to it."""
        reported, principal = 0.3, 0.05
        for group in ("", code[:1], code[:3]):
            found, coded, first = (a - b for a, b in zip(self._groups.get(group, (0, 0, 0)), less, strict=True))
            reported = (coded + _SMOOTH * reported) / (found + _SMOOTH)
            principal = (first + _SMOOTH * principal) / (found + _SMOOTH)
        found, coded, first = (a - b for a, b in zip(self.table.get(code, (0, 0, 0)), less, strict=True))
        reported = (coded + _SMOOTH * reported) / (found + _SMOOTH)
        principal = (first + _SMOOTH * principal) / (found + _SMOOTH)
        return _logit(reported), _logit(principal), math.log1p(found)


def _logit(p: float) -> float:
    p = min(max(p, 1e-3), 1 - 1e-3)
    return math.log(p / (1 - p))


@cache
def prior() -> Prior:
    return Prior(counts())


@cache
def weights() -> dict[str, Features]:
    file = files("sapphire.drg").joinpath("tables", "ranking.json")
    return json.loads(file.read_text(encoding="utf-8"))


def shared(condition: Condition, text: str, rates: tuple[float, float, float], rank: int, total: int) -> Features:
    """Features of one condition that both models use. `rank` is its place among the note's `total` conditions of its kind."""
    finds = condition.finds
    n = len(finds)
    said = Counter(each.status for each in finds)
    where = Counter(each.section for each in finds)
    best = max(finds, key=lambda each: each.score)
    code = condition.codes[0]
    chronic = bool(CHRONIC.match(code))
    sure = [each for each in finds if each.status in (PRESENT, UNCERTAIN)]
    before = [text[max(0, each.start - 70) : each.start] for each in sure]
    length = max(len(text), 1)
    first = min((each.start for each in sure), default=finds[0].start) / length
    return {
        "bias": 1.0,
        "score": best.score,
        "whole phrase": float(best.score > 0.94),
        "weight": min(math.log(best.weight + 1), 4.0),
        "mentions": math.log(n),
        "all ruled out": float(said[RULED_OUT] == n),
        "some ruled out": said[RULED_OUT] / n,
        "history, chronic": said[HISTORY] / n * chronic,
        "history, not chronic": said[HISTORY] / n * (not chronic),
        "resolved": said[RESOLVED] / n,
        "uncertain": said[UNCERTAIN] / n,
        "family": said[FAMILY] / n,
        "none present": float(not said[PRESENT]),
        "general": float(condition.general),
        "in final": float(where["final"] > 0),
        "in history": where["history"] / n,
        "in studies": (where["studies"] + where["exam"]) / n,
        "in plan": (where["plan"] + where["medications"] + where["allergies"] + where["social"]) / n,
        "in opening": float(where["opening"] + where["reason"] > 0),
        "in procedures": where["procedures"] / n,
        "first place": 1 - first,
        "first": float(rank == 0),
        "second": float(rank == 1),
        "rank": math.log1p(rank),
        "cue": float(any(map(_CUE.search, before))),
        "strong cue": float(any(map(_STRONG.search, before))),
        "lesser": sum(bool(_LESSER.search(each)) for each in before) / max(len(before), 1),
        "chronic": float(chronic),
        "symptom": float(code[0] == "R"),
        "status code": float(code[0] == "Z"),
        "MCC": float(condition.level == "MCC"),
        "CC": float(condition.level == "CC"),
        "title": float(best.source == "t"),
        "title of other": float(best.source == "o"),
        "rate": rates[0],
        "principal rate": rates[1],
        "seen": rates[2],
        "candidates": math.log(total),
    }


def chance(features: Features, model: str) -> float:
    """The logistic model's probability."""
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, score(features, model)))))


def score(features: Features, model: str) -> float:
    known = weights()[model]
    return sum(known.get(name, 0.0) * value for name, value in features.items())


def softmax(scores: Sequence[float]) -> list[float]:
    top = max(scores)
    powers = [math.exp(each - top) for each in scores]
    whole = sum(powers)
    return [each / whole for each in powers]
