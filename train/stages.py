"""Staged learning: `python -m train.stages RECIPE [key=value ...] [--launch COMMAND]`, see docs/evaluation.md.

The cases are dealt into as many parts as there are phases. Each phase trains by GRPO on its part, puts the part's hard cases to the
newest checkpoint together with the right DRG (train.explain), and learns from its reasoning by SFT or DPO. Each step is a process
of its own, which frees its memory, and each goes on where it was stopped; so the same command resumes the whole.

    runs/NAME/phase-1.jsonl         the first part, as rows
    runs/NAME/phase-1-grpo.json     the recipe of its GRPO; the run's folder is runs/NAME-phase-1-grpo
    runs/NAME/phase-1-explained.jsonl
    runs/NAME/stages.json           how it stands: each phase's hard cases, rows and checkpoint
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from train.explain import LEARN, explain
from train.recipe import RECIPES, Recipe, RecipeError, read_recipe, resolve
from train.rows import load_rows
from train.run import PRIVATE, Run, TrainingError, write_whole

ROOT = Path("runs")
KEYS = ("phases", "learn", "learning_rate", "epochs", "batch_size", "max_tokens", "trl")

TRAINING = ("train.sft", "train.grpo", "train.dpo")  # what a launcher may spread over GPUs

Execute = Callable[[str, Sequence[str]], None]  # a module of train and its arguments, to the end


def staged(recipe: Recipe, execute: Execute) -> str:
    """Train all phases and return the place of the last checkpoint. RecipeError, TrainingError: one sentence each."""
    phases, learn = _settings(recipe)
    folder = ROOT / recipe.name
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    parts = deal(recipe, folder, phases)
    model, record = recipe.model, []
    for phase, part in enumerate(parts, start=1):
        run = reinforce(recipe, phase, model, part, execute)
        model = str(run / "model")
        counts = explained(recipe, phase, run, part, model, learn, execute)
        if counts["rows"]:
            model = str(learn_from(recipe, phase, model, learn, execute) / "model")
        record.append({"phase": phase, "cases": _lines(part), **counts, "model": model})
        write_whole(folder / "stages.json", json.dumps(record, indent=1).encode())
    return model


def deal(recipe: Recipe, folder: Path, phases: int) -> list[Path]:
    """The recipe's cases in as many parts, each a file of rows in TRL's form; a hash of the case decides, not the order of the file."""
    paths = [folder / f"phase-{phase}.jsonl" for phase in range(1, phases + 1)]
    if all(path.exists() for path in paths):
        return paths
    found = load_rows(replace(recipe, stages=None))
    found.rows.sort(key=lambda row: hashlib.blake2b(row["case_id"].encode(), digest_size=8).digest())
    for i, path in enumerate(paths):
        rows = (row | {"credentialed": found.credentialed} for row in found.rows[i::phases])
        write_whole(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    return paths


def reinforce(recipe: Recipe, phase: int, model: str, part: Path, execute: Execute) -> Path:
    """GRPO on one part from a checkpoint; returns the run's folder, with rollouts and model."""
    changed = replace(
        recipe, name=f"{recipe.name}-phase-{phase}-grpo", model=model, data=(str(part),), subset={}, stages=None
    )
    return _trained(changed, part.with_name(f"phase-{phase}-grpo.json"), execute)


def explained(
    recipe: Recipe, phase: int, run: Path, part: Path, model: str, learn: str, execute: Execute
) -> dict[str, int]:
    """Put the part's hard cases to the checkpoint with the right DRG; returns how many there were and how many rows came of them."""
    out = _explained(part.parent, phase)
    if not out.exists():
        longest = recipe.stages.get("max_tokens") or recipe.trl.get("max_completion_length", 1024)
        execute(
            "train.explain",
            [
                str(run),
                "--rows",
                str(part),
                "--model",
                model,
                "--learn",
                learn,
                "--out",
                str(out),
                "--max-tokens",
                str(longest),
            ],
        )
    return explain(run, part, model, learn, out)


