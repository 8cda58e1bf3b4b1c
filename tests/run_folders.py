"""Run folders for tests and benches, written as `train` writes them, without training."""

import json
import math
import random
from pathlib import Path

from sapphire.completions import compose
from sapphire.drg.codebook import codebook

CASES = {"stay-a": "291", "stay-b": "871", "stay-c": "470"}
NOTE = "Admitted with <b>dyspnea</b>; *diuresed* at home."


def record(name: str, kind: str = "grpo", state: str = "finished", steps: int = 24, **more) -> dict:
    recipe = {"kind": kind, "name": name, "model": "runs/tiny-sft/model", "data": ["rows.jsonl"], "prompt": "plain", "reward": "dense", "credentialed": False, "lora": None,
              "cot_first": False, "resample": "none", "trl": {"max_steps": steps, "beta": 0.04}}  # fmt: skip
    facts = {"name": name, "kind": kind, "identity": f"recipe of {name}", "recipe": recipe, "libraries": {"trl": "1.16.0"}, "started": "2026-11-29T02:00:00+00:00",
             "resumed": [], "ended": None if state == "running" else "2026-11-29T03:00:00+00:00", "state": state, "error": None, "pid": 1, "processes": 1, "steps": steps,
             "data": [{"path": "rows.jsonl", "sha256": "ab" * 32, "rows": 5}], "rows": 5, "left_out": {}, "credentialed": False, "drg_version": "43.1", "model": "runs/tiny-sft/model"}  # fmt: skip
    return facts | more


def line(
    step: int, kind: str = "grpo", at: float = 1_795_920_000.0, steps: int = 24, level: float = 0.0, **more
) -> str:
    """A line of metrics.jsonl: a reward that rises from `level` with noise, a loss that falls."""
    drawn = random.Random(f"{step} {level}")
    done = step / max(steps, 1)
    told = {"step": step, "at": at + step, "seconds/step": 2.0 + drawn.random(), "loss": 4 * math.exp(-6 * done) + 0.05 * drawn.random(), "grad_norm": drawn.random(),
            "learning_rate": 1e-4 * (1 - done), "entropy": 1.5 - done + 0.1 * drawn.random(), "epoch": done * 10}  # fmt: skip
    if kind == "grpo":
        right = min(max(0.1 + 0.6 * (1 - math.exp(-3 * done)) + level + drawn.gauss(0, 0.06), 0), 1)
        told |= {"reward": 2.5 * right - 0.9, "rewards/format/mean": -2 * math.exp(-8 * done), "rewards/accuracy/mean": 2.5 * right - 0.5, "rewards/cot_first/mean": -0.2 * done,
                 "rewards/right/mean": right, "rewards/base_right/mean": min(right + 0.1, 1), "rewards/severity_right/mean": min(right + 0.15, 1), "rewards/grounded/mean": None,
                 "reward_spread": 1.2 - 0.8 * done + 0.1 * drawn.random(), "frac_reward_zero_std": 0.5 * done, "kl": 0.05 * done + 0.01 * drawn.random(),
                 "beta": 0.02 * (1 + math.cos(math.pi * done)), "completions/mean_length": 300 - 150 * done + 20 * drawn.random(), "completions/clipped_ratio": 0.1 * drawn.random(),
                 "seconds/generation": 1.2 + 0.3 * drawn.random(), "seconds/reward": 0.1, "seconds/training": 0.7, "frac_nan": float("nan")}  # fmt: skip
    return json.dumps(told | more) + "\n"


def write_run(
    root: Path,
    name: str,
    steps: int = 24,
    done: int | None = None,
    rollouts: int = 0,
    lock: bool = True,
    level: float = 0.0,
    **more,
) -> Path:
    """A run's folder with so many steps done, and rollouts of the first `rollouts` of them."""
    folder = root / name
    folder.mkdir(parents=True)
    told = record(name, steps=steps, **more)
    (folder / "run.json").write_text(json.dumps(told))
    done = steps if done is None else done
    (folder / "metrics.jsonl").write_text(
        "".join(line(step, told["kind"], steps=steps, level=level) for step in range(1, done + 1))
    )
    if lock:
        (folder / "lock").touch()
    for step in range(1, rollouts + 1):
        write_rollouts(folder, step)
    return folder


def write_rollouts(folder: Path, step: int, cases: dict[str, str] = CASES, answers: int = 4) -> Path:
    """Completions of a step: the first case's are all right (easy), the last one's all wrong (hard), the others' half and half."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    book, rows = codebook(), []
    for place, (case, drg) in enumerate(cases.items()):
        for at in range(answers):
            right = place == 0 or (0 < place < len(cases) - 1 and at < answers / 2)
            said = drg if right else "313"
            accuracy = 2.0 if right else -0.5
            rows.append(
                {"step": step, "case_id": case, "prompt": [{"role": "user", "content": f"{NOTE} {case}"}],
                 "completion": compose(f"First the note of {case}.\nThen answer {at}: <i>so</i> *that*.", book.drgs[said].title.upper()), "drg": drg, "drg_version": "43.1",
                 "tokens": 40 + at, "format": 0.0, "accuracy": accuracy, "cot_first": 0.0, "right": float(right), "base_right": float(right),
                 "severity_right": float(right), "reward": accuracy, "advantage": 1.0 if right else -1.0}
            )  # fmt: skip
    (folder / "completions").mkdir(exist_ok=True)
    path = folder / "completions" / f"step-{step:06d}.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
