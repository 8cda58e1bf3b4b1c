"""Figures of an evaluation, each with its interval and the rows behind it: measures, slices, paired tests, confusion, calibration.

Every function answers from `Evaluation.scored`; rows are dicts that a page draws and a file holds unchanged.
"""

from collections import Counter
from collections.abc import Sequence

from sapphire import metrics
from sapphire.drg.codebook import MDC_TITLES, Drg, codebook
from sapphire.evaluating import Choice, Evaluation, Scored, drg
from sapphire.marking import TARGETS, distinct, patient_sums
from sapphire.profiles import SEES_WEIGHTS
from sapphire.rewards import LEVEL_NAMES
from sapphire.store import scores

BY = {
    "mdc": "MDC",
    "level": "Severity level",
    "frequency": "Frequency of the DRG",
    "length": "Length of the note",
    "trap": "Trap",
}

MEANING = {
    "mdc": "MDC of the right DRG.",
    "level": "Severity level of the right DRG.",
    "frequency": "How many notes of this set have the same right DRG.",
    "length": "Words of the whole note.",
    "trap": "What the author of a note built in to mislead; a note may have several.",
}


def measure_names(k: int) -> dict[str, str]:
    """Column of a marked table → what it is called; with one answer a note all three are the same, and only one is shown."""
    return {"pass_1": "Pass@1"} | ({"pass_k": f"Pass@{k}", "maj_k": f"Maj@{k}"} if k > 1 else {})


def measures(evaluation: Evaluation, choice: Choice) -> list[dict]:
    """Each measure and target of each run with its interval: run_id, measure, target, estimate, low, high, notes, patients, method."""
    return [
        row
        for scored in evaluation.scored(choice)
        for row in _rows(evaluation, scored, "", list(TARGETS), list(measure_names(choice.k)))
    ]


def slices(evaluation: Evaluation, choice: Choice, by: str, measure: str = "pass_1", target: str = "drg") -> list[dict]:
    """One measure of one target in each group of notes, as `measures` and with `group` (BY names the kinds)."""
    return [row for scored in evaluation.scored(choice) for row in _rows(evaluation, scored, by, [target], [measure])]


def _rows(evaluation: Evaluation, scored: Scored, by: str, targets: Sequence[str], names: Sequence[str]) -> list[dict]:
    key = ("rows", scored.table, by, tuple(targets), tuple(names))
    return evaluation.once(key, lambda: list(_reckoned(evaluation, scored, by, targets, names)))


def _reckoned(evaluation: Evaluation, scored: Scored, by: str, targets: Sequence[str], names: Sequence[str]):
    titles = measure_names(scored.k)
    if by == "trap":
        evaluation.copy.read_traps()
    groups = scores.patterns(evaluation.copy.tables, scored.table, by)
    for group, patients in groups.items():
        for name, target in ((name, target) for name in names for target in targets):
            rows = patient_sums(scored.means[f"{name}_{target}"], *patients)
            if not len(rows):  # no note has k answers
                continue
            (interval,) = metrics.interval_tuples(rows)
            yield {
                "run_id": scored.run_id, "group": group, "measure": titles[name], "target": TARGETS[target],
                "estimate": interval.estimate, "low": interval.low, "high": interval.high, "notes": interval.n,
                "patients": int(rows[:, -1].sum()), "method": interval.method,
            }  # fmt: skip


def with_group_names(rows: list[dict], by: str) -> list[dict]:
    """`slices` with each group as it is called on screen."""
    return [row | {"group": _group_name(row["group"], by)} for row in rows]


def _group_name(group: str, by: str) -> str:
    if by == "mdc":
        return f"{group} {_short(MDC_TITLES[group])}" if group else "Any MDC"
    return LEVEL_NAMES[group] if by == "level" else group.replace("_", " ")


def _short(title: str) -> str:
    """An MDC's title without what most begin with."""
    return title.removeprefix("Diseases and Disorders of ").removeprefix("the ")


def paired(evaluation: Evaluation, choice: Choice) -> list[dict]:
    """Each run against the first on the same notes, every measure and target, p values corrected for their number (Holm): run_id,
    measure, target, difference, low, high, p, p_holm, notes; and where a note is simply right or wrong, only_first (the first run
    alone is right), only_other and the exact McNemar p."""
    first, *others = evaluation.scored(choice)
    key = ("paired", first.table, *(other.table for other in others))
    return evaluation.once(key, lambda: _tests(evaluation, first, others))


