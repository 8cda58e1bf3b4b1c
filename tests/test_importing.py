"""Imports: what is stored, what is left out and why, what a second import of the same file does."""

import json

import pytest

from sapphire.importing import import_files, imports, stored_note, withdraw_import
from sapphire.notes import Note
from sapphire.store import open_store
from sapphire.store.worklist import Filters, Worklist

COURSE = "Brief Hospital Course:\nAdmitted with sepsis from pneumonia.\nDischarge Medications: none"


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


def jsonl(path, *rows: dict):
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def test_a_note_is_stored_with_all_that_came_with_it(store, tmp_path):
    row = {
        "note_id": "n1", "text": f"{COURSE}{' aspirin' * 600}", "age": 70, "sex": "F", "pdx": "A419", "sdx": ["J189", "R6520"], "poa": ["Y", "Y", "Y"],
        "drg": "871", "drg_version": "43.1", "trap": ["two_principals"], "credentialed": True,
    }  # fmt: skip
    report = import_files(store, [jsonl(tmp_path / "a.jsonl", row)], "ana")
    assert (report.notes, report.problems) == (1, [])
    stored = store.read("SELECT * FROM current_note")[0]
    assert stored["text"][stored["course_start"] : stored["course_end"]] == "Admitted with sepsis from pneumonia."
    assert stored["snippet"].startswith("Admitted with sepsis")
    note = stored_note(stored)
    assert isinstance(note, Note)
    assert (note.age, note.sdx, note.credentialed, note.trap) == (70, ("J189", "R6520"), True, ("two_principals",))


def test_of_a_short_note_all_is_read(store, tmp_path):
    import_files(store, [jsonl(tmp_path / "a.jsonl", {"note_id": "n1", "text": COURSE})], "ana")
    stored = store.read("SELECT course_start, course_end, snippet FROM current_note")[0]
    assert (stored["course_start"], stored["course_end"]) == (None, None)
    assert stored["snippet"].startswith("Admitted with sepsis")


def test_the_same_file_again_stores_nothing_and_another_text_under_the_same_id_is_a_problem(store, tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"note_id": "n1", "text": COURSE})
    import_files(store, [path], "ana")
    again = import_files(store, [path], "ana")
    assert (again.notes, again.already, again.problems) == (0, 1, [])
    other = import_files(store, [jsonl(tmp_path / "b.jsonl", {"note_id": "n1", "text": "Other words."})], "ana")
    assert other.notes == 0
    assert "already stored with other text" in other.problems[0].message
    assert store.read("SELECT text FROM current_note")[0]["text"] == COURSE


def test_one_unreadable_file_does_not_stop_the_others(store, tmp_path):
    bad = tmp_path / "bad.csv"
    bad.write_bytes(bytes(range(256)) * 50)
    good = jsonl(tmp_path / "good.jsonl", {"note_id": "n1", "text": COURSE})
    report = import_files(store, [bad, good], "ana")
    assert (report.notes, report.unreadable) == (1, 1)
    assert "bad.csv" in str(report.problems[0])


def test_a_withdrawn_import_leaves_the_worklist_and_can_come_again(store, tmp_path):
    path = jsonl(tmp_path / "a.jsonl", {"note_id": "n1", "text": COURSE})
    report = import_files(store, [path], "ana")
    worklist = Worklist(store)
    assert worklist.count(Filters()) == 1
    withdraw_import(store, report.import_id, "ana")
    worklist.refresh()
    assert worklist.count(Filters()) == 0
    assert [row["withdrawn"] for row in imports(store)] == [True]
    assert import_files(store, [path], "bo").notes == 1
    worklist.refresh()
    assert worklist.count(Filters()) == 1


def test_an_import_that_was_interrupted_is_listed_and_can_be_withdrawn(store, tmp_path):
    class Stop(Exception):
        pass

    def stop(notes: int) -> None:
        raise Stop

    path = jsonl(tmp_path / "a.jsonl", *[{"note_id": f"n{i}", "text": f"{i} {COURSE}"} for i in range(900)])
    with pytest.raises(Stop):
        import_files(store, [path], "ana", progress=stop)
    assert store.read("SELECT count(*) AS n FROM current_note") == [{"n": 500}]
    row = imports(store)[0]
    assert row["kind"] == "started"
    rest = import_files(store, [path], "ana")
    assert (rest.notes, rest.already) == (400, 500)
    withdraw_import(store, row["import_id"], "ana")
    assert store.read("SELECT count(*) AS n FROM current_note") == [{"n": 400}]


def test_columns_can_be_named(store, tmp_path):
    path = tmp_path / "odd.csv"
    path.write_text("a,b\n1,Some longer words of a note.\n")
    assert import_files(store, [path], "ana").unreadable == 1
    assert import_files(store, [path], "ana", {"text": "b"}).notes == 1
