"""Agreement between readers: Krippendorff's alpha with its interval, and how often two readers say the same.

A unit is what several readers judged: a prediction for ratings, a note for DRGs. It counts with two judgements or more. Units come
as patterns: the sorted values that a unit's readers gave → how many units have just these, so that cost grows with distinct patterns.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sapphire.drg.codebook import CodeBook
from sapphire.metrics import LEVEL

DRAWS = 1_000

Patterns = Mapping[tuple[Hashable, ...], int]
# Values in use and how often each was given → squared distances between them, (values, values).
Distance = Callable[[Sequence[Hashable], np.ndarray], np.ndarray]


class Agreement(NamedTuple):
    """Alpha (1 perfect, 0 by chance) with its 95% interval, nan where all readers gave one value only; `pairs`: the share of pairs of
    judgements of one unit that are equal; `units` counts units with two judgements or more, `judgements` what they hold."""

    alpha: float
    low: float
    high: float
    pairs: float
    units: int
    judgements: int


def nominal(values: Sequence[Hashable], given: np.ndarray) -> np.ndarray:
    """Any two values are equally far apart."""
    return 1.0 - np.eye(len(values))


def ordinal(values: Sequence[Hashable], given: np.ndarray) -> np.ndarray:
    """Ranks: values are as far apart as there are judgements between them (Krippendorff, Content Analysis, 2004, 11.3)."""
    order = np.argsort(values)
    below = np.cumsum(given[order]) - given[order] / 2
    rank = np.empty(len(values))
    rank[order] = below
    return (rank[:, None] - rank[None, :]) ** 2


def hierarchy(book: CodeBook) -> Distance:
    """DRGs: 0 for the same, a third for the same base, two thirds for the same MDC, else 1; squared."""

    def distance(values: Sequence[Hashable], given: np.ndarray) -> np.ndarray:
        drgs = [book.drgs[value] for value in values]
        bases, mdcs = np.array([drg.base_id for drg in drgs]), np.array([drg.mdc for drg in drgs])
        apart = 3.0 - (mdcs[:, None] == mdcs) - (bases[:, None] == bases) - np.eye(len(drgs))
        return (apart / 3) ** 2

    return distance


def agreement(patterns: Patterns, distance: Distance, draws: int = DRAWS, seed: int = 0) -> Agreement | None:
    """Krippendorff's alpha over the patterns, its interval by drawing units with replacement (percentiles; Zapf et al. 2016, BMC Medical
    Research Methodology 16:93). None when no unit has two judgements."""
    shared = {pattern: n for pattern, n in patterns.items() if len(pattern) > 1}
    if not shared:
        return None
    values = sorted({value for pattern in shared for value in pattern})
    counts = np.zeros((len(shared), len(values)))
    for row, pattern in enumerate(shared):
        for value in pattern:
            counts[row, values.index(value)] += 1
    times = np.array(list(shared.values()), dtype=float)
    units = int(times.sum())
    point = _alpha(values, counts, times, distance)
    drawn = np.random.default_rng(seed).multinomial(units, times / units, size=draws)
    alphas = np.array([_alpha(values, counts, each, distance) for each in drawn])
    alphas = alphas[np.isfinite(alphas)]
    low, high = np.quantile(alphas, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(alphas) else (np.nan, np.nan)
    sizes = counts.sum(1)
    equal = (counts * (counts - 1)).sum(1) @ times / (sizes * (sizes - 1) @ times)
    return Agreement(point, float(low), float(high), float(equal), units, int(sizes @ times))


def _alpha(values: Sequence[Hashable], counts: np.ndarray, times: np.ndarray, distance: Distance) -> float:
    """1 minus observed over expected disagreement; `times` how often each row of counts occurs."""
    there = times > 0
    counts, times = counts[there], times[there]
    given = times @ counts
    apart = distance(values, given)
    total = given.sum()
    expected = given @ apart @ given / (total - 1)
    observed = times @ (((counts @ apart) * counts).sum(1) / (counts.sum(1) - 1))
    return float(1 - observed / expected) if expected > 0 else float("nan")
