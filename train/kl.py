"""The paper's KL decay: beta_t = beta * 0.5 * (1 + cos(pi * t / T)), from beta at the first step towards 0 at the last.

It depends on the step alone, so a resumed run goes on where it stopped. TRL reads `trainer.beta` at each step; the reference
model is there because the run begins with beta above 0.
"""

import math

from transformers import TrainerCallback


def cosine(beta: float, step: int, steps: int) -> float:
    """The coefficient at `step` (0 for the first) of `steps`."""
    return beta * 0.5 * (1 + math.cos(math.pi * step / steps))


class CosineKL(TrainerCallback):
    def __init__(self, trainer):
        self.trainer, self.beta = trainer, trainer.beta

    def on_step_begin(self, args, state, control, **_):
        self.trainer.beta = cosine(self.beta, state.global_step, state.max_steps)
