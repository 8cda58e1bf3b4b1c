"""Training runs taken in while they grow: half lines, resumed and killed runs, folders that go, and nothing twice."""

import fcntl
import json
import shutil

import pytest

from sapphire.run_folders import line_before, lines_after
from sapphire.store import open_store
from sapphire.training_runs import TrainingRuns
from tests.run_folders import line, record, write_rollouts, write_run


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def refreshed(store, root) -> TrainingRuns:
    training = TrainingRuns(store, root)
    assert training.refresh(60) is False
    return training


def rows(store, table: str) -> int:
    return store.read(f"SELECT count(*) AS n FROM {table}")[0]["n"]


def steps_of(training: TrainingRuns, metric: str = "loss") -> list[int]:
    return training.curves(training.runs()[0])[metric].step.tolist()


def test_without_a_folder_there_are_no_runs(store, root):
    assert refreshed(store, root).runs() == []


def test_a_run_is_taken_in_once_whoever_looks(store, root):
    write_run(root, "one", steps=6, rollouts=6)
    training = refreshed(store, root)
    training.refresh()
    again = refreshed(store, root)  # an app that was started anew
    assert (rows(store, "training_step"), rows(store, "training_group"), rows(store, "training_event")) == (6, 18, 1)
    (run,) = again.runs()
    assert (run.name, run.kind, run.state, run.done, run.steps, run.groups) == ("one", "grpo", "finished", 6, 6, 18)
    assert 12 < run.seconds < 18
    one, two = again.curves(run), training.curves(run)
    assert one.keys() == two.keys()
    assert one["reward"].reading.tolist() == two["reward"].reading.tolist()


def test_a_growing_file_is_read_from_where_it_was_left_and_half_a_line_is_left(store, root):
    folder = write_run(root, "one", steps=6, done=2, state="running")
    training = refreshed(store, root)
    whole, half = line(3), line(4)
    with (folder / "metrics.jsonl").open("a") as out:
        out.write(whole + half[:50])
    training.refresh()
    assert steps_of(training) == [1, 2, 3]
    with (folder / "metrics.jsonl").open("a") as out:
        out.write(half[50:])
    training.refresh()
    assert steps_of(training) == [1, 2, 3, 4]
    assert rows(store, "training_step") == 4


def test_what_was_read_is_not_read_again(root, tmp_path):
    path = write_run(root, "one", steps=6) / "metrics.jsonl"
    ends = [each.end for lines in lines_after(path, 0) for each in lines]
    assert ends[-1] == path.stat().st_size
    assert [each.step for lines in lines_after(path, ends[3]) for each in lines] == [5, 6]
    assert line_before(path, ends[3]) == (4, 1_795_920_004.0)
    assert line_before(path, ends[3] - 1) is None
    assert line_before(path, 10**6) is None


@pytest.mark.parametrize("restarted", [False, True])
def test_a_resumed_run_loses_the_steps_that_are_done_again(store, root, restarted):
    folder = write_run(root, "one", steps=8, done=6, rollouts=6, state="running")
    training = refreshed(store, root)
    assert (steps_of(training), rows(store, "current_training_group")) == ([1, 2, 3, 4, 5, 6], 18)
    # It was killed and goes on from its checkpoint of step 4; the file is longer in bytes by the time we look.
    kept = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)[:4]
    done_again = [line(step, at=1_795_930_000.0, loss=99.0) for step in (5, 6, 7)]
    for step in (5, 6):
        (folder / "completions" / f"step-{step:06d}.parquet").unlink()
    (folder / "metrics.jsonl").write_text("".join(kept + done_again[:1]))
    write_rollouts(folder, 5)
    training = refreshed(store, root) if restarted else training
    training.refresh()
    assert (steps_of(training), rows(store, "current_training_group")) == ([1, 2, 3, 4, 5], 15)
    with (folder / "metrics.jsonl").open("a") as out:
        out.write("".join(done_again[1:]))
    training.refresh()
    assert steps_of(training) == [1, 2, 3, 4, 5, 6, 7]
    losses = training.curves(training.runs()[0])["loss"].reading
    assert [loss == 99.0 for loss in losses] == [False] * 4 + [True] * 3
    assert len(training.runs()) == 1


