"""Evaluation of stored runs on labelled notes: marked once in memory, then measured, sliced and compared.

The unit is the case and intervals draw whole patients (`metrics`). A run is measured only against labels of its own MS-DRG version.
When several runs are chosen, all are measured on the notes that every one of them answered.
"""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sapphire.drg.codebook import Drg, codebook
from sapphire.marking import NUMBERS, mark
from sapphire.rewards import COT_FIRST_PENALTY, FORMAT_PENALTY, SCHEMES, Outcome
from sapphire.store import Store
from sapphire.store.evaluation import (
    DISAGREE,
    DRG_BITS,
    FORMED,
    KNOWN,
    NO_LABEL,
    OTHER_VERSION,
    SAMPLE_BITS,
    TITLE_FIRST,
    CaseFilter,
    EvaluationCopy,
)

LABELS = {
    "recorded": "Recorded with the note",
    "reviewed": "From reviews",
    "either": "From reviews, else recorded",
}
KEPT_SCORES, KEPT_ANSWERS = 16, 400


@dataclass(frozen=True)
class Coverage:
    """Notes that pass the filters, of these answered by every chosen run, and why answered ones cannot be measured: no label, one of
    another MS-DRG version, reviewers who name different DRGs."""

    in_set: int
    answered: int
    no_label: int
    other_version: int
    disagree: int


@dataclass(frozen=True)
class Scored:
    """A run's marked notes: `table` in memory, `means` what a note of each pattern has (`marking.Marks`), `rewards` counts (Outcome, format holds, a title came first) over its answers, of which
    `unknown` were stored without their reward terms. `few` counts notes with fewer than k answers, `failed` those without any."""

    run_id: str
    version: str
    table: str
    notes: int
    patients: int
    answers: int
    few: int
    failed: int
    k: int
    means: dict[str, np.ndarray]
    rewards: Counter
    unknown: int
    coverage: Coverage


@dataclass(frozen=True)
class Choice:
    """What is evaluated: runs in order (the first is what others are compared with), the notes and labels, and k."""

    runs: tuple[str, ...]
    cases: CaseFilter
    k: int


class Evaluation:
    """The evaluation of one store. Safe to share between threads: what was reckoned is kept until the database moves on."""

    def __init__(self, store: Store):
        self.copy = EvaluationCopy(store)
        self._lock = threading.RLock()
        self._scored: dict[tuple, list[Scored]] = {}
        self._answers: dict[tuple, object] = {}

    def refresh(self) -> None:
        self.copy.refresh()

    def runs(self) -> list[dict]:
        """Every stored run, newest first; see `EvaluationCopy.runs`."""
        return self.copy.runs()

    def choices(self, column: str) -> list[str]:
        """The values by which notes can be chosen: of source or split."""
        return self.copy.choices(column)

    def imports(self) -> list[dict]:
        """Imports whose notes are still there, newest first: import_id, name."""
        return self.copy.imports()

    def standing(self, run_id: str, note_id: str) -> str | None:
        """The prediction that stands for a note in a run."""
        return self.copy.standing(run_id, note_id)

    def version(self, run_id: str) -> str:
        return next(run["drg_version"] for run in self.runs() if run["run_id"] == run_id)

    def scored(self, choice: Choice) -> list[Scored]:
        """The marked notes of each run, on the notes that all of them answered. ValueError when the runs are of different versions."""
        versions = {self.version(run) for run in choice.runs}
        if len(versions) > 1:
            raise ValueError(
                f"The runs are of different MS-DRG versions ({', '.join(sorted(versions))}); only runs of one version can be compared."
            )
        with self._lock:
            tables = [self.copy.answers(run)[0] for run in choice.runs]
            key = (*tables, choice.cases, choice.k, self.copy.labels_revision)
            if key not in self._scored:
                while len(self._scored) >= KEPT_SCORES:
                    for old in self._scored.pop(next(iter(self._scored))):
                        self.copy.tables.drop(old.table)
                self._scored[key] = self._score(choice, tables, versions.pop())
            return self._scored[key]

    def once(self, key: tuple, reckon: Callable[[], object]) -> object:
        """`reckon()`, or what it gave the last time for this key; a key names tables, which are never reused."""
        with self._lock:
            if key not in self._answers:
                if len(self._answers) >= KEPT_ANSWERS:
                    self._answers.clear()
                self._answers[key] = reckon()
            return self._answers[key]

    def _score(self, choice: Choice, tables: Sequence[str], version: str) -> list[Scored]:
        import pyarrow as pa

        notes = self.copy.labelled(tables, choice.cases, version)
        why = np.bincount(notes["why"].to_numpy(), minlength=4)
        covered = Coverage(
            self.copy.count(choice.cases),
            len(notes),
            *(int(why[reason]) for reason in (NO_LABEL, OTHER_VERSION, DISAGREE)),
        )
        notes = notes.filter(pa.array(notes["gold"].to_numpy() > 0))
        asked = {run["run_id"]: run["samples"] for run in self.runs()}

        def marked(i: int) -> Scored:
            run, answers, at = choice.runs[i], self.copy.tables[tables[i]], notes[f"at_{i}"].to_numpy()
            return self._mark(run, answers, notes, at, asked[run], choice.k, version, covered)

        with ThreadPoolExecutor(max_workers=2) as pool:  # NumPy lets both cores work
            return list(pool.map(marked, range(len(tables))))

    def _mark(
        self, run_id: str, answers, notes, at: np.ndarray, asked: int, k: int, version: str, covered: Coverage
    ) -> Scored:
        import pyarrow as pa

        codes, sizes = _gather(answers["codes"].combine_chunks(), at)
        gold, failed = notes["gold"].to_numpy(), answers["failed"].to_numpy()[at]
        marks = mark(codes & (1 << DRG_BITS) - 1, codes >> SAMPLE_BITS, sizes, gold, failed, asked, k, version)
        columns = {name: notes[name] for name in ("seq", "patient", "words", "gold")}
        columns |= {"mdc": _named(gold, version, "mdc"), "level": _named(gold, version, "level")}
        columns |= {name: answers[name].combine_chunks().take(pa.array(at)) for name in ("predicted", "confidence")}
        columns |= {"gold_notes": np.bincount(gold, minlength=NUMBERS)[gold], "pattern": marks.pattern.astype(np.int32)}
        rewards, unknown = _rewards(codes, marks.outcomes, np.repeat(failed, sizes))
        return Scored(
            run_id=run_id, version=version, table=self.copy.tables.keep(pa.table(columns)), notes=len(gold),
            patients=np.count_nonzero(np.bincount(notes["patient"].to_numpy())), answers=len(codes), few=int((marks.answers < k)[marks.pattern].sum()),
            failed=int(failed.sum()), k=k, means=marks.means, rewards=rewards, unknown=unknown, coverage=covered,
        )  # fmt: skip


