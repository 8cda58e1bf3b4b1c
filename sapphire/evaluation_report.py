"""The evaluation of chosen runs as one HTML file to keep and to send: no note text, no note ids, weights by role."""

from collections.abc import Iterator, Mapping

from sapphire import evaluation_tables as tables
from sapphire import measuring, paper, plots
from sapphire.evaluating import LABELS, Choice, Evaluation, reward_values
from sapphire.phrases import counted
from sapphire.reporting import Section, report


def evaluation_report(evaluation: Evaluation, choice: Choice, role: str) -> str:
    """HTML of everything the evaluation page shows of these runs to this role."""
    known = tables.run_names(evaluation.runs())
    names = {run: known[run] for run in choice.runs}
    return report(
        "Evaluation of " + ", ".join(names.values()),
        _about(evaluation, choice),
        list(_sections(evaluation, choice, names, role)),
    )


def _about(evaluation: Evaluation, choice: Choice) -> Iterator[str]:
    first = evaluation.scored(choice)[0]
    imports = {row["import_id"]: row["name"] for row in evaluation.imports()}
    chosen = {
        "source": choice.cases.source,
        "split": choice.cases.split,
        "import": imports.get(choice.cases.import_id, choice.cases.import_id),
    }
    limits = "; ".join(f"{name} {value}" for name, value in chosen.items() if value) or "all notes"
    yield f"{counted(first.notes, 'labelled note')} of {counted(first.patients, 'patient')}, answered by every run ({limits}). MS-DRG v{first.version}. Right DRG: {LABELS[choice.cases.labels].lower()}."
    yield tables.METHOD
    yield tables.MEANT


def _sections(evaluation: Evaluation, choice: Choice, names: Mapping[str, str], role: str) -> Iterator[Section]:
    every = evaluation.scored(choice)
    rows, references = measuring.measures(evaluation, choice), tables.published(choice.k)
    words = [f"Grey crosses and the last lines are published figures {paper.REMARK}."]
    yield Section("Measures", words, plots.measures(rows, names, references), tables.measures(rows, names, references))
    if len(every) > 1:
        tests = measuring.paired(evaluation, choice)
        first = names[choice.runs[0]]
        yield Section(
            "Between runs",
            [tables.TESTED, tables.verdict(tests)],
            plots.differences(tests, names, first),
            [_signed(row) for row in tables.tests(tests, names)],
        )
    for by, words in measuring.BY.items():
        if rows := measuring.slices(evaluation, choice, by):
            figure = plots.groups(
                measuring.with_group_names(rows, by),
                names,
                f"Pass@1 of the DRG by {words} (notes)",
                "percent of notes that are right",
            )
            yield Section(words, [measuring.MEANING[by]], figure)
    for scored in every:
        cells = measuring.severity_cells(evaluation, scored)
        confused = tables.bases(measuring.base_cells(evaluation, scored, 10))
        yield Section(
            f"Errors of {names[scored.run_id]}",
            ["The largest confusions of base DRGs stand below the severities."],
            plots.severity(cells, names[scored.run_id]),
            confused,
        )
    hard = measuring.hard_errors(evaluation, choice)
    if notes := every and hard[choice.runs[0]].n:
        yield Section(
            "What is wrong in the wrong ones",
            ["The paper's Table 3, and its own rows."],
            plots.hard(tables.hard(hard, names), names, notes),
        )
    if found := {scored.run_id: each for scored in every if (each := measuring.calibration(evaluation, scored))}:
        yield Section(
            "Calibration",
            [tables.sureness(evaluation.runs(), {run: names[run] for run in found})],
            plots.reliability(found, names),
        )
    rewards = {scored.run_id: reward_values(scored, "dense") for scored in every}
    if any(rewards.values()):
        yield Section("Rewards", [], plots.rewards(rewards, names, "dense"))
    if mix := tables.case_mix(evaluation, choice, names, role):
        yield Section(
            "Case mix",
            ["Relative weights of FY 2026 (CMS Table 5)."],
            plots.case_mix(mix),
            [_rounded(row) for row in mix],
        )


def _signed(row: dict) -> dict:
    """A paired test as the page shows it: points with their sign, p with four digits."""
    digits = {"Points": "+.1f", "p": ".4f", "p, corrected": ".4f", "p, McNemar": ".4f"}
    return {
        name: format(value, digits[name]) if name in digits and value is not None else value
        for name, value in row.items()
    }


def _rounded(row: dict) -> dict:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in row.items()}
