"""Runs of SFT and GRPO on a tiny model: that they learn, what they write, resume, and what they refuse."""

import json
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

import pyarrow.parquet as pq  # noqa: E402

from sapphire.engines import Sampling, load  # noqa: E402
from tests.training import metrics, recipe  # noqa: E402
from train import grpo, sft, tiny  # noqa: E402
from train.run import command  # noqa: E402

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


def test_sft_learns_the_five_titles_and_its_model_opens(taught):
    losses = [line["loss"] for line in metrics(taught / "runs/tiny-sft")]
    assert losses[0] > 2 and losses[-1] < 0.1
    engine = load(taught / "runs/tiny-sft/model")
    assert (engine.card.tuned, engine.card.prompt, engine.card.drg_version) == (True, "plain", "43.1")
    done = next(engine.stream("x", Sampling(max_thinking=8)), None)
    assert done is not None
    engine.close()


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


def rollouts(folder: Path) -> list[tuple]:
    tables = [pq.read_table(path).to_pylist() for path in sorted(folder.glob("completions/step-*.parquet"))]
    return [(row["step"], row["case_id"], row["completion"], row["advantage"]) for table in tables for row in table]
