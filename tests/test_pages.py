"""Each page by Streamlit's own test driver, over a real database: what it shows, what it stores, what it says when empty."""

import runpy
from pathlib import Path

import pytest
import streamlit as st
from streamlit.runtime.scriptrunner import script_runner
from streamlit.testing.v1 import AppTest

from pages.parts.plain import plain
from sapphire.drg.codebook import codebook
from sapphire.profiles import Profile, save_profile
from sapphire.reviewing import Form, open_case, save_draft, save_review
from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction

APP = Path(__file__).parent.parent / "app.py"


@pytest.fixture
def home(tmp_path, monkeypatch, smollm2):
    """A Sapphire home with the embedded model and a database that `fill` may write to before the app opens it."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / smollm2.name).symlink_to(smollm2)
    monkeypatch.setenv("SAPPHIRE_HOME", str(tmp_path))
    monkeypatch.delenv("SAPPHIRE_DB", raising=False)
    # The driver starts every run as a fresh server that takes the folder `pages` for pages of their own; a running server
    # goes through app.py from its second run on (pages/parts/session.py).
    monkeypatch.setattr(script_runner, "_mpa_v1", lambda main: runpy.run_path(main, run_name="__main__"))
    yield tmp_path
    st.cache_resource.clear()


def fill(home, *, reader: Profile | None = Profile("Ana", "coder"), notes=(), predictions=()) -> None:  # noqa: B008
    store = open_store(home / "sapphire.duckdb")
    if reader:
        save_profile(store, reader)
    store.append("note", list(notes))
    store.append("prediction", list(predictions))
    store.close()


def app(page: str | None = None, **query: str) -> AppTest:
    at = AppTest.from_file(str(APP), default_timeout=30)
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    if page:
        at.switch_page(f"pages/{page}.py").run()
    assert not at.exception
    return at


def words(at: AppTest) -> str:
    kinds = ("title", "header", "subheader", "markdown", "caption", "text", "info", "warning", "error", "success")
    return "\n".join(str(each.value) for kind in kinds for each in getattr(at, kind))


def button(at: AppTest, label: str):
    return next(each for each in at.button if each.label == label)


def stored(home, sql: str) -> list[dict]:
    from pages.parts.session import open_bench

    return open_bench().store.read(sql)


def test_a_link_chooses_a_reader_whose_name_has_a_space_and_the_address_keeps_whoever_was_chosen(home):
    fill(home, reader=Profile("Bo Lindqvist", "physician"))
    fill(home, reader=Profile("Ana", "coder"))
    assert app().session_state["profile"].name == "Ana"
    at = app(reader="Bo Lindqvist")
    assert at.session_state["profile"].name == "Bo Lindqvist" and at.query_params["reader"] == "Bo Lindqvist"
    at.selectbox(key="reader").select("Ana").run()
    assert at.session_state["profile"].name == "Ana" and at.query_params["reader"] == "Ana"
    next(each for each in at.text_input if each.label == "Name").input("Chi Ng")
    button(at, "Continue").click().run()
    assert not at.exception and at.session_state["profile"].name == "Chi Ng"
    assert app(reader="nobody").session_state["profile"].name == "Chi Ng"


def test_the_first_visitor_gives_a_name_and_lands_on_the_worklist(home):
    fill(home, reader=None, notes=[stored_note()])
    at = app()
    assert "Welcome to Sapphire" in words(at)
    at.text_input[0].input("Ana")
    button(at, "Continue").click().run()
    assert not at.exception
    assert at.title[0].value == "Worklist"
    assert stored(home, "SELECT name, role FROM profile_event") == [{"name": "Ana", "role": "physician"}]


def test_a_name_is_asked_for(home):
    fill(home, reader=None)
    at = app()
    button(at, "Continue").click().run()
    assert "Give a name" in words(at)


def test_an_empty_worklist_leads_to_the_import(home):
    fill(home)
    at = app()
    assert "There are no notes yet." in words(at)


def test_the_worklist_shows_cases_and_counts(home):
    fill(home, notes=[stored_note("n1"), stored_note("n2")], predictions=[stored_prediction("n1")])
    at = app()
    table = at.dataframe[0].value
    assert list(table["Note"]) == ["n1", "n2"]
    assert table["Predicted DRG"][0].startswith("292 ")
    assert button(at, "Run the model on all 1 pending").disabled is False


def test_search_and_filters_narrow_the_worklist(home):
    fill(home, notes=[stored_note("n1"), stored_note("n2", text="Pneumonia treated with ceftriaxone.")])
    at = app()
    at.text_input(key="worklist_search").input("ceftriaxone").run()
    assert list(at.dataframe[0].value["Note"]) == ["n2"]
    at.text_input(key="worklist_search").input("nothing like this").run()
    assert "No case passes these filters." in words(at)


def test_pages_of_the_worklist_hold_fifty_cases(home):
    fill(home, notes=[stored_note(f"n{i:03}") for i in range(120)])
    at = app()
    assert len(at.dataframe[0].value) == 50
    assert "120 cases" in words(at)


def review(home, **query) -> AppTest:
    return app("review", case="1", **query)


def one_case(home, role: str = "coder", **note) -> None:
    fill(home, reader=Profile("Ana", role), notes=[stored_note(**note)], predictions=[stored_prediction()])


def seq(home) -> str:
    return str(stored(home, "SELECT seq FROM note")[0]["seq"])


def test_the_review_shows_drg_reasoning_and_pending_reward(home):
    one_case(home)
    at = review(home)
    shown = words(at)
    assert "292 · Heart Failure and Shock with CC" in shown
    assert "MDC: **05" in shown
    assert "pending" in shown
    assert [text.value for text in at.text][:1] == [
        'The principal diagnosis is heart failure: "Acute on chronic systolic heart failure".'
    ]


@pytest.mark.parametrize(
    ("prompt", "forced", "said"),
    [
        ("grounded", ["think_open", "think_close", "title"], "the condition index found no diagnosis in this note"),
        ("grounded", [], "The model gave no reasoning."),
        ("plain", ["think_open", "think_close"], "The model gave no reasoning."),
    ],
)
def test_an_answer_without_lines_says_why(home, prompt, forced, said):
    bare = "<think></think><answer>HEART FAILURE AND SHOCK WITH CC</answer>"
    prediction = stored_prediction(completion=bare, prompt=prompt, forced=forced)
    fill(home, notes=[stored_note()], predictions=[prediction])
    assert said in words(review(home))


@pytest.mark.parametrize(("role", "sees"), [("coder", True), ("cdi", True), ("advisor", True), ("physician", False)])
def test_weights_reach_the_page_only_for_roles_that_may_see_them(home, role, sees):
    one_case(home, role)
    weight = f"{codebook().drgs['292'].weight:.4f}"
    assert (plain(weight) in words(review(home))) == sees


def test_right_and_save_stores_a_review(home):
    one_case(home)
    at = review(home)
    button(at, "Right").click().run()
    assert "+2.0" in words(at)
    button(at, "Save and next").click().run()
    assert not at.exception
    rows = stored(home, "SELECT reviewer, drg, decision, drg_right FROM saved_review")
    assert rows == [{"reviewer": "Ana", "drg": "292", "decision": "accept", "drg_right": True}]


def test_wrong_asks_which_and_a_save_without_it_says_so(home):
    one_case(home)
    at = review(home)
    button(at, "Wrong").click().run()
    button(at, "Save and next").click().run()
    assert "Choose the right DRG" in words(at)
    box = next(each for each in at.selectbox if each.label == "The right DRG")
    box.select("291").run()
    button(at, "Save and next").click().run()
    assert stored(home, "SELECT drg, decision FROM saved_review") == [{"drg": "291", "decision": "change"}]


def test_a_choice_and_the_save_that_come_in_one_run_are_both_heard(home):
    """A quick reader chooses and presses Ctrl+Enter before the page has drawn itself anew."""
    one_case(home)
    at = review(home)
    button(at, "Wrong").click().run()
    next(each for each in at.selectbox if each.label == "The right DRG").select("291")
    button(at, "Save and next").click().run()
    assert stored(home, "SELECT drg, decision FROM saved_review") == [{"drg": "291", "decision": "change"}]


def test_a_draft_is_there_after_a_reload_and_undo_takes_it_back(home):
    one_case(home)
    at = review(home)
    button(at, "Wrong").click().run()
    next(each for each in at.selectbox if each.label == "The right DRG").select("193").run()
    again = review(home)
    assert next(each for each in again.selectbox if each.label == "The right DRG").value == "193"
    again.button(key="undo").click().run()
    assert next(each for each in again.selectbox if each.label == "The right DRG").value is None
    again.button(key="undo").click().run()
    assert not [each for each in again.selectbox if each.label == "The right DRG"]


def test_step_verdicts_and_ratings_are_stored_as_they_are_chosen(home):
    one_case(home)
    at = review(home)
    controls = {each.label: each for each in at.segmented_control}
    controls["Step 2"].select("wrong").run()
    {each.label: each for each in at.segmented_control}["Accuracy"].select(4).run()
    draft = stored(home, "SELECT step_verdicts, accuracy FROM current_review")
    assert draft == [{"step_verdicts": ["", "wrong"], "accuracy": 4}]


def test_a_note_is_never_markdown_or_html(home):
    fill(
        home,
        notes=[stored_note(text="# Heading <script>alert(1)</script> **bold**")],
        predictions=[stored_prediction(think="<b>x</b> **y** # z")],
    )
    at = review(home)
    assert "<script>" not in "\n".join(str(each.value) for each in at.markdown)
    assert "<b>x</b> **y** # z" in [text.value for text in at.text]


def test_think_first_hides_the_answer_until_a_drg_is_named(home):
    fill(
        home,
        reader=Profile("Ana", "coder", think_first=True),
        notes=[stored_note(drg="291")],
        predictions=[stored_prediction()],
    )
    listed = app().dataframe[0].value
    assert list(listed["Predicted DRG"]) == ["hidden until you have named yours"] and list(listed["Recorded"]) == [""]
    at = review(home)
    assert "Heart Failure" not in words(at)
    assert not at.dataframe  # the history names the DRG as well
    at.selectbox(key="prior_p-n1").select("291").run()
    button(at, "Show the model's answer").click().run()
    assert "292 · Heart Failure and Shock with CC" in words(at)
    assert stored(home, "SELECT prior_drg FROM review_event WHERE kind = 'revealed'") == [{"prior_drg": "291"}]
    assert app().dataframe[0].value["Predicted DRG"][0].startswith("292 ")


def test_a_case_without_prediction_offers_one(home):
    fill(home, notes=[stored_note()])
    at = review(home)
    assert "No prediction yet" in words(at)
    assert button(at, "Predict this case")


def test_the_reader_at_the_end_of_the_list_comes_back_to_the_worklist(home):
    one_case(home)
    at = review(home)
    button(at, "Skip").click().run()
    assert at.title[0].value == "Worklist"


def test_the_import_page_lists_imports(home):
    fill(home)
    at = app("notes")
    assert at.title[0].value == "Import notes"


def test_an_export_before_any_review_leads_to_the_worklist(home):
    fill(home, notes=[stored_note()])
    assert "There are no saved reviews or votes yet." in words(app("export"))


def test_an_export_counts_writes_and_lists_the_round(home):
    one_case(home)
    store = open_store(home / "sapphire.duckdb")
    ana = Profile("Ana", "coder")
    case = open_case(store, "n1", "Ana")
    save_draft(store, case, ana, Form(drg_right=True))
    save_review(store, open_case(store, "n1", "Ana"), ana, Form(drg_right=True))
    store.close()
    at = app("export")
    next(each for each in at.toggle if each.label == "With training rows").set_value(True).run()
    assert {metric.label: metric.value for metric in at.metric} == {
        "Reviews": "1",
        "Cases": "1",
        "Labels": "1",
        "SFT rows": "1",
    }
    assert "will contain note text" in words(at)
    button(at, "Export this round").click().run()
    assert not at.exception
    assert (home / "exports" / "round-0001" / "sft.jsonl").read_text().count("\n") == 1


def test_without_a_model_the_pages_say_how_to_get_one_and_reviewing_goes_on(home):
    for model in (home / "models").iterdir():
        model.unlink()
    one_case(home)
    st.cache_data.clear()
    assert "No model is installed here." in words(app())
    at = review(home)
    button(at, "Right").click().run()
    button(at, "Save and next").click().run()
    assert len(stored(home, "SELECT * FROM saved_review")) == 1
    st.cache_data.clear()


def test_a_database_that_cannot_be_opened_is_a_sentence_and_the_app_goes_on(home):
    (home / "sapphire.duckdb").write_bytes(b"this is no database" * 1000)
    at = app()
    assert "Sapphire cannot open its database" in words(at)
    assert "sapphire.duckdb" in words(at)
    (home / "sapphire.duckdb").unlink()
    button(at, "Try again").click().run()
    assert "Welcome to Sapphire" in words(at)
