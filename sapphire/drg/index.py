"""The index of wordings: where a text says a phrase of `tables/wordings.tsv.gz`, word by word, or most of its words close together.

Words are compared as stems with abbreviations written out (`tokens.py`). An automaton finds whole phrases; for the rest a wording's
rarest word calls it up, and the share of its words (weighted by rarity) that stand near gives the score. Slips of the pen are
put right first, against the index's own vocabulary.
"""

import gzip
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from importlib.resources import files

import ahocorasick
from rapidfuzz import process
from rapidfuzz.distance import DamerauLevenshtein

from sapphire.drg.tokens import BREAK, NUMBER, Token, abbreviated, folded, stem

ENOUGH = 0.7  # of a wording's weight, when its words stand scattered
SHORTEST = 6  # letters of a word that is put right
SPREAD = 5  # words that may stand between those of a scattered wording
SOURCES = {"n": 1.0, "h": 1.0, "w": 0.98, "t": 0.95, "o": 0.85}  # how far a wording of that source is believed
_RANGE = re.compile(r"\{([\d.]+)-([\d.]+)\}")
_WORD = re.compile(rf"[A-Za-z]{{{SHORTEST - 1},}}")
_WORDS = re.compile(r"[A-Za-z]{3,}")
OTHER_SIDE = {"left": "right", "right": "left"}
_SIDES = frozenset({*OTHER_SIDE, stem("bilateral")})


@dataclass(frozen=True, slots=True)
class Wording:
    """A phrase of the index: the codes it names, its stems (NUMBER for a range), the ranges in order, the sum of rarities."""

    codes: tuple[str, ...]
    kind: str
    source: str
    stems: tuple[str, ...]
    words: str
    ranges: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Match:
    """A wording met in a text: positions of its tokens, score from 0 to 1, weight (rarity of the words matched)."""

    wording: Wording
    places: tuple[int, ...]
    score: float
    weight: float


# Words that say what kind of condition or procedure it is, and that it is acute, which is never to be assumed. A wording whose words stand
# scattered must have all of them.
HEAD = re.compile(
    r"\w+(?:itis|osis|emia|aemia|oma|uria|plegia|paresis|pathy|ectomy|plasty|otomy|ostomy|scopy|graphy|centesis|penia|cytosis|megaly|ectasis"
    r"|malacia|thorax|otic|emic)|sepsis|septic|shock|fracture|infection|ulcer|abscess|cancer|carcinoma|tumor|neoplasm|metastas\w+|metastatic"
    r"|injury|laceration|burn|wound|hernia|failure|infarct\w*|stroke|ischemi\w*|obstruct\w*|perforat\w*|rupture\w*|dissection|aneurysm"
    r"|thromb\w+|embol\w+|hemorrhag\w*|arrest|block|fibrillation|flutter|tachycardia|bradycardia|edema|effusion|defect|deficiency|dependence"
    r"|abuse|withdrawal|overdose|poisoning|toxicity|intoxication|delivery|cesarean|abruption|rejection|transplant\w*|graft\w*|bypass|replacement"
    r"|repair|fusion|resection|excision|drainage|debridement|amputation|catheter\w*|stent\w*|biopsy|ablation|pacemaker|ventilation|dialysis"
    r"|transfusion|chemotherapy|dislocation|loosening|contusion|concussion|cyst|polyp\w*|calcul\w+|stones?|seizure\w*|epilep\w+|dementia"
    r"|delirium|depress\w+|psycho\w+|bipolar|schizo\w+|pneumonia|asthma|fever|pain|gangrene|necrosis|crisis|coma|obesity|malnutrition"
    r"|dehydration|jaundice|ascites|fistula|stricture|torsion|prolapse|incontinence|retention|hydroneph\w+|regurgitation|hypertension|hypotension"
    r"|diabet\w+|adhesions?|strangulat\w*|incarcerat\w*|preeclampsia|eclampsia|liveborn|newborn|rupture|hemophilia|palsy|migraine|encephalitis"
    r"|disruption|breakdown|foreign|open|removal|displacement|malfunction|reduction|revision|reattachment|control|leukemia|pregnancy|screw\w*|nail\w*|acute",
    re.IGNORECASE,
)  # fmt: skip


