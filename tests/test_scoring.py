"""Prediction rows and files of them, with the real embedded model where a model is needed."""

import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time

import pyarrow.parquet as pq
import pytest

from sapphire.completions import compose
from sapphire.drg.codebook import codebook
from sapphire.engines import Completion, EngineError, ModelCard, Sampling
from sapphire.notes import Note, NotesError, Problem
from sapphire.prediction_files import COLUMNS, OutputError
from sapphire.scoring import note_input, predict_file, row, score

CARD = ModelCard("m", "llama.cpp", "nowhere")
QUICK = Sampling(max_thinking=6)
TEXTS = [f"Admitted with dyspnea, day {i}. Heart failure. Diuresed. Home." for i in range(6)]


def completion(drg="291", forced=(), confidence=0.7, think="Fluid overload."):
    title = codebook().drgs[drg].title.upper() if drg else "NOT A TITLE"
    return Completion(compose(think, title), forced, think, 20, 1.5, confidence)


def note(**known):
    return Note("n1", "text", **known)


def write_notes(path, texts=TEXTS, **more):
    path.write_text("\n".join(json.dumps({"note_id": f"n{i}", "text": t, **more}) for i, t in enumerate(texts)) + "\n")
    return path


class Told:
    """An engine whose answers are given: a text to its completions or an error. Takes `ahead` texts before it answers."""

    card = CARD

    def __init__(self, answers, ahead=1):
        self.answers, self.ahead = answers, ahead

    def score(self, cases, sampling, cancel=None):
        cases = iter(cases)
        while batch := [case.text for _, case in zip(range(self.ahead), cases, strict=False)]:
            for text in batch:
                yield self.answers[text]


def test_the_model_reads_the_hospital_course_of_a_long_note_and_all_of_a_short_one():
    text = "Chief Complaint:\ndyspnea\n\nBrief Hospital Course:\nHe was diuresed and went home.\n\nDischarge Medications:\nx"
    assert note_input(Note("a", text + " aspirin" * 600)).strip() == "He was diuresed and went home."
    assert note_input(Note("a", text)) == text
    assert note_input(Note("a", "He was diuresed " * 600)) == "He was diuresed " * 600
    assert note_input(Note("a", "He was diuresed.")) == "He was diuresed."


def test_a_row_with_a_right_answer():
    made = row(note(drg="291"), [completion()], CARD)
    assert tuple(made) == COLUMNS
    assert (made["drg"], made["title"], made["gold_drg"]) == ("291", codebook().drgs["291"].title, "291")
    assert (made["outcome"], made["format"], made["accuracy"], made["cot_first"], made["reward"]) == (
        "full",
        0,
        2,
        0,
        2,
    )
    assert (made["confidence"], made["alternatives"], made["forced"], made["error"]) == (0.7, [], [], None)
    assert (made["note_id"], made["model"], made["drg_version"], made["seconds"]) == ("n1", "m", "43.1", 1.5)


def test_without_gold_the_accuracy_is_pending():
    made = row(note(), [completion()], CARD)
    assert [made[name] for name in ("outcome", "accuracy", "reward", "gold_drg")] == [None] * 4
    assert made["format"] == 0


def test_a_forced_form_earns_no_format_reward():
    made = row(note(drg="291"), [completion(forced=("think_open", "title"))], CARD)
    assert (made["format"], made["accuracy"], made["reward"]) == (-2, 0, -2)
    assert made["forced"] == ["think_open", "title"]


def test_gold_of_another_version_is_not_compared():
    made = row(note(drg="291", drg_version="37"), [completion()], CARD)
    assert (made["outcome"], made["accuracy"], made["gold_drg"]) == (None, None, "291")
    assert row(note(title=codebook().drgs["291"].title.upper()), [completion()], CARD)["outcome"] == "full"


def test_the_commonest_answer_stands_and_the_others_are_alternatives():
    samples = [completion("292"), completion("291", think="first"), completion(None), completion("291", think="second")]
    made = row(note(drg="291"), samples, CARD)
    assert (made["drg"], made["confidence"], made["seconds"]) == ("291", 0.5, 6.0)
    assert "first" in made["completion"]
    assert made["alternatives"] == [{"drg": "292", "title": codebook().drgs["292"].title, "share": 0.25}]


