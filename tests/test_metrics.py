"""Every estimator against an independent one, on random data."""

import itertools
import math
import time
from collections import Counter

import numpy as np
import pytest
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, confusion_matrix
from statsmodels.api import OLS
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from sapphire.drg.codebook import codebook
from sapphire.metrics import (
    base_confusion,
    bootstrap,
    bootstrap_tuples,
    brier,
    calibration_error,
    case_mix,
    cluster_tuples,
    errors,
    holm,
    interval,
    maj_at_k,
    mcnemar,
    paired,
    paired_tuples,
    pass_at_k,
    reliability,
    severity_confusion,
    severity_key,
    table_3,
    wilson,
)
from sapphire.rewards import Outcome, outcome

RANDOM = np.random.default_rng(5)
BOOK = codebook()
DRGS = list(BOOK.drgs.values())


def clustered(cases=3000, patients=900, sd=1.0):
    """Values with a share of their variance between patients, and the patient of each."""
    patient = RANDOM.integers(patients, size=cases)
    return RANDOM.normal(0.3, 1, cases) + sd * RANDOM.normal(0, 1, patients)[patient], patient.tolist()


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_pass_at_k_is_the_share_of_choices_with_a_right_answer(n):
    for right, k in itertools.product(range(n + 1), range(1, n + 1)):
        choices = list(itertools.combinations([True] * right + [False] * (n - right), k))
        assert pass_at_k(n, right, k) == pytest.approx(sum(map(any, choices)) / len(choices))


def test_pass_at_k_refuses_more_than_there_are():
    for n, right, k in [(4, 2, 5), (4, 5, 1), (4, -1, 1), (4, 2, 0)]:
        with pytest.raises(ValueError, match="needs at least"):
            pass_at_k(n, right, k)


def test_maj_at_k_is_what_a_vote_gives_when_lots_break_its_ties():
    for answers in itertools.product(["a", "b", "c", None], repeat=5):
        won = []
        for lots in itertools.permutations("abc"):
            voted = max("abc", key=lambda name: (answers.count(name), lots.index(name)))
            won.append(voted == "a" and "a" in answers)
        assert maj_at_k(answers, "a") == pytest.approx(np.mean(won)), answers
    assert maj_at_k([None, None], "a") == maj_at_k([], "a") == 0


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (3, 7), (150, 300), (54_800, 100_000)])
def test_wilson_as_statsmodels(right, n):
    assert wilson(right, n)[1:3] == pytest.approx(proportion_confint(right, n, method="wilson"), abs=1e-12)


def test_wilson_refuses_what_is_no_share():
    for successes, n in [(3, 2), (0, 0), (-1, 5)]:
        with pytest.raises(ValueError, match="no more successes"):
            wilson(successes, n)


def test_bootstrap_of_single_cases_as_scipy():
    values = RANDOM.exponential(1, 400)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", vectorized=True, rng=1
    ).confidence_interval
    ours = bootstrap(values, draws=20_000)
    assert ours.estimate == pytest.approx(values.mean()) and ours.n == 400
    assert ours[1:3] == pytest.approx(theirs, abs=0.005)


def test_bootstrap_over_patients_as_a_cluster_robust_standard_error():
    values, patients = clustered()
    fit = OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": np.array(patients)})
    ours = bootstrap(values, patients, draws=20_000)
    assert ours[1:3] == pytest.approx(fit.conf_int()[0], abs=0.004)
    alone = bootstrap(values)
    assert ours.high - ours.low > 1.5 * (alone.high - alone.low)  # what ignoring the patients would hide


def test_several_metrics_share_the_draws():
    values, patients = clustered(500, 100)
    together = bootstrap(np.column_stack([values, 2 * values, values > 0]), patients)
    assert together[1].low == pytest.approx(2 * together[0].low) and together[1].high == pytest.approx(
        2 * together[0].high
    )
    assert together[2].estimate == pytest.approx((values > 0).mean())


