"""The database: what is acknowledged is on disk, what is broken says so, and two processes can work on one file."""

import os
import signal
import subprocess
import sys
import textwrap

import duckdb
import pytest

from sapphire.store import StoreError, database, open_store
from sapphire.store.literals import bind, literal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sapphire.duckdb"


def profile(name: str) -> dict:
    return {"name": name, "role": "coder", "think_first": False}


def note(note_id: str, text: str = "Some text", **more) -> dict:
    facts = {"import_id": "i", "text_hash": "h", "words": 2, "snippet": "s", "credentialed": False}
    return facts | {"note_id": note_id, "text": text} | more


def run(code: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, timeout=60
    )


def test_what_is_appended_is_read_back_by_the_next_opening(path):
    store = open_store(path)
    store.append("note", [note("a", "it's; -- $x\nüñ", sdx=["N179", "E876"], poa=[]), note("b", age=70)])
    store.close()
    store = open_store(path)
    rows = store.read("SELECT * FROM note ORDER BY seq")
    assert [(r["note_id"], r["text"], r["sdx"], r["age"]) for r in rows] == [
        ("a", "it's; -- $x\nüñ", ["N179", "E876"], None),
        ("b", "Some text", None, 70),
    ]
    assert rows[0]["seq"] < rows[1]["seq"]
    store.close()


def test_the_file_is_for_its_owner_alone(path):
    store = open_store(path)
    store.serve()
    assert path.stat().st_mode & 0o077 == 0
    assert path.with_name("sapphire.duckdb.endpoint").stat().st_mode & 0o077 == 0
    store.close()
    assert not path.with_name("sapphire.duckdb.endpoint").exists()


def test_an_unknown_column_is_a_mistake_of_ours_and_writes_nothing(path):
    store = open_store(path)
    with pytest.raises(ValueError, match="profile_event has no column nmae"):
        store.append("profile_event", [{"nmae": "x"}])
    assert store.read("SELECT count(*) AS n FROM profile_event") == [{"n": 0}]
    store.close()


def test_events_of_one_append_are_all_written_or_none(path):
    store = open_store(path)
    with pytest.raises(StoreError, match="Nothing was saved"):
        store.append("profile_event", [profile("ana"), profile("bo") | {"role": None}])
    assert store.read("SELECT count(*) AS n FROM profile_event") == [{"n": 0}]
    store.close()


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(path):
    code = """
        import sys
        from sapphire.store import open_store
        store = open_store(sys.argv[1])
        for i in range(100000):
            store.append("profile_event", [{"name": f"reader {i}", "role": "coder", "think_first": False}])
            print(i, flush=True)
    """
    writer = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(path)], stdout=subprocess.PIPE, text=True
    )
    acknowledged = -1
    for line in writer.stdout:
        acknowledged = int(line)
        if acknowledged == 150:
            os.kill(writer.pid, signal.SIGKILL)
            break
    rest = writer.stdout.read().split()
    acknowledged = int(rest[-1]) if rest else acknowledged
    writer.wait()
    store = open_store(path)
    names = {row["name"] for row in store.read("SELECT name FROM profile_event")}
    assert {f"reader {i}" for i in range(acknowledged + 1)} <= names
    store.close()


def test_a_second_process_works_through_the_first(path):
    store = open_store(path)
    store.serve()
    done = run(
        """
        import sys
        from sapphire.store import open_store
        store = open_store(sys.argv[1])
        assert store.remote
        store.append("note", [
            {"import_id": "i", "note_id": "far", "text": "it's $x; -- ü\\n'", "text_hash": "h", "words": 1, "snippet": "", "credentialed": False,
             "sdx": ["A'1", "B"], "poa": []}])
        store.append("import_event", [{"import_id": "i", "kind": "imported", "problems": [{"message": "it's"}]}])
        print(store.read("SELECT text FROM note WHERE note_id = $note", note="far")[0]["text"])
        """,
        str(path),
    )
    assert done.returncode == 0, done.stderr
    row = store.read("SELECT * FROM note WHERE note_id = 'far'")[0]
    assert (row["text"], row["sdx"], row["poa"]) == ("it's $x; -- ü\n'", ["A'1", "B"], [])
    assert done.stdout == row["text"] + "\n"
    assert store.read("SELECT problems->0->>'message' AS m FROM import_event") == [{"m": "it's"}]
    store.close()


def test_a_database_held_by_a_program_that_does_not_share_is_named_with_its_process(path):
    store = open_store(path)
    done = run("import sys; from sapphire.store import open_store; open_store(sys.argv[1])", str(path))
    assert f"in use by process {os.getpid()}" in done.stderr
    assert "SAPPHIRE_DB" in done.stderr
    store.close()


