"""Runs side by side: agreement, who is right, the way from case to case, and what a role is shown."""

import json

import pytest

from sapphire.comparing import open_comparison, relation, right_words, runs, tokens_a_second
from sapphire.drg.codebook import codebook
from sapphire.store import open_store
from sapphire.store.comparisons import AGREEMENTS, DIFFERENT, CaseFilters, Comparisons
from tests.stays import stored_note, stored_prediction

BOOK = codebook()
# (recorded, said by A, said by B), a note each. 291 to 293 are heart failure, 280 to 282 infarction of the same MDC, 193 pneumonia.
SAID = [
    ("291", "291", "291"),
    ("291", "292", "291"),
    ("291", "280", "291"),
    ("193", "291", "193"),
    ("193", "291", "291"),
    (None, "291", None),
    ("291", None, "291"),
]


def said(note: str, run: str, drg: str | None, **more) -> dict:
    title = BOOK.drgs[drg].title if drg else "no such title"
    facts = {"prediction_id": f"{run}-{note}", "run_id": run, "model": f"model-{run}"}
    return stored_prediction(note, title=title, drg=drg, **facts | more)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


def fill(store) -> Comparisons:
    notes = [stored_note(f"n{i}", drg=gold) for i, (gold, _, _) in enumerate(SAID)]
    store.append("note", [*notes, stored_note("only-a", drg="291"), stored_note("failed", drg="291")])
    answers = [said(f"n{i}", run, case[at]) for run, at in (("a", 1), ("b", 2)) for i, case in enumerate(SAID)]
    answers += [said("only-a", "a", "291"), said("failed", "a", "291")]
    store.append("prediction", [*answers, said("failed", "b", None) | {"completion": "", "error": "too long"}])
    return Comparisons(store)


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A database that the tests only read."""
    store = open_store(tmp_path_factory.mktemp("filled") / "sapphire.duckdb")
    yield fill(store)
    store.close()


@pytest.fixture(scope="module")
def notes(filled) -> dict[str, dict]:
    return {row["note_id"]: row for row in filled._store.read("SELECT * FROM current_note")}


def ids(comparisons, filters, runs=("a", "b")) -> list[str]:
    return [row["note_id"] for row in comparisons.cases(runs, filters)]


def test_notes_that_all_answered_are_counted_by_how_far_the_answers_are_apart(filled):
    assert filled.agreements(["a", "b"]) == dict(zip(AGREEMENTS, (2, 1, 1, 1, 2), strict=True))
    assert filled.coverage(["a", "b"]) == {"shared": 7, "labelled": 6, "right_0": 1, "right_1": 5}
    assert ids(filled, CaseFilters(agreements=DIFFERENT)) == ["n1", "n2", "n3", "n5", "n6"]


def test_who_is_right_is_counted_where_the_right_drg_is_recorded(filled):
    assert filled.patterns(["a", "b"]) == {(True, True): 1, (False, True): 4, (False, False): 1}
    assert ids(filled, CaseFilters(right=(False, False))) == ["n4"]


def test_filters_by_mdc_and_by_severity_confusion(filled):
    # n5 has no recorded DRG: the MDC of an answer stands for it.
    assert filled.mdcs(["a", "b"]) == {"04": 2, "05": 5}
    assert ids(filled, CaseFilters(mdc="04")) == ["n3", "n4"]
    assert filled.severities(["a", "b"]) == {(0, "MCC", "CC"): 1}
    assert ids(filled, CaseFilters(severity=(0, "MCC", "CC"))) == ["n1"]


def test_the_way_from_case_to_case_keeps_to_the_filters(filled, notes):
    seq = {note_id: row["seq"] for note_id, row in notes.items()}
    differing = CaseFilters(agreements=DIFFERENT)
    assert filled.first(["a", "b"], differing) == {"note_id": "n1", "note_seq": seq["n1"]}
    assert filled.around(["a", "b"], differing, seq["n3"]) == {"before": seq["n2"], "after": seq["n5"], "position": 3}
    assert filled.around(["a", "b"], differing, seq["n4"]) == {
        "before": seq["n3"],
        "after": seq["n5"],
        "position": None,
    }
    assert filled.around(["a", "b"], differing, seq["n6"])["after"] is None
    assert filled.count(["a", "b"], differing) == 5


def test_the_copy_follows_new_answers_new_notes_and_withdrawals(store):
    filled = fill(store)
    assert filled.coverage(["a", "b"])["shared"] == 7
    store.append("prediction", [said("only-a", "b", "291")])
    assert filled.coverage(["a", "b"])["shared"] == 8
    store.append("note", [stored_note("late", drg="291") | {"import_id": "late"}])
    store.append("prediction", [said("late", "a", "291"), said("late", "b", "292")])
    assert filled.agreements(["a", "b"])["same base DRG"] == 2
    store.append("import_event", [{"import_id": "late", "kind": "withdrawn", "author": "ana"}])
    assert filled.coverage(["a", "b"])["shared"] == 8


def test_a_recorded_drg_of_another_version_and_one_named_by_its_title(store):
    store.append(
        "note",
        [
            stored_note("old", drg="291", drg_version="36"),
            stored_note("titled", title="HEART FAILURE AND SHOCK W/ MCC"),
        ],
    )
    store.append("note", [stored_note("right", title="Heart Failure and Shock With MCC", drg_version="43.1")])
    for run in "ab":
        store.append("prediction", [said(note, run, "291") for note in ("old", "titled", "right")])
    assert Comparisons(store).patterns(["a", "b"]) == {(True, True): 1}


def test_three_runs_runs_with_nothing_in_common_and_runs_of_two_versions(store):
    filled = fill(store)
    store.append("prediction", [said("n0", "c", "293"), said("n1", "c", "291")])
    assert filled.patterns(["a", "b", "c"]) == {(True, True, False): 1, (False, True, True): 1}
    assert filled.agreements(["a", "b", "c"])["same base DRG"] == 2
    store.append("prediction", [said("only-a", "d", "291")])
    assert filled.coverage(["b", "d"])["shared"] == 0
    assert filled.first(["b", "d"], CaseFilters()) is None
    store.append("prediction", [said("n0", "old", "291") | {"drg_version": "36"}])
    with pytest.raises(ValueError, match=r"different MS-DRG versions \(36, 43.1\)"):
        filled.agreements(["a", "old"])


def test_runs_have_names_that_tell_them_apart(store):
    for i, sampling in enumerate(
        [{"n": 1, "temperature": 0.0}, {"n": 1, "temperature": 0.0}, {"n": 8, "temperature": 0.6, "seed": 3}]
    ):
        run = f"run-{i}"
        store.append(
            "run_event", [{"run_id": run, "kind": "started", "model": "m", "sampling": sampling, "note_ids": ["n0"]}]
        )
        store.append("prediction", [said("n0", run, "291", model="m")])
    store.append(
        "prediction",
        [said("n0", "bare", "291", model="m", prompt="grounded"), said("n0", "broken", None, model="m", error="x")],
    )
    names = [run.name for run in runs(Comparisons(store).runs())]
    assert len(set(names)) == 4
    assert names[:2] == ["m · grounded prompt", "m · temperature 0.6, 8 answers, seed 3"]
    assert all(name.startswith("m · greedy · ") for name in names[2:])


@pytest.mark.parametrize(
    ("one", "other", "kind", "words"),
    [
        ("291", "291", "same DRG", "same DRG"),
        ("291", "292", "same base DRG", "same base DRG, with CC instead of with MCC"),
        ("291", "280", "same MDC", "same MDC, other base DRG"),
        ("291", "193", "different MDC", "different MDC"),
        ("291", None, "no DRG", "no DRG to compare"),
    ],
)
def test_two_drgs_are_related_by_the_hierarchy(one, other, kind, words):
    found = relation(BOOK.drgs[one], other and BOOK.drgs[other])
    assert (found.kind, found.words, found.weight) == (kind, words, None)


def test_weights_are_for_the_roles_that_may_see_them(filled, notes):
    stored = {run.run_id: run for run in runs(filled.runs())}
    note = notes["n1"]
    pair = [stored["a"], stored["b"]]
    difference = round(BOOK.drgs["291"].weight - BOOK.drgs["292"].weight, 4)
    coder = open_comparison(filled, note, pair, "coder").answers
    assert [answer.to_gold.weight for answer in coder] == [-difference, 0.0]
    assert coder[1].to_first.weight == difference
    for answer in open_comparison(filled, note, pair, "physician").answers:
        assert answer.to_gold.weight is None
        assert answer.to_first is None or answer.to_first.weight is None


def test_a_comparison_holds_rewards_reasoning_and_what_failed(filled, notes):
    stored = {run.run_id: run for run in runs(filled.runs())}
    pair = [stored["a"], stored["b"]]
    found = open_comparison(filled, notes["n1"], pair, "coder")
    assert [answer.reward for answer in found.answers] == [1.5, 2.0]
    assert all(row.same for row in found.rows)
    failed = open_comparison(filled, notes["failed"], pair, "coder")
    assert (failed.answers[1].prediction, failed.answers[1].error) == (None, "too long")
    assert failed.answered == (0,)
    pending = open_comparison(filled, notes["n5"], pair, "coder")
    assert pending.gold is None
    assert pending.answers[0].reward is None


def test_right_and_wrong_in_words():
    assert [right_words(p) for p in ((True, True), (True, False), (False, False))] == [
        "both right",
        "only A right",
        "none right",
    ]
    assert [right_words(p) for p in ((True, True, True), (True, False, True))] == ["all right", "A and C right"]
    assert right_words((True, True, False, True)) == "A, B and D right"


def test_speed_is_unknown_where_it_was_not_measured():
    assert tokens_a_second({"seconds": 2.0, "tokens": 100, "forced": []}) == 50
    assert tokens_a_second({"seconds": 2.0, "tokens": 100, "forced": ["lines"]}) is None
    assert tokens_a_second({"seconds": None, "tokens": 100}) is None
    assert json.dumps(tokens_a_second({"seconds": 0.0, "tokens": 1})) == "null"
