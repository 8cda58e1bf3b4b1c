"""From a file of an evaluation's rows to its measures: Pass@1, Pass@k, Maj@k of DRG, base and severity, in all and by group."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sapphire.drg.codebook import Drg, codebook
from sapphire.marking import TARGETS, Marks, mark
from sapphire.metrics import (
    Interval,
    Paired,
    bootstrap,
    bootstrap_statistic,
    brier,
    calibration_error,
    holm,
    interval,
    mcnemar,
    paired,
    reliability,
)
from sapphire.prediction_files import OutputError

FREQUENCIES = ((0, "never seen"), (1, "1 to 9"), (10, "10 to 99"), (100, "100 to 999"), (1000, "1,000 and more"))
LENGTHS = ((0, "up to 149 words"), (150, "150 to 299"), (300, "300 to 599"), (600, "600 and more"))


@dataclass(frozen=True)
class Results:
    """An evaluation's cases, marked. Sequences hold one entry a case; `answers` columns one entry a completion."""

    about: dict[str, Any]
    run: str
    version: str
    note_ids: list[str]
    patients: list[str]
    gold: list[Drg]
    voted: list[Drg | None]  # the commonest answer, of equals the first
    votes: list[int]  # how many samples gave it
    failed: np.ndarray
    traps: list[list[str]]
    words: np.ndarray
    marks: Marks
    answers: dict[str, np.ndarray]

    @property
    def k(self) -> int:
        return self.about["n"]

    @property
    def measures(self) -> dict[str, str]:
        """Key of a measure → its name; with one answer a case all are the same."""
        several = {"pass_k": f"Pass@{self.k}", "maj_k": f"Maj@{self.k}"} if self.k > 1 else {}
        return {"pass_1": "Pass@1"} | several

    def marked(self, target: str, measure: str) -> np.ndarray:
        """What each case has of a measure, from 0 to 1."""
        return self.marks.means[f"{measure}_{target}"][self.marks.pattern]


def read_results(path: Path) -> Results:
    """Read a file of `train.evaluate`. OutputError when it is none."""
    import pyarrow.parquet as pq

    wanted = "note_id subject_id sample drg gold_drg drg_version error trap words format reward true_lines tokens seconds confidence".split()  # noqa: SIM905
    try:
        newer = [name for name in ("borne_out", "raw_confidence") if name in pq.read_schema(path).names]
        table = pq.read_table(path, columns=[*wanted, *newer])
        metadata = pq.read_metadata(path).metadata
        about, run = json.loads(metadata[b"about"]), metadata[b"run"].decode()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is no file of train.evaluate ({type(error).__name__}); name one that is.") from error
    columns = {name: table[name].to_pylist() for name in ("note_id", "subject_id", "drg", "gold_drg", "error", "trap")}
    first = [i for i, note in enumerate(columns["note_id"]) if i == 0 or columns["note_id"][i - 1] != note]
    sizes = np.diff([*first, table.num_rows])
    version = table["drg_version"][0].as_py()
    book = codebook(version)
    failed = np.array([columns["error"][i] is not None for i in first])
    numbers = np.array([int(drg or 0) for drg in columns["drg"]])
    gold = [book.drgs[columns["gold_drg"][i]] for i in first]
    samples = table["sample"].to_numpy()
    marks = mark(
        numbers, samples, sizes, np.array([int(drg.drg) for drg in gold]), failed, about["n"], about["n"], version
    )
    voted = [Counter(filter(None, columns["drg"][i : i + n])).most_common(1) for i, n in zip(first, sizes, strict=True)]
    answered = ~np.repeat(failed, sizes)
    kept = {
        name: table[name].to_numpy()[answered].astype(float)
        for name in ("format", "reward", "true_lines", "tokens", "seconds", "confidence")
    }
    for name in ("borne_out", "raw_confidence"):  # files of before these were judged lack them
        later = table[name].to_numpy()[answered].astype(float) if name in table.column_names else np.nan
        kept[name] = np.full(answered.sum(), later)
    kept["no_drg"] = (numbers[answered] == 0).astype(float)
    return Results(
        about, run, version,
        note_ids=[columns["note_id"][i] for i in first],
        patients=[columns["subject_id"][i] or columns["note_id"][i] for i in first],
        gold=gold,
        voted=[book.drgs[votes[0][0]] if votes else None for votes in voted],
        votes=[votes[0][1] if votes else 0 for votes in voted],
        failed=failed,
        traps=[columns["trap"][i] or [] for i in first],
        words=table["words"].to_numpy()[first],
        marks=marks,
        answers=kept | {"note": np.repeat(np.arange(len(first)), sizes)[answered]},
    )  # fmt: skip


def scores(results: Results, cases: Sequence[int] | None = None) -> dict[tuple[str, str], Interval]:
    """(target, measure) → its interval over all cases, or over some (their places)."""
    cells = [(target, measure) for target in TARGETS for measure in results.measures]
    at = slice(None) if cases is None else np.asarray(cases)
    values = np.column_stack([results.marked(target, measure)[at] for target, measure in cells])
    patients = results.patients if cases is None else [results.patients[i] for i in cases]
    return dict(zip(cells, interval(values, patients), strict=True))


