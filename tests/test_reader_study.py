"""The reader study over stored reviews: distributions, agreement, wrong steps, errors, time, and answers before and after the model."""

import statistics
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sapphire.agreement import agreement, hierarchy, nominal
from sapphire.drg.claims import write
from sapphire.drg.codebook import codebook
from sapphire.drg.lines import Line
from sapphire.profiles import Profile, save_profile
from sapphire.reader_study import ReaderStudy, StudyFilter, median
from sapphire.reviewing import Form, as_stored, mark, open_case, save_draft, save_review
from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction

EVERY = StudyFilter()
MORNING = datetime(2026, 11, 2, 9)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


def event(kind: str, minute: float, note: str = "n1", reviewer: str = "ana", **more) -> dict:
    return {
        "event_id": f"{note}{reviewer}{kind}{minute}{more.get('prediction_id', '')}", "note_id": note, "prediction_id": f"p-{note}", "reviewer": reviewer,
        "role": "coder", "kind": kind, "recorded_at": MORNING + timedelta(minutes=minute),
    } | more  # fmt: skip


def saved(note: str = "n1", reviewer: str = "ana", minute: float = 0, **form) -> dict:
    return event(
        "saved",
        minute,
        note,
        reviewer,
        **{"drg": "292", "drg_version": "43.1", "drg_right": True, "decision": "accept"} | form,
    )


def study(store, *events: dict) -> ReaderStudy:
    store.append("review_event", list(events))
    found = ReaderStudy(store)
    found.refresh()
    return found


def notes(store, *names: str, **more) -> None:
    store.append("note", [stored_note(name, **{"drg": "292", "drg_version": "43.1"} | more) for name in names])
    store.append("prediction", [stored_prediction(name) for name in names])


def test_ratings_are_counted_by_model_and_reader_with_their_median(store):
    notes(store, "n1", "n2", "n3")
    found = study(store, *[saved(note, "ana", helpfulness=points, accuracy=4) for note, points in (("n1", 2), ("n2", 5), ("n3", 5))], saved("n1", "ben", helpfulness=1))  # fmt: skip
    assert found.counts(EVERY) == {"reviews": 4, "readers": 2, "cases": 3, "shared": 1}
    ana = [row for row in found.ratings(EVERY) if (row["reviewer"], row["rating"]) == ("ana", "helpfulness")]
    assert [row["n"] for row in ana] == [0, 1, 0, 0, 2]
    assert {row["median"] for row in ana} == {5}
    assert not [row for row in found.ratings(EVERY) if (row["reviewer"], row["rating"]) == ("ben", "accuracy")]
    assert {row["reviewer"] for row in found.ratings(StudyFilter(readers=("ben",)))} == {"ben"}


@given(st.lists(st.integers(1, 5), min_size=1, max_size=30))
def test_the_median_of_counts_is_that_of_the_values(values):
    assert median({value: values.count(value) for value in values}) == statistics.median(values)


def test_agreement_compares_the_readers_of_one_prediction_and_of_one_note(store):
    notes(store, "n1", "n2", "n3")
    drgs = {"n1": ("292", "292"), "n2": ("291", "293"), "n3": ("193", "291")}
    events = [
        saved(note, reader, drg=drg, helpfulness=4 + i)
        for note, pair in drgs.items()
        for i, (reader, drg) in enumerate(zip(("ana", "ben"), pair, strict=True))
    ]
    found = {row["what"]: row for row in study(store, *events).agreements(EVERY)}
    assert found["DRG"]["pairs"] == pytest.approx(1 / 3)
    assert found["Base DRG"]["pairs"] == pytest.approx(2 / 3)
    assert found["MDC"]["pairs"] == pytest.approx(2 / 3)
    assert found["Helpfulness"]["pairs"] == 0
    patterns = {tuple(sorted(pair)): 1 for pair in drgs.values()}
    assert found["DRG"]["alpha"] == pytest.approx(agreement(patterns, nominal).alpha)
    weighted = agreement(patterns, hierarchy(codebook("43.1"))).alpha
    assert found["DRG, weighted by the hierarchy"]["alpha"] == pytest.approx(weighted)


def test_a_readers_newest_word_on_a_note_counts_and_other_versions_are_told(store):
    notes(store, "n1", "n2")
    store.append("prediction", [stored_prediction("n1", prediction_id="later", run_id="r2")])
    found = study(
        store, saved("n1", "ana", drg="291"), saved("n1", "ana", prediction_id="later"), saved("n1", "ben"), saved("n2", "ben", drg="291", drg_version="40"),
    )  # fmt: skip
    assert next(row for row in found.agreements(EVERY) if row["what"] == "DRG")["pairs"] == 1
    assert found.other_versions(EVERY) == 1


