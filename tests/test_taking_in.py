"""Predictions from files: what is stored, what is left out and why, and that nothing is stored twice."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sapphire.completions import compose
from sapphire.drg.codebook import codebook
from sapphire.importing import text_hash
from sapphire.store import open_store
from sapphire.store.worklist import Filters, Worklist
from sapphire.taking_in import TakingInError, take_in
from tests.stays import NOTE, stored_note

BOOK = codebook()


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    store.append("note", [stored_note(f"n{i}", credentialed=i == 2) for i in range(3)])
    yield store
    store.close()


def answer(note_id: str, drg: str | None, sample: int = 0, **more) -> dict:
    title = BOOK.drgs[drg].title.upper() if drg else "NO TITLE"
    return {"note_id": note_id, "sample": sample, "completion": compose("Fluid overload.", title), "model": "m"} | more


def write(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("\n".join(map(json.dumps, rows)))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_samples_of_a_note_become_one_choice_as_in_a_run_of_the_app(store, tmp_path, name):
    rows = [answer("n0", drg, i, run="r1", prompt="plain") for i, drg in enumerate(["292", "291", None, "291"])]
    report = take_in(store, write(tmp_path / name, rows), "ana")
    assert (report.runs, report.notes, report.predictions, report.problems) == (["r1"], 1, 4, [])
    stored = store.read("SELECT * FROM prediction ORDER BY sample")
    assert [row["drg"] for row in stored] == ["292", "291", None, "291"]
    assert [row["chosen"] for row in stored] == [False, True, False, False]
    assert stored[1]["confidence"] == 0.5
    assert json.loads(stored[1]["alternatives"])[0]["drg"] == "292"
    assert Worklist(store).page(Filters(states=("predicted",)), 5)[0]["predicted_drg"] == "291"
    events = store.read("SELECT * FROM run_event ORDER BY seq")
    assert [event["kind"] for event in events] == ["started", "finished"]
    assert events[0]["note_ids"] == ["n0"] and events[0]["author"] == "ana"


def test_the_drg_is_what_the_completion_says_whatever_the_file_does(store, tmp_path):
    take_in(store, write(tmp_path / "a.jsonl", [answer("n0", "291") | {"drg": "001"}]), "ana")
    assert store.read("SELECT drg FROM prediction")[0]["drg"] == "291"


def test_taken_in_again_only_what_was_missing_is_stored(store, tmp_path):
    path = write(tmp_path / "a.jsonl", [answer(f"n{i}", "291") for i in range(5)])
    first = take_in(store, path, "ana")
    assert (first.predictions, [problem.row for problem in first.problems]) == (3, [4, 5])
    assert "not in the database" in first.problems[0].message and first.problems[0].note_id == "n3"
    store.append("note", [stored_note("n3")])
    again = take_in(store, path, "ana")
    assert (again.predictions, again.already, [p.row for p in again.problems]) == (1, 3, [5])
    assert again.runs == first.runs
    assert len(store.read("SELECT DISTINCT note_id FROM prediction")) == len(store.read("FROM prediction")) == 4
    events = len(store.read("FROM run_event"))
    take_in(store, path, "ana")
    assert len(store.read("FROM run_event")) == events


def test_an_intake_killed_before_its_event_is_recorded_by_the_next(store, tmp_path):
    path = write(tmp_path / "a.jsonl", [answer(f"n{i}", "291", run="r1") for i in range(3)])

    def kill(rows):
        raise KeyboardInterrupt

    append = store.append
    store.append = lambda table, events: append(table, events) if table == "prediction" else kill(0)
    with pytest.raises(KeyboardInterrupt):
        take_in(store, path, "ana")
    store.append = append
    assert len(store.read("FROM prediction")) == 3 and not store.read("FROM run_event")
    assert take_in(store, path, "ana").already == 3
    assert store.read("SELECT note_ids FROM run_event WHERE kind = 'started'")[0]["note_ids"] == ["n0", "n1", "n2"]


def test_a_note_with_other_text_or_without_its_mark_is_left_out(store, tmp_path):
    right = text_hash(NOTE)
    rows = [
        answer("n0", "291", text_hash="0" * 64, credentialed=False),
        answer("n1", "291", text_hash=right, credentialed=True),
        answer("n2", "291", text_hash=right, credentialed=True),
    ]
    report = take_in(store, write(tmp_path / "a.parquet", rows), "ana")
    assert [row["note_id"] for row in store.read("FROM prediction")] == ["n2"]
    assert "other text" in report.problems[0].message and "credentialed" in report.problems[1].message
    assert store.read("SELECT credentialed FROM case_state WHERE note_id = 'n2'")[0]["credentialed"]


def test_rows_that_fit_nothing_are_named_by_row(store, tmp_path):
    path = tmp_path / "a.jsonl"
    good = json.dumps(answer("n0", "291"))
    rows = [
        "no json",
        '{"completion": "x", "model": "m"}',
        good,
        '{"note_id": "n1", "model": "m"}',
        json.dumps(answer("n3", "291", forced=["everything"])),
        json.dumps(answer("n2", "291", drg_version="12")),
        json.dumps(answer("n2", "291") | {"model": None}),
        good,
    ]
    path.write_text("\n".join(rows))
    report = take_in(store, path, "ana")
    assert report.predictions == 1
    said = {problem.row: problem.message for problem in report.problems}
    assert said.keys() == {1, 2, 4, 5, 6, 7, 8}
    assert "note_id" in said[1] and "neither" in said[4] and "12" in said[6] and "came before" in said[8]
    assert all(problem.remedy for problem in report.problems)


def test_a_failure_is_stored_as_one_and_models_are_runs_of_their_own(store, tmp_path):
    rows = [
        answer("n0", "291"),
        {"note_id": "n0", "model": "other", "completion": None, "error": "The note is too long."},
        answer("n1", "291", model=None),
    ]
    path = write(tmp_path / "a.jsonl", rows)
    report = take_in(store, path, "ana", model="mine")
    assert len(set(report.runs)) == 3 and not report.problems
    failed = store.read("SELECT * FROM prediction WHERE error IS NOT NULL")
    assert [(row["model"], row["error"], row["completion"]) for row in failed] == [
        ("other", "The note is too long.", "")
    ]
    assert {row["model"] for row in store.read("FROM run_event")} == {"m", "mine", "other"}


def test_a_file_that_holds_no_predictions_is_one_sentence(store, tmp_path):
    pq.write_table(pa.table({"text": ["x"]}), tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_bytes(b"nothing")
    (tmp_path / "c.csv").write_text("note_id,completion")
    for name, says in [
        ("a", "no column completion, note_id"),
        ("b", "cannot be read"),
        ("c", "must end"),
        ("d", "read"),
    ]:
        path = next(tmp_path.glob(f"{name}.*"), tmp_path / "d.jsonl")
        with pytest.raises(TakingInError, match=says):
            take_in(store, path, "ana")
    assert not store.read("FROM run_event")