def _tests(evaluation: Evaluation, first: Scored, others: Sequence[Scored]) -> list[dict]:
    rows = [row for other in others for row in _differences(evaluation, first, other)]
    for row, corrected in zip(rows, metrics.holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = corrected
    return rows


def _differences(evaluation: Evaluation, first: Scored, other: Scored):
    """Other minus first. The tables hold the same notes in the same order, so that patterns pair up."""
    import numpy as np
    import pyarrow as pa

    mine, theirs = (evaluation.copy.tables[each.table] for each in (first, other))
    both = mine["pattern"].to_numpy(), theirs["pattern"].to_numpy()
    pattern, one = distinct(*both)
    a, b = (each[one] for each in both)
    notes = np.bincount(pattern)
    table = evaluation.copy.tables.keep(pa.table({"patient": mine["patient"], "pattern": pattern}))
    patients = scores.patterns(evaluation.copy.tables, table)[""]
    evaluation.copy.tables.drop(table)
    for name, title in measure_names(first.k).items():
        for target, words in TARGETS.items():
            before, after = first.means[f"{name}_{target}"][a], other.means[f"{name}_{target}"][b]
            rows = patient_sums(after - before, *patients)
            if not len(rows):
                continue
            test = metrics.paired_tuples(rows)
            counted = ~np.isnan(after - before)
            binary = np.isin(before[counted], (0, 1)).all() and np.isin(after[counted], (0, 1)).all()
            only = int(notes[(before == 1) & (after == 0)].sum()), int(notes[(before == 0) & (after == 1)].sum())
            yield {
                "run_id": other.run_id, "measure": title, "target": words, "difference": test.difference.estimate, "low": test.difference.low,
                "high": test.difference.high, "p": test.p, "notes": test.difference.n, "only_first": only[0], "only_other": only[1],
                "mcnemar": metrics.mcnemar(*only) if binary else None,
            }  # fmt: skip


def pairs(evaluation: Evaluation, scored: Scored, wrong_in: Sequence[Scored] = ()) -> dict[tuple[Drg, Drg | None], int]:
    """Right and predicted DRG of the answer that stands for each note → notes; with `wrong_in` only notes that all these have wrong."""
    tables = [each.table for each in wrong_in]
    found = evaluation.once(
        ("pairs", scored.table, *tables), lambda: scores.pairs(evaluation.copy.tables, scored.table, tables)
    )
    # A DRG of another version than the run's is no answer of this version.
    named: Counter = Counter()
    for gold, predicted, n in found:
        named[drg(gold, scored.version), drg(predicted, scored.version)] += n
    return named


def severity_cells(evaluation: Evaluation, scored: Scored) -> dict[tuple[str, str], int]:
    """Right and predicted severity level → notes; "" for no DRG."""
    return metrics.severity_confusion(pairs(evaluation, scored))


def severity_errors(evaluation: Evaluation, scored: Scored) -> list[tuple[str, str, int]]:
    """The severities taken for one another, the largest cell first: right level, predicted level ("" for no DRG), notes."""
    cells = [(*cell, n) for cell, n in severity_cells(evaluation, scored).items() if cell[0] != cell[1]]
    return sorted(cells, key=lambda cell: (-cell[2], cell))


def of_level(level: str, version: str) -> list[Drg | None]:
    """The DRGs of a severity level; of "" none."""
    return [each for each in codebook(version).drgs.values() if each.level == level] if level else [None]


def base_cells(evaluation: Evaluation, scored: Scored, limit: int = 20) -> list[tuple[Drg, Drg | None, int]]:
    """The largest confusions of base DRGs: a DRG of the right family, one of the predicted (None: no DRG), notes."""
    cells = metrics.base_confusion(pairs(evaluation, scored))
    wrong = [(cell, n) for cell, n in cells.most_common() if cell[0] != cell[1]][:limit]
    return [(drg(int(gold), scored.version), drg(int(said or 0), scored.version), n) for (gold, said), n in wrong]


def cases(
    evaluation: Evaluation,
    scored: Scored,
    gold: Sequence[Drg],
    predicted: Sequence[Drg | None],
    limit: int = 50,
    among: Sequence[str] | None = None,
) -> list[dict]:
    """Notes with one of these right DRGs and one of these answers: seq, note_id, gold, predicted, confidence, words. `among`: the notes
    that may be named; None: any."""
    numbers = [[int(each.drg) if each else 0 for each in drgs] for drgs in (gold, predicted)]
    return [
        row | {"gold": drg(row["gold"], scored.version), "predicted": drg(row["predicted"], scored.version)}
        for row in scores.cases(evaluation.copy.tables, scored.table, *numbers, limit, among)
    ]


def calibration(evaluation: Evaluation, scored: Scored) -> dict | None:
    """The reliability of a run's confidence: bins, error (ECE), brier, notes; None when no answer has a confidence."""

    def reckon():
        found = scores.confidences(evaluation.copy.tables, scored.table)
        if not len(found):
            return None
        confidence, right = found["confidence"].to_numpy(), found["hit"].to_numpy()
        bins = metrics.reliability(confidence, right)
        return {
            "bins": bins,
            "error": metrics.calibration_error(bins),
            "brier": metrics.brier(confidence, right),
            "notes": len(found),
        }

    return evaluation.once(("calibration", scored.table), reckon)


def hard_errors(evaluation: Evaluation, choice: Choice) -> dict[str, metrics.Errors]:
    """The paper's Table 3: what is wrong in the notes that every chosen run gets wrong, by run."""
    every = evaluation.scored(choice)
    return {scored.run_id: metrics.errors(pairs(evaluation, scored, every)) for scored in every}


def case_mix(evaluation: Evaluation, scored: Scored, role: str) -> metrics.CaseMix | None:
    """Relative weights as predicted against as right; None for a role that is shown no weights, and where none are known."""
    if role not in SEES_WEIGHTS:
        return None
    return evaluation.once(("case mix", scored.table), lambda: _case_mix(evaluation, scored))


def _case_mix(evaluation: Evaluation, scored: Scored) -> metrics.CaseMix | None:
    import pyarrow as pa

    weighed = [
        (int(each.drg), each.weight) for each in codebook(scored.version).drgs.values() if each.weight is not None
    ]
    if not weighed:
        return None
    weights = pa.table(dict(zip(("number", "weight"), map(list, zip(*weighed, strict=True)), strict=True)))
    patients = scores.weight_errors(evaluation.copy.tables, scored.table, weights)
    return metrics.case_mix(pairs(evaluation, scored), patients) if patients else None