def test_no_answer_at_all():
    made = row(note(drg="291"), [completion(None), completion(None)], CARD)
    assert (made["drg"], made["outcome"], made["accuracy"], made["confidence"]) == (None, "invalid", -1.5, None)
    made = row(note(drg="291"), [], CARD, "too long")
    assert (made["error"], made["drg"], made["gold_drg"], made["forced"]) == ("too long", None, "291", [])


@pytest.mark.parametrize("ahead", [1, 2, 3, 10])
def test_a_note_that_fails_is_told_and_the_others_go_on(ahead):
    answers = {str(i): [completion()] for i in range(8)} | {"2": EngineError("two"), "3": EngineError("three")}
    notes = [Note(f"n{i}", str(i)) for i in range(8)]
    scored = list(score(notes, Told(answers, ahead), QUICK))
    assert [each.note for each in scored] == notes
    assert [each.error for each in scored] == [None, None, "two", "three", None, None, None, None]


def test_cancel_keeps_what_is_done(engine):
    cancel = threading.Event()
    scored = score([Note(str(i), text) for i, text in enumerate(TEXTS)], engine, QUICK, cancel)
    next(scored)
    cancel.set()
    assert list(scored) == []


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_file_of_predictions(engine, tmp_path, kind):
    notes = write_notes(tmp_path / "notes.jsonl", [*TEXTS[:2], "", "word " * 9000, TEXTS[2], TEXTS[0]], drg="291")
    seen = []
    out = tmp_path / f"out.{kind}"
    summary = predict_file(notes, out, engine, QUICK, progress=seen.append)
    rows = pq.read_table(out).to_pylist() if kind == "parquet" else list(map(json.loads, out.read_text().splitlines()))
    assert [each["note_id"] for each in rows] == ["n0", "n1", "n2", "n3", "n4", "n5"]
    assert all(tuple(each) == COLUMNS for each in rows)
    assert [bool(each["error"]) for each in rows] == [False, False, True, True, False, False]
    assert "The text is empty." in rows[2]["error"]
    assert "holds 8,192" in rows[3]["error"]
    assert rows[5]["completion"] == rows[0]["completion"]
    assert all(codebook().by_title(each["title"]).drg == each["drg"] for each in rows if each["drg"])
    assert all(each["gold_drg"] == "291" and each["reward"] == -2 for each in rows if not each["error"])
    assert (summary.rows, summary.failed, summary.problems, summary.complete) == (6, 2, 2, True)
    assert [each.row for each in seen if isinstance(each, Problem)] == [3, 6]
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert sorted(each.name for each in tmp_path.iterdir()) == ["notes.jsonl", out.name]
    # The same job once more has nothing to do; another one does not touch what is there.
    before = out.read_bytes()
    assert predict_file(notes, out, engine, QUICK).resumed == 6
    with pytest.raises(OutputError, match="another run"):
        predict_file(notes, out, engine, Sampling(max_thinking=7))
    assert out.read_bytes() == before


def test_killed_and_taken_up_again(engine, smollm2, tmp_path):
    """A process that is killed at any moment leaves no output, and repeats and loses nothing."""
    notes, out, whole = write_notes(tmp_path / "notes.jsonl"), tmp_path / "out.jsonl", tmp_path / "whole.jsonl"
    predict_file(notes, whole, engine, QUICK)
    script = (
        "import sys; from sapphire.engines import Sampling, load; from sapphire.scoring import predict_file\n"
        f"engine = load({str(smollm2)!r})\n"
        f"predict_file({str(notes)!r}, {str(out)!r}, engine, Sampling(max_thinking=6), progress=lambda each: print('row', flush=True))"
    )
    for rows in (1, 2):
        process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        for _ in range(rows):
            assert process.stdout.readline() == b"row\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not out.exists()
        assert stat.S_IMODE(out.with_name("out.jsonl.part").stat().st_mode) == 0o600
    assert predict_file(notes, out, engine, QUICK).resumed >= 3

    def answers(path):
        return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]

    assert answers(out) == answers(whole)