class Index:
    """All wordings, ready to search. Building takes about a second; use `index()`."""

    def __init__(self, rows: Iterator[Wording]):
        self.wordings = list(dict.fromkeys(rows))
        documents = Counter(each for wording in self.wordings for each in set(wording.stems))
        total = len(self.wordings)
        self.rarity = {each: math.log(total / count) for each, count in documents.items()}
        self.rarity[NUMBER] = 0.5
        self._unknown = math.log(total)
        self._vocabulary: dict[tuple[str, int], list[str]] = defaultdict(list)
        for word in {word.lower() for wording in self.wordings for word in _WORD.findall(wording.words)}:
            self._vocabulary[word[0], len(word)].append(word)
        heads = frozenset(
            stem(word.lower())
            for words in (*(each.words for each in self.wordings), *abbreviated())
            for word in _WORDS.findall(words)
            if HEAD.fullmatch(word)
        )
        phrases: dict[tuple[str, ...], list[Wording]] = defaultdict(list)
        self._anchored: dict[str, list[tuple[Wording, frozenset[str], frozenset[str], float]]] = defaultdict(list)
        scattered: dict[tuple[frozenset[str], tuple[str, ...]], Wording] = {}
        for wording in self.wordings:
            phrases[wording.stems].append(wording)
            bag = frozenset(wording.stems) - {NUMBER, BREAK}
            if len(bag) > 1 and not wording.ranges:
                scattered.setdefault((bag, wording.codes), wording)
        for (bag, _), wording in scattered.items():
            weight = sum(map(self._weight, bag))
            self._anchored[max(bag, key=self.weight_of)].append((wording, bag, bag & heads, weight))
        self._automaton = ahocorasick.Automaton()
        for stems, group in phrases.items():
            self._automaton.add_word(f" {' '.join(stems)} ", (len(stems), tuple(group)))
        self._automaton.make_automaton()

    def weight_of(self, stem: str) -> tuple[float, str]:
        return self._weight(stem), stem

    def _weight(self, stem: str) -> float:
        return self.rarity.get(stem, self._unknown) * (0.4 if stem in _SIDES else 1.0)

    def corrected(self, tokens: Sequence[Token], text: str) -> list[Token]:
        """The tokens of a text with slips of the pen put right, where exactly one word of the index is near."""
        return [
            replace(token, stem=self._nearest(text[token.start : token.end].lower(), token.stem))
            if token.stem not in self.rarity and token.value is None and token.end - token.start >= SHORTEST
            else token
            for token in tokens
        ]

    @lru_cache(maxsize=50_000)  # noqa: B019 - one index a process
    def _nearest(self, word: str, as_read: str) -> str:
        near = [
            other
            for length in range(len(word) - 1, len(word) + 2)
            for other in self._vocabulary.get((word[0], length), ())
        ]
        slips = 1 if len(word) < 9 else 2
        found = process.extract(word, near, scorer=DamerauLevenshtein.distance, score_cutoff=slips, limit=2)
        if not found or (len(found) > 1 and found[0][1] == found[1][1] and stem(found[0][0]) != stem(found[1][0])):
            return as_read
        return stem(found[0][0])

    def matches(self, tokens: Sequence[Token]) -> list[Match]:
        """Every wording that the tokens say, whole or scattered, overlapping ones included."""
        return [*self._whole(tokens), *self._scattered(tokens)]

    def _whole(self, tokens: Sequence[Token]) -> Iterator[Match]:
        plain = [token.stem for token in tokens]
        numbers = [NUMBER if token.value is not None else token.stem for token in tokens]
        for stems, counted in ((plain, False), (numbers, True)):
            if counted and numbers == plain:
                return
            written = f" {' '.join(stems)} "
            ends, place = {}, 0
            for i, each in enumerate(stems):
                place += len(each) + 1
                ends[place] = i
            for end, (length, group) in self._automaton.iter(written):
                last = ends[end]
                places = tuple(range(last - length + 1, last + 1))
                for wording in group:
                    if bool(wording.ranges) == counted and self._within(wording, [tokens[i] for i in places]):
                        weight = sum(map(self._weight, wording.stems))
                        yield Match(wording, places, SOURCES[wording.source], weight)

    @staticmethod
    def _within(wording: Wording, said: Sequence[Token]) -> bool:
        values = [token.value for token in said if token.value is not None]
        return all(low <= value <= high for value, (low, high) in zip(values, wording.ranges, strict=False))

    def _scattered(self, tokens: Sequence[Token]) -> Iterator[Match]:
        for first, last in _stretches(tokens):
            at: dict[str, list[int]] = defaultdict(list)
            for i in range(first, last):
                at[tokens[i].stem].append(i)
            present = at.keys()
            for anchor in list(present):
                for wording, bag, heads, total in self._anchored.get(anchor, ()):
                    common = bag & present
                    if len(common) < 2 or not heads <= common or sum(map(self._weight, common)) < ENOUGH * total:
                        continue
                    for place in at[anchor]:
                        match = self._near(wording, bag, total, anchor, place, at, common)
                        if match and heads <= {tokens[i].stem for i in match.places}:
                            yield match

    @staticmethod
    def _other_side(side: str, places: set[int], at: dict[str, list[int]]) -> bool:
        """Whether the text says the other side than the wording, close to its words."""
        reach = range(min(places) - 3, max(places) + 4)
        return any(i in reach for i in at.get(OTHER_SIDE[side], ()))

    def _near(self, wording, bag, total, anchor, place, at, common) -> Match | None:
        reach = len(bag) + SPREAD
        places = {place}
        said = {anchor}
        for each in common - {anchor}:
            nearest = min(at[each], key=lambda i: abs(i - place))
            if abs(nearest - place) <= reach:
                places.add(nearest)
                said.add(each)
        if any(self._other_side(side, places, at) for side in bag & OTHER_SIDE.keys() - said):
            return None
        weight = sum(map(self._weight, said))
        coverage = weight / total
        gaps = max(places) - min(places) + 1 - len(places)
        if coverage < ENOUGH or len(said) < 2 or gaps > SPREAD + 2:
            return None
        return Match(wording, tuple(sorted(places)), SOURCES[wording.source] * coverage * (0.97 - 0.02 * gaps), weight)


