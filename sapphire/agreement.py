"""Agreement between readers: Krippendorff's alpha with its interval, and how often two readers say the same.

A unit is what several readers judged: a prediction for ratings, a note for DRGs. It counts with two judgements or more. Units come
as patterns: the sorted values that a unit's readers gave → how many units have just these, so that cost grows with distinct patterns.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from sapphire.drg.codebook import CodeBook
from sapphire.metrics import LEVEL

DRAWS = 1_000

Patterns = Mapping[tuple[Hashable, ...], int]


class Squared(NamedTuple):
    """Squared distances of values, which are known by their place in a sorted list. Both depend on `given`, how often each was given.

    `between(first, second, given)`: of pairs. `whole(given)`: summed over all ordered pairs of judgements, without a table of all values.
    """

    between: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    whole: Callable[[np.ndarray], float]


Distance = Callable[[Sequence[Hashable]], Squared]


class Agreement(NamedTuple):
    """Alpha (1 perfect, 0 by chance) with its 95% interval, nan where all readers gave one value only; `pairs`: the share of pairs of
    judgements of one unit that are equal; `units` counts units with two judgements or more, `judgements` what they hold."""

    alpha: float
    low: float
    high: float
    pairs: float
    units: int
    judgements: int


def nominal(values: Sequence[Hashable]) -> Squared:
    """Any two values are equally far apart."""
    return Squared(lambda a, b, given: (a != b).astype(float), lambda given: given.sum() ** 2 - given @ given)


def ordinal(values: Sequence[Hashable]) -> Squared:
    """Ranks: values are as far apart as there are judgements between them (Krippendorff, Content Analysis, 2004, 11.3)."""

    def rank(given: np.ndarray) -> np.ndarray:
        return np.cumsum(given) - given / 2

    def between(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> np.ndarray:
        return (rank(given)[a] - rank(given)[b]) ** 2

    def whole(given: np.ndarray) -> float:
        return 2 * given.sum() * (given @ rank(given) ** 2) - 2 * (given @ rank(given)) ** 2

    return Squared(between, whole)


def hierarchy(book: CodeBook) -> Distance:
    """DRGs: 0 for the same, a third for the same base, two thirds for the same MDC, else 1; squared."""

    def distance(values: Sequence[Hashable]) -> Squared:
        drgs = [book.drgs[value] for value in values]
        _, mdc = np.unique([drg.mdc for drg in drgs], return_inverse=True)
        _, base = np.unique([f"{drg.mdc} {drg.base_id}" for drg in drgs], return_inverse=True)
        levels = (
            (np.arange(len(drgs)), 1 / 9),
            (base, 3 / 9),
            (mdc, 5 / 9),
        )  # 1/9, then 4/9 and 1 for what differs further up

        def between(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> np.ndarray:
            return sum(step * (level[a] != level[b]) for level, step in levels)

        def whole(given: np.ndarray) -> float:
            return sum(step * (given.sum() ** 2 - (np.bincount(level, given) ** 2).sum()) for level, step in levels)

        return Squared(between, whole)

    return distance


def agreement(patterns: Patterns, distance: Distance, draws: int = DRAWS, seed: int = 0) -> Agreement | None:
    """Krippendorff's alpha over the patterns, its interval by drawing units with replacement (percentiles; Zapf et al. 2016, BMC Medical
    Research Methodology 16:93). None when no unit has two judgements."""
    shared = {pattern: n for pattern, n in patterns.items() if len(pattern) > 1}
    if not shared:
        return None
    values = sorted({value for pattern in shared for value in pattern})
    place = {value: i for i, value in enumerate(values)}
    sizes = np.array([len(pattern) for pattern in shared])
    unit = np.repeat(np.arange(len(shared)), sizes)
    value = np.array([place[value] for pattern in shared for value in pattern])
    pairs = [
        (u, place[a], place[b], 1 / (len(pattern) - 1))
        for u, pattern in enumerate(shared)
        for a, b in permutations(pattern, 2)
    ]
    of, first, second, part = (np.array(column) for column in zip(*pairs, strict=True))
    squared = distance(values)

    def alpha(times: np.ndarray) -> float:
        """1 minus observed over expected disagreement, with units as often as `times` says."""
        given = np.bincount(value, times[unit], len(values))
        expected = squared.whole(given) / (given.sum() - 1)
        observed = (times[of] * part) @ squared.between(first, second, given)
        return float(1 - observed / expected) if expected > 1e-9 else float("nan")

    times = np.array(list(shared.values()), dtype=float)
    units = int(times.sum())
    drawn = np.random.default_rng(seed).multinomial(units, times / units, size=draws)
    alphas = np.array([alpha(each) for each in drawn])
    alphas = alphas[np.isfinite(alphas)]
    low, high = np.quantile(alphas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(alphas) else (np.nan, np.nan)
    equal = times[of] @ (first == second) / times[of].sum()
    return Agreement(alpha(times), float(low), float(high), float(equal), units, int(sizes @ times))
