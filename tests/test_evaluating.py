"""Evaluation of stored runs against a reckoning by hand, note by note, and what is said of notes that cannot be measured."""

import random
import re
from collections import Counter

import numpy as np
import pytest

from sapphire import measuring, metrics
from sapphire.drg.codebook import codebook
from sapphire.evaluating import Choice, Evaluation, reward_values
from sapphire.evaluation_report import evaluation_report
from sapphire.metrics import maj_at_k, pass_at_k, severity_key
from sapphire.rewards import DENSE, outcome
from sapphire.store import open_store
from sapphire.store.evaluation import CaseFilter
from tests.stays import NOTE, stored_note, stored_prediction

BOOK = codebook("43.1")
DRGS = ["291", "292", "293", "193", "194", "195", "003", "280", "281", "313"]
KEYS = {"DRG": lambda drg: drg.drg, "Base DRG": lambda drg: drg.base_id, "Severity": severity_key}
NOTES, K = 360, 4
ALL = CaseFilter()


def said(drg: str | None) -> dict:
    return {"drg": drg, "title": BOOK.drgs[drg].title if drg else "no title"}


@pytest.fixture(scope="module")
def truth():
    """Notes with patient and gold, and two runs of four answers a note; the second answered fewer notes."""
    draw = random.Random(1)
    notes = {f"n{i}": (f"s{i * 7 // 8}", draw.choice(DRGS)) for i in range(NOTES)}
    answer = {
        run: {note: [gold if draw.random() < skill else draw.choice([*DRGS, None]) for _ in range(K)] for note, (_, gold) in notes.items()}
        for run, skill in (("a", 0.5), ("b", 0.3))
    }  # fmt: skip
    answer["b"] = {note: drgs for note, drgs in answer["b"].items() if int(note[1:]) < 330}
    return notes, answer


@pytest.fixture(scope="module")
def evaluation(truth, tmp_path_factory):
    notes, answer = truth
    store = open_store(tmp_path_factory.mktemp("evaluation") / "sapphire.duckdb")
    store.append(
        "note",
        [
            stored_note(note, subject_id=patient, drg=gold, drg_version="43.1", words=100 + int(note[1:]) * 5, trap=["history_of"] if int(note[1:]) % 3 else [])
            for note, (patient, gold) in notes.items()
        ],
    )  # fmt: skip
    store.append(
        "prediction",
        [
            stored_prediction(note, prediction_id=f"{run}-{note}-{i}", run_id=run, model=f"model {run}", sample=i, chosen=i == 0, confidence=0.05 + i / 5, **said(drg), format=0.0 if i else -2.0, cot_first=0.0)
            for run, every in answer.items() for note, drgs in every.items() for i, drg in enumerate(drgs)
        ],
    )  # fmt: skip
    found = Evaluation(store)
    found.refresh()
    yield found
    store.close()


def by_hand(truth, run: str, only: set[str], measure: str, target: str) -> list[float]:
    notes, answer = truth
    key, values = KEYS[target], []
    for note in notes:
        if note in only:
            right = key(BOOK.drgs[notes[note][1]])
            answers = [key(BOOK.drgs[drg]) if drg else None for drg in answer[run][note]]
            hits = answers.count(right)
            values.append(
                {"Pass@1": hits / K, f"Pass@{K}": pass_at_k(K, hits, K), f"Maj@{K}": maj_at_k(answers, right)}[measure]
            )
    return values


def test_measures_and_intervals_are_those_of_the_notes_one_by_one(truth, evaluation):
    notes, answer = truth
    rows = measuring.measures(evaluation, Choice(("a", "b"), ALL, K))
    assert len(rows) == 2 * 3 * 3
    patients = [notes[note][0] for note in answer["b"]]
    for row in rows:
        values = by_hand(truth, row["run_id"], set(answer["b"]), row["measure"], row["target"])
        (expected,) = metrics.interval(values, patients)
        assert (row["estimate"], row["low"], row["high"]) == pytest.approx(expected[:3])
        assert (row["notes"], row["patients"], row["method"]) == (330, len(set(patients)), expected.method)


