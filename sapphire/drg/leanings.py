"""What a note's words as a whole speak for: linear classifiers of the DRG, for what no wording of the condition index names.

    leanings(text) -> Leanings

One support vector machine a base DRG, one an MDC, one a severity level and one for operations, over single words, weighed by rarity (TF-IDF with logarithms of counts, length one), trained on the
training notes alone. `tables/leanings.npz` holds the strongest weights (`python -m data.fit_ranking`).
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import numpy as np

_WORD = re.compile(r"[a-z][a-z]+")


def words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


class Leaning(NamedTuple):
    """`score` above 0: the words are like those of the base DRG's training notes. `code`: their commonest principal diagnosis."""

    score: float
    code: str


class Leanings(NamedTuple):
    """By title of a base DRG, by number of an MDC, by severity level, and for a surgical DRG; scores as in `Leaning`."""

    bases: dict[str, Leaning]
    mdcs: dict[str, float]
    levels: dict[str, float]
    surgical: float


class Labels(NamedTuple):
    """What scores speak for, in their order: B bases (with each one's commonest principal diagnosis), M MDCs, L levels, operations."""

    bases: tuple[str, ...]
    codes: tuple[str, ...]
    mdcs: tuple[str, ...]
    levels: tuple[str, ...]

    def leanings(self, scores: Sequence[float]) -> Leanings:
        """Of scores (B + M + L + 1,)."""
        ends = len(self.bases), len(self.bases) + len(self.mdcs)
        return Leanings(
            bases=dict(zip(self.bases, map(Leaning, scores[: ends[0]], self.codes), strict=True)),
            mdcs=dict(zip(self.mdcs, scores[ends[0] : ends[1]], strict=True)),
            levels=dict(zip(self.levels, scores[ends[1] : -1], strict=True)),
            surgical=scores[-1],
        )

    def packed(self) -> dict[str, np.ndarray]:
        return {name: packed(value) for name, value in self._asdict().items()}

    @classmethod
    def unpacked(cls, table: Mapping[str, np.ndarray]) -> "Labels":
        return cls(*(unpacked(table[name]) for name in cls._fields))


@dataclass(frozen=True)
class Classifier:
    """Weights of V words for C labels, sparse by word: those of word w are `weights[starts[w]:starts[w + 1]]`, of the labels `owners[…]`.

    `rarity` (V,) multiplies a word's logarithmic count, `bias` (C,) is added.
    """

    vocabulary: dict[str, int]
    labels: Labels
    rarity: np.ndarray
    bias: np.ndarray
    starts: np.ndarray
    owners: np.ndarray
    weights: np.ndarray

    def leanings(self, text: str) -> Leanings:
        out = self.bias.copy()
        counted = [(self.vocabulary[word], n) for word, n in Counter(words(text)).items() if word in self.vocabulary]
        values = [(place, (1 + math.log(n)) * float(self.rarity[place])) for place, n in counted]
        length = math.sqrt(sum(value * value for _, value in values)) or 1.0
        for place, value in values:
            one = slice(self.starts[place], self.starts[place + 1])
            out[self.owners[one]] += self.weights[one] * (value / length)
        return self.labels.leanings(out.tolist())

    def save(self, path: Path) -> None:
        """One byte a weight, in 127ths of the largest."""
        scale = float(np.abs(self.weights).max()) / 127
        np.savez_compressed(
            path,
            vocabulary=packed(self.vocabulary),
            **self.labels.packed(),
            rarity=self.rarity.astype(np.float16),
            bias=self.bias.astype(np.float16),
            starts=self.starts.astype(np.int32),
            owners=self.owners.astype(np.uint16),
            weights=np.round(self.weights / scale).astype(np.int8),
            scale=np.float32(scale),
        )


def packed(names) -> np.ndarray:
    return np.frombuffer("\n".join(names).encode(), np.uint8)


def unpacked(array: np.ndarray) -> tuple[str, ...]:
    return tuple(array.tobytes().decode().split("\n"))


@cache
def classifier() -> Classifier:
    with files("sapphire.drg").joinpath("tables", "leanings.npz").open("rb") as file, np.load(file) as table:
        return Classifier(
            vocabulary={word: i for i, word in enumerate(unpacked(table["vocabulary"]))},
            labels=Labels.unpacked(table),
            rarity=table["rarity"].astype(np.float32),
            bias=table["bias"].astype(np.float32),
            starts=table["starts"],
            owners=table["owners"].astype(np.intp),
            weights=table["weights"].astype(np.float32) * table["scale"],
        )


def leanings(text: str) -> Leanings:
    return classifier().leanings(text)
