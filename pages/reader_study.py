"""The reader study: ratings and agreement of readers, wrong steps, kinds of error, time, and what seeing a model changes."""

import streamlit as st

from pages.parts import study_view as view
from pages.parts.session import start_page
from sapphire.reader_study import StudyFilter

bench = start_page()
study = bench.study
study.refresh()
TABS = {
    "Ratings": view.ratings_tab,
    "Agreement": view.agreement_tab,
    "Steps": view.steps_tab,
    "Kinds of error": view.errors_tab,
    "Time": view.time_tab,
    "First answers": view.first_tab,
}


_HELP = {"shared": "Read by two readers or more: on these they can agree."}


def choose() -> StudyFilter:
    left, right = st.columns(2)
    models = left.multiselect(
        "Models", study.copy.choices("model"), placeholder="All models", key="study_models", persist_state="session"
    )
    readers = right.multiselect(
        "Readers",
        study.copy.choices("reviewer"),
        placeholder="All readers",
        key="study_readers",
        persist_state="session",
    )
    return StudyFilter(tuple(models), tuple(readers))


def page() -> None:
    st.title("Reader study")
    if not study.copy.choices("reviewer"):
        st.info("There are no saved reviews yet.", icon=":material/inbox:")
        st.page_link("pages/worklist.py", label="Open a case from the worklist", icon=":material/checklist:")
        return
    chosen = choose()
    counts = study.counts(chosen)
    if not counts["reviews"]:
        st.info("None of these readers has reviewed an answer of these models.", icon=":material/filter_list_off:")
        return
    words = {"reviews": "Reviews", "readers": "Readers", "cases": "Cases", "shared": "Shared"}
    for column, (name, label) in zip(st.columns(4), words.items(), strict=True):
        column.metric(label, f"{counts[name]:,}", border=True, help=_HELP.get(name))
    for tab, draw in zip(st.tabs(list(TABS), on_change="rerun", key="study_tab"), TABS.values(), strict=True):
        if tab.open:
            with tab:
                draw(study, chosen)


page()
