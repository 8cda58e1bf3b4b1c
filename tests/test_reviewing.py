"""The review of a case: drafts, undo, saving, withdrawing, what was thought before, and what each role sees."""

from dataclasses import replace

import pytest

from sapphire.drg.codebook import codebook
from sapphire.profiles import ROLES, Profile, facts, profiles, save_profile
from sapphire.reviewing import (
    Form,
    as_stored,
    history,
    mark,
    open_case,
    predictions,
    save_draft,
    save_review,
    undo,
    withdraw,
)
from sapphire.rewards import total
from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction

ANA = Profile("ana", "coder")
BO = Profile("bo", "physician")


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    store.append("note", [stored_note(), stored_note("n2", drg="291", drg_version="43.1"), stored_note("n3")])
    store.append("prediction", [stored_prediction(), stored_prediction("n2")])
    yield store
    store.close()


def case(store, note="n1", reader="ana"):
    return open_case(store, note, reader)


def draft(store, reader=ANA, note="n1", **changes):
    now = case(store, note, reader.name)
    save_draft(store, now, reader, replace(now.form, **changes))


def test_a_draft_is_found_again_by_the_next_opening(store):
    draft(
        store, drg_right=False, drg="291", helpfulness=4, step_verdicts=("right", None, "wrong"), comment="it's <b>\n"
    )
    again = case(store)
    assert again.form == Form(
        drg_right=False, drg="291", helpfulness=4, step_verdicts=("right", None, "wrong"), comment="it's <b>\n"
    )
    assert again.form_state == "draft"
    assert not again.saved


def test_drafts_of_two_readers_are_their_own(store):
    draft(store, ANA, comment="mine")
    assert case(store, reader="bo").form == Form()
    draft(store, BO, comment="his")
    assert case(store).form.comment == "mine"


def test_an_unchanged_form_is_no_event(store):
    draft(store, comment="x")
    draft(store, comment="x")
    assert store.read("SELECT count(*) AS n FROM review_event") == [{"n": 1}]


def test_undo_goes_back_step_by_step_to_an_empty_form(store):
    for changes in ({"drg_right": False}, {"drg": "291"}, {"comment": "x"}):
        draft(store, **changes)
    seen = []
    while (now := case(store)).can_undo:
        seen.append(now.form)
        undo(store, now, ANA)
    assert seen == [
        Form(drg_right=False, drg="291", comment="x"),
        Form(drg_right=False, drg="291"),
        Form(drg_right=False),
    ]
    assert case(store).form == Form()
    assert case(store).form_state == ""


def test_undo_after_a_save_brings_the_saved_review_back_and_never_withdraws_it(store):
    draft(store, drg_right=True)
    save_review(store, case(store), ANA, case(store).form)
    saved = case(store).form
    draft(store, comment="second thoughts")
    assert case(store).form_state == "draft"
    assert case(store).saved
    undo(store, case(store), ANA)
    assert case(store).form == saved
    assert case(store).form_state == "saved"
    assert len(store.read("SELECT * FROM saved_review")) == 1


def test_a_changed_mind_after_undo_has_its_own_way_back(store):
    draft(store, comment="a")
    draft(store, comment="b")
    undo(store, case(store), ANA)
    draft(store, comment="c")
    undo(store, case(store), ANA)
    assert case(store).form.comment == "a"


def test_a_change_made_from_an_older_drawing_keeps_what_was_stored_since(store):
    drawn = case(store)
    draft(store, accuracy=4)
    now = as_stored(store, drawn, ANA)
    save_draft(store, now, ANA, replace(now.form, helpfulness=2))
    assert (case(store).form.accuracy, case(store).form.helpfulness) == (4, 2)


def test_judging_twice_takes_the_word_back_and_right_forgets_the_other_drg():
    wrong = Form(drg_right=False, drg="291", error_category="base", decision="change")
    assert wrong.judged(True) == Form(drg_right=True)
    assert wrong.judged(False) == replace(wrong, drg_right=None, decision=None)
    assert Form().judged(False) == Form(drg_right=False)
    assert Form().with_verdict(2, "wrong").with_verdict(0, "right").step_verdicts == ("right", None, "wrong")


@pytest.mark.parametrize(
    ("form", "asks"),
    [
        (Form(), "Say whether"),
        (Form(drg_right=False), "Choose the right DRG"),
        (Form(drg_right=False, decision="change"), "Choose the right DRG"),
        (Form(decision="query"), None),
        (Form(drg_right=False, decision="escalate"), None),
        (Form(drg_right=True), None),
        (Form(drg_right=False, drg="291"), None),
    ],
)
def test_saving_asks_for_a_judgement_and_says_which(store, form, asks):
    if asks:
        with pytest.raises(ValueError, match=asks):
            save_review(store, case(store), ANA, form)
        assert not case(store).saved
    else:
        save_review(store, case(store), ANA, form)
        assert case(store).form_state == "saved"