def test_steps_are_counted_by_the_kind_of_their_line(store):
    think = write(
        [
            Line("principal diagnosis", quote="HFrEF", condition="heart failure", codes=("I5023",)),
            Line(
                "secondary", quote="Cr 2.4", condition="acute kidney injury", codes=("N179",), level="CC", counts=True
            ),
            Line("vague", text="Overall a sick patient."),
        ]
    )
    store.append("note", [stored_note("n1")])
    store.append("prediction", [stored_prediction("n1", think=think)])
    rows = study(store, saved(step_verdicts=["right", "wrong", ""]), saved("n1", "ben", step_verdicts=["right", "", "not in the note"])).steps(EVERY)  # fmt: skip
    counts = {(row["kind"], row["verdict"]): row["n"] for row in rows if row["n"]}
    assert counts == {
        ("principal diagnosis", "right"): 2,
        ("secondary diagnosis", "wrong"): 1,
        ("free words", "not in the note"): 1,
    }


def test_errors_are_shares_of_the_wrong_answers_that_were_sorted(store):
    notes(store, "n1", "n2", "n3", "n4")
    wrong = {"drg_right": False, "drg": "291", "decision": "change"}
    found = study(
        store,
        saved("n1", error_category="base", **wrong),
        saved("n2", error_category="severity", **wrong),
        saved("n3", **wrong),
        saved("n4"),
    )
    shares = {row["category"]: row["share"] for row in found.errors(EVERY) if row["series"] == "model-a"}
    assert (shares["Hard to select the base DRG"], shares["Wrong CC/MCC"], shares["Other"]) == (0.5, 0.5, 0)
    assert found.unsorted_errors(EVERY) == 1
    assert sum(row["share"] for row in found.errors(EVERY) if "paper" in row["series"]) == pytest.approx(1)


def test_time_is_what_passes_between_events_on_the_case_with_long_pauses_cut(store):
    notes(store, "n1", "n2")
    found = study(
        store,
        event("opened", 0), event("revealed", 4), event("opened", 5, "n2"), event("draft", 6, "n2"), event("draft", 8),  # the way back from n2 is not counted
        event("draft", 9), event("draft", 49), saved("n1", minute=50), event("opened", 51), event("draft", 55),  # after saving nothing counts
    )  # fmt: skip
    (row,) = found.times(EVERY, "reviewer")
    assert row["middle"] == pytest.approx((4 + 1 + 10 + 1) * 60)


def test_first_answers_are_compared_with_last_ones_and_with_the_model(store):
    notes(store, "n1", "n2", "n3", "n4", drg="291")
    readers = {"n1": ("291", "292"), "n2": ("291", "291"), "n3": ("293", "291"), "n4": ("293", "292")}
    events = [
        each
        for note, (first, last) in readers.items()
        for each in (event("revealed", 0, note, prior_drg=first), saved(note, minute=1, drg=last))
    ]
    found = study(store, *events)
    (row,) = found.first_answers(EVERY, "reviewer")
    ways = ("right_right", "right_wrong", "wrong_right", "wrong_wrong", "took", "misled", "could")
    assert [row[way] for way in ways] == [1, 1, 1, 1, 2, 1, 2]
    assert row["low"] < 0.5 < row["high"]


def test_a_model_that_names_no_drg_is_wrong_and_nothing_is_taken_from_it(store):
    store.append("note", [stored_note("n1", drg="291", drg_version="43.1")])
    store.append("prediction", [stored_prediction("n1", title="NO SUCH TITLE", drg=None)])
    found = study(store, event("revealed", 0, prior_drg="291"), saved(minute=1, drg="292"))
    (row,) = found.first_answers(EVERY, "model")
    assert (row["right_wrong"], row["took"], row["misled"], row["could"]) == (1, 0, 1, 1)


def test_only_the_first_sight_of_a_case_is_a_first_answer(store):
    notes(store, "n1")
    store.append("prediction", [stored_prediction("n1", prediction_id="later", run_id="r2")])
    found = study(
        store,
        event("revealed", 0),
        event("revealed", 1, prediction_id="later", prior_drg="291"),
        saved(prediction_id="later"),
    )
    assert found.copy.asked(EVERY) == {"asked": 0, "given": 0, "measured": 0}


def test_the_review_itself_leaves_what_the_study_counts(store):
    notes(store, "n1", drg="291")
    ana = Profile("ana", "coder", think_first=True)
    save_profile(store, ana)
    case = open_case(store, "n1", "ana")
    mark(store, case, ana, "opened")
    mark(store, case, ana, "revealed", "291")
    save_draft(store, as_stored(store, case, ana), ana, Form(drg_right=True, helpfulness=3, step_verdicts=("wrong",)))
    now = as_stored(store, case, ana)
    save_review(store, now, ana, now.form)
    found = study(store)
    assert found.copy.asked(EVERY) == {"asked": 1, "given": 1, "measured": 1}
    assert found.first_answers(EVERY, "model")[0]["misled"] == 1
    assert found.steps(EVERY)[1]["n"] == 1
    save_review(store, now, ana, Form(drg_right=False, drg="291"))
    found.refresh()
    assert found.first_answers(EVERY, "model")[0]["misled"] == 0
