"""Marking many notes at once: how many of a note's answers are right, and whether their majority is, for DRG, base and severity.

The same numbers as `metrics.pass_at_k` and `metrics.maj_at_k` give note by note (a test holds them to it), for arrays of
hundreds of thousands of notes. A DRG is its number as an integer, 0 for no DRG. Notes that are marked alike share a pattern: there
are some dozens with four answers a note, so what follows reckons with patterns and how many notes or patients have each.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from sapphire.drg.codebook import codebook
from sapphire.metrics import pass_at_k, severity_key
from sapphire.rewards import Outcome

TARGETS = {"drg": "DRG", "base": "Base DRG", "severity": "Severity"}
NUMBERS = 1000  # DRGs are three digits
_INDEX = {outcome: np.int8(i) for i, outcome in enumerate(Outcome)}


@dataclass(frozen=True)
class Marks:
    """`pattern` (notes,) is each note's place in `answers`, which counts a note's answers, and in `means`: for each measure and target
    ("pass_1_drg" to "maj_k_severity") what such a note has. Pass@k and Maj@k are nan with fewer than k answers. `outcomes` has one
    Outcome index an answer."""

    pattern: np.ndarray
    answers: np.ndarray
    means: dict[str, np.ndarray]
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
    # One row an answer's place in its note, so that whole rows are compared at once.
    shape = (int(sizes.max(initial=1)), len(sizes))
    place = np.arange(len(drgs)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    at = place * len(sizes) + np.repeat(np.arange(len(sizes)), sizes)
    said, early = np.zeros(shape, np.int16), np.zeros(shape, bool)
    said.ravel()[at], early.ravel()[at] = drgs, samples < k
    hits, right, tied = {}, {}, {}
    for target, key in keys(version).items():
        named, meant = key[said], key[gold]
        hits[target] = named == meant
        right[target] = hits[target].sum(axis=0, dtype=np.int32)
        tied[target] = _tied(np.where(early, named, -1), meant)
    answers = np.where(failed, np.maximum(sizes, expected), sizes)
    pattern, one = distinct(answers, *(right[target] * (len(said) + 1) + tied[target] for target in TARGETS))
    outcomes = np.full(shape, _INDEX[Outcome.NOTHING], np.int8)
    for target, outcome in (("severity", Outcome.SEVERITY), ("base", Outcome.BASE), ("drg", Outcome.FULL)):
        outcomes = np.where(hits[target], _INDEX[outcome], outcomes)
    outcomes = np.where(said == 0, _INDEX[Outcome.INVALID], outcomes)
    return Marks(
        pattern,
        answers[one],
        _means(
            answers[one],
            {target: each[one] for target, each in right.items()},
            {target: each[one] for target, each in tied.items()},
            k,
        ),
        outcomes.ravel()[at],
    )


def distinct(*columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of columns of whole numbers from 0: each row's place among them, and for each place one row that is there."""
    code, most = np.zeros(len(columns[0]), np.int64), 1
    for column in columns:
        width = int(column.max(initial=0)) + 1
        if most * width > np.iinfo(np.int64).max:
            code, most = _dense(code), len(code)
        code, most = code * width + column, most * width
    place = _dense(code)
    one = np.zeros(int(place.max(initial=-1)) + 1, np.int64)
    one[place] = np.arange(len(place))
    return place, one


def _dense(code: np.ndarray) -> np.ndarray:
    import pyarrow as pa

    return pa.array(code).dictionary_encode().indices.to_numpy().astype(np.int64)


def patient_sums(values: np.ndarray, patterns: np.ndarray, sizes: np.ndarray, patients: np.ndarray) -> np.ndarray:
    """The rows that `metrics.interval_tuples` takes, from patients' notes by pattern; no rows where no note counts.

    Args:
        values: (patterns,) what a note has; nan: it does not count.
        patterns: the patterns of one patient's notes after another's.
        sizes: (lists,) how many notes each patient has.
        patients: (lists,) how many patients have just these notes.
    """
    patient, value = np.repeat(np.arange(len(sizes)), sizes), values[patterns]
    counts = ~np.isnan(value)
    sums = np.bincount(patient, np.where(counts, value, 0), len(sizes)).round(9)
    notes = np.bincount(patient, counts, len(sizes))
    # As complex numbers, pairs of sums and notes are put in order and told apart together.
    pairs, at = np.unique((sums + 1j * notes)[notes > 0], return_inverse=True)
    return np.column_stack([pairs.real, pairs.imag, np.bincount(at, patients[notes > 0], len(pairs))])


def _means(
    answers: np.ndarray, right: dict[str, np.ndarray], tied: dict[str, np.ndarray], k: int
) -> dict[str, np.ndarray]:
    means = {}
    for target in TARGETS:
        credit = np.where(tied[target] > 0, 1 / np.maximum(tied[target], 1), 0.0)
        means[f"pass_1_{target}"] = right[target] / np.maximum(answers, 1)
        means[f"pass_k_{target}"] = _pass(answers, right[target], k)
        means[f"maj_k_{target}"] = np.where(answers >= k, credit, np.nan)
    return means


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


def _tied(votes: np.ndarray, meant: np.ndarray) -> np.ndarray:
    """Of each column of votes (-1 is no vote) how many answers are commonest, if the right one is among them; else 0."""
    alike = np.ones(votes.shape, np.int16)  # votes that say what this one says
    for i in range(len(votes)):
        for j in range(i):
            same = votes[i] == votes[j]
            alike[i] += same
            alike[j] += same
    alike[votes < 0] = 0
    most = alike.max(axis=0)
    mine = (votes == meant).sum(axis=0, dtype=np.int16)
    tied = (alike == most).sum(axis=0, dtype=np.int16) // np.maximum(most, 1)
    return np.where((mine == most) & (most > 0), tied, 0)
