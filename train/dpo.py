"""Preference training: `python -m train.dpo RECIPE [key=value ...]`, see docs/evaluation.md.

Rows are prompt, chosen and rejected in chat messages: an export round's, blind votes, or what `train.explain` writes. No row is
ever cut: one that does not fit is left out and told.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sapphire.drg.codebook import DEFAULT_VERSION
from train import policy
from train.loop import fit, left_out, prepared
from train.recipe import Recipe, RecipeError, trl_config
from train.rows import Rows, read, sha256
from train.run import Run, TrainingError, command
from train.sft import chat_ids

PAIR = ("prompt", "chosen", "rejected")


def train(recipe: Recipe, run: Run) -> None:
    model = policy.found(recipe)
    tokenizer = policy.tokenizer(model)
    longest = min(filter(None, (recipe.max_tokens, policy.context(model))), default=None)
    rows = load_pairs(recipe, lambda chat: len(chat_ids(tokenizer, chat)), longest)
    left_out(rows, run)
    prepared(recipe, run, rows)
    fit(trainer(recipe, run, model, tokenizer, rows.rows), recipe, run, model)


def load_pairs(recipe: Recipe, tokens: Callable[[list[dict]], int], longest: int | None) -> Rows:
    """The pairs of a recipe, in file order. RecipeError when a file holds none, versions are mixed or nothing is left."""
    found, versions = Rows([], "", recipe.credentialed, []), set()
    for path in map(Path, recipe.data):
        before = len(found.rows)
        for number, raw in enumerate(read(path), 1):
            if missing := [name for name in PAIR if not raw.get(name)]:
                raise RecipeError(
                    f"{path}, row {number} has no {', '.join(missing)}; give pairs, as an export of votes has."
                )
            case_id = str(raw.get("case_id") or f"{path.name}:{number}")
            if raw["chosen"] == raw["rejected"]:
                why = "chosen and rejected are the same"
            elif longest and max(tokens(raw["prompt"] + raw[side]) for side in PAIR[1:]) > longest:
                why = f"longer than {longest:,} tokens"
            else:
                found.rows.append({name: raw[name] for name in PAIR})
                found.credentialed |= bool(raw.get("credentialed"))
                versions.add(raw.get("drg_version") or DEFAULT_VERSION)
                continue
            found.left_out.setdefault(why, []).append(case_id)
        found.files.append({"path": str(path), "sha256": sha256(path), "rows": len(found.rows) - before})
    if not found.rows:
        raise RecipeError(f"No pair is left to train on in {', '.join(recipe.data)}.")
    if len(versions) > 1:
        raise RecipeError(
            f"The data mix MS-DRG versions {', '.join(sorted(versions))}; a model has one, so train on one."
        )
    found.version = versions.pop()
    return found


def trainer(recipe: Recipe, run: Run, model: Any, tokenizer: Any, rows: list[dict]) -> Any:
    from datasets import Dataset
    from trl import DPOTrainer

    config = trl_config(recipe, run.folder, run.processes)
    network, lora = policy.weights(recipe, model, config)
    made = DPOTrainer(
        network, args=config, train_dataset=Dataset.from_list(rows), processing_class=tokenizer, peft_config=lora
    )
    if len(made.train_dataset) != len(rows):
        raise TrainingError(
            f"TRL kept {len(made.train_dataset):,} of {len(rows):,} pairs; this is a fault of ours, tell us."
        )
    return made


if __name__ == "__main__":
    sys.exit(command("dpo", train))
