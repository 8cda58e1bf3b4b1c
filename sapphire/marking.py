"""Marking many notes at once: how many of a note's answers are right, and whether their majority is, for DRG, base and severity.

The same numbers as `metrics.pass_at_k` and `metrics.maj_at_k` give note by note (a test holds them to it), for arrays of
hundreds of thousands of notes. A DRG is its number as an integer, 0 for no DRG.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from sapphire.drg.codebook import codebook
from sapphire.metrics import pass_at_k, severity_key
from sapphire.rewards import Outcome

TARGETS = {"drg": "DRG", "base": "Base DRG", "severity": "Severity"}
NUMBERS = 1000  # DRGs are three digits


@dataclass(frozen=True)
class Marks:
    """One row a note. For each target: `right` (answers that are right), `pass_1`, `pass_k` and `maj_k`; the last two are nan for a
    note with fewer than k answers. `answers` counts a note's answers. `outcomes` has one Outcome index an answer."""

    answers: np.ndarray
    right: dict[str, np.ndarray]
    pass_1: dict[str, np.ndarray]
    pass_k: dict[str, np.ndarray]
    maj_k: dict[str, np.ndarray]
    outcomes: np.ndarray


@cache
def keys(version: str) -> dict[str, np.ndarray]:
    """For each target, an array from a DRG's number to what two right answers share (-1 for no DRG of this version)."""
    drgs = codebook(version).drgs.values()
    severities = {key: i for i, key in enumerate(sorted({severity_key(drg) for drg in drgs}))}
    found = {target: np.full(NUMBERS, -1, dtype=np.int16) for target in TARGETS}
    for drg in drgs:
        number = int(drg.drg)
        found["drg"][number] = number
        found["base"][number] = int(drg.base_id)
        found["severity"][number] = severities[severity_key(drg)]
    return found


def mark(
    drgs: np.ndarray,
    samples: np.ndarray,
    sizes: np.ndarray,
    gold: np.ndarray,
    failed: np.ndarray,
    expected: int,
    k: int,
    version: str,
) -> Marks:
    """Mark the answers of many notes.

    Args:
        drgs: (answers,) predicted DRG numbers, notes one after the other.
        samples: (answers,) the number of each answer in its note, from 0; the majority is taken of those below k.
        sizes: (notes,) how many answers each note has; their sum is the number of answers.
        gold: (notes,) right DRG numbers, all of `version`.
        failed: (notes,) whether the model could not answer the note at all: it then counts as wrong `expected` times.
        expected: how many answers the run asked for.
    """
    note = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(drgs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    answers = np.where(failed, np.maximum(sizes, expected), sizes)
    right, pass_1, pass_k, maj_k, hits = {}, {}, {}, {}, {}
    for target, key in keys(version).items():
        said, meant = key[drgs], key[gold]
        hits[target] = (said == meant[note]) & (said >= 0)
        right[target] = np.bincount(note, hits[target], minlength=len(sizes)).astype(np.int32)
        pass_1[target] = right[target] / np.maximum(answers, 1)
        pass_k[target] = _pass(answers, right[target], k)
        votes = np.full((len(sizes), int(sizes.max(initial=1))), -1, dtype=np.int16)
        votes[note, place] = np.where(samples < k, said, -1)
        maj_k[target] = np.where(answers >= k, _majority(votes, meant), np.nan)
    outcomes = np.select(
        [drgs == 0, hits["drg"], hits["base"], hits["severity"]],
        [list(Outcome).index(each) for each in (Outcome.INVALID, Outcome.FULL, Outcome.BASE, Outcome.SEVERITY)],
        list(Outcome).index(Outcome.NOTHING),
    )
    return Marks(answers, right, pass_1, pass_k, maj_k, outcomes)


def _pass(answers: np.ndarray, right: np.ndarray, k: int) -> np.ndarray:
    """pass@k of each note; the few distinct pairs of counts are reckoned once each."""
    width = int(right.max(initial=0)) + 1
    code = answers.astype(np.int64) * width + right
    values = np.full(int(code.max(initial=0)) + 1, np.nan)
    for each in np.flatnonzero(np.bincount(code)):
        n, hits = divmod(int(each), width)
        if n >= k:
            values[each] = pass_at_k(n, hits, k)
    return values[code]


def _majority(votes: np.ndarray, meant: np.ndarray) -> np.ndarray:
    """maj@k of each row of votes (-1 is no vote): 1/t when the right answer is one of t commonest, else 0."""
    votes = np.sort(votes, axis=1)
    run = np.zeros(votes.shape, dtype=np.int16)
    for j in range(votes.shape[1]):
        again = votes[:, j] == votes[:, j - 1] if j else np.zeros(len(votes), bool)
        run[:, j] = np.where(votes[:, j] < 0, 0, np.where(again, run[:, j - 1] + 1, 1))
    most = run.max(axis=1, initial=0)
    tied = (run == most[:, None]).sum(axis=1)
    mine = ((votes == meant[:, None]) & (votes >= 0)).sum(axis=1)
    return np.where((mine == most) & (most > 0), 1 / np.maximum(tied, 1), 0.0)
