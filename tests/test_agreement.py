"""Agreement against the krippendorff package on random judgements, and at its ends."""

import math
import random
from collections import Counter

import krippendorff
import numpy as np
import pytest

from sapphire.agreement import agreement, hierarchy, nominal, ordinal
from sapphire.drg.codebook import codebook

BOOK = codebook("43.1")
DRGS = ["291", "292", "293", "193", "194", "280", "281", "003", "313"]


def judgements(values: list, seed: int, readers: int = 4, units: int = 60) -> np.ndarray:
    """(readers, units) indices of values that lean towards one another; nan where a reader did not judge."""
    draw = random.Random(seed)
    table = np.full((readers, units), np.nan)
    for unit in range(units):
        usual = draw.randrange(len(values))
        for reader in range(readers):
            if draw.random() < 0.7:
                table[reader, unit] = usual if draw.random() < 0.5 else draw.randrange(len(values))
    return table


def patterns(table: np.ndarray, values: list) -> Counter:
    return Counter(tuple(sorted(values[int(v)] for v in unit if not np.isnan(v))) for unit in table.T)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("level", "distance"), [("nominal", nominal), ("ordinal", ordinal)])
def test_alpha_is_that_of_the_krippendorff_package(seed, level, distance):
    table = judgements([1, 2, 3, 4, 5], seed)
    expected = krippendorff.alpha(reliability_data=table, level_of_measurement=level, value_domain=list(range(5)))
    found = agreement(patterns(table, [1, 2, 3, 4, 5]), distance)
    assert found.alpha == pytest.approx(expected)
    assert found.low < found.alpha < found.high
    judged = (~np.isnan(table)).sum(0)
    assert (found.units, found.judgements) == ((judged > 1).sum(), judged[judged > 1].sum())


@pytest.mark.parametrize("seed", range(3))
def test_alpha_over_the_drg_hierarchy_is_that_of_the_package_with_the_same_distances(seed):
    def apart(a: str, b: str) -> float:
        first, second = BOOK.drgs[a], BOOK.drgs[b]
        return 0 if a == b else 1 / 3 if first.base_id == second.base_id else 2 / 3 if first.mdc == second.mdc else 1

    table = judgements(DRGS, seed)
    distances = np.array([[apart(a, b) ** 2 for b in DRGS] for a in DRGS])
    expected = krippendorff.alpha(
        reliability_data=table, value_domain=list(range(len(DRGS))), level_of_measurement=lambda v1, v2, **_: distances[v1.astype(int), v2.astype(int)]
    )  # fmt: skip
    found = agreement(patterns(table, DRGS), hierarchy(BOOK))
    assert found.alpha == pytest.approx(expected)


def test_the_share_of_equal_pairs_is_counted_pair_by_pair():
    found = agreement(Counter({("291", "291"): 2, ("291", "292", "292"): 1, ("193",): 5}), nominal)
    assert found.pairs == pytest.approx((2 + 1) / (2 + 3))
    assert (found.units, found.judgements) == (3, 7)


def test_without_two_judgements_of_one_unit_there_is_nothing_to_say():
    assert agreement(Counter({("291",): 4}), nominal) is None


def test_one_value_only_leaves_alpha_open_and_pairs_equal():
    found = agreement(Counter({(4, 4): 3}), ordinal)
    assert math.isnan(found.alpha) and math.isnan(found.low)
    assert found.pairs == 1
