"""What our GRPO step costs beside plain TRL's, and what resampling adds: `python -m bench.training [step|resampling|reference]`.

On the tiny model and its five stays (`python -m train.tiny`), taught for a while so that some groups are dead. Each round makes one
step of every kind, in an order drawn anew, on the same prompts and the same random numbers; printed are medians of the ratios within
a round, by this process's own time on the processor (other work on the machine matters less to it) and by the clock, each
with its 95% bootstrap interval. How much resampling adds hangs on how many groups are dead, how many attempts they need, and on
the share of generation in a step, since one more call of generation adds up to that share: all are printed. The reference
draws again one prompt after another, so that is beside it.
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
MODES = ("neutral", "positive")


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


def step(made, seed: int) -> dict[str, float]:
    """One generation, its rewards, the loss, its gradient, rollouts and log, without the optimizer: seconds of the processor and of
    the clock, and what TRL and we measured in it."""
    from transformers import set_seed

    made.model.train()
    made.current_gradient_accumulation_steps = 1
    batch = [row for _ in range(GROUPS) for row in made.train_dataset for _ in range(made.num_generations)]
    set_seed(seed)
    grpo_trainer.resample = getattr(made, "way", resample)
    began, cpu = time.perf_counter(), time.process_time()
    made.training_step(made.model, batch, None)
    notes = {name: mean(values) for name, values in made._metrics["train"].items() if values}
    made.log({"loss": 0.0})
    made.model.zero_grad()
    return notes | {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}


def rounds(trainers: dict, count: int) -> dict[str, list[dict[str, float]]]:
    """Steps of each kind, the two that warm up left out."""
    done = {name: [] for name in trainers}
    for number in range(-2, count):
        for name in random.Random(number).sample(sorted(trainers), len(trainers)):
            measured = step(trainers[name], number + 2)
            if number >= 0:
                done[name].append(measured)
    return done


def ratio(one: list[dict], other: list[dict], by: str) -> str:
    """Other's time over one's: the median of the rounds and its 95% bootstrap interval."""
    ratios = [second[by] / first[by] for first, second in zip(one, other, strict=True)]
    chance = random.Random(7)
    drawn = sorted(median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    return f"{median(ratios):.3f} ({drawn[50]:.3f} to {drawn[1949]:.3f})"


def tell(name: str, one: list[dict], other: list[dict]) -> None:
    print(f"{name}: processor {ratio(one, other, 'cpu')}, clock {ratio(one, other, 'wall')}, n={len(one)}", flush=True)


def means(steps: list[dict], name: str) -> float:
    return mean(each.get(name, 0.0) for each in steps)


def measure_step(count: int) -> None:
    done = rounds({"TRL": trainer(None), "ours": trainer("none")}, count)
    tell("a step of ours over plain TRL's", done["TRL"], done["ours"])


def measure_resampling(count: int) -> None:
    done = rounds({mode: trainer(mode) for mode in ("none", *MODES)}, count)
    plain = done["none"]
    print(
        f"a step without resampling: {median(each['cpu'] for each in plain):.2f} s of the processor, "
        f"{means(plain, 'seconds/generation') / means(plain, 'wall'):.0%} of the time is generation, "
        f"{means(plain, 'frac_reward_zero_std'):.0%} of groups have no variance"
    )
    for mode in MODES:
        print(
            f"{mode}: {means(done[mode], 'resampled/groups'):.0%} of groups drawn again, "
            f"{means(done[mode], 'resampled/completions') / (means(done[mode], 'resampled/groups') or 1):.1f} attempts each"
        )
        tell(f"a step with {mode} resampling over one without", plain, done[mode])


def measure_reference(count: int) -> None:
    for mode in MODES:
        ours, single = trainer(mode), trainer(mode)
        single.way = one_after_another
        done = rounds({"ours": ours, "one by one": single}, count)
        tell(f"{mode} resampling one prompt after another over ours", done["ours"], done["one by one"])


MEASURES = {"step": measure_step, "resampling": measure_resampling, "reference": measure_reference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=[*MEASURES, "all"], default="all")
    parser.add_argument("--pairs", type=int, default=20, help="rounds (default 20)")
    parser.add_argument("--sft-steps", type=int, default=24, help="the more, the more groups are dead (default 24)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        os.chdir(place)
        tiny.main()
        command("sft", sft.train, ["tiny-sft", f"trl.max_steps={options.sft_steps}"])
        for name, measure in MEASURES.items():
            if options.what in (name, "all"):
                measure(options.pairs)


if __name__ == "__main__":
    main()
