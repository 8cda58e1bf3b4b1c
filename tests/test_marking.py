"""Marks of many notes at once against the estimators note by note, on random answers."""

import math
import random

import numpy as np
import pytest

from sapphire.drg.codebook import codebook
from sapphire.marking import mark
from sapphire.metrics import maj_at_k, pass_at_k, severity_key
from sapphire.rewards import Outcome, outcome

VERSION = "43.1"
BOOK = codebook(VERSION)
KEYS = {"drg": lambda drg: drg.drg, "base": lambda drg: drg.base_id, "severity": severity_key}
# Few DRGs, of families with two and three levels and without a split, so that answers meet and tie often.
DRGS = ["291", "292", "293", "193", "194", "195", "003", "007", "280", "281", "313", "312"]


@pytest.mark.parametrize("k", [1, 3, 8])
def test_marks_are_those_of_the_estimators_note_by_note(k):
    draw = random.Random(k)
    notes = [[draw.choice([*DRGS, None]) for _ in range(draw.choice([1, 3, 8, 8]))] for _ in range(400)]
    gold = [draw.choice(DRGS) for _ in notes]
    flat = [(int(drg or 0), i) for note in notes for i, drg in enumerate(note)]
    drgs, samples = (np.array(column) for column in zip(*flat, strict=True))
    sizes = np.array([len(note) for note in notes])
    marks = mark(drgs, samples, sizes, np.array([int(g) for g in gold]), np.zeros(len(notes), bool), 8, k, VERSION)
    for i, (note, right) in enumerate(zip(notes, gold, strict=True)):
        for target, key in KEYS.items():
            meant = key(BOOK.drgs[right])
            got = {name: marks.means[f"{name}_{target}"][marks.pattern[i]] for name in ("pass_1", "pass_k", "maj_k")}
            said = [key(BOOK.drgs[drg]) if drg else None for drg in note]
            assert got["pass_1"] == pytest.approx(said.count(meant) / len(said))
            if len(note) < k:
                assert math.isnan(got["pass_k"]) and math.isnan(got["maj_k"])
            else:
                assert got["pass_k"] == pytest.approx(pass_at_k(len(said), said.count(meant), k))
                assert got["maj_k"] == pytest.approx(maj_at_k(said[:k], meant))
    meant = [BOOK.drgs[right] for note, right in zip(notes, gold, strict=True) for _ in note]
    said = [BOOK.drgs[f"{drg:03}"] if drg else None for drg in drgs]
    assert [list(Outcome)[i] for i in marks.outcomes] == [outcome(*pair) for pair in zip(said, meant, strict=True)]


def test_a_note_that_the_model_could_not_answer_is_wrong_as_often_as_it_was_asked():
    marks = mark(np.array([291, 291, 0]), np.array([0, 1, 0]), np.array([2, 1]), np.array([291, 291]), np.array([False, True]), 2, 2, VERSION)  # fmt: skip
    assert marks.answers[marks.pattern].tolist() == [2, 2]
    for name in ("pass_1", "pass_k", "maj_k"):
        assert marks.means[f"{name}_drg"][marks.pattern].tolist() == [1, 0]
