"""What blind votes say: who is preferred and how surely, whether the side mattered, whether readers agree with themselves.

Pure. A tie and "both bad" give half a win to each, as usual for pairwise votes; how many there were is told beside it. Votes on
one case, and cases of one patient, are not independent: intervals take the patient as the unit (`metrics.interval`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from sapphire.metrics import LEVEL, Interval, holm, interval, wilson

LEFT, RIGHT, TIE, BOTH_BAD = VERDICTS = ("left", "right", "tie", "both bad")
SWAPPED = {LEFT: RIGHT, RIGHT: LEFT, TIE: TIE, BOTH_BAD: BOTH_BAD}
DRAWS = 500


@dataclass(frozen=True)
class Vote:
    """One vote in force. `left` and `right` are what stood there (runs); `cluster` the patient; `repeat_of` the pair that this one
    showed again with its sides swapped."""

    pair_id: str
    left: str
    right: str
    verdict: str
    reader: str
    note_id: str
    cluster: str
    repeat_of: str | None = None
    seconds: float | None = None

    def score(self, run: str) -> float | None:
        """1 for a win of `run`, 0 for a loss, half for a tie or both bad; None when it did not stand in this pair."""
        if run not in (self.left, self.right):
            return None
        if self.verdict in (TIE, BOTH_BAD):
            return 0.5
        return float((self.verdict == LEFT) == (run == self.left))


@dataclass(frozen=True)
class Standing:
    """How a run fared in the pairs it stood in; `share` is won plus half of ties and both bad."""

    run: str
    won: int
    lost: int
    ties: int
    both_bad: int
    share: Interval


@dataclass(frozen=True)
class Duel:
    """Two runs against each other; `share` is the first's; `p` of the exact sign test of decided votes, by Holm over all duels."""

    first: str
    second: str
    standing: Standing
    p: float


@dataclass(frozen=True)
class Side:
    """Decided votes for the left side; without a position bias half of them, since sides are drawn at random. `p` exact binomial."""

    reader: str
    left: int
    share: Interval
    p: float


@dataclass(frozen=True)
class Consistency:
    """Pairs seen twice by one reader, the second time with sides swapped: how often the verdict was the same, and how often the
    same side was chosen both times, which no preference explains."""

    reader: str
    same: int
    same_side: int
    share: Interval


def counted(votes: Sequence[Vote]) -> list[Vote]:
    """The votes that rates are made of: of a pair shown twice the first."""
    return [vote for vote in votes if vote.repeat_of is None]


def standings(votes: Sequence[Vote], runs: Sequence[str]) -> list[Standing]:
    """Each run that stood in a pair, best first."""
    found = [_standing(votes, run) for run in runs]
    return sorted(filter(None, found), key=lambda standing: -standing.share.estimate)


def duels(votes: Sequence[Vote], runs: Sequence[str]) -> list[Duel]:
    """Every two runs that were set against each other."""
    from scipy.stats import binomtest

    found = []
    for first, second in combinations(runs, 2):
        standing = _standing([vote for vote in votes if {vote.left, vote.right} == {first, second}], first)
        if standing:
            decided = standing.won + standing.lost
            found.append((first, second, standing, binomtest(standing.won, decided).pvalue if decided else 1.0))
    corrected = holm([p for *_, p in found])
    return [Duel(*duel[:3], float(p)) for duel, p in zip(found, corrected, strict=True)]


def _standing(votes: Sequence[Vote], run: str) -> Standing | None:
    mine = [vote for vote in counted(votes) if run in (vote.left, vote.right)]
    if not mine:
        return None
    scores = [vote.score(run) for vote in mine]
    verdicts = Counter(vote.verdict for vote in mine)
    (share,) = interval(scores, [vote.cluster for vote in mine])
    return Standing(run, scores.count(1.0), scores.count(0.0), verdicts[TIE], verdicts[BOTH_BAD], share)


