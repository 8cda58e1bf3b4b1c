"""What counts as right, and how sure a number is: the one set of estimators of evaluation, training and pages.

The unit is the case, never the completion: the samples of one note, and the stays of one patient, are not independent.
Everything is pure. Where a function takes counts instead of cases, a page can aggregate in SQL and pay only for distinct rows.
"""

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from sapphire.drg.codebook import Drg

DRAWS, PAIRED_DRAWS = 2_000, 10_000
LEVEL = 0.95
FEW = 300  # clusters below which a percentile bootstrap is too narrow (arXiv 2503.01747 warns below a few hundred)
RARE = 10  # right clusters, or wrong ones, below which it is too: where all agree it is a point
CHUNK = 4_000_000  # numbers drawn at once, to bound the memory
SPREAD = 8  # how much longer a number of a multinomial takes than a cluster drawn by its place

# (gold, predicted or None for no DRG) → how many cases
Pairs = Mapping[tuple[Drg, Drg | None], int]


class Interval(NamedTuple):
    """An estimate with its 95% interval. `n` counts cases; `method` is "wilson" or "bootstrap"."""

    estimate: float
    low: float
    high: float
    n: int
    method: str = "bootstrap"


class Paired(NamedTuple):
    """The mean difference of two models over the cases both answered, and its two-sided p value."""

    difference: Interval
    p: float


class Bin(NamedTuple):
    """Answers of one range of confidence: their number, mean confidence and share that is right (nan for an empty bin)."""

    low: float
    high: float
    n: int
    confidence: float
    right: float


class Errors(NamedTuple):
    """Of `n` wrong cases, the shares with a wrong base DRG, a wrong severity, and both."""

    n: int
    principal: float
    severity: float
    both: float


class CaseMix(NamedTuple):
    """Mean relative weight by the right and by the predicted DRGs; `error` is the mean of predicted minus right, `absolute` of its
    size. `left_out` counts cases without a predicted DRG or without a weight."""

    gold: float
    predicted: float
    error: Interval
    absolute: float
    left_out: int


def severity_key(drg: Drg) -> str:
    """What two answers share when their severity is the same: the level; of a family without a split the DRG itself, since
    two such DRGs share no severity (see `rewards.outcome`)."""
    return drg.level if drg.level != "unsplit" else drg.drg


def pass_at_k(n: int, right: int, k: int) -> float:
    """The chance that one of k of n answers is right, `right` of them being so: 1 - C(n - c, k) / C(n, k), the unbiased estimator
    of Chen et al. 2021 (arXiv 2107.03374).

    Raises:
        ValueError: unless 0 <= right <= n and 1 <= k <= n.
    """
    if not (0 <= right <= n and 1 <= k <= n):
        raise ValueError(
            f"Pass@{k} needs at least {k} answers and no more right ones than answers; given {right} of {n}."
        )
    return 1 - math.comb(n - right, k) / math.comb(n, k)


def maj_at_k(answers: Iterable[Hashable | None], right: Hashable) -> float:
    """Whether the commonest answer is right (Wang et al. 2022, arXiv 2203.11171): 1, 0, or 1/t when it is one of t that tie.

    None (no DRG) has no vote; without any vote the case is wrong. So the order of the samples changes nothing.
    """
    votes = Counter(answer for answer in answers if answer is not None)
    most = max(votes.values(), default=0)
    return 1 / sum(count == most for count in votes.values()) if most and votes[right] == most else 0.0


def wilson(successes: float, n: int) -> Interval:
    """Wilson's score interval of a share (1927): holds where few cases make a bootstrap too narrow.

    `successes` may be a sum of shares between 0 and 1 (mean over samples); the interval is then at least as wide as needed, because
    no variable between 0 and 1 varies more than a binary one of the same mean.

    Raises:
        ValueError: unless 0 <= successes <= n and n > 0.
    """
    if not 0 <= successes <= n or n <= 0:
        raise ValueError(f"A share needs cases and no more successes than cases; given {successes:g} of {n}.")
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half), n, "wilson")


