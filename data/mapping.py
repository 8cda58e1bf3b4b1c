"""HCFA descriptions of all grouper years → the DRGs of one MS-DRG version, abstaining when the text does not decide.

In this order: the description equals a title of the version once both are in CMS's words ("exact"); the user's mapping file
names the title ("mapped"); the nearest title by words, polarity and severity, near enough and alone ("accepted") or not
("unsure": the best guess stands beside the status, for a person to decide); nothing near ("unmappable").
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rapidfuzz import fuzz, process

from data.mimic_words import WEAK, Phrase, alike, phrase
from sapphire.drg.codebook import VERSIONS, codebook, fold

STATUSES = ("exact", "mapped", "accepted", "unsure", "unmappable")
DECIDED = ("exact", "mapped", "accepted")  # the statuses whose DRG may label a case

# Chosen on the public mapping of DRG-LLaMA (265 descriptions) and checked on MIMIC-IV demo's 151: see MIMIC.md.
ACCEPT, MARGIN = 0.85, 0.03  # near enough, and by this much nearer than the next DRG
NEAR = 0.45  # below this nothing is near
# What the recorded number adds to the DRG of that number: much where number and description are one year's very title
# (CMS reworded it since), little otherwise (numbers are given anew).
KNOWN, NUMBERED = 0.40, 0.10
# Another year's title of the same number is a name of the DRG when it is this near to its own title.
CHAINED = 0.60
SAME = 0.95  # two texts name the same family

# What a severity level in the description says of one in the title: equal, implied by it, possible, or a contradiction.
EQUAL, IMPLIED, UNSAID, POSSIBLE, CONTRADICTION = 0.0, 0.05, 0.02, 0.18, 0.40
_IMPLIED = {("MCC", "CC/MCC"), ("CC", "CC/MCC"), ("CC", "without MCC"), ("none", "without MCC")}
_POSSIBLE = {
    *(("CC/MCC", "MCC"), ("CC/MCC", "CC"), ("without MCC", "CC"), ("without MCC", "none")),
    *(("MCC", "complicated"), ("CC", "complicated"), ("CC/MCC", "complicated"), ("none", "uncomplicated")),
    *(("complicated", "MCC"), ("complicated", "CC"), ("complicated", "CC/MCC"), ("uncomplicated", "none")),
}


@dataclass(frozen=True)
class Candidate:
    """A DRG that a description may mean, with its title as the list has it and a score from 0 to 1."""

    drg: str
    title: str
    score: float


@dataclass(frozen=True)
class Match:
    """What became of one description. `drg` and `title` are the best guess, empty when unmappable; `status` of STATUSES."""

    raw: str
    drg: str
    title: str
    status: str
    score: float
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class _Name:
    drg: str
    phrase: Phrase
    trust: float  # 1 for the list's own title, less for another year's title of the same number


class Matcher:
    """Matches descriptions to `titles` (DRG → title)."""

    def __init__(self, titles: Mapping[str, str]):
        self.titles = {drg.zfill(3): title for drg, title in titles.items()}
        self._by_title = {_spelt(title): drg for drg, title in self.titles.items()}
        self._by_phrase: dict[Phrase, list[str]] = {}
        for drg, title in self.titles.items():
            self._by_phrase.setdefault(phrase(title), []).append(drg)
        self._names: dict[tuple, list[_Name]] = {}
        for name in self._all_names():
            self._names.setdefault(name.phrase.words, []).append(name)
        self._keys = {words: " ".join(word for word, _ in words) for words in self._names}
        self._decided: dict[str | Phrase, str | None] = {}

    def has_title(self, title: str) -> bool:
        """Whether the list has this title, but for case, commas, slashes and the spelling of W, W/O and &."""
        return _spelt(title) in self._by_title

    def decide(self, mapping: Mapping[str, str | None]) -> None:
        """Take over what a person decided: description → title of the list, or None for an unmappable description.

        A description is known again by its spelling or, as DRG-LLaMA's file has PROC and CATH written out, by its words.
        """
        self._decided |= {phrase(raw): title for raw, title in mapping.items()}
        self._decided |= {_spelt(raw): title for raw, title in mapping.items()}

    def match(self, description: str, code: str | None = None) -> Match:
        """The DRG that a description means; `code`, the DRG number recorded beside it, decides between near ones."""
        raw, said = description, phrase(description)
        by_title = self._by_title.get(_spelt(description))
        same = [by_title] if by_title else self._by_phrase.get(said, []) if said.words else []
        if len(same) == 1:
            return Match(raw, same[0], self.titles[same[0]], "exact", 1.0, (self._candidate(same[0], 1.0),))
        for key in (_spelt(description), said):
            if key in self._decided:
                return self._mapped(raw, self._decided[key])
        ranked = self._rank(said, code.strip().zfill(3) if code and code.strip() else None)
        candidates = tuple(self._candidate(drg, min(score, 0.999)) for drg, score in ranked[:3])
        if not candidates or candidates[0].score < NEAR:
            return Match(raw, "", "", "unmappable", candidates[0].score if candidates else 0.0, candidates)
        best, runner_up = candidates[0], ranked[1][1] if len(ranked) > 1 else 0.0
        sure = best.score >= ACCEPT and ranked[0][1] - runner_up >= MARGIN
        if sure and resemblance(said.words, phrase(best.title).words) < SAME:
            sure = restructured(description) is None
        return Match(raw, best.drg, best.title, "accepted" if sure else "unsure", best.score, candidates)

    def _known(self, said: Phrase, code: str) -> bool:
        """Whether some version has this very title under this number, and the list a DRG of that number and severity."""
        titles = (phrase(codebook(v).drgs[code].title) for v in VERSIONS if code in codebook(v).drgs)
        return said in titles and phrase(self.titles[code]).level == said.level

    def _mapped(self, raw: str, title: str | None) -> Match:
        drg = self._by_title[_spelt(title)] if title else ""
        if not drg:
            return Match(raw, "", "", "unmappable", 0.0, ())
        return Match(raw, drg, self.titles[drg], "mapped", 1.0, (self._candidate(drg, 1.0),))

    def _candidate(self, drg: str, score: float) -> Candidate:
        return Candidate(drg, self.titles[drg], round(score, 3))

    def _all_names(self) -> Iterable[_Name]:
        """Each DRG's own title, and its titles of other years where number and severity say that it is the same DRG."""
        for drg, title in self.titles.items():
            own = phrase(title)
            yield _Name(drg, own, 1.0)
            others = {phrase(codebook(v).drgs[drg].title) for v in VERSIONS if drg in codebook(v).drgs} - {own}
            for other in sorted(others, key=lambda other: other.words):
                trust = resemblance(own.words, other.words)
                if trust >= CHAINED and other.level == own.level:
                    yield _Name(drg, other, trust)

    def _rank(self, said: Phrase, code: str | None) -> list[tuple[str, float]]:
        """DRGs by score, best first; a score may exceed 1 by what extras and number add."""
        if not said.words:
            return []
        query = " ".join(word for word, _ in said.words)
        near = process.extract(query, self._keys, scorer=fuzz.token_ratio, limit=30)
        scores: dict[str, float] = {}
        for _, _, words in near:
            likeness = resemblance(said.words, words)
            for name in self._names[words]:
                score = likeness * name.trust - severity_penalty(said.level, name.phrase.level)
                score += 0.01 * _overlap(said.extra, name.phrase.extra)
                scores[name.drg] = max(scores.get(name.drg, 0.0), score)
        if code in scores and scores[code] >= NEAR:
            scores[code] += KNOWN if self._known(said, code) else NUMBERED
        return sorted(scores.items(), key=lambda item: (-item[1], item[0]))