def means(results: Results) -> dict[str, Interval | None]:
    """Means over answers, each case's first, of format that holds, no DRG, dense reward, lines that are true and that are borne out, tokens, with intervals over
    patients; None where nothing is known. Cases without an answer are left out."""
    note, found = results.answers["note"], {}
    for name in ("format", "no_drg", "reward", "true_lines", "borne_out", "tokens"):
        values = results.answers[name] == 0 if name == "format" else results.answers[name]
        known = ~np.isnan(values.astype(float))
        sums = np.bincount(note[known], values[known], len(results.note_ids))
        counts = np.bincount(note[known], minlength=len(results.note_ids))
        have = np.flatnonzero(counts)
        patients = [results.patients[i] for i in have]
        if not len(have):
            found[name] = None
        elif name in ("reward", "tokens"):
            found[name] = bootstrap(sums[have] / counts[have], patients)
        else:
            (found[name],) = interval(sums[have] / counts[have], patients)
    return found


@dataclass(frozen=True)
class Calibration:
    """`error` is the expected calibration error in ten bins (Naeini et al. 2015), `brier` the Brier score, over `n` cases."""

    error: float
    brier: float
    n: int


@dataclass(frozen=True)
class Sure:
    """How sure each case's commonest answer is, of the cases where that is known. All (cases,): its share of the samples, or where one was
    asked for, the confidence that came with it; the same before the model's calibration; whether it is right; the patient."""

    confidence: np.ndarray
    raw: np.ndarray
    right: np.ndarray
    patients: list[str]


def sure(results: Results) -> Sure:
    note, given, raw = (results.answers[name] for name in ("note", "confidence", "raw_confidence"))
    if results.k > 1:
        note = np.arange(len(results.note_ids))
        given = raw = np.array([results.votes[i] / results.k for i in note])
    known = [i for i in range(len(note)) if not np.isnan(given[i]) and results.voted[note[i]]]
    right = np.array([results.voted[note[i]].drg == results.gold[note[i]].drg for i in known], dtype=bool)
    before = np.where(np.isnan(raw), given, raw)
    return Sure(given[known], before[known], right, [results.patients[note[i]] for i in known])


def calibration(results: Results) -> Calibration | None:
    """How far the confidence is from being right. None where no answer has one."""
    found = sure(results)
    if not len(found.right):
        return None
    error, squared = calibration_scores(found.confidence, found.right)
    return Calibration(error, squared, len(found.right))


def calibration_scores(confidence: np.ndarray, right: np.ndarray) -> tuple[float, float]:
    """Expected calibration error in ten bins, and Brier score."""
    return calibration_error(reliability(confidence, right)), brier(confidence, right)


def calibration_intervals(
    before: np.ndarray, after: np.ndarray, right: np.ndarray, patients: Sequence[str]
) -> list[Interval]:
    """`calibration_scores` of two confidences in the same answers, and of the second less the first, by one bootstrap over patients: error and
    Brier score before, after, and the differences."""

    def statistic(at: np.ndarray) -> list[float]:
        first, second = (calibration_scores(each[at], right[at]) for each in (before, after))
        return [*first, *second, second[0] - first[0], second[1] - first[1]]

    return bootstrap_statistic(statistic, patients)


def groups(results: Results, by: str, training: Mapping[str, int] | None = None) -> dict[str, list[int]]:
    """Places of the cases by MDC, frequency of their DRG among the training cases, length, or trap (a case may have several)."""
    found: dict[str, list[int]] = {}
    for i, gold in enumerate(results.gold):
        match by:
            case "mdc":
                names = [gold.mdc or "any"]
            case "frequency":
                names = [_range(FREQUENCIES, training.get(gold.drg, 0))]
            case "length":
                names = [_range(LENGTHS, results.words[i])]
            case "trap":
                names = results.traps[i] or ["no trap"]
        for name in names:
            found.setdefault(name, []).append(i)
    order = {name: place for place, (_, name) in enumerate({"frequency": FREQUENCIES, "length": LENGTHS}.get(by, ()))}
    return dict(sorted(found.items(), key=lambda item: (order.get(item[0], 0), item[0])))


def _range(ranges: Sequence[tuple[int, str]], value: int) -> str:
    return next(name for least, name in reversed(ranges) if value >= least)


@dataclass(frozen=True)
class Test:
    """One model against the first on the cases of both. `mcnemar` is None where a case can be right in part."""

    name: str
    target: str
    measure: str
    paired: Paired
    p_holm: float
    mcnemar: float | None


def paired_tests(runs: Mapping[str, Results]) -> list[Test]:
    """Every run against the first on the cases that all of them have: cluster bootstrap of the differences, exact McNemar for majority
    answers, and Holm's correction over all that is tested. Runs must be of one version and number of samples."""
    first, *others = runs
    places = shared(runs)
    patients = [runs[first].patients[i] for i in places[first]]
    found = []
    for other in others:
        for target in TARGETS:
            for measure in runs[first].measures:
                a, b = (runs[name].marked(target, measure)[places[name]] for name in (other, first))
                whole = np.isin(np.concatenate([a, b]), (0, 1)).all()
                p = mcnemar(int((a > b).sum()), int((b > a).sum())) if whole and measure != "pass_k" else None
                found.append((other, target, measure, paired(a - b, patients), p))
    corrected = holm([each[3].p for each in found])
    return [Test(*each[:4], p_holm, each[4]) for each, p_holm in zip(found, corrected, strict=True)]


def shared(runs: Mapping[str, Results]) -> dict[str, list[int]]:
    """For each run the places of the cases that all runs have, in the order of the first."""
    places = {name: {note: i for i, note in enumerate(run.note_ids)} for name, run in runs.items()}
    first = next(iter(runs.values()))
    common = [note for note in first.note_ids if all(note in each for each in places.values())]
    return {name: [each[note] for note in common] for name, each in places.items()}
