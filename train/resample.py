"""Dynamic resampling: groups without signal are sampled again, all of a step together, before anything is learnt from them.

A group is dead when its rewards are all equal, since then every advantage is 0. In the paper each such prompt is sampled again
up to 12 times, each time at a temperature drawn from 0.7 to 1.0: *neutral* stops at any variance, *positive* also wants one reward above 0.
What is drawn at another temperature than the training's is off-policy, in the paper as here; importance sampling would
undo it (the weight of 300 tokens at 0.7 is about e^-6), so both together are refused. *Fresh* is not the paper's: there the
group's place is given to another case (`online`), at the training's temperature.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from train.recipe import Recipe, RecipeError

TEMPERATURES = (0.7, 0.8, 0.9, 1.0)

Sample = Callable[[list[int], list[float]], list[Any]]  # rows, a temperature for each → a completion for each
Score = Callable[[list[int], list[Any]], list[float]]  # rows, their completions → rewards


def dead(rewards: Sequence[float], mode: str) -> bool:
    """Whether a group is to be sampled again."""
    return max(rewards) - min(rewards) < 1e-6 or (mode == "positive" and max(rewards) <= 0)


def resample(
    completions: Sequence[Any],
    size: int,
    mode: str,
    attempts: int,
    sample: Sample,
    score: Score,
    seed: str,
    temperatures: Sequence[float] = TEMPERATURES,
) -> tuple[list[Any], list[int], list[float | None]]:
    """The completions with those of dead groups of `size` drawn anew, at most `attempts` times.

    On a GPU a call lasts about as long as its longest completion, so few sequences take about as long as many, and calls are what costs: each
    makes as many attempts at once as fit into the step's own number of completions, which is what the machine was sized for. Attempts stay in
    their order: a group keeps the first that lives, as if they had been made one after another. *Fresh* makes one attempt a call,
    since each is another case.

    Returns the completions, at which attempt each was drawn (0: the first drawing), and its temperature (None: the training's). The
    same `seed` draws the same temperatures, one for each attempt of each group.
    """
    kept = list(completions)
    again, drawn_at = [0] * len(kept), [None] * len(kept)
    rewards = score(list(range(len(kept))), kept)
    chance = random.Random(seed)
    made = 0
    while made < attempts:
        starts = [at for at in range(0, len(kept), size) if dead(rewards[at : at + size], mode)]
        if not starts:
            break
        tries = 1 if mode == "fresh" else min(attempts - made, len(kept) // (len(starts) * size))
        rows = [row for start in starts for row in range(start, start + size)] * tries
        heat = [value for _ in range(0, len(rows), size) for value in [chance.choice(temperatures)] * size]
        drawn = sample(rows, heat)
        scored = score(rows, drawn)
        for place, start in enumerate(starts):
            for attempt in range(tries):
                at = (attempt * len(starts) + place) * size
                group, new = slice(start, start + size), slice(at, at + size)
                kept[group], rewards[group] = drawn[new], scored[new]
                again[group], drawn_at[group] = [made + attempt + 1] * size, heat[new]
                if not dead(rewards[group], mode):
                    break
        made += tries
    return kept, again, drawn_at


def refuse(recipe: Recipe, config: Any, processes: int, sharded: bool) -> None:
    """RecipeError for what would deadlock, cancel itself or split groups. `sharded`: ZeRO-3 or FSDP."""
    if recipe.resample == "none":
        return
    asked = f"resample: {recipe.resample}"
    local = config.per_device_train_batch_size * config.steps_per_generation
    if local % config.num_generations:
        raise RecipeError(
            f"{asked} needs whole groups in each process: {local} completions a process are no multiple of "
            f"{config.num_generations} generations; change trl.per_device_train_batch_size or batch_size."
        )
    if config.use_vllm and config.vllm_importance_sampling_correction:
        raise RecipeError(
            f"{asked} draws at other temperatures, which the importance sampling correction cancels; set "
            "trl.vllm_importance_sampling_correction: false."
        )
    if config.use_vllm and config.vllm_enable_sleep_mode:
        raise RecipeError(
            f"{asked} generates more than once a step, which vLLM's sleep mode forbids; set trl.vllm_enable_sleep_mode: false."
        )
    if processes > 1 and config.use_vllm and config.vllm_mode == "server":
        raise RecipeError(
            f"{asked} with a vLLM server would deadlock on several processes; use trl.vllm_mode: colocate."
        )
    if processes > 1 and config.use_vllm and config.vllm_tensor_parallel_size > 1:
        raise RecipeError(f"{asked} would deadlock with tensor parallel vLLM; set trl.vllm_tensor_parallel_size: 1.")
    if processes > 1 and sharded and not config.use_vllm:
        raise RecipeError(
            f"{asked} would deadlock when transformers generates with sharded weights; use trl.use_vllm: true."
        )