def _stretches(tokens: Sequence[Token]) -> Iterator[tuple[int, int]]:
    start = 0
    for i, token in enumerate([*tokens, Token(BREAK, 0, 0)]):
        if token.stem == BREAK:
            if i > start:
                yield start, i
            start = i + 1


def wording(codes: tuple[str, ...], kind: str, source: str, words: str) -> Wording | None:
    """A phrase as the index compares it; None when nothing is left of its words. Ranges stand in braces: "sodium of {118-128}"."""
    stems = folded(_RANGE.sub(" 987654321 ", words))
    if not stems:
        return None
    ranges: list[tuple[float, float]] = []
    if _RANGE.search(words):
        # Every number of such a wording is compared by value, so fixed ones get a range of their own.
        listed = iter([(float(low), float(high)) for low, high in _RANGE.findall(words)])
        out = []
        for each in stems:
            if each == "9.87654e+08":
                ranges.append(next(listed))
                out.append(NUMBER)
            elif re.fullmatch(r"\d+(\.\d+)?", each):
                ranges.append((float(each), float(each)))
                out.append(NUMBER)
            else:
                out.append(each)
        stems = tuple(out)
    return Wording(codes, kind, source, stems, words, tuple(ranges))


def line(wording: Wording) -> str:
    """The wording as a line of the table: codes, kind, source, words, stems, ranges. Stems are written down since to make them takes seconds."""
    ranges = " ".join(f"{low:g}:{high:g}" for low, high in wording.ranges)
    return "\t".join(
        ("+".join(wording.codes), wording.kind, wording.source, wording.words, " ".join(wording.stems), ranges)
    )


def _rows() -> Iterator[Wording]:
    written = gzip.decompress(files("sapphire.drg").joinpath("tables", "wordings.tsv.gz").read_bytes()).decode()
    for row in written.splitlines():
        codes, kind, source, words, stems, ranges = row.split("\t")
        spans = tuple(tuple(map(float, span.split(":"))) for span in ranges.split())
        yield Wording(tuple(codes.split("+")), kind, source, tuple(stems.split(" ")), words, spans)


@cache
def index() -> Index:
    """The index of the checked-in wordings, built once a process."""
    return Index(_rows())