def bootstrap(
    values: ArrayLike, clusters: Sequence[Hashable] | None = None, draws: int = DRAWS, seed: int = 0
) -> Interval | list[Interval]:
    """Percentile bootstrap of the mean over cases, whole clusters (patients) drawn with replacement.

    Davison and Hinkley, Bootstrap Methods and their Application (1997), 3.8; why clusters: Miller, arXiv 2411.00640.

    Args:
        values: (cases,), or (cases, metrics) for several metrics from the same draws.
        clusters: the cluster of each case; None: every case is one of its own.

    Returns:
        One interval, or a list of them, one a metric.

    Raises:
        ValueError: without cases, for values that are no numbers, or clusters of another length.
    """
    found = bootstrap_tuples(cluster_tuples(values, clusters), draws, seed)
    return found[0] if np.ndim(values) == 1 else found


def bootstrap_tuples(rows: ArrayLike, draws: int = DRAWS, seed: int = 0) -> list[Interval]:
    """`bootstrap` from distinct clusters, whatever the number of cases.

    Args:
        rows: (distinct, metrics + 2): the sums of a cluster's values, one a metric, its number of cases, and how many
            clusters have just these numbers. In SQL: GROUP BY cluster, then GROUP BY the sums and the count.
    """
    rows = _tuples(rows)
    return _percentiles(rows, _means(rows, draws, seed))