def learn_from(recipe: Recipe, phase: int, model: str, learn: str, execute: Execute) -> Path:
    """SFT or DPO on what was explained; returns the run's folder. Its settings are the paper's (recipes/sft.yaml, dpo.yaml) with those of
    `stages` over them; model, prompt and LoRA stay the recipe's."""
    base, own = resolve(RECIPES / f"{learn}.yaml"), recipe.stages
    trl = base["trl"] | {"learning_rate": own["learning_rate"], "num_train_epochs": own["epochs"]} | own.get("trl", {})
    folder = ROOT / recipe.name
    changed = Recipe(
        kind=learn,
        name=f"{recipe.name}-phase-{phase}-{learn}",
        model=model,
        data=(str(_explained(folder, phase)),),
        prompt=recipe.prompt,
        credentialed=recipe.credentialed,
        batch_size=own.get("batch_size", base["batch_size"]),
        lora=recipe.lora,
        trl=trl,
    )
    return _trained(changed, folder / f"phase-{phase}-{learn}.json", execute)


def _trained(recipe: Recipe, path: Path, execute: Execute) -> Path:
    """Write the recipe and train it, unless that is done."""
    with Run(recipe, ROOT) as run:
        finished = run.finished
    if not finished:
        execute(f"train.{recipe.kind}", [str(write_recipe(recipe, path))])
    return run.folder


def write_recipe(recipe: Recipe, path: Path) -> Path:
    """A recipe as a file that `read_recipe` reads back."""
    said = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(recipe).items()}
    said = {key: value for key, value in said.items() if value not in (None, {}, [])}
    write_whole(path, json.dumps(said, indent=1).encode())
    return path


def _explained(folder: Path, phase: int) -> Path:
    return folder / f"phase-{phase}-explained.jsonl"


def _settings(recipe: Recipe) -> tuple[int, str]:
    own = recipe.stages or {}
    if unknown := set(own) - set(KEYS):
        raise RecipeError(f"{recipe.name} sets stages.{', '.join(sorted(unknown))}; stages have {', '.join(KEYS)}.")
    if missing := [key for key in KEYS[:4] if key not in own]:
        raise RecipeError(f"{recipe.name} gives no stages.{missing[0]}; see recipes/table1-staged-sft.yaml.")
    if own["learn"] not in LEARN or not isinstance(own["phases"], int) or own["phases"] < 1:
        raise RecipeError(f"{recipe.name}: stages.learn is sft or dpo, stages.phases a number from 1.")
    return own["phases"], own["learn"]


def _lines(path: Path) -> int:
    with path.open("rb") as lines:
        return sum(1 for _ in lines)


def in_processes(launch: Sequence[str]) -> Execute:
    """Run each step as a process of its own; `launch` stands before training, for example accelerate's launcher."""

    def execute(module: str, arguments: Sequence[str]) -> None:
        before = launch if launch and module in TRAINING else [sys.executable]
        done: Any = subprocess.run([*before, "-m", module, *arguments], check=False)
        if done.returncode == 130:
            raise KeyboardInterrupt
        if done.returncode:
            raise TrainingError(
                f"{module} {arguments[0]} ended with status {done.returncode}; what it said stands above. Then run the same command."
            )

    return execute


def parted(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command line without its `--launch COMMAND`, and that command's words."""
    arguments = list(argv)
    if "--launch" not in arguments:
        return arguments, []
    at = arguments.index("--launch")
    launch = shlex.split(arguments[at + 1]) if at + 1 < len(arguments) else []
    return arguments[:at] + arguments[at + 2 :], launch


def main(argv: list[str] | None = None) -> int:
    arguments, launch = parted(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            'python -m train.stages RECIPE [key=value ...] [--launch "accelerate launch --config_file FILE"]\n\n'
            "RECIPE is a file with stages, or the name of one in train/recipes, such as table1-staged-dpo. Each phase's GRPO, questions "
            "and SFT or DPO\nare processes of their own; the same command goes on where it was stopped. See docs/evaluation.md."
        )
        return 0 if arguments else 2
    os.environ.update(PRIVATE)
    os.umask(0o077)
    try:
        recipe = read_recipe(arguments[0], arguments[1:])
        if not recipe.stages:
            raise RecipeError(f"{recipe.name} has no stages; run it with python -m train.{recipe.kind}.")
        model = staged(recipe, in_processes(launch))
        print(f"{recipe.name} is finished; its model is in {model}.")
        return 0
    except (RecipeError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
