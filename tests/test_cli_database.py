"""`sapphire import`, `predict` and `export` as a user types them, in processes of their own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from sapphire.cli_database import author
from sapphire.engines import Sampling
from sapphire.profiles import Profile
from sapphire.reviewing import Form, open_case, save_review
from sapphire.store import open_store
from tests.stays import stored_prediction

NOTES = [
    {"note_id": f"n{i}", "text": f"Hospital Course: Pneumonia number {i}, treated, home.", "drg": "195"}
    for i in range(3)
]


@pytest.fixture
def sapphire(tmp_path, smollm2):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / smollm2.name).symlink_to(smollm2)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SAPPHIRE")} | {
        "SAPPHIRE_HOME": str(tmp_path)
    }

    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "sapphire.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)

    return run


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    path.write_text("\n".join(map(json.dumps, NOTES)))
    return path


def test_import_predict_and_export_on_a_database(sapphire, notes, tmp_path):
    done = sapphire("import", notes)
    assert (done.returncode, done.stdout) == (0, "3 notes imported, 0 were there already, 0 problems\n"), done.stderr
    done = sapphire("predict")
    assert (done.returncode, done.stdout) == (0, "3 of 3 notes answered, 0 failed.\n"), done.stderr
    assert sapphire("predict").stdout == "No note is waiting for an answer.\n"
    assert sapphire("export").returncode == 2
    store = open_store(tmp_path / "sapphire.duckdb")
    save_review(
        store,
        open_case(store, "n0", "ana"),
        Profile("ana", "coder"),
        Form(drg_right=False, drg="195", reasoning="No CC."),
    )
    store.close()
    done = sapphire("export", "--with-text", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    row = json.loads((tmp_path / "out" / "round-0001" / "sft.jsonl").read_text())
    assert row["completion"][0]["content"].endswith("<answer>SIMPLE PNEUMONIA AND PLEURISY WITHOUT CC/MCC</answer>")


def test_predict_needs_no_database_for_files(sapphire, notes, tmp_path):
    done = sapphire("predict", "--notes", notes, "--out", tmp_path / "out.jsonl")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["note_id"] for row in rows] == ["n0", "n1", "n2"]
    assert {"drg", "title", "outcome", "reward", "completion", "forced", "seconds", "gold_drg"} <= rows[0].keys()
    assert not (tmp_path / "sapphire.duckdb").exists()
    again = sapphire("predict", "--notes", notes, "--out", tmp_path / "out.jsonl")
    assert "3 of them from before" in again.stdout


def test_predictions_of_a_file_come_into_the_database_once(sapphire, notes, tmp_path):
    sapphire("predict", "--notes", notes, "--out", tmp_path / "out.parquet")
    early = sapphire("import-predictions", tmp_path / "out.parquet")
    assert (early.returncode, early.stdout[:14]) == (0, "0 predictions "), early.stderr
    assert "out.parquet, row 1: Its note is not in the database." in early.stderr
    sapphire("import", notes)
    done = sapphire("import-predictions", tmp_path / "out.parquet")
    assert done.stdout == "3 predictions of 3 notes taken in, 0 notes were there already, 0 problems\n", done.stderr
    again = sapphire("import-predictions", tmp_path / "out.parquet")
    assert again.stdout.startswith("0 predictions of 0 notes taken in, 3 notes were there")
    assert sapphire("predict").stdout == "No note is waiting for an answer.\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("predict", "--notes", "x.jsonl"), "--notes and --out go together"),
        (("predict", "--samples", "0"), "--samples must be 1 or more"),
        (("predict", "--notes", "gone.jsonl", "--out", "out.jsonl"), "gone.jsonl"),
        (("predict", "--notes", __file__, "--out", "out.xlsx"), "out.xlsx"),
        (("export", "--decision", "maybe"), "maybe is no decision"),
        (("export",), "No saved review"),
        (("import", "gone.csv"), "gone.csv"),
        (("import", "--column", "text", "a.csv"), "FIELD=NAME"),
        (("import-predictions", "gone.parquet"), "gone.parquet"),
        (("import-predictions", __file__), "must end in .jsonl or .parquet"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(sapphire, arguments, says):
    done = sapphire(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_database_is_one_sentence(sapphire, notes, tmp_path):
    (tmp_path / "sapphire.duckdb").write_bytes(b"nothing" * 5000)
    done = sapphire("import", notes)
    assert done.returncode == 2
    assert "sapphire.duckdb" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["import", "import-predictions", "predict", "export", "group"])
def test_every_command_explains_itself(sapphire, command):
    done = sapphire(command, "--help")
    assert done.returncode == 0
    assert command in done.stdout


def test_predict_all_takes_up_the_run_that_a_killed_one_left(sapphire, notes, tmp_path, smollm2):
    """Its first note is answered and the third came later: only the two others are asked about, each once."""
    sapphire("import", notes)
    location = str(tmp_path / "models" / smollm2.name)
    settings = asdict(Sampling(top_p=0.95)) | {"location": location}
    store = open_store(tmp_path / "sapphire.duckdb")
    left = {"run_id": "left", "kind": "started", "model": smollm2.name, "author": author(), "note_ids": ["n0", "n1"]}
    store.append("run_event", [left | {"sampling": settings}])
    store.append("prediction", [stored_prediction("n0", run_id="left", model=smollm2.name)])
    store.close()
    done = sapphire("predict", "--all")
    assert (done.returncode, done.stdout) == (0, "2 of 2 notes answered, 0 failed.\n"), done.stderr
    store = open_store(tmp_path / "sapphire.duckdb")
    rows = store.read("SELECT note_id, run_id = 'left' AS before FROM prediction ORDER BY note_id")
    assert rows == [{"note_id": f"n{i}", "before": i < 2} for i in range(3)]
    kinds = store.read("SELECT kind FROM run_event WHERE run_id = 'left' ORDER BY seq")
    assert [row["kind"] for row in kinds] == ["started", "resumed", "finished"]
    store.close()
