"""Training: runs of `train` watched while they go on, laid over each other, and what they wrote, completion by completion."""

import streamlit as st

from pages.parts import training_view as view
from pages.parts.rollout_view import completions_tab
from pages.parts.scaling_view import scaling_tab
from pages.parts.session import let_show, start_page

MOST_RUNS = 6
bench = start_page()
training = bench.training
waiting = training.refresh()
TABS = {
    "Curves": view.curves_tab,
    "Completions": completions_tab,
    "Cases": view.cases_tab,
    "Recipe and commands": view.recipe_tab,
    "Scaling study": scaling_tab,
}


def choose_runs() -> list:
    runs = {run.run_id: run for run in training.runs()}
    names = view.run_names(runs.values())
    chosen = st.session_state.get("training_runs")
    let_show("training_runs", [next(iter(runs))] if chosen is None else [run for run in chosen if run in runs])
    found = st.multiselect(
        "Runs, laid over each other below", list(runs), key="training_runs", persist_state="session", max_selections=MOST_RUNS,
        format_func=lambda run: f"{names[run]} · {runs[run].kind.upper()} · {view.STATES[runs[run].state][0].lower()}", placeholder="Choose a run",
    )  # fmt: skip
    return [runs[run] for run in found]


def page() -> None:
    st.title("Training")
    if not training.runs():
        view.no_runs(training)
        return
    view.overview(training, waiting)
    chosen = choose_runs()
    if not chosen:
        st.info("Choose at least one run.", icon=":material/arrow_upward:")
        return
    view.troubles(chosen)
    names = view.run_names(training.runs())
    shown = view.Shown(training, chosen, {run.run_id: names[run.run_id] for run in chosen})
    for tab, draw in zip(st.tabs(list(TABS), on_change="rerun", key="training_tab"), TABS.values(), strict=True):
        if tab.open:
            with tab:
                draw(shown)


page()
