"""Compare: one note as two to four runs answered it, side by side, and the way from difference to difference."""

from dataclasses import replace
from functools import partial

import streamlit as st

from pages.parts.aligned_view import aligned_view
from pages.parts.compared_answers import answer_card, gold_line
from pages.parts.keys_help import keys_help
from pages.parts.live_pair import ask_live, live_columns
from pages.parts.new_run import new_run
from pages.parts.note_view import note_view
from pages.parts.plain import plain
from pages.parts.run_panel import progress
from pages.parts.session import let_show, profile, start_page
from sapphire.comparing import SIDES, Comparison, Run, open_comparison, right_words, runs
from sapphire.drg.codebook import MDC_TITLES
from sapphire.exporting import csv_table
from sapphire.phrases import counted
from sapphire.quotes import quoted_spans
from sapphire.rewards import LEVEL_NAMES
from sapphire.sights import record_sight, seen, seen_notes
from sapphire.store.comparisons import DIFFERENT, MAX_RUNS, CaseFilters
from sapphire.store.worklist import Filters

SHORTCUTS = {
    "N / P": "next / previous case",
    "D": "next case with different DRGs",
    "1 … 4": "review answer A … D",
    "O": "show or hide the note",
    "H": "this help",
}

bench = start_page()
reader = profile()
known = bench.comparisons


def chosen_runs(stored: list[Run]) -> list[Run]:
    """The runs in the chooser: as the address says when one came by a link, else as they were, else the two newest."""
    by_id = {run.run_id: run for run in stored}
    asked = st.query_params.get("runs", "")
    if asked and asked != st.session_state.get("compare_address"):
        found = [run.run_id for short in asked.split(",") for run in stored if run.short_id == short]
        st.session_state["compare_runs"] = found[:MAX_RUNS]
    kept = [run_id for run_id in st.session_state.get("compare_runs", ()) if run_id in by_id]
    usual = [run for run in stored if run.notes > 1] or stored
    versioned = [run.run_id for run in usual if run.drg_version == usual[0].drg_version]
    # The older of two stands first: it is the one that another is measured against.
    let_show("compare_runs", kept or versioned[:2][::-1])
    offered = [run.run_id for run in stored if run.notes > 1 or run.run_id in st.session_state["compare_runs"]]
    st.multiselect(
        "Runs to compare, first the one that others are measured against",
        offered,
        key="compare_runs",
        format_func=lambda run_id: f"{by_id[run_id].name} · {counted(by_id[run_id].notes, 'note')}",
        max_selections=MAX_RUNS,
        placeholder="Choose two to four runs",
        on_change=start_over,
    )
    return [by_id[run_id] for run_id in st.session_state["compare_runs"]]


def start_over() -> None:
    """Other runs: from their first case on, unfiltered, since what the filters offer depends on the runs."""
    to_first()
    for key in ("compare_agreements", "compare_right", "compare_severity", "compare_mdc"):
        st.session_state.pop(key, None)


def to_first() -> None:
    st.query_params.pop("case", None)


def filters(compared: list[Run]) -> CaseFilters:
    """How the answers differ, each choice with its number of cases."""
    ids = [run.run_id for run in compared]
    agreements, patterns = known.agreements(ids), known.patterns(ids)
    pills = st.container(horizontal=True, vertical_alignment="bottom")
    chosen = pills.pills(
        "The answers have", [name for name, n in agreements.items() if n], selection_mode="multi", key="compare_agreements", wrap=True,
        format_func=lambda name: f"{name} · {agreements[name]:,}", on_change=to_first,
    )  # fmt: skip
    pattern = None
    if patterns:
        # Three runs can be right and wrong in eight ways, which is no row of pills any more.
        choose = (
            pills.pills if len(compared) == 2 else partial(pills.selectbox, index=None, placeholder="Any", width=260)
        )
        pattern = choose(
            "By the recorded DRG", list(patterns), key="compare_right", on_change=to_first,
            format_func=lambda pattern: f"{right_words(pattern)} · {patterns[pattern]:,}",
        )  # fmt: skip
    else:
        pills.caption(
            f"None of these notes has a recorded DRG of version {compared[0].drg_version}: who is right is not known."
        )
    with pills.popover("Filters", icon=":material/filter_list:"):
        mdcs, severities = known.mdcs(ids), known.severities(ids)
        mdc = st.selectbox(
            "MDC", ["", *mdcs], key="compare_mdc", on_change=to_first,
            format_func=lambda mdc: f"{mdc} {MDC_TITLES[mdc]} · {mdcs[mdc]:,}" if mdc else "Any",
        )  # fmt: skip
        severity = st.selectbox(
            "Right base DRG, wrong severity", [None, *severities], key="compare_severity", on_change=to_first,
            format_func=lambda cell: _severity_words(cell, severities[cell]) if cell else "Any",
        )  # fmt: skip
        chosen_filters = CaseFilters(tuple(chosen), pattern or (), mdc, severity)
        st.download_button(
            "Download these cases", lambda: _table(compared, seen_only(chosen_filters)), file_name="compared-cases.csv", mime="text/csv",
            icon=":material/download:", on_click="ignore", help="Note ids and DRGs, without text.",
        )  # fmt: skip
    return chosen_filters