def test_tuples_of_300_000_cases_cost_milliseconds():
    patients = RANDOM.integers(150_000, size=300_000)
    right = (RANDOM.random(300_000) < 0.55).astype(float)
    rows = cluster_tuples(right, patients.tolist())
    assert len(rows) < 100 and rows[:, -2] @ rows[:, -1] == 300_000
    begin = time.perf_counter()
    (found,) = bootstrap_tuples(rows)
    assert time.perf_counter() - begin < 0.5
    direct = OLS(right, np.ones(300_000)).fit(cov_type="cluster", cov_kwds={"groups": patients}).conf_int()[0]
    assert found[1:3] == pytest.approx(direct, abs=1e-4) and found.n == 300_000


def test_few_patients_get_an_interval_that_is_no_point():
    (all_right,) = interval(np.ones(12))
    assert all_right[:4] == pytest.approx((1, wilson(12, 12).low, 1, 12)) and all_right.method == "wilson"
    twice = interval(np.ones(12), [i // 2 for i in range(12)])[0]
    assert twice.low == pytest.approx(wilson(6, 6).low) and twice.n == 12  # two stays of a patient count as one
    rare = np.repeat([1, 0], [9, 391])
    assert interval(rare)[0][:4] == pytest.approx(wilson(9, 400)[:4])
    assert interval(1 - np.repeat([1, 0], [20, 380]))[0].method == "bootstrap"


def test_an_interval_needs_numbers():
    for values, clusters in [([], None), ([1, math.nan], None), ([1, 0], ["a"])]:
        with pytest.raises(ValueError):
            bootstrap(values, clusters)
    with pytest.raises(ValueError, match="rows"):
        bootstrap_tuples([[1, 0, 1]])


def test_paired_differences_as_a_paired_t_test():
    first = RANDOM.normal(0, 1, 800)
    second = first + RANDOM.normal(-0.05, 0.7, 800)
    found = paired(first - second, draws=40_000)
    assert found.p == pytest.approx(stats.ttest_rel(first, second).pvalue, abs=0.01)
    assert paired_tuples(cluster_tuples(first - second), draws=40_000) == found
    assert paired(np.zeros(50)).p == 1
    assert paired(np.ones(50)).p == pytest.approx(2 / 10_001)


def test_paired_over_patients_is_of_level_5_percent():
    """Without a difference, about one in twenty tests says there is one; patients ignored, far more do."""
    found, ignoring = [], []
    for i in range(200):
        values, patients = clustered(240, 60)
        values -= 0.3
        found.append(paired(values, patients, draws=1000, seed=i).p)
        ignoring.append(paired(values, draws=1000, seed=i).p)
    assert 0.01 <= np.mean(np.array(found) < 0.05) <= 0.11
    assert np.mean(np.array(ignoring) < 0.05) > 0.15


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (1, 0), (9, 3), (40, 61), (500, 430)])
def test_mcnemar_as_statsmodels(only_first, only_second):
    table = [[7, only_first], [only_second, 11]]
    theirs = statsmodels_mcnemar(table, exact=True).pvalue if only_first + only_second else 1.0
    assert mcnemar(only_first, only_second) == pytest.approx(theirs)


def test_holm_as_statsmodels():
    for size in (1, 2, 20):
        p_values = RANDOM.random(size) ** 3
        assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert holm([]) == []


def test_reliability_as_scikit_learn():
    confidence = np.concatenate([RANDOM.beta(4, 2, 2000), [0, 0.1, 0.2, 1]])
    right = (RANDOM.random(len(confidence)) < confidence**2).astype(int)
    bins = reliability(confidence, right)
    share, mean = calibration_curve(right, confidence, n_bins=10)
    filled = [each for each in bins if each.n]
    assert [each.right for each in filled] == pytest.approx(share)
    assert [each.confidence for each in filled] == pytest.approx(mean)
    assert sum(each.n for each in bins) == len(confidence)
    weights = np.array([each.n for each in filled]) / len(confidence)
    assert calibration_error(bins) == pytest.approx(weights @ np.abs(share - mean))
    assert brier(confidence, right) == pytest.approx(brier_score_loss(right, confidence))
    assert math.isnan(calibration_error(reliability([], [])))


