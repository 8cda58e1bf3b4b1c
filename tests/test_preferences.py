"""What votes say, against independent implementations and by hand."""

import random

import numpy as np
import pytest

from sapphire.preferences import (
    VERDICTS,
    Vote,
    between_readers,
    bradley_terry,
    consistency,
    duels,
    position_bias,
    standings,
)

RUNS = ("x", "y", "z")


def vote(left: str, right: str, verdict: str, at: int = 0, **more) -> Vote:
    facts = {"pair_id": f"p{at}", "reader": "ana", "note_id": f"n{at}", "cluster": f"s{at}"}
    return Vote(left=left, right=right, verdict=verdict, **facts | more)


def drawn(count: int, seed: int) -> list[Vote]:
    """Votes of a reader who likes x best and sides not at all."""
    rng = random.Random(seed)
    found = []
    for i in range(count):
        left, right = rng.sample(RUNS, 2)
        better = "left" if rng.random() < 1 / (1 + np.exp(RUNS.index(left) - RUNS.index(right))) else "right"
        found.append(vote(left, right, rng.choice([better, better, better, "tie", "both bad"]), i))
    return found


def test_strengths_agree_with_a_logistic_regression():
    import statsmodels.api as sm

    votes = drawn(400, seed=3)
    rows, won = [], []
    for each in votes:
        row = np.zeros(3)
        row[RUNS.index(each.left)], row[RUNS.index(each.right)] = 1, -1
        rows.append(row)
        won.append(each.score(each.left))
    for one, other in (("x", "y"), ("x", "z"), ("y", "z")):  # half a win each way, as one vote that is a tie
        row = np.zeros(3)
        row[RUNS.index(one)], row[RUNS.index(other)] = 1, -1
        rows.append(row)
        won.append(0.5)
    # Strengths add up to 0: the third is minus the other two.
    design = np.array(rows)[:, :2] - np.array(rows)[:, 2:]
    fitted = sm.GLM(np.array(won), design, family=sm.families.Binomial()).fit(tol=1e-12, maxiter=100)
    strengths = [*fitted.params, -fitted.params.sum()]
    found = bradley_terry(votes, RUNS, draws=20)
    for run, strength in zip(RUNS, strengths, strict=True):
        assert found[run].estimate == pytest.approx(1 / (1 + np.exp(-strength)), abs=1e-6)
        assert found[run].low < found[run].estimate < found[run].high


def test_a_run_that_never_loses_has_a_finite_strength_and_order_changes_nothing():
    votes = [vote("x", "y", "left", i) for i in range(8)] + [vote("z", "x", "right", 9)]
    found = bradley_terry(votes, RUNS, draws=50)
    assert found["x"].estimate > found["y"].estimate
    assert 0 < found["y"].low <= found["x"].high < 1
    again = bradley_terry(votes, RUNS[::-1], draws=50)
    assert again["x"].estimate == pytest.approx(found["x"].estimate)
    with pytest.raises(ValueError, match="at least one vote"):
        bradley_terry([], RUNS)


def test_the_interval_of_strengths_covers_the_truth_about_as_often_as_it_says():
    truth = {run: 1 / (1 + np.exp(RUNS.index(run) - 1)) for run in RUNS}
    covered = []
    for seed in range(25):
        rng = random.Random(seed)
        votes = []
        for i in range(150):
            left, right = rng.sample(RUNS, 2)
            wins = rng.random() < 1 / (1 + np.exp(RUNS.index(left) - RUNS.index(right)))
            votes.append(vote(left, right, "left" if wins else "right", i))
        found = bradley_terry(votes, RUNS, draws=100, seed=seed)
        covered += [found[run].low <= truth[run] <= found[run].high for run in RUNS]
    assert 0.85 <= np.mean(covered) <= 1


def test_shares_count_half_for_ties_and_both_bad():
    votes = [
        vote("x", "y", "left", 0),
        vote("y", "x", "left", 1),
        vote("x", "y", "tie", 2),
        vote("x", "y", "both bad", 3),
    ]
    first, second = standings([*votes, vote("y", "x", "right", 4)], ("x", "y"))
    assert (first.run, first.won, first.lost, first.ties, first.both_bad) == ("x", 2, 1, 1, 1)
    assert first.share.estimate == pytest.approx(3 / 5)
    assert second.share.estimate == pytest.approx(2 / 5)


def test_duels_carry_an_exact_sign_test_corrected_for_their_number():
    from scipy.stats import binom

    votes = [vote("x", "y", "left", i) for i in range(9)] + [vote("x", "y", "right", 9), vote("x", "y", "tie", 10)]
    plain = 2 * binom.cdf(1, 10, 0.5)
    assert duels(votes, ("x", "y"))[0].p == pytest.approx(plain)
    several = duels([*votes, vote("x", "z", "left", 11)], RUNS)
    assert [(duel.first, duel.second) for duel in several] == [("x", "y"), ("x", "z")]
    assert [duel.p for duel in several] == pytest.approx([2 * plain, 1.0])


def test_position_bias_is_an_exact_binomial_over_decided_first_votes():
    from scipy.stats import binom
    from statsmodels.stats.proportion import proportion_confint

    votes = [vote("x", "y", "left" if i < 14 else "right", i) for i in range(16)] + [vote("x", "y", "tie", 20)]
    votes += [vote("y", "x", "left", 21, repeat_of="p0")]
    (side,) = position_bias(votes)
    assert (side.reader, side.left, side.share.n) == ("ana", 14, 16)
    assert side.p == pytest.approx(2 * binom.cdf(2, 16, 0.5))
    assert (side.share.low, side.share.high) == pytest.approx(proportion_confint(14, 16, method="wilson"))
    assert position_bias([vote("x", "y", "tie")]) == []
    readers = [each.reader for each in position_bias([*votes, vote("x", "y", "left", 30, reader="bo")])]
    assert readers == ["", "ana", "bo"]


def test_a_reader_is_consistent_who_follows_the_answer_and_not_the_side():
    pairs = [("left", "right"), ("left", "left"), ("tie", "tie"), ("both bad", "left")]
    votes = []
    for i, (first, second) in enumerate(pairs):
        votes += [vote("x", "y", first, i), vote("y", "x", second, 100 + i, repeat_of=f"p{i}")]
    (found,) = consistency(votes)
    assert (found.same, found.same_side, found.share.n) == (2, 1, 4)
    assert consistency([vote("x", "y", "left")]) == []
    orphan = [vote("y", "x", "left", 5, repeat_of="withdrawn")]
    assert consistency(orphan) == []


def test_repeats_do_not_count_in_rates():
    votes = [vote("x", "y", "left", 0), vote("y", "x", "right", 1, repeat_of="p0")]
    assert standings(votes, ("x", "y"))[0].won == 1
    assert duels(votes, ("x", "y"))[0].standing.won == 1


def test_readers_are_compared_on_the_pairs_that_both_saw_whatever_the_side():
    votes = [
        vote("x", "y", "left", 0),
        vote("y", "x", "right", 0, reader="bo"),
        vote("x", "y", "tie", 1),
        vote("x", "y", "left", 1, reader="bo"),
        vote("x", "z", "left", 2),
    ]
    agreed = between_readers(votes)
    assert (agreed.estimate, agreed.n) == (0.5, 2)
    assert between_readers(votes[:1]) is None


@pytest.mark.parametrize("verdict", VERDICTS)
def test_the_scores_of_a_vote_add_up_to_one(verdict):
    each = vote("x", "y", verdict)
    assert each.score("x") + each.score("y") == 1
    assert each.score("z") is None
