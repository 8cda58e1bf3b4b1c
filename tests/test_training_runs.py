"""Runs of SFT and GRPO on a tiny model: that they learn, what they write, resume, and what they refuse."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import mean

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import pyarrow.parquet as pq  # noqa: E402

from sapphire.completions import parse  # noqa: E402
from sapphire.drg.codebook import codebook  # noqa: E402
from sapphire.engines import EngineError, Sampling, load  # noqa: E402
from sapphire.engines.model_folder import read_card  # noqa: E402
from sapphire.shipped import install_shipped  # noqa: E402
from sapphire.weights import Adapter, from_folder, from_gguf  # noqa: E402
from tests.training import metrics, recipe  # noqa: E402
from train import grpo, sft, tiny  # noqa: E402
from train.recipe import read_recipe  # noqa: E402
from train.run import WHOLE, Run, command  # noqa: E402
from train.ship import ship  # noqa: E402

pytestmark = pytest.mark.torch
TRAIN = {"sft": sft.train, "grpo": grpo.train}
LORA = {"r": 4, "target_modules": ["q_proj", "v_proj"]}


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """The working folder of `python -m train.tiny` and its recipe tiny-sft."""
    place = tmp_path_factory.mktemp("training")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        tiny.main()
        assert command("sft", sft.train, ["tiny-sft"]) == 0
    return place


@pytest.fixture
def room(taught, monkeypatch, tmp_path) -> Path:
    """A working folder of one's own; rows and the taught model lie in that of `taught`."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(kind: str, taught: Path, *changes: str, name: str = "run", **settings) -> int:
    model = taught / ("runs/tiny-sft/model" if kind == "grpo" else "runs/tiny/base")
    path = recipe(Path(f"{name}.yaml"), kind, settings.pop("model", model), taught / "runs/tiny/rows.jsonl", **settings)
    return command(kind, TRAIN[kind], [str(path), *changes])


def weights(folder: Path) -> bytes:
    return next((folder / "model").rglob("*.safetensors")).read_bytes()


@pytest.fixture
def stop_at(monkeypatch):
    """Let the next run be interrupted when it has logged a step."""
    from train.watch import Watch

    def stop(step: int) -> None:
        whole = Watch.on_log

        def on_log(self, args, state, control, logs=None, **rest):
            whole(self, args, state, control, logs, **rest)
            if state.global_step == step and "loss" in logs:
                monkeypatch.setattr(Watch, "on_log", whole)
                raise KeyboardInterrupt

        monkeypatch.setattr(Watch, "on_log", on_log)

    return stop


