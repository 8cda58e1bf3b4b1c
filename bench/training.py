"""What our GRPO step costs beside plain TRL's, and what resampling adds: `python -m bench.training [--pairs 20] [--sft-steps 24]`.

On the tiny model and its five stays (`python -m train.tiny`), taught for a while so that some groups are dead. Steps of the two
that are compared alternate, on the same prompts; printed are the median ratio and its 95% bootstrap interval. How much resampling adds
hangs on how many groups are dead, which is printed too; the reference draws again one prompt after another, so that is beside it.
"""

import argparse
import os
import random
import tempfile
import time
from pathlib import Path
from statistics import mean, median

from train import grpo, grpo_trainer, policy, sft, tiny
from train.recipe import read_recipe, trl_config
from train.resample import resample
from train.rewards import functions, rewards_of
from train.run import Run, command

GROUPS = 4  # of each stay, four completions each


def trainer(resample: str | None):
    """Ours, with this way of resampling; TRL's own for None. Both with our reward functions."""
    from transformers import PrinterCallback

    small = ["batch_size=80", "trl.per_device_train_batch_size=80", "trl.num_generations=4"]
    recipe = read_recipe("tiny-grpo", [f"resample={resample or 'none'}", *small])
    config = trl_config(recipe, Path("runs/bench"))
    config.report_to = []
    model = policy.found(recipe)
    tokenizer = policy.tokenizer(model)
    rows = [{key: row[key] for key in ("prompt", "case_id", "drg", "drg_version")} for row in tiny.rows()]
    if resample:
        run = Run(recipe)
        run.folder.mkdir(exist_ok=True)
        made = grpo.trainer(recipe, run, model, tokenizer, rows, config)
        made.remove_callback(PrinterCallback)
        return made
    from datasets import Dataset
    from trl import GRPOTrainer

    rewards = rewards_of(recipe, lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    config.reward_weights = list(rewards.weights.values())
    data = Dataset.from_list(rows)
    made = GRPOTrainer(model.weights, functions(rewards), config, train_dataset=data, processing_class=tokenizer)
    made.remove_callback(PrinterCallback)
    return made


def one_after_another(completions, size, mode, attempts, sample, score, seed, temperatures):
    """`resample` with a call for each dead group and attempt, as the reference code does."""
    done = [[], [], []]
    for start in range(0, len(completions), size):

        def moved(ask, start=start):
            return lambda rows, given: ask([start + row for row in rows], given)

        group = completions[start : start + size]
        found = resample(group, size, mode, attempts, moved(sample), moved(score), f"{seed} {start}", temperatures)
        for all_of_them, few in zip(done, found, strict=True):
            all_of_them += few
    return done


def step(made) -> float:
    """Seconds of one generation, its rewards, the loss, its gradient, rollouts and log, without the optimizer."""
    from transformers import set_seed

    made.model.train()
    made.current_gradient_accumulation_steps = 1
    batch = [row for _ in range(GROUPS) for row in made.train_dataset for _ in range(made.num_generations)]
    set_seed(step.seed)
    grpo_trainer.resample = getattr(made, "way", resample)
    began = time.perf_counter()
    made.training_step(made.model, batch, None)
    step.notes = {name: mean(values) for name, values in made._metrics["train"].items() if values}
    made.log({"loss": 0.0})
    made.model.zero_grad()
    return time.perf_counter() - began


step.seed, step.notes = 0, {}


def compare(name: str, one, other, pairs: int) -> None:
    """Print other's time over one's; the order within a pair alternates."""
    times, again, dead = [], [], []
    for number in range(-2, pairs):  # two pairs to warm up
        step.seed = number + 2
        first, second = (one, other) if number % 2 else (other, one)
        took = {id(first): step(first)}
        notes = step.notes
        took[id(second)] = step(second)
        notes = notes if first is other else step.notes
        again.append(notes.get("resampled/completions", 0.0))
        dead.append(notes.get("resampled/groups", notes["frac_reward_zero_std"]))
        if number >= 0:
            times.append((took[id(one)], took[id(other)]))
    ratios = [b / a for a, b in times]
    chance = random.Random(7)
    drawn = sorted(median(chance.choices(ratios, k=pairs)) for _ in range(2000))
    print(
        f"{name}: {median(ratios):.3f} (95% {drawn[50]:.3f} to {drawn[1949]:.3f}), n={pairs}, "
        f"{median(a for a, _ in times):.2f} s against {median(b for _, b in times):.2f} s, {mean(dead):.0%} of groups dead at first, drawn again {mean(again):.2f} times a completion",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--sft-steps", type=int, default=24)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        tiny.main()
        command("sft", sft.train, ["tiny-sft", f"trl.max_steps={options.sft_steps}"])
        plain, ours = trainer(None), trainer("none")
        compare("a step of ours over plain TRL's", plain, ours, options.pairs)
        for mode in ("neutral", "positive"):
            together, single = trainer(mode), trainer(mode)
            single.way = one_after_another
            compare(f"a step with {mode} resampling over one without", ours, together, options.pairs)
            compare(f"{mode} resampling one prompt after another over ours", together, single, options.pairs)


if __name__ == "__main__":
    main()
