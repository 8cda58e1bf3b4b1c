"""The compare page by Streamlit's own test driver: empty states, the way through the cases, what a role sees."""

from sapphire.profiles import Profile
from tests.stays import stored_note
from tests.test_comparing import said
from tests.test_pages import app, button, fill, home, stored, words  # noqa: F401

NOTES = [stored_note("n0", drg="291"), stored_note("n1", drg="291"), stored_note("n2", drg="291")]
TWO_RUNS = [
    *[said(f"n{i}", "aaaaaaaa", drg) for i, drg in enumerate(("291", "292", "291"))],
    *[said(f"n{i}", "bbbbbbbb", "291", think="Another reasoning.") for i in range(3)],
]


def test_without_answers_and_with_one_run_the_page_says_what_to_do(home):  # noqa: F811
    fill(home, notes=NOTES)
    at = app("compare")
    assert "No model has answered a note yet." in words(at)
    fill_more(home, predictions=TWO_RUNS[:3])
    at = app("compare")
    assert "So far there is one run" in words(at)
    assert "model\\-aaaaaaaa" in words(at)
    assert {"Start", "Ask both"} <= {each.label for each in at.button}


def fill_more(home, predictions) -> None:  # noqa: F811
    from pages.parts.session import open_bench

    open_bench().store.append("prediction", predictions)


def test_two_runs_stand_side_by_side_and_lead_from_difference_to_difference(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=TWO_RUNS)
    at = app("compare")
    assert at.query_params["runs"] == "aaaaaaaa,bbbbbbbb"
    assert "1 of 3" in words(at)
    button(at, "Next difference").click().run()
    said = words(at)
    assert not at.exception
    assert "2 of 3" in said
    assert "right base DRG, weight" in said
    assert "Against A: same base DRG, with MCC instead of with CC" in said
    assert "reward **+1.5**" in said
    assert "relative weight" in said


def test_filters_lead_to_their_first_case_and_say_when_there_is_none(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=TWO_RUNS)
    at = app("compare")
    at.button_group(key="compare_right").set_value((False, True)).run()
    assert not at.exception
    assert "**n1** :gray[· 1 of 1]" in words(at)
    at.button_group(key="compare_agreements").set_value(["same DRG"]).run()
    assert "No case passes these filters." in words(at)


def test_a_link_opens_its_case_and_runs_in_their_order(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=TWO_RUNS)
    at = app("compare", case="3", runs="bbbbbbbb,aaaaaaaa")
    assert "**n1**" in words(at)  # the profile was event 1, so the notes are 2, 3 and 4
    assert "**A** · model\\-bbbbbbbb" in words(at)


def test_a_physician_sees_no_weights(home):  # noqa: F811
    fill(home, reader=Profile("Bo", "physician"), notes=NOTES, predictions=TWO_RUNS)
    at = app("compare")
    button(at, "Next difference").click().run()
    assert "right base DRG" in words(at)
    assert "weight" not in words(at)


def test_runs_that_share_no_note_say_so(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=[said("n0", "aaaaaaaa", "291"), said("n1", "bbbbbbbb", "291")])
    assert "no note in common" in words(app("compare"))


def test_labels_that_are_missing_are_told(home):  # noqa: F811
    fill(home, notes=[stored_note("n0"), stored_note("n1")], predictions=[p for p in TWO_RUNS if p["note_id"] != "n2"])
    at = app("compare")
    assert "who is right is not known" in words(at)
    assert "reward pending" in words(at)


def test_who_thinks_first_sees_no_answer_before_and_a_look_is_recorded(home):  # noqa: F811
    fill(home, reader=Profile("Ana", "coder", think_first=True), notes=NOTES, predictions=TWO_RUNS)
    at = app("compare")
    assert "Your DRG first" in words(at) and "Heart Failure" not in words(at) and "Recorded:" not in words(at)
    assert button(at, "Next difference").disabled  # where answers differ tells of them as well
    at.button_group(key="compare_right").set_value((False, True)).run()
    assert "No case passes these filters." in words(at) and "n1" not in words(at)
    at.button_group(key="compare_right").set_value(None).run()
    button(at, "Show without an answer of mine").click().run()
    assert "Heart Failure" in words(at) and "Recorded:" in words(at)
    looks = stored(
        home, "SELECT note_id, prediction_id, prior_drg FROM review_event WHERE kind = 'revealed' ORDER BY seq"
    )
    assert [(look["note_id"], look["prior_drg"]) for look in looks] == [("n0", None)] * 2
    assert len({look["prediction_id"] for look in looks}) == 2
    at.run()
    assert len(stored(home, "SELECT * FROM review_event WHERE kind = 'revealed'")) == 2  # once a sight


def test_a_drg_named_in_the_review_opens_the_comparison(home):  # noqa: F811
    fill(home, reader=Profile("Ana", "coder", think_first=True), notes=NOTES, predictions=TWO_RUNS)
    at = app("compare")
    button(at, "Name my DRG in the review").click().run()
    at.switch_page("pages/review.py")  # the driver itself does not follow
    assert at.title == [] and "Your DRG first" in words(at)
    assert not [each for each in at.button if each.key == "review_compare"]
    next(each for each in at.selectbox if each.label == "Your DRG").select("292").run()
    button(at, "Show the model's answer").click().run()
    button(at, "Compare with 1 other answer").click().run()
    assert at.query_params["runs"] == "bbbbbbbb,aaaaaaaa" and at.query_params["case"] == "2"
    assert "**A** · model\\-bbbbbbbb" in words(at) and "Recorded:" in words(at)


def test_what_is_seen_here_is_a_sight_for_every_reader(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=TWO_RUNS)
    app("compare")
    assert len(stored(home, "SELECT * FROM review_event WHERE kind = 'revealed' AND note_id = 'n0'")) == 2


def test_a_review_leads_to_no_comparison_where_one_run_answered(home):  # noqa: F811
    fill(home, notes=NOTES, predictions=TWO_RUNS[:3])
    at = app("review")
    assert "292" in words(at) or "291" in words(at)
    assert not [each for each in at.button if each.key == "review_compare"]