def test_an_endpoint_left_by_a_killed_app_does_not_stop_the_next_opening(path):
    open_store(path).close()
    path.with_name("sapphire.duckdb.endpoint").write_text('{"uri": "quack:localhost:9", "token": "gone"}')
    store = open_store(path)
    assert not store.remote
    store.serve()
    store.close()


def test_a_wrong_token_is_refused(path):
    store = open_store(path)
    store.serve()
    import json

    uri = json.loads(path.with_name("sapphire.duckdb.endpoint").read_text())["uri"]
    with pytest.raises(StoreError, match="check the address and token"):
        open_store(uri, token="guessed")
    with pytest.raises(StoreError, match="needs a token"):
        open_store(uri)
    store.close()


@pytest.mark.parametrize("content", [b"note_id,text\n1,hello\n" * 100, os.urandom(20000)])
def test_a_file_that_is_no_database_is_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"no DuckDB database|cannot be opened"):
        open_store(path)
    assert path.read_bytes() == content


def test_a_truncated_database_says_that_it_is_damaged(path):
    store = open_store(path)
    store.append("note", [note(f"n{i}", "words " * 2000) for i in range(500)])
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"damaged|cannot be"):
        open_store(path)


def test_a_long_log_left_by_a_killed_process_is_replayed(path):
    code = """
        import os, signal, sys
        from sapphire.store import open_store
        store = open_store(sys.argv[1])
        store.append("note", [
            {"import_id": "i", "note_id": str(i), "text": f"{i} words " * 1000, "text_hash": "h", "words": 1, "snippet": "", "credentialed": False}
            for i in range(900)])
        print(os.path.getsize(sys.argv[1] + ".wal"), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert int(run(code, str(path)).stdout) > 5_000_000
    store = open_store(path)
    assert store.read("SELECT count(*) AS n FROM note") == [{"n": 900}]
    store.close()
    open_store(path).close()


def test_a_file_whose_last_blocks_are_free_is_sound(path):
    for start in range(0, 60, 20):
        store = open_store(path)
        for i in range(start, start + 20):
            store.append("note", [note(f"n{i}-{j}", f"{i} {j} words " * 300) for j in range(40)])
            store.read("SELECT * FROM current_note")
        store.close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE passing AS SELECT repeat('x', 3000) || i AS text FROM range(5000) t(i)")
        connection.execute("CHECKPOINT")
        connection.execute("DROP TABLE passing")
        connection.execute("CHECKPOINT")
    store = open_store(path)
    assert store.read("SELECT count(*) AS n FROM note") == [{"n": 2400}]
    store.close()


def test_a_database_of_an_older_schema_is_brought_up_to_date_with_all_it_holds(path, monkeypatch):
    monkeypatch.setattr(database, "MIGRATIONS", database.MIGRATIONS[:1])
    store = open_store(path)
    store.append("note", [note("a", "an old note", words=600, course_start=3, course_end=6)])
    store.append("note", [note("long", "another", words=601, course_start=3, course_end=6)])
    store.close()
    monkeypatch.undo()
    store = open_store(path)
    steps = [row["name"] for row in store.read("SELECT name FROM schema_step ORDER BY number")]
    assert steps == [step.name for step in database.MIGRATIONS]
    assert store.read("SELECT note_id, text, course_start, course_end FROM current_note ORDER BY note_id") == [
        {"note_id": "a", "text": "an old note", "course_start": None, "course_end": None},
        {"note_id": "long", "text": "another", "course_start": 3, "course_end": 6},
    ]
    store.append("ballot_event", [{"ballot_id": "b", "kind": "opened", "author": "ana", "run_ids": ["x", "y"]}])
    assert store.read("SELECT open, run_ids FROM current_ballot") == [{"open": True, "run_ids": ["x", "y"]}]
    store.close()
    open_store(path).close()


def test_a_newer_schema_is_refused(path):
    open_store(path).close()
    with duckdb.connect(str(path)) as connection:
        connection.execute("INSERT INTO schema_step VALUES (999, 'later', '9.9', now()::TIMESTAMP)")
    with pytest.raises(StoreError, match="newer Sapphire"):
        open_store(path)


def test_an_unwritable_folder_is_one_sentence(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be opened"):
        open_store(blocked / "sapphire.duckdb")


def test_literals_survive_the_database():
    values = ["it's", "a\nb", "$name ; -- '", "", "ü𝛼", 3, -1.5, True, None, ["x'y", None], []]
    connection = duckdb.connect()
    for value in values:
        assert connection.execute(f"SELECT {literal(value)}").fetchone()[0] == value


def test_bind_replaces_parameters_and_leaves_quoted_text_alone():
    assert bind("SELECT $a, '$a', 'it''s $a' WHERE x = $b", {"a": "1'", "b": None}) == (
        "SELECT '1''', '$a', 'it''s $a' WHERE x = NULL"
    )
    with pytest.raises(KeyError):
        bind("SELECT $missing", {})
    with pytest.raises(TypeError):
        literal(object())