def test_sft_then_grpo_learn_the_five_titles(taught, monkeypatch):
    """The recipes tiny-sft and tiny-grpo as they are: the loss falls, then the reward rises, and the model opens."""
    monkeypatch.chdir(taught)
    losses = [line["loss"] for line in metrics(Path("runs/tiny-sft"))]
    assert losses[0] > 2 and losses[-1] < 0.1
    assert command("grpo", grpo.train, ["tiny-grpo"]) == 0
    lines = metrics(Path("runs/tiny-grpo"))
    assert mean(line["reward"] for line in lines[-4:]) > mean(line["reward"] for line in lines[:4]) + 0.1
    last = lines[-1]
    assert last["step"] == 16 and last["beta"] == 0.04 and last["kl"] > 0 and 0 <= last["frac_reward_zero_std"] <= 1
    assert last["reward_spread"] > 0 and last["entropy"] > 0 and last["completions/mean_length"] > 10
    parts = [last[f"seconds/{part}"] for part in ("generation", "reward", "training")]
    assert sum(parts) == pytest.approx(last["seconds/step"], rel=0.2)
    rows = pq.read_table("runs/tiny-grpo/completions/step-000016.parquet").to_pylist()
    assert len(rows) == 160 and {row["case_id"] for row in rows} == {f"stay-{drg}" for drg in tiny.STAYS}
    for row in rows:
        assert row["reward"] == row["format"] + row["accuracy"]
        assert row["right"] == (parse(row["completion"], codebook()).drg == codebook().drgs[row["drg"]])
        assert tiny.STAYS[row["drg"]] == row["prompt"][0]["content"]
    engine = load("runs/tiny-grpo/model")
    card = engine.card
    assert (card.name, card.tuned, card.prompt, card.drg_version) == ("tiny-grpo", True, "plain", "43.1")
    done = next(engine.score(["hip replaced"], Sampling(max_thinking=8)))[0]
    assert parse(done.text, codebook()).drg
    engine.close()
    record = json.loads(Path("runs/tiny-grpo/run.json").read_text())
    assert (record["state"], record["steps"], record["rows"], record["credentialed"]) == ("finished", 16, 5, False)
    assert all(file["sha256"] for file in record["data"]) and record["libraries"]["trl"]
    assert not [path for path in Path("runs/tiny-grpo").rglob("*") if path.stat().st_mode & 0o077]
    assert list(Path("runs/tiny-grpo/tensorboard").glob("events*"))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("sft", {"trl": {"num_train_epochs": 2, "max_steps": -1}}),
        ("grpo", {"resample": "neutral", "attempts": 2, "kl": "cosine", "lora": LORA}),
        ("grpo", {"trl": {"loss_type": "dr_grpo", "num_train_epochs": 2}}),
    ],
    ids=["sft, two epochs", "grpo, LoRA, resampling, decay", "grpo, full, two epochs"],
)
def test_a_stopped_run_goes_on_to_equal_weights(kind, settings, room, taught, stop_at, capfd):
    assert run(kind, taught, name="whole", **settings) == 0
    stop_at(3)
    assert run(kind, taught, name="stopped", **settings) == 130
    stopped = Path("runs/stopped")
    assert json.loads((stopped / "run.json").read_text())["state"] == "stopped"
    (stopped / "checkpoint-3").mkdir()  # as if the machine had died while it was written
    (stopped / "checkpoint-3" / "model.safetensors").write_bytes(b"half")
    assert run(kind, taught, name="stopped", **settings) == 0
    assert weights(stopped) == weights(Path("runs/whole"))
    both = [metrics(Path("runs", name)) for name in ("whole", "stopped")]
    assert [line["step"] for line in both[1]] == list(range(1, len(both[0]) + 1))
    assert [line["loss"] for line in both[0]] == [line["loss"] for line in both[1]]
    if kind == "grpo":
        assert any(line["loss"] for line in both[0])
        assert rollouts(stopped) == rollouts(Path("runs/whole"))
    if settings.get("kl") == "cosine":
        assert [line["beta"] for line in both[1]] == pytest.approx([0.04, 0.03414, 0.02, 0.00586], abs=1e-5)
    # A finished run says so and does nothing; another recipe in its folder is refused.
    before = (stopped / "run.json").read_bytes()
    assert run(kind, taught, name="stopped", **settings) == 0
    assert run(kind, taught, "trl.learning_rate=0.5", name="stopped", **settings) == 1
    assert (stopped / "run.json").read_bytes() == before
    out = capfd.readouterr()
    assert "is finished" in out.out and "trl.learning_rate differ" in out.err
    assert not any(words in out.out + out.err for words in tiny.STAYS.values())