def _named(gold: np.ndarray, version: str, what: str):
    """A word for each DRG number, an attribute of the DRG, as a dictionary of the few words there are."""
    import pyarrow as pa

    of = {int(number): getattr(drg, what) for number, drg in codebook(version).drgs.items()}
    words = list(dict.fromkeys(of.values()))
    at = np.zeros(NUMBERS, np.int8)
    at[list(of)] = [words.index(word) for word in of.values()]
    return pa.DictionaryArray.from_arrays(at[gold], words)


def _gather(lists, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the lists at these places, one after the other, and how many each list has."""
    offsets = lists.offsets.to_numpy()
    flat, sizes = lists.values.to_numpy(), np.diff(offsets)[at]
    first = np.repeat(offsets[at] - (np.cumsum(sizes) - sizes), sizes)
    return flat[first + np.arange(sizes.sum())], sizes


def _rewards(codes: np.ndarray, outcomes: np.ndarray, failed: np.ndarray) -> tuple[Counter, int]:
    known = (codes & KNOWN > 0) & ~failed
    flags = (codes & FORMED > 0) + 2 * (codes & TITLE_FIRST > 0)
    counts = np.bincount(4 * outcomes[known] + flags[known], minlength=4 * len(Outcome))
    found = {
        (result, bool(flag & 1), bool(flag & 2)): int(counts[4 * i + flag])
        for i, result in enumerate(Outcome)
        for flag in range(4)
        if counts[4 * i + flag]
    }
    return Counter(found), int((~known & ~failed).sum())


def reward_values(scored: Scored, scheme: str) -> Counter:
    """Answers by their reward under a scheme of `rewards.SCHEMES`."""
    values: Counter = Counter()
    for (result, formed, title_first), n in scored.rewards.items():
        form = 0.0 if formed else FORMAT_PENALTY
        accuracy = SCHEMES[scheme][result] if formed else 0.0
        values[form + accuracy + (COT_FIRST_PENALTY if title_first else 0.0)] += n
    return values


def drg(number: int | None, version: str) -> Drg | None:
    """The DRG of a number from a marked table; None for no DRG."""
    return codebook(version).drgs.get(f"{number:03d}") if number else None
