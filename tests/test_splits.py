"""Splits and subsets: the paper's sizes, strata, whole patients, no dependence on row order."""

from collections import Counter

import pyarrow.parquet as pq

from data import splits
from data.splits import Labelled
from tests.mimic_source import cases

pytest_plugins = ("tests.mimic_fixtures",)


def labelled(number, drgs, patients):
    return [Labelled(f"n{i}", f"p{i % patients}", f"{(i * 7919) % drgs:03d}") for i in range(number)]


def test_splits_hold_their_shares_in_every_drg():
    made = labelled(5003, 40, 5003)
    test = splits.test_by_case(made)
    assert len(test) == 501  # rounded up, as the reference scripts do
    counts, of_test = splits.count(made), splits.count(case for case in made if case.note_id in test)
    assert all(abs(of_test.get(drg, 0) - number / 10) < 1 for drg, number in counts.items())
    assert test == splits.test_by_case(list(reversed(made)))
    assert test != splits.test_by_case(made, seed=43)


def test_a_drg_with_two_cases_keeps_one_in_train():
    made = [Labelled(f"{drg}-{i}", f"{drg}-{i}", str(drg)) for drg in range(300) for i in range(2)]
    for choose in (splits.test_by_case, splits.test_by_patient):
        test = choose(made)
        assert len(test) == 60
        assert max(Counter(note_id.partition("-")[0] for note_id in test).values()) == 1


def test_patients_with_many_stays_are_split_whole_and_near_ten_percent():
    made = labelled(6000, 60, 2500)
    test = splits.test_by_patient(made)
    sides = [{case.patient for case in made if (case.note_id in test) is side} for side in (True, False)]
    assert not sides[0] & sides[1]
    assert 0.09 < len(test) / len(made) <= 0.1


def test_subsets_are_the_papers(prepared):
    made = (
        labelled(20_000, 30, 20_000)
        + [Labelled("rare", "rare", "999")]
        + [Labelled(f"few{i}", f"few{i}", "998") for i in range(4)]
    )
    columns = splits.subsets(made)
    assert list(columns) == [f"sft_{ratio}" for ratio in (5, 25, 50, 75, 90, 95)] + ["cold_start", "drg_small"]
    for ratio in splits.RATIOS:
        values = Counter(columns[f"sft_{ratio}"])
        assert (
            values["sft"] == -(-20_004 * ratio // 100)
            and values["sft"] + values["grpo"] == 20_004
            and values[None] == 1
        )
    assert sum(columns["cold_start"]) == 200 and sum(columns["drg_small"]) == 3960
    assert not any(a and b for a, b in zip(columns["cold_start"], columns["drg_small"], strict=True))
    assert not any(columns["drg_small"][-5:]) and not any(columns["cold_start"][-5:])
    subsets = pq.read_table(prepared / "subsets.parquet")
    assert subsets["note_id"].to_pylist() == [case["note_id"] for case in cases(prepared, "train")]


def test_the_papers_own_sizes_come_out():
    # 262,436 cases in 738 DRGs → 236,192 train and 26,244 test; 2,362 and 46,758 of the 236,152 that are not rare.
    made = [Labelled(str(i), str(i), f"{i % 738:03d}") for i in range(262_436)]
    assert len(splits.test_by_case(made)) == 26_244
    train = made[:236_152]
    assert (
        splits.allot(splits.count(train), 0.01, "x")
        and sum(splits.allot(splits.count(train), 0.01, "x").values()) == 2_362
    )
    assert sum(splits.allot({"001": 236_152 - 2_362}, 0.20, "x").values()) == 46_758