def test_a_process_that_is_killed_goes_on_to_equal_weights(room, taught):
    """SIGKILL, which no code of ours sees; the lock of the dead process holds nobody up."""
    settings = {"resample": "positive", "attempts": 3, "trl": {"max_steps": 6}}
    assert run("grpo", taught, name="whole", **settings) == 0
    path = recipe(
        Path("killed.yaml"), "grpo", taught / "runs/tiny-sft/model", taught / "runs/tiny/rows.jsonl", **settings
    )
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen([sys.executable, "-m", "train.grpo", str(path)], env=env, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 120
        while (
            not Path("runs/killed/checkpoint-1", WHOLE).exists() and process.poll() is None and time.monotonic() < until
        ):
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL and not Path("runs/killed/model").exists()
    assert json.loads(Path("runs/killed/run.json").read_text())["state"] == "running"
    assert run("grpo", taught, name="killed", **settings) == 0
    assert weights(Path("runs/killed")) == weights(Path("runs/whole"))
    assert [line["step"] for line in metrics(Path("runs/killed"))] == list(range(1, 7))
    assert rollouts(Path("runs/killed")) == rollouts(Path("runs/whole"))


def rollouts(folder: Path) -> list[tuple]:
    tables = [pq.read_table(path).to_pylist() for path in sorted(folder.glob("completions/step-*.parquet"))]
    return [(row["step"], row["case_id"], row["completion"], row["advantage"]) for table in tables for row in table]


def test_lora_on_lora_and_what_is_credentialed_stays_so(room, taught):
    """SFT makes an adapter from credentialed rows; GRPO trains that adapter on, with its start as the reference."""
    assert run("sft", taught, "credentialed=true", name="first", lora=LORA) == 0
    card = json.loads(Path("runs/first/model/model.json").read_text())
    assert card["credentialed"] and card["adapter"] == "adapter" and "credentialed data" in card["note"]
    assert run("grpo", taught, name="second", model=Path("runs/first/model"), lora=LORA, trl={"max_steps": 2}) == 0
    lines = metrics(Path("runs/second"))
    assert lines[0]["kl"] == pytest.approx(0, abs=1e-6)
    assert json.loads(Path("runs/second/model/model.json").read_text())["credentialed"]
    assert sorted(path.name for path in Path("runs/second/model/adapter").iterdir() if path.is_dir()) == []
    with pytest.raises(EngineError, match="credentialed data and cannot be given away"):
        ship(Path("runs/first"), Path("shipped/first"), base="base")
    engine = load("runs/second/model")
    assert parse(next(engine.score(["reflux"], Sampling(max_thinking=4)))[0].text, codebook()).drg
    engine.close()


def test_a_run_becomes_a_model_that_set_up_puts_together(room, taught, stop_at):
    """A model trained whole and an adapter of a stopped run, shipped and installed, have the weights of the runs' own models."""
    assert run("sft", taught, name="whole") == 0
    stop_at(3)
    assert run("sft", taught, name="part", model=Path("runs/whole/model"), lora=LORA) == 130
    with pytest.raises(EngineError, match="with --base"):
        ship(Path("runs/part"), Path("shipped/part"))
    ship(Path("runs/whole"), Path("shipped/whole"))
    card = read_card(ship(Path("runs/part"), Path("shipped/part"), base="whole") / "model.json")
    assert (card["training"]["steps"], card["training"]["of_steps"]) == (2, 4)
    Path("installed").mkdir()
    lines = []
    first, second = install_shipped(Path("installed"), lines.append, Path("shipped"))
    assert (first.name, second.name, len(lines)) == ("whole", "part", 2)
    merged = dict(Adapter(Path("runs/part/checkpoint-2")).merge(from_folder(Path("runs/whole/model"))))
    for name, installed in from_gguf(second / "part.gguf"):
        assert np.abs(installed - merged[name]).max() < 0.02 * np.abs(merged[name]).max(), name  # Q8_0, twice
    engine = load(second)
    assert parse(next(engine.score(["reflux"], Sampling(max_thinking=4)))[0].text, codebook()).drg
    engine.close()
    assert install_shipped(Path("installed"), lines.append, Path("shipped")) == [first, second] and len(lines) == 2
    next(second.glob("*.gguf")).unlink()
    install_shipped(Path("installed"), lines.append, Path("shipped"))
    assert len(lines) == 3 and next(second.glob("*.gguf"))
    with pytest.raises(EngineError, match="not installed"):
        shutil.rmtree("shipped/whole")
        shutil.rmtree(first)
        install_shipped(Path("installed"), lines.append, Path("shipped"))


def test_fresh_cases_take_the_place_of_groups_without_signal(room, taught):
    """From the untaught model every reward is -2, so every group gives way, twice, and its rows are those of the new case."""
    base = taught / "runs/tiny/base"
    assert run("grpo", taught, resample="fresh", attempts=2, model=base, trl={"max_steps": 2}) == 0
    assert [line["resampled/completions"] for line in metrics(Path("runs/run"))] == [2, 2]
    for table in Path("runs/run/completions").iterdir():
        for row in pq.read_table(table).to_pylist():
            assert (row["resampled"], row["temperature"]) == (2, 1.0)
            assert row["case_id"] == f"stay-{row['drg']}" and row["prompt"][0]["content"] == tiny.STAYS[row["drg"]]
    assert sum(count for _, count in json.loads(Path("runs/run/checkpoint-2/estimate.json").read_text()).values()) == 16


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["trl.use_vllm=true"], "vLLM, which is not installed"),
        (["trl.max_completion_length=9000"], "lower trl.max_completion_length"),
        (["batch_size=64"], "A step takes 16 prompts, but the data hold 5"),
        (["kl=cosine", "trl.beta=0.0"], "which is 0; set trl.beta"),
        (["model=runs/none"], "There is no model at runs/none"),
        (["max_tokens=3"], r"No row is left .* longer than 3 tokens \(5\)"),
        (["stages={phases: 3}"], "python -m train.stages"),
        (["kind=sft"], "run it with python -m train.sft"),
    ],
)
def test_what_cannot_be_run_is_said_in_a_sentence(room, taught, changes, words, capsys):
    if "vLLM" in words and find_spec("vllm"):
        pytest.skip("vllm is installed here")
    assert run("grpo", taught, *changes) == 1
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert re.search(words, told)