def test_a_saved_review_holds_the_drg_and_the_decision(store):
    save_review(store, case(store), ANA, Form(drg_right=True))
    save_review(store, case(store, "n2"), ANA, Form(drg_right=False, drg="291"))
    rows = {row["note_id"]: row for row in store.read("SELECT * FROM saved_review")}
    assert (rows["n1"]["drg"], rows["n1"]["decision"], rows["n1"]["role"]) == ("292", "accept", "coder")
    assert (rows["n2"]["drg"], rows["n2"]["decision"], rows["n2"]["drg_version"]) == ("291", "change", "43.1")


def test_a_withdrawn_review_no_longer_counts_and_keeps_its_words(store):
    save_review(store, case(store), ANA, Form(drg_right=True, comment="words"))
    withdraw(store, case(store), ANA)
    assert store.read("SELECT * FROM saved_review") == []
    assert case(store).form.comment == "words"
    assert case(store).form_state == ""


def test_the_reward_waits_for_the_right_drg_and_follows_the_review(store):
    pending = case(store)
    assert total(pending.terms) is None
    assert pending.gold is None
    draft(store, drg_right=True)
    assert total(case(store).terms) == 2.0
    draft(store, drg_right=False, drg="291")
    assert total(case(store).terms) == 1.5
    assert case(store).gold_source == "your review"


def test_a_recorded_drg_is_the_gold_until_the_reviewer_says_otherwise(store):
    assert (case(store, "n2").gold.drg, case(store, "n2").gold_source) == ("291", "recorded with the note")
    draft(store, note="n2", drg_right=True)
    assert case(store, "n2").gold.drg == "292"


def test_a_recorded_drg_of_another_version_is_not_compared(store):
    store.append(
        "note",
        [stored_note("old", drg="291", drg_version="37"), stored_note("named", title="heart failure & shock with MCC")],
    )
    store.append("prediction", [stored_prediction("old"), stored_prediction("named")])
    assert case(store, "old").gold is None
    assert case(store, "named").gold.drg == "291"


def test_what_was_thought_before_the_reveal_is_kept(store):
    assert case(store).revealed_at is None
    mark(store, case(store), ANA, "revealed", "293")
    assert case(store).revealed_at is not None
    assert case(store).prior_drg == "293"
    assert case(store, reader="bo").revealed_at is None


def test_flags_skips_and_history(store):
    mark(store, case(store), ANA, "opened")
    mark(store, case(store), ANA, "flagged")
    assert case(store).flagged
    mark(store, case(store), ANA, "unflagged")
    assert not case(store).flagged
    draft(store, comment="a")
    draft(store, comment="b")
    save_review(store, case(store), ANA, Form(drg_right=True))
    kinds = [row["kind"] for row in history(store, "n1")]
    assert kinds == ["imported", "predicted", "opened", "flagged", "unflagged", "saved"]


def test_a_newer_prediction_starts_a_new_review_and_the_old_one_can_be_opened(store):
    save_review(store, case(store), ANA, Form(drg_right=True))
    store.append(
        "prediction", [stored_prediction(prediction_id="p-new", title="HEART FAILURE AND SHOCK WITH MCC", drg="291")]
    )
    now = case(store)
    assert (now.prediction["prediction_id"], now.form, now.form_state) == ("p-new", Form(), "")
    assert [row["prediction_id"] for row in predictions(store, "n1")] == ["p-new", "p-n1"]
    assert open_case(store, "n1", "ana", "p-n1").form_state == "saved"


def test_a_case_without_prediction_and_one_that_is_not_there(store):
    assert case(store, "n3").prediction is None
    with pytest.raises(KeyError):
        case(store, "nowhere")


def test_an_answer_that_is_no_drg_is_shown_and_can_be_corrected(store):
    store.append("prediction", [stored_prediction("n3", title="SOMETHING ELSE", drg=None)])
    now = case(store, "n3")
    assert now.predicted is None
    assert now.parsed.answer == "SOMETHING ELSE"
    save_review(store, now, ANA, Form(drg_right=False, drg="291"))
    assert case(store, "n3").saved


@pytest.mark.parametrize("role", ROLES)
def test_weights_are_withheld_from_physicians_and_shown_to_all_others(role):
    shown = facts(codebook().drgs["291"], role)
    assert ("Relative weight" in shown) == (role != "physician")
    assert shown["Severity"] == "with MCC"


def test_profiles_are_kept_and_checked(store):
    save_profile(store, ANA)
    save_profile(store, BO)
    save_profile(store, replace(ANA, think_first=True))
    assert profiles(store) == [replace(ANA, think_first=True), BO]
    with pytest.raises(ValueError, match="needs a name"):
        Profile(" ", "coder")
    with pytest.raises(ValueError, match="no role"):
        Profile("x", "boss")