def test_a_work_file_cut_anywhere_is_continued(tmp_path):
    told = Told({text: [completion()] for text in TEXTS})
    notes, out = write_notes(tmp_path / "notes.jsonl"), tmp_path / "out.jsonl"
    cancel = threading.Event()
    predict_file(
        notes, out, told, QUICK, progress=lambda each: each.note.note_id == "n4" and cancel.set(), cancel=cancel
    )
    part = out.with_name("out.jsonl.part")
    whole, chance = part.read_bytes(), random.Random(1)
    assert not out.exists() and whole.count(b"\n") >= 6
    for end in [0, 1, 10, *(chance.randrange(len(whole)) for _ in range(20))]:
        part.write_bytes(whole[:end])
        out.unlink(missing_ok=True)
        predict_file(notes, out, told, QUICK)
        assert [json.loads(line)["note_id"] for line in out.read_text().splitlines()] == [f"n{i}" for i in range(6)]


def test_a_work_file_of_another_job_is_refused(tmp_path):
    told = Told({text: [completion()] for text in TEXTS})
    notes, out = write_notes(tmp_path / "notes.jsonl"), tmp_path / "out.parquet"
    cancel = threading.Event()
    cancel.set()
    assert not predict_file(notes, out, told, QUICK, cancel=cancel).complete
    with pytest.raises(OutputError, match="belongs to another run"):
        predict_file(notes, out, told, Sampling(temperature=1.0))
    write_notes(notes, TEXTS[:3])
    with pytest.raises(OutputError, match="belongs to another run"):
        predict_file(notes, out, told, QUICK)
    out.with_name("out.parquet.part").write_text("something else\n")
    with pytest.raises(OutputError, match="belongs to another run"):
        predict_file(notes, out, told, QUICK)


def test_two_processes_do_not_write_one_file(tmp_path):
    told = Told({text: [completion()] for text in TEXTS})
    notes, out = write_notes(tmp_path / "notes.jsonl"), tmp_path / "out.jsonl"

    def second(_):
        with pytest.raises(OutputError, match="Another process"):
            predict_file(notes, out, told, QUICK)

    predict_file(notes, out, told, QUICK, progress=second)
    assert len(out.read_text().splitlines()) == 6


def test_what_cannot_be_written_or_read(tmp_path):
    told = Told({text: [completion()] for text in TEXTS})
    notes = write_notes(tmp_path / "notes.jsonl")
    with pytest.raises(OutputError, match=r"must end in \.jsonl or \.parquet"):
        predict_file(notes, tmp_path / "out.csv", told, QUICK)
    with pytest.raises(OutputError, match="no folder"):
        predict_file(notes, tmp_path / "gone" / "out.jsonl", told, QUICK)
    for name in ("mine.jsonl", "mine.parquet"):
        (tmp_path / name).write_text("my own data\n")
        with pytest.raises(OutputError, match="holds no predictions"):
            predict_file(notes, tmp_path / name, told, QUICK)
        assert (tmp_path / name).read_text() == "my own data\n"
    with pytest.raises(NotesError, match="cannot be read"):
        predict_file(tmp_path / "none.jsonl", tmp_path / "out.jsonl", told, QUICK)
    if os.geteuid():
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="cannot be written"):
            predict_file(notes, tmp_path / "out.jsonl", told, QUICK)


def test_many_notes_are_written_in_batches(tmp_path):
    """20,000 notes as a stream: a Parquet file is made of row groups of 1,000."""
    texts = [f"note {i}" for i in range(20_000)]
    notes, out = write_notes(tmp_path / "notes.jsonl", texts), tmp_path / "out.parquet"
    at_once = []

    class Counting(Told):
        def score(self, texts, sampling, cancel=None):
            for _ in texts:
                yield [completion()]

    began = time.monotonic()
    predict_file(notes, out, Counting({}), QUICK, progress=lambda each: at_once.append(1))
    assert pq.read_metadata(out).num_rows == len(at_once) == 20_000
    assert pq.read_metadata(out).num_row_groups == 20
    assert time.monotonic() - began < 120
