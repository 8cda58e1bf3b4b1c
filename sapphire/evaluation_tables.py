"""Tables of an evaluation in words, as the page and a saved report show them alike."""

from collections.abc import Mapping, Sequence

from sapphire import comparing, measuring, metrics, paper
from sapphire.drg.codebook import Drg
from sapphire.evaluating import Choice, Evaluation
from sapphire.marking import TARGETS
from sapphire.rewards import LEVEL_NAMES

METHOD = "Intervals draw whole patients: bootstrap percentiles, or Wilson's below 300 patients."
TESTED = "Paired bootstrap over patients, 10,000 draws; p values corrected for their number by Holm's method."
MEANT = (
    "Base DRG: the family without its severity part. Severity: the same CC/MCC level; in a family without a split only the same DRG "
    "counts. Maj@k shares the point between commonest answers that tie."
)
WRONG_IN = ("wrong base DRG", "wrong severity", "both wrong")


def run_names(runs: Sequence[dict]) -> dict[str, str]:
    """run_id → what the run is called on every page, from the rows of `Evaluation.runs`."""
    return {run.run_id: run.name for run in comparing.runs(runs)}


def sureness(runs: Sequence[dict], names: Mapping[str, str]) -> str:
    """What the confidences of these runs (run_id → name) are, and what is reckoned of them."""
    kinds: dict[str, list[str]] = {}
    for run in runs:
        if run["run_id"] in names:
            alone = "Calibrated" if run["calibrated"] else "Not calibrated"
            kind = "The share of the answers that agree, not calibrated" if run["samples"] > 1 else alone
            kinds.setdefault(kind, []).append(names[run["run_id"]])
    said = [f"{kind}: {', '.join(some)}." for kind, some in kinds.items()]
    return " ".join(["ECE: mean gap between confidence and being right.", *said])


def named(rows: Sequence[dict], names: Mapping[str, str]) -> list[dict]:
    """Rows with what the run is called in place of its id."""
    return [
        {"run": names[row["run_id"]]} | {key: value for key, value in row.items() if key != "run_id"} for row in rows
    ]


def published(k: int) -> list[dict]:
    """The papers' own rows in the shape of `measuring.measures`; their name stands for a run_id."""
    places = {"Pass@1": 0, "Pass@8": 1, "Maj@8": 2}
    return [
        {"run_id": each.name, "measure": title, "target": words, "estimate": values[at] / 100}
        for each in paper.REFERENCES
        for words, values in zip(TARGETS.values(), (each.drg, each.base, each.severity), strict=True)
        for title, at in places.items()
        if values[at] is not None and title in measuring.measure_names(k).values()
    ]


def measures(rows: Sequence[dict], names: Mapping[str, str], references: Sequence[dict]) -> list[dict]:
    """One line a run, one column a measure and target; published lines last."""
    found: dict[str, dict] = {}
    for row in rows:
        cell = f"{row['estimate']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
        found.setdefault(names[row["run_id"]], {})[f"{row['target']} {row['measure']}"] = cell
    for row in references:
        line = found.setdefault(f"{row['run_id']}, not comparable", {})
        line[f"{row['target']} {row['measure']}"] = f"{row['estimate']:.1%}"
    columns = list(dict.fromkeys(column for cells in found.values() for column in cells))
    return [{"Run": name} | {column: cells.get(column, "") for column in columns} for name, cells in found.items()]


def tests(rows: Sequence[dict], names: Mapping[str, str]) -> list[dict]:
    """`measuring.paired` in words; McNemar's column only where it was reckoned for any."""
    table = [
        {
            "Run": names[row["run_id"]],
            "Right in": row["target"],
            "Measure": row["measure"],
            "Points": round(100 * row["difference"], 1),
            "95% interval": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            "p": round(row["p"], 4),
            "p, corrected": round(row["p_holm"], 4),
            "p, McNemar": row["mcnemar"] and round(row["mcnemar"], 4),
            "Only first right": row["only_first"],
            "Only this right": row["only_other"],
            "Notes": row["notes"],
        }
        for row in rows
    ]
    if all(row["mcnemar"] is None for row in rows):
        table = [{key: value for key, value in line.items() if key != "p, McNemar"} for line in table]
    return table


def verdict(rows: Sequence[dict]) -> str:
    """What the tests say together, in a sentence."""
    sure = sum(row["p_holm"] < 0.05 for row in rows)
    if sure:
        return f"{sure} of {len(rows)} differences stand at 5% after correction."
    return f"None of the {len(rows)} differences stands at 5% after correction: these notes do not tell the runs apart."


def bases(cells: Sequence[tuple[Drg, Drg | None, int]]) -> list[dict]:
    """`measuring.base_cells` in words."""
    return [
        {
            "Notes": n,
            "Right": f"{gold.base_id} {gold.base}",
            "Answered": f"{said.base_id} {said.base}" if said else "no DRG",
            "MDC": "same" if said and said.mdc == gold.mdc else "other",
        }
        for gold, said, n in cells
    ]


def severity_errors(cells: Sequence[tuple[str, str, int]]) -> list[dict]:
    """`measuring.severity_errors` in words."""
    return [
        {"Notes": n, "Right": LEVEL_NAMES[gold], "Answered": LEVEL_NAMES[said] if said else "no DRG"}
        for gold, said, n in cells
    ]


def severities(cells: Mapping[tuple[str, str], int]) -> list[dict]:
    return [{"right": gold, "answered": said or "no DRG", "notes": n} for (gold, said), n in cells.items()]


def hard(found: Mapping[str, metrics.Errors], names: Mapping[str, str]) -> list[dict]:
    """`measuring.hard_errors` with the paper's own rows, as `plots.shares` draws them."""
    ours = [
        {"category": kind, "series": names[run], "share": share, "n": round(share * errors.n)}
        for run, errors in found.items()
        for kind, share in zip(WRONG_IN, errors[1:], strict=True)
    ]
    return ours + [
        {"category": kind, "series": f"{name} (paper, not comparable)", "share": share / 100, "n": round(share / 100 * paper.TABLE_3_CASES)}
        for name, shares in paper.TABLE_3.items()
        for kind, share in zip(WRONG_IN, shares, strict=True)
    ]  # fmt: skip


def case_mix(evaluation: Evaluation, choice: Choice, names: Mapping[str, str], role: str) -> list[dict]:
    """A line a run whose weights are known; empty for a role that is shown none."""
    found = ((scored, measuring.case_mix(evaluation, scored, role)) for scored in evaluation.scored(choice))
    return [
        {
            "Run": names[scored.run_id],
            "Mean weight, right": mix.gold,
            "Mean weight, answered": mix.predicted,
            "Error": mix.error.estimate,
            "95% low": mix.error.low,
            "95% high": mix.error.high,
            "Mean size of the error": mix.absolute,
            "Notes": mix.error.n,
            "Left out": mix.left_out,
        }
        for scored, mix in found
        if mix
    ]