def bradley_terry(votes: Sequence[Vote], runs: Sequence[str], draws: int = DRAWS, seed: int = 0) -> dict[str, Interval]:
    """For each run the chance that it is preferred to an average one of them: the logistic of its Bradley-Terry strength (1952)
    when strengths have mean 0.

    Maximum likelihood by `choix`, with half a win added each way between every two runs, so that one that never loses has a
    finite strength. Intervals: percentile bootstrap over patients, as `metrics.bootstrap`, too narrow below some hundred.

    Raises:
        ValueError: without votes.
    """
    votes = counted(votes)
    if not votes:
        raise ValueError("Strengths need at least one vote.")
    at = {run: i for i, run in enumerate(runs)}
    clusters = {cluster: i for i, cluster in enumerate(dict.fromkeys(vote.cluster for vote in votes))}
    wins = np.zeros((len(clusters), len(runs), len(runs)))
    for vote in votes:
        left, right = at[vote.left], at[vote.right]
        wins[clusters[vote.cluster], left, right] += vote.score(vote.left)
        wins[clusters[vote.cluster], right, left] += vote.score(vote.right)
    random = np.random.default_rng(seed)
    times = random.multinomial(len(clusters), np.full(len(clusters), 1 / len(clusters)), size=draws)
    estimate = _strengths(wins.sum(axis=0))
    # Begun at the estimate and ended when it hardly moves: quantiles of the draws need no more digits.
    drawn = [_strengths(matrix, estimate, 1e-4) for matrix in np.tensordot(times, wins, axes=1)]
    low, high = np.quantile(_chances(np.array(drawn)), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    chance = _chances(estimate)
    return {run: Interval(float(chance[i]), float(low[i]), float(high[i]), len(votes)) for run, i in at.items()}


def _strengths(wins: np.ndarray, begin: np.ndarray | None = None, tolerance: float = 1e-8) -> np.ndarray:
    """`wins[i, j]`: how often i was preferred to j."""
    import choix

    prior = 0.5 * (1 - np.eye(len(wins)))
    return choix.ilsr_pairwise_dense(wins + prior, initial_params=begin, max_iter=10_000, tol=tolerance)


def _chances(strengths: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(strengths.mean(axis=-1, keepdims=True) - strengths))


def position_bias(votes: Sequence[Vote]) -> list[Side]:
    """Of all readers together (reader ""), then of each: the share of decided votes that went to the left side."""
    return [side for reader in _readers(votes) if (side := _side(_of(counted(votes), reader), reader))]


def _side(votes: Sequence[Vote], reader: str) -> Side | None:
    from scipy.stats import binomtest

    decided = [vote for vote in votes if vote.verdict in (LEFT, RIGHT)]
    if not decided:
        return None
    left = sum(vote.verdict == LEFT for vote in decided)
    return Side(reader, left, wilson(left, len(decided)), float(binomtest(left, len(decided)).pvalue))


def consistency(votes: Sequence[Vote]) -> list[Consistency]:
    """Of all readers together (reader ""), then of each that saw a pair twice."""
    first = {vote.pair_id: vote for vote in votes}
    twice = [(first[vote.repeat_of], vote) for vote in votes if vote.repeat_of in first]
    found = []
    for reader in _readers([later for _, later in twice]):
        pairs = [pair for pair in twice if reader in ("", pair[1].reader)]
        same = sum(later.verdict == SWAPPED[earlier.verdict] for earlier, later in pairs)
        same_side = sum(later.verdict == earlier.verdict in (LEFT, RIGHT) for earlier, later in pairs)
        found.append(Consistency(reader, same, same_side, wilson(same, len(pairs))))
    return found


def between_readers(votes: Sequence[Vote]) -> Interval | None:
    """The share of agreeing verdicts among every two readers' votes on the same two answers; None when no two readers met."""
    met: dict[tuple, list[Vote]] = {}
    for vote in counted(votes):
        met.setdefault((vote.note_id, frozenset((vote.left, vote.right))), []).append(vote)
    agree, clusters = [], []
    for group in met.values():
        for one, other in combinations(group, 2):
            if one.reader != other.reader:
                same = one.verdict if one.left == other.left else SWAPPED[one.verdict]
                agree.append(float(same == other.verdict))
                clusters.append(one.cluster)
    return interval(agree, clusters)[0] if agree else None


def _readers(votes: Sequence[Vote]) -> list[str]:
    names = sorted({vote.reader for vote in votes})
    return ["", *names] if len(names) > 1 else names


def _of(votes: Sequence[Vote], reader: str) -> list[Vote]:
    return [vote for vote in votes if reader in ("", vote.reader)]
