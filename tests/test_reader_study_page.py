"""The reader study page by Streamlit's test driver: every tab with reviews, and what each says without any."""

from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction
from tests.test_pages import app, fill, home, words  # noqa: F401
from tests.test_reader_study import event, saved

EMPTY = {
    "Ratings": "No review has a rating.",
    "Agreement": "No case was judged by two readers.",
    "Steps": "No review has a verdict on a step",
    "Kinds of error": "No review that calls a DRG wrong says",
    "Time": "No time is known",
    "First answers": "No reader gave a DRG before seeing the model's.",
}


def study(home, *events: dict):  # noqa: F811
    fill(
        home,
        notes=[stored_note(note, drg="291") for note in ("n1", "n2")],
        predictions=[stored_prediction(note) for note in ("n1", "n2")],
    )
    store = open_store(home / "sapphire.duckdb")
    store.append("review_event", list(events))
    store.close()
    return app("reader_study")


def open_tab(at, tab: str) -> str:
    at.session_state["study_tab"] = tab
    at.run()
    assert not at.exception
    return words(at)


def test_before_any_review_it_leads_to_the_worklist(home):  # noqa: F811
    assert "There are no saved reviews yet." in words(study(home))


def test_each_tab_says_what_it_lacks(home):  # noqa: F811
    at = study(home, saved("n1"))
    assert {metric.label: metric.value for metric in at.metric}["Shared"] == "0"
    for tab, sentence in EMPTY.items():
        assert sentence in open_tab(at, tab)


def test_each_tab_draws_what_readers_said(home):  # noqa: F811
    form = {"helpfulness": 4, "accuracy": 5, "step_verdicts": ["right", "wrong"]}
    wrong = form | {"drg": "291", "drg_right": False, "decision": "change", "error_category": "severity"}
    at = study(
        home, event("opened", 0), event("revealed", 1, prior_drg="291"), saved("n1", minute=5, **form), saved("n1", "ben", **wrong), saved("n2", "ben", **wrong),
    )  # fmt: skip
    for tab in EMPTY:
        shown = open_tab(at, tab)
        assert at.get("plotly_chart"), tab
    assert "**1** of 1 review by readers who are asked first came with a first answer" in shown
    table = at.dataframe[0].value
    assert (table["Misled"][0], table["Took the model's DRG"][0]) == ("1 of 1", 1)


def test_a_choice_without_reviews_says_so(home):  # noqa: F811
    at = study(home, saved("n1"), saved("n2", "ben"))
    at.multiselect(key="study_readers").set_value(["ben"]).run()
    assert {metric.label: metric.value for metric in at.metric}["Reviews"] == "1"