def _severity_words(cell: tuple[int, str, str], count: int) -> str:
    run, recorded, said = cell
    return f"{SIDES[run]} says {LEVEL_NAMES[said]}, recorded is {LEVEL_NAMES[recorded]} · {count:,}"


def _table(compared: list[Run], chosen: CaseFilters) -> str:
    ids = [run.run_id for run in compared]
    names = {f"drg_{i}": f"{SIDES[i]} {run.name}" for i, run in enumerate(compared)}
    return csv_table([{names.get(k, k): v for k, v in row.items()} for row in known.cases(ids, chosen)])


def for_reader(chosen: CaseFilters) -> CaseFilters:
    """Filters tell something of the answers: who thinks first is led through cases whose answers they have seen."""
    return seen_only(chosen) if chosen != CaseFilters() else chosen


def seen_only(chosen: CaseFilters) -> CaseFilters:
    return replace(chosen, among=seen_notes(bench.store, reader.name)) if reader.think_first else chosen


def go(seq: int | None) -> None:
    if seq is not None:
        st.query_params["case"] = str(seq)


def bar(note: dict, compared: list[Run], chosen: CaseFilters) -> bool:
    """The way from case to case; returns whether the note is shown."""
    ids = [run.run_id for run in compared]
    around, total = known.around(ids, chosen, note["seq"]), known.count(ids, chosen)
    differing = known.around(ids, for_reader(CaseFilters(agreements=DIFFERENT)), note["seq"])["after"]
    place = f"{around['position']:,} of {total:,}" if around["position"] else f"not among these {total:,}"
    with st.container(key="compare_bar", horizontal=True, vertical_alignment="center"):
        for step, icon, key, words in (
            (around["before"], "chevron_left", "P", "Previous case (P)"),
            (around["after"], "chevron_right", "N", "Next case (N)"),
        ):
            st.button(
                "", icon=f":material/{icon}:", key=f"compare_{key}", help=words, shortcut=key, disabled=step is None, on_click=go, args=(step,)
            )  # fmt: skip
        st.markdown(f"**{plain(note['note_id'])}** :gray[· {place}]", width="stretch")
        st.button(
            "Next difference", icon=":material/difference:", key="compare_differing", shortcut="D", disabled=differing is None,
            on_click=go, args=(differing,), help="The next case on whose DRG these runs differ, whatever the filters (D)",
        )  # fmt: skip
        shown = st.session_state.setdefault("compare_note", len(compared) < 3)
        st.button(
            "Note", icon=":material/visibility:" if shown else ":material/visibility_off:", key="compare_note_button", shortcut="O",
            on_click=lambda: st.session_state.update(compare_note=not shown), help="Show or hide the note (O)",
        )  # fmt: skip
        keys_help(SHORTCUTS)
    return shown


def answers(compared: Comparison) -> None:
    columns = st.container(key="compare_answers").columns(len(compared.answers))
    for i, (column, answer) in enumerate(zip(columns, compared.answers, strict=True)):
        with column:
            answer_card(i, answer, compared.note["seq"])
    if not compared.answered:
        return
    same = sum(row.same for row in compared.rows)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        steps = f" :gray[· {counted(len(compared.rows), 'step')}, {same} alike word for word]" if compared.rows else ""
        st.markdown(f"**Reasoning**{steps}")
        only = st.toggle("Only what differs", key="compare_only", disabled=not same)
    rows = [row for row in compared.rows if not (only and same and row.same)]
    heads = [f"{SIDES[i]} · {compared.answers[i].run.name}" for i in compared.answered]
    nothing = "The reasonings are the same, word for word." if compared.rows else "None of them gave a reasoning."
    aligned_view(heads, rows, key="compare_aligned", nothing=nothing)


def note_side(compared: Comparison) -> None:
    note = compared.note
    course = (note["course_start"], note["course_end"]) if note["course_end"] else None
    said = "\n".join(answer.parsed.think for answer in compared.answers if answer.parsed)
    about = f"{counted(note['words'], 'word')} · quotes of all answers are marked"
    note_view(note["text"], course, quoted_spans(said, note["text"]), about, key="note_view")