def test_groups_hold_their_own_notes(truth, evaluation):
    notes, _ = truth
    choice = Choice(("a",), ALL, K)
    for by, group_of in (
        ("mdc", lambda note: BOOK.drgs[notes[note][1]].mdc),
        ("level", lambda note: BOOK.drgs[notes[note][1]].level),
        ("length", lambda note: next(name for top, name in ((200, "up to 200 words"), (400, "201 to 400"), (800, "401 to 800"), (1600, "801 to 1,600"), (9**9, "over 1,600 words")) if 100 + int(note[1:]) * 5 <= top)),
    ):  # fmt: skip
        rows = measuring.slices(evaluation, choice, by, "maj_k", "base")
        assert {row["group"] for row in rows} == {group_of(note) for note in notes}
        for row in rows:
            mine = {note for note in notes if group_of(note) == row["group"]}
            assert row["estimate"] == pytest.approx(np.mean(by_hand(truth, "a", mine, f"Maj@{K}", "Base DRG")))
            assert row["notes"] == len(mine)
    (trapped,) = measuring.slices(evaluation, choice, "trap")
    assert (trapped["group"], trapped["notes"]) == ("history_of", sum(int(note[1:]) % 3 > 0 for note in notes))
    assert [row["group"] for row in measuring.slices(evaluation, choice, "length")][:2] == [
        "up to 200 words",
        "201 to 400",
    ]


def test_the_difference_between_runs_is_that_of_their_common_notes(truth, evaluation):
    notes, answer = truth
    rows = measuring.paired(evaluation, Choice(("a", "b"), ALL, K))
    shared = set(answer["b"])
    patients = [notes[note][0] for note in answer["b"]]
    for row in rows:
        a, b = (np.array(by_hand(truth, run, shared, row["measure"], row["target"])) for run in "ab")
        expected = metrics.paired(b - a, patients)
        assert row["difference"] == pytest.approx(expected.difference.estimate)
        # Thirds of a tied vote add up to distinct sums in another order, and so to other draws.
        assert (row["low"], row["high"], row["p"]) == pytest.approx((*expected.difference[1:3], expected.p), abs=3e-3)
        assert (row["only_first"], row["only_other"]) == (sum((a == 1) & (b == 0)), sum((a == 0) & (b == 1)))
        if row["measure"] == f"Pass@{K}":
            assert row["mcnemar"] == pytest.approx(metrics.mcnemar(row["only_first"], row["only_other"]))
    assert [row["p_holm"] for row in rows] == pytest.approx(metrics.holm([row["p"] for row in rows]))


def test_confusion_agrees_with_scikit_learn(truth, evaluation):
    from sklearn.metrics import confusion_matrix

    notes, answer = truth
    (scored,) = evaluation.scored(Choice(("a",), ALL, K))
    gold = [BOOK.drgs[right] for _, right in notes.values()]
    first = [BOOK.drgs[drgs[0]] if drgs[0] else None for drgs in answer["a"].values()]
    levels = ["MCC", "CC", "none", "CC/MCC", "without MCC", "unsplit", ""]
    cells = measuring.severity_cells(evaluation, scored)
    expected = confusion_matrix([drg.level for drg in gold], [drg.level if drg else "" for drg in first], labels=levels)
    assert [[cells.get((right, answered), 0) for answered in levels] for right in levels] == expected.tolist()
    for right, answered, n in measuring.severity_errors(evaluation, scored):
        cell = measuring.of_level(right, "43.1"), measuring.of_level(answered, "43.1")
        assert len(measuring.cases(evaluation, scored, *cell, limit=NOTES)) == n == cells[right, answered]
    bases = Counter(
        (g.base_id, f.base_id if f else "") for g, f in zip(gold, first, strict=True) if not f or f.base_id != g.base_id
    )
    top = measuring.base_cells(evaluation, scored, 5)
    assert [n for *_, n in top] == [n for _, n in bases.most_common(5)]
    right, answered, n = top[0]
    found = measuring.cases(
        evaluation, scored, BOOK.family(right.drg), BOOK.family(answered.drg) if answered else [None]
    )
    assert len(found) == n and all(row["gold"].base_id == right.base_id for row in found)