def restructured(description: str) -> str | None:
    """Why no text can decide: the family that this description names was split or merged (mimic_restructured.csv), or None."""
    said = phrase(description)
    for family, reason in _restructured():
        if family.level in (None, said.level) and resemblance(said.words, family.words) >= SAME:
            return reason
    return None


@cache
def _restructured() -> list[tuple[Phrase, str]]:
    with Path(__file__).with_name("mimic_restructured.csv").open(encoding="utf-8", newline="") as table:
        return [(phrase(row["description"]), f"now {row['became']} ({row['reason']})") for row in csv.DictReader(table)]


def resemblance(a: tuple, b: tuple) -> float:
    """How much two lists of (word, polarity) share, 0 to 1: twice the weight of the words that can be paired in order, over
    the weight of all. Words of different polarity are never paired, so EXCEPT ULCER shares nothing with FOR ULCER."""
    above = [0.0] * (len(b) + 1)
    for word_a, polarity_a in a:
        row = [0.0]
        for at, (word_b, polarity_b) in enumerate(b):
            paired = 0.0
            if polarity_a == polarity_b and (likeness := alike(word_a, word_b)):
                paired = above[at] + likeness * (_weight(word_a) + _weight(word_b)) / 2
            row.append(max(above[at + 1], row[at], paired))
        above = row
    total = sum(_weight(word) for word, _ in a) + sum(_weight(word) for word, _ in b)
    return 2 * above[-1] / total if total else 0.0


def severity_penalty(said: str | None, title: str | None) -> float:
    """What is taken off the score for a description's severity level against a title's; None where none is said."""
    if said == title:
        return EQUAL
    if title is None or (said, title) in _IMPLIED:
        return IMPLIED
    if said is None:
        return UNSAID
    return POSSIBLE if (said, title) in _POSSIBLE else CONTRADICTION


def _weight(word: str) -> float:
    return 0.5 if word in WEAK else 2.0 if word[0] in "<>" else 1.0


def _overlap(a: frozenset, b: frozenset) -> float:
    """How much of two extras agree (both empty: wholly)."""
    return 1.0 if a == b else len(a & b) / len(a | b)


@cache
def _spelt(text: str) -> str:
    """`fold` after the spellings that DRG-LLaMA's mapping file has undone (`W` → WITH, commas away)."""
    words = fold(text.upper().replace("W/O", "WITHOUT").replace("&", " AND ")).split()
    return " ".join({"w": "with", "wo": "without"}.get(word, word) for word in words)