def test_a_loss_that_is_no_number_stops_the_run(room, taught, capsys):
    """Weights of infinity, as after a step that was too large."""
    from safetensors.torch import load_file, save_file

    model = room / "broken"
    shutil.copytree(taught / "runs/tiny/base", model)
    tensors = load_file(model / "model.safetensors")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * float("nan")
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    assert run("sft", taught, model=model) == 1
    assert "At step 1 the loss is no number; lower trl.learning_rate" in capsys.readouterr().err
    assert json.loads(Path("runs/run/run.json").read_text())["state"] == "failed"
    assert not list(Path("runs/run").glob("checkpoint-*"))


def test_a_second_process_is_refused_while_one_trains(room, taught, capsys):
    recipe_file = recipe(Path("run.yaml"), "sft", taught / "runs/tiny/base", taught / "runs/tiny/rows.jsonl")
    with Run(read_recipe(recipe_file)):
        assert command("sft", sft.train, [str(recipe_file)]) == 1
    assert "Another process is training in runs/run" in capsys.readouterr().err


def test_a_full_disk_is_said_in_a_sentence(room, taught, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("transformers.Trainer._save_optimizer_and_scheduler", full)
        assert run("sft", taught) == 1
    assert "The disk of runs/run is full; free space" in capsys.readouterr().err
    assert run("sft", taught) == 0


def test_two_processes_train_as_one(room, taught):
    """gloo on the CPU, groups resampled in each process: one run folder, the rollouts of both, a step as large as with one."""
    settings = {"resample": "neutral", "attempts": 2, "trl": {"max_steps": 2, "save_steps": 2}}
    path = recipe(Path("two.yaml"), "grpo", taught / "runs/tiny-sft/model", taught / "runs/tiny/rows.jsonl", **settings)
    root = Path(__file__).parents[1]
    launch = f"{sys.executable} -m torch.distributed.run --standalone --nproc_per_node 2 -m train.grpo {path}"
    env = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch.split(), env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.count("two is finished") == 1
    assert json.loads(Path("runs/two/run.json").read_text())["processes"] == 2
    assert [line["step"] for line in metrics(Path("runs/two"))] == [1, 2]
    for step in (1, 2):
        rows = pq.read_table(f"runs/two/completions/step-{step:06d}.parquet").to_pylist()
        groups = [rows[at : at + 4] for at in range(0, 8, 4)]
        assert len(rows) == 8 and len({row["case_id"] for row in rows}) == 2
        for group in groups:
            assert len({row["case_id"] for row in group}) == 1 and len({row["resampled"] for row in group}) == 1
            assert sum(row["advantage"] for row in group) == pytest.approx(0, abs=1e-3)
    assert (Path("runs/two/checkpoint-2") / WHOLE).exists() and len(
        list(Path("runs/two/checkpoint-2").glob("rng_state_*"))
    ) == 2
    assert Path("runs/two/model/model.safetensors").exists()