def test_of_a_confusion_only_notes_that_a_reader_may_be_told_are_named(truth, evaluation):
    (found,) = evaluation.scored(Choice(("a",), ALL, K))
    gold, said, n = measuring.base_cells(evaluation, found)[0]
    cell = BOOK.family(gold.drg), BOOK.family(said.drg) if said else [None]
    every = [row["note_id"] for row in measuring.cases(evaluation, found, *cell)]
    assert len(every) == n and measuring.cases(evaluation, found, *cell, among=()) == []
    assert [row["note_id"] for row in measuring.cases(evaluation, found, *cell, among=every[1:2])] == every[1:2]


def test_rewards_are_counted_over_every_answer(truth, evaluation):
    notes, answer = truth
    (scored,) = evaluation.scored(Choice(("a",), ALL, K))
    expected = Counter(
        DENSE[outcome(BOOK.drgs[drg] if drg else None, BOOK.drgs[notes[note][1]])] if i else -2.0
        for note, drgs in answer["a"].items()
        for i, drg in enumerate(drgs)
    )
    assert reward_values(scored, "dense") == expected
    assert scored.unknown == 0


def test_the_hard_notes_are_those_that_every_run_gets_wrong(truth, evaluation):
    notes, answer = truth
    gold = [BOOK.drgs[notes[note][1]] for note in answer["b"]]
    said_by = {
        run: [BOOK.drgs[answer[run][note][0]] if answer[run][note][0] else None for note in answer["b"]] for run in "ab"
    }
    assert measuring.hard_errors(evaluation, Choice(("a", "b"), ALL, K)) == metrics.table_3(gold, said_by)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


def scored(store, cases: CaseFilter = ALL, k: int = 1, runs=("run",)):
    evaluation = Evaluation(store)
    evaluation.refresh()
    return evaluation, evaluation.scored(Choice(runs, cases, k))[0]


def test_notes_that_cannot_be_measured_are_counted_with_the_reason(store):
    store.append(
        "note",
        [
            stored_note("right", drg="292", drg_version="43.1"),
            stored_note("titled", title="Heart failure and shock, with CC"),
            stored_note("old", drg="292", drg_version="36"),
            stored_note("bare"),
            stored_note("unread", drg="292"),
        ],
    )
    store.append("prediction", [stored_prediction(note) for note in ("right", "titled", "old", "bare")])
    _, found = scored(store)
    assert found.notes == 2
    covered = found.coverage
    assert (covered.in_set, covered.answered, covered.no_label, covered.other_version) == (5, 4, 1, 1)


def review(note: str, reviewer: str, drg: str, **more) -> dict:
    return {"event_id": f"{note}{reviewer}", "note_id": note, "prediction_id": f"p-{note}", "reviewer": reviewer, "role": "coder", "kind": "saved",
            "drg_right": True, "drg": drg, "drg_version": "43.1", "decision": "accept"} | more  # fmt: skip


def test_reviews_are_labels_where_reviewers_agree_and_go_before_what_was_recorded(store):
    store.append(
        "note",
        [stored_note("a", drg="293"), stored_note("b"), stored_note("c", drg="292"), stored_note("d", drg="292")],
    )
    store.append("prediction", [stored_prediction(note) for note in "abcd"])
    store.append("review_event", [review("a", "ana", "292"), review("b", "ana", "292"), review("b", "ben", "292"), review("c", "ana", "292"), review("c", "ben", "291"), review("d", "ana", "293", decision="query")])  # fmt: skip
    assert scored(store)[1].notes == 3
    _, reviewed = scored(store, CaseFilter("reviewed"))
    assert (reviewed.notes, reviewed.coverage.disagree, reviewed.coverage.no_label) == (2, 1, 1)
    evaluation, either = scored(store, CaseFilter("either"))
    rows = measuring.measures(evaluation, Choice(("run",), CaseFilter("either"), 1))
    assert (either.notes, either.coverage.disagree) == (3, 1)
    assert {row["target"]: row["estimate"] for row in rows} == {"DRG": 1, "Base DRG": 1, "Severity": 1}


