"""What one sees of a run while it works: metrics.jsonl, a progress bar with the time left; and checkpoints marked whole."""

import json
import math
import os
import time

from tqdm import tqdm
from transformers import TrainerCallback

from train.run import WHOLE, Run, TrainingError, write_whole


class Watch(TrainerCallback):
    """Writes a line a step into metrics.jsonl and draws the progress bar; stops a run whose loss is no number."""

    def __init__(self, run: Run):
        self.run, self.bar, self.began = run, None, 0.0

    def on_train_begin(self, args, state, control, **_):
        if state.is_world_process_zero:
            self.run.write(steps=state.max_steps)
            self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", desc=self.run.recipe.name)

    def on_step_begin(self, args, state, control, **_):
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **_):
        self.seconds = time.perf_counter() - self.began

    def on_log(self, args, state, control, logs=None, **_):
        if "loss" not in logs:
            return
        for name in ("loss", "grad_norm"):
            if not math.isfinite(logs.get(name, 0.0)):
                raise TrainingError(
                    f"At step {state.global_step} the {name} is no number; lower trl.learning_rate or trl.max_grad_norm, or train in "
                    "bf16 instead of fp16, under name=OTHER."
                )
        if not state.is_world_process_zero:
            return
        line = {"step": state.global_step, "at": round(time.time(), 1), "seconds/step": round(self.seconds, 3)} | logs
        with os.fdopen(os.open(self.run.metrics, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as out:
            out.write(json.dumps(line) + "\n")
        self.bar.set_postfix({name: f"{logs[name]:.3g}" for name in ("loss", "reward") if name in logs}, refresh=False)
        self.bar.update(state.global_step - self.bar.n)

    def on_train_end(self, args, state, control, **_):
        if self.bar:
            self.bar.close()


class MarkWhole(TrainerCallback):
    """The last callback at a checkpoint: when all processes have written theirs, it is one to resume from."""

    def __init__(self, run: Run, wait):
        self.run, self.wait = run, wait

    def on_save(self, args, state, control, **_):
        self.wait()
        if state.is_world_process_zero:
            write_whole(self.run.folder / f"checkpoint-{state.global_step}" / WHOLE, b"")
