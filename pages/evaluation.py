"""Evaluation: how often stored runs are right on labelled notes, how sure that is, and where they differ."""

import streamlit as st

from pages.parts import evaluation_view as view
from pages.parts.intake import intake, reports
from pages.parts.plain import plain
from pages.parts.session import let_show, profile, start_page
from sapphire.evaluating import LABELS, Choice, Scored
from sapphire.evaluation_report import evaluation_report
from sapphire.evaluation_tables import run_names
from sapphire.phrases import counted
from sapphire.sights import seen_notes
from sapphire.store.evaluation import CaseFilter

MOST_RUNS = 5
SELECT_WIDTH = 224  # pixels, of "From reviews, else recorded"
bench = start_page()
evaluation = bench.evaluation
evaluation.refresh()
TABS = {
    "Measures": view.measures_tab,
    "Groups": view.groups_tab,
    "Between runs": view.paired_tab,
    "Errors": view.errors_tab,
    "Calibration and rewards": view.confidence_tab,
    "Case mix": view.case_mix_tab,
}


def choose_runs(runs: list[dict]) -> tuple[str, ...]:
    known = {run["run_id"]: run for run in runs}
    names = run_names(runs)
    # A case asked for by a reader is a run of one note: never what one means to measure first.
    chosen = st.session_state.get("evaluation_runs")
    usual = max(runs, key=lambda run: (run["notes"] > 1, run["began"]))["run_id"]
    let_show("evaluation_runs", [usual] if chosen is None else [run for run in chosen if run in known])
    return tuple(
        st.multiselect(
            "Runs, first the one that others are measured against", list(known), key="evaluation_runs", persist_state="session", max_selections=MOST_RUNS,
            format_func=lambda run: f"{names[run]} · {counted(known[run]['notes'], 'note')}", placeholder="Choose a run",
        )
    )  # fmt: skip


def choose_cases() -> CaseFilter:
    row = st.container(horizontal=True)  # wraps where it is narrow
    labels = row.selectbox(
        "Right DRG", list(LABELS), format_func=LABELS.get, key="evaluation_labels", persist_state="session", width=SELECT_WIDTH,
        help="A review is written beside a model's answer and leans towards it: recorded labels are the fairer measure where there are both.",
    )  # fmt: skip
    imports = {row["import_id"]: row["name"] for row in evaluation.imports()}
    return CaseFilter(
        labels,
        _any(row, "Source", "source", evaluation.choices("source")),
        _any(row, "Split", "split", evaluation.choices("split")),
        _any(row, "Import", "import_id", list(imports), imports),
    )


def _any(column, label: str, field: str, values: list[str], names: dict[str, str] | None = None) -> str:
    return column.selectbox(
        label,
        ["", *values],
        format_func=lambda value: (names or {}).get(value, value) or "Any",
        key=f"evaluation_{field}",
        persist_state="session",
        width=SELECT_WIDTH,
    )


def choose_k(runs: list[dict]) -> int:
    """How many answers a note Pass@k and Maj@k look at: as many as every run has, unless the reader wants fewer."""
    most = min(run["samples"] for run in runs)
    options = sorted({k for k in (1, 2, 4, 8, 16, 32, 64) if k < most} | {most})
    key = f"evaluation_k_{most}"
    if most == 1:
        st.caption(
            "A chosen run has one answer a note: Pass@k and Maj@k need several, which are asked for where a run is started."
        )
        return 1
    return st.segmented_control(
        "k of Pass@k and Maj@k", options, default=most, key=key, required=True,
        help="Pass@k: one of k answers is right. Maj@k: the commonest of the first k is.",
    )  # fmt: skip


def coverage(every: list[Scored]) -> None:
    """On how many notes the figures stand, and which were left out and why."""
    covered, first = every[0].coverage, every[0]
    who = "every chosen run" if len(every) > 1 else "the run"
    st.caption(
        f"**{counted(first.notes, 'labelled note')}** of **{counted(first.patients, 'patient')}**, answered by {who} · MS-DRG v{first.version}"
        + (
            f" · {covered.in_set - covered.answered:,} of {counted(covered.in_set, 'note')} of the set not answered by {who}"
            if covered.in_set > covered.answered
            else ""
        )
    )
    left = {
        "no label": covered.no_label,
        f"a label of another MS-DRG version than v{first.version}, which is not compared": covered.other_version,
        "reviewers who name different DRGs": covered.disagree,
    }
    for words, n in left.items():
        if n:
            st.caption(f":material/info: {counted(n, 'answered note')} with {words}.")
    names = run_names(evaluation.runs())
    failed = [f"{scored.failed:,} by {plain(names[scored.run_id])}" for scored in every if scored.failed]
    if failed:
        st.caption(f":material/warning: Notes that could not be answered count as wrong: {', '.join(failed)}.")
    few = [f"{scored.few:,} of {plain(names[scored.run_id])}" for scored in every if scored.few]
    if few:
        st.caption(
            f":material/warning: Notes with fewer than {first.k} answers count for Pass@1 only: {', '.join(few)}."
        )


def no_labels(choice: Choice, every: list[Scored]) -> None:
    answered = every[0].coverage.answered
    if not answered:
        st.info(
            "No note of this set was answered by all of these runs. Choose another set, or fewer runs.",
            icon=":material/join_inner:",
        )
        return
    st.info(
        f"No right DRG is known of {counted(answered, 'answered note')} ({LABELS[choice.cases.labels].lower()}) in MS-DRG v{every[0].version}.",
        icon=":material/label_off:",
    )
    st.caption("Import notes with their recorded DRG, or review cases and measure against reviews.")
    coverage(every)


def may_name() -> tuple[str, ...] | None:
    """The notes whose DRGs this reader may be told: all, or for one who thinks first those whose answers they have seen."""
    return seen_notes(bench.store, profile().name) if profile().think_first else None


def page() -> None:
    title, actions = st.columns([2, 3], vertical_alignment="bottom")
    title.title("Evaluation")
    buttons = actions.container(horizontal=True, horizontal_alignment="right")
    with buttons:
        intake(bench.store, profile())
    reports()
    runs = evaluation.runs()
    if not runs:
        st.info("No model has answered a note yet.", icon=":material/inbox:")
        st.page_link("pages/worklist.py", label="Run a model from the worklist", icon=":material/checklist:")
        return
    with st.container(border=True):
        chosen = choose_runs(runs)
        cases = choose_cases()
        known = [run for run in runs if run["run_id"] in chosen]
        k = choose_k(known) if known else 1
    if not chosen:
        st.info("Choose at least one run.", icon=":material/arrow_upward:")
        return
    choice = Choice(chosen, cases, k)
    try:
        every = evaluation.scored(choice)
    except ValueError as error:
        st.error(str(error), icon=":material/difference:")
        return
    if not every[0].notes:
        no_labels(choice, every)
        return
    coverage(every)
    role = profile().role
    buttons.download_button(
        "Report", lambda: evaluation_report(evaluation, choice, role), file_name="evaluation.html", mime="text/html", key="evaluation_report",
        icon=":material/description:", on_click="ignore", help="Everything shown here in one HTML file that opens without a connection; no note text is in it.",
    )  # fmt: skip
    names = run_names(runs)
    shown = view.Shown(evaluation, choice, every, {run: names[run] for run in chosen}, role, may_name)
    for tab, draw in zip(st.tabs(list(TABS), on_change="rerun", key="evaluation_tab"), TABS.values(), strict=True):
        if tab.open:
            with tab:
                draw(shown)


page()