def test_new_answers_and_labels_are_seen_after_a_refresh(store):
    store.append("note", [stored_note("a", drg="292"), stored_note("b")])
    store.append("prediction", [stored_prediction("a")])
    evaluation, first = scored(store)
    choice = Choice(("run",), CaseFilter("either"), 1)
    assert first.notes == evaluation.scored(choice)[0].notes == 1
    store.append("prediction", [stored_prediction("b", drg=None)])
    store.append("review_event", [review("b", "ana", "291", drg_right=False, decision="change")])
    evaluation.refresh()
    assert evaluation.scored(choice)[0].notes == 2
    assert evaluation.runs()[0]["answers"] == 2


def test_a_note_that_was_not_answered_counts_as_wrong_and_short_ones_for_pass_1_only(store):
    store.append("note", [stored_note(note, drg="292") for note in "abc"])
    rows = [stored_prediction("a", prediction_id=f"a{i}", sample=i, chosen=i == 0) for i in range(2)]
    rows += [stored_prediction("b", completion="", drg=None, error="too long"), stored_prediction("c")]
    store.append("prediction", rows)
    evaluation, found = scored(store, k=2)
    assert (found.failed, found.few, found.answers) == (1, 1, 4)
    measured = {
        row["measure"]: (row["estimate"], row["notes"])
        for row in measuring.measures(evaluation, Choice(("run",), ALL, 2))
        if row["target"] == "DRG"
    }
    assert measured == {"Pass@1": (pytest.approx(2 / 3), 3), "Pass@2": (0.5, 2), "Maj@2": (0.5, 2)}


def test_runs_of_different_versions_are_not_compared(store):
    store.append("note", [stored_note("a", drg="292")])
    store.append(
        "prediction",
        [stored_prediction("a"), stored_prediction("a", prediction_id="q", run_id="old", drg_version="41")],
    )
    with pytest.raises(ValueError, match=r"41, 43\.1"):
        scored(store, runs=("run", "old"))


def test_weights_are_for_those_who_may_see_them(truth, evaluation):
    (found,) = evaluation.scored(Choice(("a",), ALL, K))
    assert measuring.case_mix(evaluation, found, "physician") is None
    mix = measuring.case_mix(evaluation, found, "coder")
    notes, answer = truth
    weights = [(BOOK.drgs[notes[n][1]].weight, BOOK.drgs[drgs[0]].weight) for n, drgs in answer["a"].items() if drgs[0]]
    assert (mix.gold, mix.predicted) == pytest.approx(tuple(np.mean(weights, axis=0)))
    # The interval draws patients, though SQL puts those with nearly the same sum together.
    patients = [notes[n][0] for n, drgs in answer["a"].items() if drgs[0]]
    expected = metrics.bootstrap([said - right for right, said in weights], patients)
    assert mix.error.estimate == pytest.approx(expected.estimate) and mix.error.n == len(patients)
    assert mix.error[1:3] == pytest.approx(expected[1:3], abs=0.1 * (expected.high - expected.low))


def test_a_saved_report_loads_nothing_and_holds_neither_notes_nor_weights_of_a_physician(truth, evaluation):
    choice = Choice(("a", "b"), ALL, K)
    page = evaluation_report(evaluation, choice, "coder")
    assert page.count("* plotly.js v") == 1 and "default-src 'none'" in page
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
    assert "Case mix" in page and NOTE[30:60] not in page
    assert not any(f">{note}<" in page for note in truth[0])
    assert "Case mix" not in evaluation_report(evaluation, choice, "physician")


def test_a_report_counts_one_note_and_names_an_import_by_its_file(store):
    store.append("import_event", [{"import_id": "import", "kind": "imported", "files": ["stays.csv"]}])
    store.append("note", [stored_note("a", drg="292")])
    store.append("prediction", [stored_prediction("a")])
    evaluation, _ = scored(store)
    page = evaluation_report(evaluation, Choice(("run",), CaseFilter("recorded", import_id="import"), 1), "coder")
    assert "1 labelled note of 1 patient, answered by every run (import stays.csv" in page


def test_a_models_name_is_no_markup_in_a_report(store):
    store.append("note", [stored_note("a", drg="292")])
    store.append("prediction", [stored_prediction("a", model="<img src=x onerror=alert(1)>")])
    evaluation, _ = scored(store)
    page = evaluation_report(evaluation, Choice(("run",), ALL, 1), "coder")
    assert "<img src=x" not in page
    assert "&lt;img src=x" in page
