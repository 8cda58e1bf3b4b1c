"""What makes written notes untidy: abbreviations, slips of the keyboard, values of no meaning. Never inside what is quoted."""

import re
from collections.abc import Iterable
from random import Random

from data.corpus_frames import Segment
from data.corpus_tables import Tables

SLIPS = 0.012  # of the longer words, in a note that has any
_WORD = re.compile(r"\b[a-z]{5,}\b")


class Noise:
    def __init__(self, tables: Tables):
        self.short = dict(tables.style["abbreviate"])
        longest = sorted(self.short, key=len, reverse=True)
        self.pattern = re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])")
        self.phrases = re.compile("|".join(re.escape(phrase) for phrase in longest if " " in phrase))
        self.labs = {
            name: (*map(float, value["range"].split("-")), "." in value["range"], tuple(value["not"]))
            for name, value in tables.style["labs"].items()
        }

    def abbreviated(self, rng: Random, segments: Iterable[Segment]) -> list[Segment]:
        """The note in the writer's own short forms: each writer uses some of them, always."""
        used = {word for word in self.short if rng.random() < 0.6}
        return [
            segment
            if segment.key
            else Segment(self.pattern.sub(lambda m: self.short[m[0]] if m[0] in used else m[0], segment.text))
            for segment in segments
        ]

    def fewest(self, text: str) -> int:
        """Words of a text when every abbreviation is used: no writer leaves fewer."""
        return len(self.phrases.sub("x", text).split())

    def misspelt(self, rng: Random, segments: Iterable[Segment]) -> list[Segment]:
        return [
            segment
            if segment.key
            else Segment(_WORD.sub(lambda m: _slip(rng, m[0]) if rng.random() < SLIPS else m[0], segment.text))
            for segment in segments
        ]

    def free(self, codes: Iterable[str], written: str) -> list[str]:
        """The values that contradict neither the codes nor one that is already written."""
        codes = tuple(codes)
        given = set(re.findall(r"[A-Za-z0-9]+", written))
        return [
            name
            for name, (*_, barred) in self.labs.items()
            if name not in given and not any(code.startswith(barred) for code in codes)
        ]

    def values(self, rng: Random, free: list[str]) -> str:
        """Three to six of the free values; "" where there are fewer than two."""
        if len(free) < 2:
            return ""
        chosen = rng.sample(free, min(len(free), rng.randint(3, 6)))
        separator = rng.choice((", ", " ", " | ", "; "))
        return separator.join(f"{name} {self._value(rng, name)}" for name in chosen)

    def _value(self, rng: Random, name: str) -> str:
        low, high, decimal, _ = self.labs[name]
        return f"{rng.uniform(low, high):.{1 if decimal else 0}f}"


def _slip(rng: Random, word: str) -> str:
    """Two letters swapped, one lost or one doubled; the first letter stands."""
    at = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        )
    )