def bootstrap_statistic(
    statistic: Callable[[np.ndarray], Sequence[float]], clusters: Sequence[Hashable], draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """`bootstrap` of figures that are no means: `statistic` is given the places of the cases drawn, and returns one number a figure.
    `clusters` (cases,): whole ones are drawn."""
    place: dict[Hashable, list[int]] = {}
    for i, cluster in enumerate(clusters):
        place.setdefault(cluster, []).append(i)
    members, random = [np.array(each) for each in place.values()], np.random.default_rng(seed)
    drawn = random.integers(len(members), size=(draws, len(members)))
    found = [statistic(np.concatenate([members[i] for i in row])) for row in drawn]
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    estimates = statistic(np.arange(len(clusters)))
    return [Interval(*map(float, each), len(clusters)) for each in zip(estimates, low, high, strict=True)]


def cluster_tuples(values: ArrayLike, clusters: Sequence[Hashable] | None = None) -> np.ndarray:
    """The rows that `bootstrap_tuples` and `paired_tuples` take, from a value or a row of values a case. Raises as `bootstrap`."""
    table = np.asarray(values, dtype=float)
    table = table[:, None] if table.ndim == 1 else table
    if table.ndim != 2 or not len(table) or not np.isfinite(table).all():
        raise ValueError("An interval needs at least one case, and a number for each.")
    sums = np.column_stack([table, np.ones(len(table))])
    if clusters is not None:
        if len(clusters) != len(table):
            raise ValueError(f"There are {len(table)} cases and {len(clusters)} cluster names; give one name a case.")
        place: dict[Hashable, int] = {}
        index = [place.setdefault(cluster, len(place)) for cluster in clusters]
        gathered = np.zeros((len(place), sums.shape[1]))
        np.add.at(gathered, index, sums)
        sums = gathered
    distinct, counts = np.unique(sums, axis=0, return_counts=True)
    return np.column_stack([distinct, counts])


def interval(
    values: ArrayLike, clusters: Sequence[Hashable] | None = None, draws: int = DRAWS, seed: int = 0
) -> list[Interval]:
    """Intervals of shares between 0 and 1: `interval_tuples` of cases."""
    return interval_tuples(cluster_tuples(values, clusters), draws, seed)


def interval_tuples(rows: ArrayLike, draws: int = DRAWS, seed: int = 0) -> list[Interval]:
    """Intervals of shares between 0 and 1: the bootstrap, or with FEW clusters or RARE events Wilson's with the clusters as units,
    which does not shrink to a point when all cases agree. `rows` as in `bootstrap_tuples`."""
    rows = _tuples(rows)
    clusters, cases = int(rows[:, -1].sum()), int(rows[:, -2] @ rows[:, -1])
    shares = np.clip(rows[:, -1] @ rows[:, :-2] / cases, 0, 1)
    drawn = bootstrap_tuples(rows, draws, seed) if clusters >= FEW else [None] * len(shares)
    enough = clusters * np.minimum(shares, 1 - shares) >= RARE
    return [
        found if found and many else wilson(share * clusters, clusters)._replace(estimate=float(share), n=cases)
        for share, many, found in zip(shares, enough, drawn, strict=True)
    ]


def paired(
    differences: ArrayLike, clusters: Sequence[Hashable] | None = None, draws: int = PAIRED_DRAWS, seed: int = 0
) -> Paired:
    """Mean of per-case differences of two models (first minus second), by cluster bootstrap, and its p value. `differences` (cases,)."""
    return paired_tuples(cluster_tuples(differences, clusters), draws, seed)


def paired_tuples(rows: ArrayLike, draws: int = PAIRED_DRAWS, seed: int = 0) -> Paired:
    """`paired` from distinct clusters: rows (distinct, 3) as in `bootstrap_tuples`.

    The p value inverts the percentile interval: twice the smaller share of draws on one side of no difference, each draw
    counted with the observed data added (Davison and Hinkley 1997, 4.2), so that it is never 0.
    """
    rows = _tuples(rows)
    means = _means(rows, draws, seed)
    (difference,) = _percentiles(rows, means)
    side = min((means <= 0).sum(), (means >= 0).sum())
    return Paired(difference, min(1.0, 2 * (1 + int(side)) / (draws + 1)))


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact McNemar test of one binary outcome a case (1947): p value from the cases that only one of two models gets right."""
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant, 0.5).pvalue) if discordant else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number by Holm's step-down method (1979), in the order given."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [0.0] * len(order), 0.0
    for rank, at in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[at]))
        corrected[at] = highest
    return corrected


def reliability(confidence: ArrayLike, right: ArrayLike, bins: int = 10) -> list[Bin]:
    """Confidence against accuracy in `bins` ranges of equal width, each open below, the first closed (Guo et al. 2017, arXiv 1706.04599)."""
    confidence, right = np.asarray(confidence, dtype=float), np.asarray(right, dtype=float)
    edges = np.linspace(0, 1, bins + 1)
    at = np.searchsorted(edges[1:-1], confidence)
    n = np.bincount(at, minlength=bins)
    with np.errstate(invalid="ignore"):
        means = np.bincount(at, confidence, bins) / n
        shares = np.bincount(at, right, bins) / n
    return [Bin(*map(float, edges[i : i + 2]), int(n[i]), float(means[i]), float(shares[i])) for i in range(bins)]


def calibration_error(bins: Iterable[Bin]) -> float:
    """Expected calibration error (ECE): the mean gap between confidence and accuracy, bins weighted by their answers (Naeini et
    al. 2015). nan without answers."""
    filled = [each for each in bins if each.n]
    total = sum(each.n for each in filled)
    return sum(each.n * abs(each.right - each.confidence) for each in filled) / total if total else math.nan


def brier(confidence: ArrayLike, right: ArrayLike) -> float:
    """Mean squared gap between confidence and being right, 1 or 0 (Brier 1950)."""
    return float(np.mean((np.asarray(confidence, dtype=float) - np.asarray(right, dtype=float)) ** 2))


def auroc(confidence: ArrayLike, right: ArrayLike) -> float:
    """How often the right one of a right and a wrong answer is the surer one, ties counting half: the area under the ROC curve (Hanley and
    McNeil 1982). 0.5 tells nothing; nan unless there are both."""
    confidence, right = np.asarray(confidence, dtype=float), np.asarray(right, dtype=bool)
    if right.all() or not right.any():
        return math.nan
    gaps = confidence[right][:, None] - confidence[~right]
    return float(np.mean((gaps > 0) + 0.5 * (gaps == 0)))


def severity_confusion(pairs: Pairs) -> Counter[tuple[str, str]]:
    """Cases by right and predicted severity level; "" for no DRG."""
    return _confusion(pairs, lambda drg: drg.level)


def base_confusion(pairs: Pairs) -> Counter[tuple[str, str]]:
    """Cases by right and predicted base_id; "" for no DRG. `most_common` gives the largest cells."""
    return _confusion(pairs, lambda drg: drg.base_id)


def errors(pairs: Pairs) -> Errors:
    """What is wrong in the wrong ones, one model's row of the paper's Table 3 (arXiv 2505.21908). No DRG is wrong in both.

    Base and severity together name one DRG, so a wrong case is wrong in one of them and the shares of either add up to 1 plus
    that of both. (The paper's do not; how it counts titles that its regex cannot split is not said.)
    """
    wrong = Counter()
    for (gold, predicted), count in pairs.items():
        principal = predicted is None or predicted.base_id != gold.base_id
        severity = predicted is None or severity_key(predicted) != severity_key(gold)
        wrong[principal, severity] += count * (principal or severity)
    n = wrong.total()
    shares = (wrong[True, False] + wrong[True, True], wrong[False, True] + wrong[True, True], wrong[True, True])
    return Errors(n, *(share / n if n else math.nan for share in shares))


def table_3(gold: Sequence[Drg], predicted: Mapping[str, Sequence[Drg | None]]) -> dict[str, Errors]:
    """`errors` of each model over the cases that all of them get wrong. Sequences are of one length, in the same order."""
    answers = list(zip(*predicted.values(), strict=True))
    hard = [i for i, right in enumerate(gold) if all(each is None or each.drg != right.drg for each in answers[i])]
    return {model: errors(Counter((gold[i], drgs[i]) for i in hard)) for model, drgs in predicted.items()}


def weight_error(gold: Drg, predicted: Drg | None) -> float | None:
    """How much more the predicted DRG weighs than the right one; None without a predicted DRG or without a weight of either."""
    if predicted is None or predicted.weight is None or gold.weight is None:
        return None
    return predicted.weight - gold.weight


def case_mix(pairs: Pairs, patients: ArrayLike | None = None) -> CaseMix | None:
    """Relative weight of the stays as predicted against as right (the case-mix index of each); None without any such pair.

    Args:
        patients: rows as `bootstrap_tuples` takes them, of each patient's sum of `weight_error` over the cases that have one;
            without them every case is drawn by itself.
    """
    errors = {pair: error for pair in pairs if (error := weight_error(*pair)) is not None}
    if not errors:
        return None
    counts = np.array([pairs[pair] for pair in errors])
    error = np.array(list(errors.values()))
    (found,) = bootstrap_tuples(np.column_stack([error, np.ones(len(error)), counts]) if patients is None else patients)
    means = (float(np.average([pair[i].weight for pair in errors], weights=counts)) for i in (0, 1))
    absolute = float(np.average(np.abs(error), weights=counts))
    return CaseMix(*means, found, absolute, sum(pairs.values()) - int(counts.sum()))


def _confusion(pairs: Pairs, of) -> Counter[tuple[str, str]]:
    cells: Counter[tuple[str, str]] = Counter()
    for (gold, predicted), count in pairs.items():
        cells[of(gold), of(predicted) if predicted else ""] += count
    return cells


def _tuples(rows: ArrayLike) -> np.ndarray:
    rows = np.asarray(rows, dtype=float)
    if rows.ndim != 2 or rows.shape[1] < 3 or not len(rows) or not np.isfinite(rows).all() or (rows[:, -2:] < 1).any():
        raise ValueError("An interval needs rows of sums, the cases of a cluster, and the number of such clusters.")
    return rows


def _percentiles(rows: np.ndarray, means: np.ndarray) -> list[Interval]:
    cases = int(rows[:, -2] @ rows[:, -1])
    estimates = rows[:, -1] @ rows[:, :-2] / cases
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return [Interval(*map(float, bounds), cases) for bounds in zip(estimates, low, high, strict=True)]


def _means(rows: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """(draws, metrics): means over cases of as many clusters as there are, drawn with replacement."""
    random = np.random.default_rng(seed)
    clusters = int(rows[:, -1].sum())
    if clusters < SPREAD * len(
        rows
    ):  # few are alike: drawing each is quicker than a multinomial over the distinct ones
        rows = np.repeat(rows, rows[:, -1].astype(int), axis=0)
    step = max(1, CHUNK // len(rows))
    found = []
    for begin in range(0, draws, step):
        some = min(step, draws - begin)
        if len(rows) == clusters:
            drawn = random.integers(clusters, size=(some, clusters)) + clusters * np.arange(some)[:, None]
            times = np.bincount(drawn.ravel(), minlength=some * clusters).reshape(some, clusters)
        else:
            times = random.multinomial(clusters, rows[:, -1] / clusters, size=some)
        totals = times @ rows[:, :-1]
        found.append(totals[:, :-1] / totals[:, -1:])
    return np.concatenate(found)
