"""What tests of training share: recipes of a few steps on the tiny model and its five stays."""

import json
from pathlib import Path


def recipe(path: Path, kind: str, model: Path, data: Path, **changes) -> Path:
    """A recipe file for a few steps; `changes` go over it, those of `trl` key by key."""
    trl = {"max_steps": 4, "save_steps": 1, "learning_rate": 1e-3, "gradient_checkpointing": False}
    trl |= {"sft": {"per_device_train_batch_size": 2}, "grpo": {"per_device_train_batch_size": 4}}[kind]
    if kind == "grpo":
        trl |= {"num_generations": 4, "max_completion_length": 40, "beta": 0.04, "num_train_epochs": 10}
    trl |= changes.pop("trl", {})
    values = {"kind": kind, "model": str(model), "data": str(data), "batch_size": 8 if kind == "grpo" else 2}
    path.write_text(json.dumps(values | changes | {"trl": trl}))
    return path


def metrics(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
