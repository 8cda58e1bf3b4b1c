"""The Sapphire app: `streamlit run app.py` from this folder. Who is working, and where the pages are."""

import os

# No one is told that Sapphire runs: set before any library that would report home is imported.
os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", RAY_USAGE_STATS_ENABLED="0")

import streamlit as st

from pages.parts.session import choose_profile, open_bench, sign_in_page

st.set_page_config(page_title="Sapphire", page_icon="pages/parts/icon.png", layout="wide", initial_sidebar_state=220)
# Off in the configuration: a side bar that a new server draws before this line keeps the wrong width.
st.set_option("client.showSidebarNavigation", True)


# Heading of the side bar → its pages: file, title, icon, help.
PAGES = {
    "Review": (
        ("worklist", "Worklist", "checklist", "All cases with their state; run the model, filter, and open a case."),
        ("review", "Review", "rate_review", "One case: the note, the model's reasoning and reward, and your review."),
    ),
    "Compare": (
        ("compare", "Compare", "compare_arrows", "One note as several models answered it, side by side."),
        ("votes", "Blind votes", "how_to_vote", "Judge two answers without knowing whose they are; see who is preferred, and how surely."),
    ),
    "Measure": (
        ("evaluation", "Evaluation", "monitoring", "How often stored runs are right, with intervals, by groups, and against each other."),
        ("reader_study", "Reader study", "groups", "What readers think of the models' answers, and whether they agree."),
    ),
    "Models": (
        ("models", "Models", "memory", "Which models there are, whether they answer, and how right they were; add, serve and withdraw them."),
        ("training", "Training", "model_training", "Training runs as they go on: curves laid over each other, completions with their rewards."),
    ),
    "Data": (
        ("notes", "Import notes", "upload_file", "Bring discharge notes in from CSV, JSONL, Parquet or text files."),
        ("export", "Export", "ios_share", "Turn reviews into the next training round and into tables."),
    ),
}  # fmt: skip


def sections() -> dict[str, list]:
    """The pages under the headings of the side bar; the worklist is where one begins."""
    return {
        heading: [
            st.Page(f"pages/{file}.py", title=title, icon=f":material/{icon}:", default=file == "worklist", help=words)
            for file, title, icon, words in pages
        ]
        for heading, pages in PAGES.items()
    }


def main() -> None:
    bench = open_bench()
    st.logo("pages/parts/logo.svg", size="large")
    known = choose_profile(bench) is not None
    page = st.navigation(sections(), position="sidebar" if known else "hidden")
    # The address keeps its page while a newcomer gives a name.
    if known:
        st.session_state["run_by_app"] = True
        page.run()
    else:
        sign_in_page()


main()
