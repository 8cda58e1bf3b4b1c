"""The Sapphire app: `streamlit run app.py` from this folder. Who is working, and where the pages are."""

import os

# No one is told that Sapphire runs: set before any library that would report home is imported.
os.environ.update(HF_HUB_DISABLE_TELEMETRY="1", VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", RAY_USAGE_STATS_ENABLED="0")

import streamlit as st

from pages.parts.session import choose_profile, open_bench, sign_in_page

st.set_page_config(page_title="Sapphire", page_icon="pages/parts/icon.png", layout="wide", initial_sidebar_state=220)
# Off in the configuration: a side bar that a new server draws before this line keeps the wrong width.
st.set_option("client.showSidebarNavigation", True)


def sections() -> dict[str, list]:
    """The pages under the headings of the side bar."""
    return {
        "Review": [
            st.Page(
                "pages/worklist.py",
                title="Worklist",
                icon=":material/checklist:",
                default=True,
                help="All cases with their state; run the model, filter, and open a case.",
            ),
            st.Page(
                "pages/review.py",
                title="Review",
                icon=":material/rate_review:",
                help="One case: the note, the model's reasoning and reward, and your review.",
            ),
        ],
        "Compare": [
            st.Page(
                "pages/compare.py",
                title="Compare",
                icon=":material/compare_arrows:",
                help="One note as several models answered it, side by side.",
            ),
            st.Page(
                "pages/votes.py",
                title="Blind votes",
                icon=":material/how_to_vote:",
                help="Judge two answers without knowing whose they are; see who is preferred, and how surely.",
            ),
        ],
        "Measure": [
            st.Page(
                "pages/evaluation.py",
                title="Evaluation",
                icon=":material/monitoring:",
                help="How often stored runs are right, with intervals, by groups, and against each other.",
            ),
            st.Page(
                "pages/reader_study.py",
                title="Reader study",
                icon=":material/groups:",
                help="What readers think of the models' answers, and whether they agree.",
            ),
        ],
        "Models": [
            st.Page(
                "pages/models.py",
                title="Models",
                icon=":material/memory:",
                help="Which models there are, whether they answer, and how right they were; add, serve and withdraw them.",
            ),
            st.Page(
                "pages/training.py",
                title="Training",
                icon=":material/model_training:",
                help="Training runs as they go on: curves laid over each other, completions with their rewards.",
            ),
        ],
        "Data": [
            st.Page(
                "pages/notes.py",
                title="Import notes",
                icon=":material/upload_file:",
                help="Bring discharge notes in from CSV, JSONL, Parquet or text files.",
            ),
            st.Page(
                "pages/export.py",
                title="Export",
                icon=":material/ios_share:",
                help="Turn reviews into the next training round and into tables.",
            ),
        ],
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