def case(compared: list[Run], top) -> None:
    """The case at hand; what can be asked about it goes into the container `top`."""
    ids = [run.run_id for run in compared]
    covered = known.coverage(ids)
    if not covered["shared"]:
        st.info(
            "These runs have no note in common, so there is nothing to set side by side. Run one of them on the other's notes.",
            icon=":material/join_inner:",
        )
        return
    if any(run.notes != covered["shared"] for run in compared):
        counts = ", ".join(f"{side} {run.notes:,}" for side, run in zip(SIDES, compared, strict=False))
        st.caption(f"Compared on the {counted(covered['shared'], 'note')} that all of them answered ({counts}).")
    chosen = for_reader(filters(compared))
    if chosen.among is not None:
        st.caption(
            ":material/psychology: You asked to name a DRG before you see an answer, so filters lead through the cases whose answers you have seen."
        )
    asked = st.query_params.get("case", "")
    note = known.note(int(asked)) if asked.isdigit() else None
    if note is None:
        first = known.first(ids, chosen)
        if first is None:
            st.info("No case passes these filters.", icon=":material/filter_list_off:")
            return
        note = known.note(first["note_seq"])
    st.query_params["case"] = str(note["seq"])
    with top:
        ask_live(bench, reader, note["note_id"])
    shown = bar(note, compared, chosen)
    comparison = open_comparison(known, note, compared, reader.role)
    given = [each.prediction["prediction_id"] for each in comparison.answers if each.prediction]
    if reader.think_first and given and not seen(bench.store, reader.name, [note["note_id"]]):
        gate(comparison, given)
        return
    record_sight(bench.store, reader, note["note_id"], given)
    gold_line(comparison.gold, compared[0].drg_version, reader.role)
    if shown:
        left, right = st.container(key="compare_body").columns([1, 2], gap="medium")
        with left:
            note_side(comparison)
        with right:
            answers(comparison)
    else:
        answers(comparison)


def gate(compared: Comparison, given: list[str]) -> None:
    """The note alone, for a reader who names a DRG first: in the review, where one model's answer follows it, or not at all."""
    note = compared.note
    left, right = st.columns([1, 1], gap="medium")
    with left:
        course = (note["course_start"], note["course_end"]) if note["course_end"] else None
        note_view(note["text"], course, [], counted(note["words"], "word"), key="note_view")
    with right, st.container(border=True):
        st.subheader("Your DRG first", anchor=False)
        st.caption(
            "You asked to name a DRG before a model's answer is shown. Name it in the review; then the answers stand here side by side."
        )
        with st.container(horizontal=True):
            if st.button(
                "Name my DRG in the review", type="primary", icon=":material/rate_review:", key="compare_name"
            ):
                st.session_state.pop("prediction_id", None)
                st.switch_page("pages/review.py", query_params={"case": str(note["seq"])})
            st.button(
                "Show without an answer of mine", type="tertiary", key="compare_show", on_click=record_sight,
                args=(bench.store, reader, note["note_id"], given), help="It is stored that you saw these answers first.",
            )  # fmt: skip


def page() -> None:
    top = st.container(horizontal=True, vertical_alignment="center")
    top.title("Compare", width="stretch")
    stored = runs(known.runs())
    with top:
        if stored:
            new_run(bench, reader, stored)
    if live_columns(bench, reader):
        return
    progress(bench, reader)
    if len(stored) < 2:
        too_few(stored)
        return
    compared = chosen_runs(stored)
    st.query_params["runs"] = st.session_state["compare_address"] = ",".join(run.short_id for run in compared)
    if before := st.session_state.get("compare_before"):
        st.button(
            "Back to the runs before", icon=":material/arrow_back:", type="tertiary", on_click=back, args=(before,)
        )
    if len({run.drg_version for run in compared}) > 1:
        versions = ", ".join(f"{side} v{run.drg_version}" for side, run in zip(SIDES, compared, strict=False))
        st.warning(
            f"These runs answer in different MS-DRG versions ({versions}), whose numbers do not mean the same. Choose runs of one version.",
            icon=":material/warning:",
        )
    elif len(compared) < 2:
        st.info("Choose one more run to set beside it.", icon=":material/compare_arrows:")
    else:
        case(compared, top)


def back(before: list[str]) -> None:
    """From answers asked live to the stored runs that were compared before."""
    st.session_state["compare_runs"] = before
    del st.session_state["compare_before"]


def too_few(stored: list[Run]) -> None:
    """What to do while fewer than two runs have answered."""
    if stored:
        only = stored[0]
        st.info(
            f"So far there is one run: **{plain(only.name)}**, {counted(only.notes, 'note')}. A comparison needs a "
            "second one: another model, or the same model with other sampling. Start it over the same notes with **New run**, or put one "
            "note to two models at once with **Ask live**.",
            icon=":material/compare_arrows:",
        )
        ask_live(bench, reader, known.note_ids(only.run_id)[0])
        return
    st.info(
        "No model has answered a note yet. Once two runs have, their answers stand here side by side.",
        icon=":material/compare_arrows:",
    )
    first = bench.worklist.page(Filters(), 1)
    if first:
        st.page_link("pages/worklist.py", label="Run a model from the worklist", icon=":material/checklist:")
        ask_live(bench, reader, first[0]["note_id"])
    else:
        st.page_link("pages/notes.py", label="Import discharge notes", icon=":material/upload_file:")


page()