def test_a_folder_trained_anew_is_another_run_and_a_folder_that_goes_leaves_its_history(store, root):
    folder = write_run(root, "one", steps=4, rollouts=4)
    refreshed(store, root)
    shutil.rmtree(folder)
    training = refreshed(store, root)
    (gone,) = training.runs()
    assert (gone.folder, gone.state, gone.done) == (None, "finished", 4)
    assert steps_of(training) == [1, 2, 3, 4]
    assert training.log.difficulties(gone.run_id) == {"easy": 1, "medium": 1, "hard": 1}
    write_run(root, "one", steps=4, done=2, started="2026-11-30T02:00:00+00:00")
    training.refresh()
    assert [(run.done, run.folder is None) for run in training.runs()] == [(2, False), (4, True)]


def test_who_holds_the_lock_tells_a_running_run_from_a_killed_one(store, root):
    folder = write_run(root, "one", steps=10, done=4, state="running")
    training = refreshed(store, root)
    assert (training.runs()[0].state, training.runs()[0].left) == ("interrupted", None)
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        training.refresh()
        (run,) = training.runs()
        assert run.state == "running"
        assert 6 * 2 < run.left < 6 * 3  # six steps of two to three seconds
    (folder / "run.json").write_text(json.dumps(record("one", state="failed", error="The disk is full.")))
    training.refresh()
    assert (training.runs()[0].state, training.runs()[0].record["error"]) == ("failed", "The disk is full.")
    shutil.rmtree(folder)


def test_what_is_no_run_is_told_and_hides_no_other(store, root):
    write_run(root, "one", steps=2)
    (root / "tiny").mkdir()
    (root / "bad").mkdir()
    (root / "bad" / "run.json").write_text("[")
    shutil.copytree(root / "one", root / "copy of one")
    training = refreshed(store, root)
    assert [run.name for run in training.runs()] == ["one"]
    assert len(training.problems) == 2
    assert "bad/run.json is no JSON" in training.problems[0]
    assert "is a copy of" in training.problems[1]
    assert rows(store, "training_step") == 2


def test_a_bad_rollout_file_is_told_and_the_others_come(store, root):
    folder = write_run(root, "one", steps=3, rollouts=3)
    (folder / "completions" / "step-000002.parquet").write_bytes(b"no parquet")
    training = refreshed(store, root)
    assert "step-000002.parquet cannot be read" in training.problems[0]
    assert [row["step"] for row in training.log.group_steps(training.runs()[0].run_id, 3)] == [1, 3]
    training.refresh()
    assert (len(training.problems), rows(store, "training_group")) == (1, 6)


def test_gaps_stay_gaps_and_long_runs_are_drawn_in_few_points(store, root):
    write_run(root, "one", steps=1_000)
    training = refreshed(store, root)
    (run,) = training.runs()
    found = training.curves(run, window=50)
    assert "rewards/grounded/mean" not in found  # null on every line
    assert "frac_nan" not in found
    loss = found["loss"]
    assert (len(loss.step), loss.step[-1], set(loss.steps.tolist())) == (334, 1_000, {3, 1})
    read = [each for lines in lines_after(run.folder / "metrics.jsonl", 0) for each in lines]
    values = [each.metrics["loss"] for each in read]
    assert loss.reading[0] == pytest.approx(sum(values[:3]) / 3)
    assert loss.mean[-1] == pytest.approx(sum(values[-50:]) / 50)
    assert loss.hours[-1] == pytest.approx(run.seconds / 3600)


def test_the_time_allowed_is_kept_and_the_rest_comes_next_time(store, root):
    write_run(root, "one", steps=50, rollouts=2)
    training = TrainingRuns(store, root)
    assert training.refresh(budget=-1) is True
    assert training.refresh(60) is False
    assert training.runs()[0].done == 50


def test_difficulty_is_the_papers_and_the_newest_of_each_case(store, root):
    write_run(root, "one", steps=2, rollouts=2)
    training = refreshed(store, root)
    (run,) = training.runs()
    found = {row["case_id"]: row for row in training.log.cases(run.run_id, ["easy", "medium", "hard"], 10)}
    assert [(case, row["difficulty"], row["share_right"], row["times"]) for case, row in sorted(found.items())] == [
        ("stay-a", "easy", 1.0, 2), ("stay-b", "medium", 0.5, 2), ("stay-c", "hard", 0.0, 2),
    ]  # fmt: skip
    assert training.log.group_steps(run.run_id, run.done)[0] == {
        "step": 1,
        "groups": 3,
        "dead": 2,
        "easy": 1,
        "medium": 1,
        "hard": 1,
    }


def test_no_note_text_reaches_the_database(store, root):
    write_run(root, "one", steps=2, rollouts=2)
    refreshed(store, root)
    for table in ("training_event", "training_step", "training_group"):
        assert "dyspnea" not in str(store.read(f"SELECT * FROM {table}"))