def test_right_severity_is_that_of_the_reward():
    sample = RANDOM.choice(len(DRGS), size=(4000, 2))
    for gold, predicted in ((DRGS[a], DRGS[b]) for a, b in sample):
        same = severity_key(gold) == severity_key(predicted)
        assert same == (outcome(predicted, gold) in (Outcome.FULL, Outcome.SEVERITY))


def random_pairs(cases=3000, drgs=40):
    some = RANDOM.choice(len(DRGS), drgs)
    gold = [DRGS[i] for i in RANDOM.choice(some, cases)]
    predicted = [DRGS[i] if RANDOM.random() > 0.1 else None for i in RANDOM.choice(some, cases)]
    return gold, [g if RANDOM.random() < 0.3 else p for g, p in zip(gold, predicted, strict=True)]


def test_confusion_as_scikit_learn():
    gold, predicted = random_pairs()
    pairs = Counter(zip(gold, predicted, strict=True))
    for ours, of in [(severity_confusion(pairs), "level"), (base_confusion(pairs), "base_id")]:
        right = [getattr(drg, of) for drg in gold]
        told = [getattr(drg, of) if drg else "" for drg in predicted]
        labels = sorted({*right, *told})
        theirs = confusion_matrix(right, told, labels=labels)
        assert {cell: n for cell, n in ours.items() if n} == {
            (a, b): theirs[i, j] for i, a in enumerate(labels) for j, b in enumerate(labels) if theirs[i, j]
        }


def test_table_3_counts_what_is_wrong_where_all_models_are():
    gold, first = random_pairs()
    second = [drg if RANDOM.random() < 0.5 else g for g, drg in zip(gold, random_pairs()[1], strict=True)]
    found = table_3(gold, {"first": first, "second": second})
    hard = [i for i in range(len(gold)) if first[i] != gold[i] and second[i] != gold[i]]
    for model, predicted in (("first", first), ("second", second)):
        principal = [not predicted[i] or predicted[i].base_id != gold[i].base_id for i in hard]
        severity = [not predicted[i] or outcome(predicted[i], gold[i]) in (Outcome.BASE, Outcome.NOTHING) for i in hard]
        assert found[model].n == len(hard)
        assert found[model][1:] == pytest.approx(
            (np.mean(principal), np.mean(severity), np.mean(np.logical_and(principal, severity)))
        )
        assert found[model].principal + found[model].severity - found[model].both == pytest.approx(1)
    assert math.isnan(errors({(gold[0], gold[0]): 3}).both)


def test_case_mix_is_the_mean_weight():
    gold, predicted = random_pairs()
    found = case_mix(Counter(zip(gold, predicted, strict=True)))
    kept = [(g.weight, p.weight) for g, p in zip(gold, predicted, strict=True) if p and g.weight and p.weight]
    right, told = np.array(kept).T
    assert (found.gold, found.predicted) == pytest.approx((right.mean(), told.mean()))
    assert found.error.estimate == pytest.approx((told - right).mean()) and found.left_out == len(gold) - len(kept)
    assert found.absolute == pytest.approx(np.abs(told - right).mean())
    half = 1.96 * (told - right).std() / math.sqrt(len(kept))
    assert found.error.high - found.error.estimate == pytest.approx(half, rel=0.1)
    assert case_mix({(gold[0], None): 4}) is None
    # Four stays of each patient that are alike vary as one stay would: the interval is twice as wide.
    doubled = case_mix(Counter(zip(gold, predicted, strict=True)), cluster_tuples(np.repeat(told - right, 4), np.repeat(np.arange(len(told)), 4)))  # fmt: skip
    assert doubled.error.high - doubled.error.estimate == pytest.approx(half, rel=0.1)
