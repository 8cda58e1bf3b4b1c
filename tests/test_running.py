"""Background runs with the real embedded model: answers stored one by one, cancelled, taken up again, queued by urgency."""

import json
import time

import pytest

from sapphire.completions import parse
from sapphire.drg.codebook import codebook
from sapphire.engines import Sampling
from sapphire.engines.model_folder import find
from sapphire.reasoning_checks import HOLDS, check_reasoning
from sapphire.running import Runner
from sapphire.store import open_store
from tests.stays import stored_note

QUICK = Sampling(max_thinking=8)
COURSE = "Hospital Course: {} treated and discharged home."


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


@pytest.fixture
def runner(store):
    runner = Runner(store)
    yield runner
    runner.close()


@pytest.fixture
def card(smollm2):
    return find(smollm2).card


def notes(store, *conditions: str) -> list[str]:
    store.append("note", [stored_note(f"n{i}", COURSE.format(each)) for i, each in enumerate(conditions)])
    return [f"n{i}" for i in range(len(conditions))]


def wait(run, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while run.active and time.monotonic() < end:
        time.sleep(0.05)
    assert not run.active, run


def answered(store) -> list[str]:
    return [row["note_id"] for row in store.read("SELECT note_id FROM prediction WHERE chosen ORDER BY seq")]


def test_a_run_answers_every_note_with_a_drg_and_says_so(store, runner, card):
    run = runner.start(notes(store, "Pneumonia", "Cellulitis"), card.name, card.location, QUICK, "ana")
    wait(run)
    assert (run.state, run.done, run.failed) == ("finished", 2, 0)
    rows = store.read("SELECT * FROM prediction ORDER BY seq")
    assert [row["note_id"] for row in rows] == ["n0", "n1"]
    assert all(row["drg"] and row["forced"] and 0 <= row["confidence"] <= 1 for row in rows)
    # Tags that the decoder wrote are not the model's own form; the terms that need no right DRG are kept with the answer.
    assert all(row["format"] == -2 and row["cot_first"] in (0, -0.5) for row in rows)
    assert [row["kind"] for row in store.read("SELECT kind FROM run_event ORDER BY seq")] == ["started", "finished"]
    assert runner.unfinished() == []


def test_several_answers_are_one_choice_with_its_share(store, runner, card):
    sampling = Sampling(n=3, temperature=1.0, max_thinking=8)
    run = runner.start(notes(store, "Pneumonia"), card.name, card.location, sampling, "ana")
    wait(run)
    rows = store.read("SELECT * FROM prediction ORDER BY sample")
    assert [row["sample"] for row in rows] == [0, 1, 2]
    chosen = [row for row in rows if row["chosen"]]
    assert len(chosen) == 1
    same = sum(row["drg"] == chosen[0]["drg"] for row in rows)
    assert chosen[0]["confidence"] == pytest.approx(same / 3)


def test_a_cancelled_run_is_taken_up_without_repeating_a_note(store, runner, card):
    ids = notes(store, *["Pneumonia"] * 6)
    run = runner.start(ids, card.name, card.location, QUICK, "ana")
    while run.done < 1:
        time.sleep(0.02)
    runner.cancel(run.run_id)
    wait(run)
    assert run.state == "cancelled"
    before = answered(store)
    assert 1 <= len(before) < 6
    left = runner.unfinished()
    assert [(row["run_id"], row["left"], row["total"]) for row in left] == [(run.run_id, 6 - len(before), 6)]
    again = Runner(store)
    resumed = again.resume(run.run_id, "bo")
    wait(resumed)
    again.close()
    assert answered(store) == ids
    assert again.unfinished() == []


def test_an_urgent_case_goes_before_the_rest_of_a_long_run(store, runner, card):
    ids = notes(store, *["Pneumonia"] * 5)
    long = runner.start(ids[:4], card.name, card.location, QUICK, "ana")
    while long.done < 1:
        time.sleep(0.02)
    urgent = runner.start(ids[4:], card.name, card.location, QUICK, "bo", urgent=True)
    wait(urgent)
    wait(long)
    assert answered(store).index("n4") <= 2


def test_a_note_too_long_for_the_model_is_an_answer_with_its_reason_and_the_run_goes_on(store, runner, card):
    ids = notes(store, "Pneumonia " * 9000, "Cellulitis")
    run = runner.start(ids, card.name, card.location, QUICK, "ana")
    wait(run)
    assert (run.state, run.done, run.failed) == ("finished", 2, 1)
    errors = store.read("SELECT error FROM prediction WHERE error IS NOT NULL")
    assert len(errors) == 1
    assert "tokens" in errors[0]["error"]
    assert store.read("SELECT state FROM case_state ORDER BY note_id") == [{"state": "failed"}, {"state": "predicted"}]


def test_a_missing_model_stops_the_run_with_a_sentence_and_the_next_run_works(store, runner, card, tmp_path):
    ids = notes(store, "Pneumonia")
    run = runner.start(ids, "gone", str(tmp_path / "gone"), QUICK, "ana")
    wait(run)
    assert run.state == "failed"
    assert "gone" in run.message
    assert [row["run_id"] for row in runner.unfinished()] == [run.run_id]
    good = runner.start(ids, card.name, card.location, QUICK, "ana")
    wait(good)
    assert good.state == "finished"


def test_a_withdrawn_note_is_passed_over(store, runner, card):
    ids = notes(store, "Pneumonia")
    store.append("import_event", [{"import_id": "import", "kind": "withdrawn"}])
    run = runner.start(ids, card.name, card.location, QUICK, "ana")
    wait(run)
    assert (run.state, run.failed) == ("finished", 1)


def test_on_the_grounded_prompt_likely_drgs_stand_before_the_answer_and_every_line_of_it_holds(
    store, runner, smollm2, tmp_path
):
    folder = tmp_path / "grounded"
    folder.mkdir()
    about = json.loads((smollm2 / "model.json").read_text()) | {"prompt": "grounded"}
    (folder / "model.json").write_text(json.dumps(about))
    (folder / about["file"]).symlink_to(smollm2 / about["file"])
    card = find(folder).card
    [note_id] = notes(store, "67M with pneumonia, acute hypoxic respiratory failure and hyponatremia,")
    run = runner.start([note_id], card.name, card.location, Sampling(), "ana", True)
    wait(run)
    [row] = store.read("SELECT * FROM prediction")
    assert (run.state, row["error"]) == ("finished", None)
    assert "193" in {each.drg for each in run.candidates}
    parsed = parse(row["completion"], codebook())
    note = store.read("SELECT text FROM current_note")[0]["text"]
    judged = check_reasoning(parsed.steps, note, "43.1")
    assert "lines" in row["forced"] and parsed.drg and judged.drg
    assert [each.state for each in judged.steps] == [HOLDS] * len(parsed.steps)
