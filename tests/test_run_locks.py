"""Who may train in a run's folder: one main process, beside it the other ranks, also those of another machine."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from train.recipe import read_recipe
from train.run import Run, TrainingError

ROOT = Path(__file__).parents[1]
BEGIN = "from train.recipe import read_recipe; from train.run import Run; import time\n"
BEGIN += "with Run(read_recipe('one.yaml')) as run:\n    run.begin(); print('begun', flush=True); time.sleep(600)"


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "one.yaml"
    path.write_text(json.dumps({"kind": "sft", "model": "m", "data": "rows.jsonl", "batch_size": 2}))
    return read_recipe(path)


def test_the_first_process_of_a_second_machine_stands_beside_the_main_one_and_writes_nothing(recipe, monkeypatch):
    """RANK says who is main: LOCAL_RANK is 0 on each machine. A main process that is killed holds nobody up."""
    env = os.environ | {"PYTHONPATH": str(ROOT), "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    with subprocess.Popen([sys.executable, "-c", BEGIN], env=env, stdout=subprocess.PIPE, text=True) as main:
        try:
            assert main.stdout.readline() == "begun\n"
            before = Path("runs/one/run.json").read_bytes()
            with pytest.raises(TrainingError, match="Another process is training in runs/one"), Run(recipe):
                pass
            monkeypatch.setenv("RANK", "1")
            monkeypatch.setenv("LOCAL_RANK", "0")
            monkeypatch.setenv("WORLD_SIZE", "2")
            with Run(recipe) as other:
                assert not other.main and other.processes == 2
                Path("runs/one/checkpoint-2").mkdir()  # the main one is writing it
                assert other.checkpoint() is None and Path("runs/one/checkpoint-2").exists()
                other.begin(rows=3)
                other.finish()
            assert Path("runs/one/run.json").read_bytes() == before
        finally:
            main.kill()
    assert main.returncode == -signal.SIGKILL
    monkeypatch.setenv("RANK", "0")
    with Run(recipe) as run:
        assert run.record["state"] == "running" and run.record["processes"] == 2
        assert run.checkpoint() is None and not Path("runs/one/checkpoint-2").exists()


def test_a_file_system_without_locks_is_not_taken_for_another_process(recipe, monkeypatch):
    """As Lustre answers when it is mounted without flock."""

    def flock(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(TrainingError, match=r"runs/one cannot be locked \(Function not implemented\)"), Run(recipe):
        pass
