"""Supervised fine-tuning: `python -m train.sft RECIPE [key=value ...]`, see docs/training.md.

Rows are prompt and completion; the loss is on the completion alone (TRL's way with such rows). No row is ever cut: one that
does not fit is left out and told.
"""

import sys
from typing import Any

from train import policy
from train.loop import fit, left_out, prepared, reading
from train.recipe import Recipe, trl_config
from train.rows import by_difficulty, load_rows
from train.run import Run, TrainingError, command


def train(recipe: Recipe, run: Run) -> None:
    model = policy.found(recipe)
    tokenizer = policy.tokenizer(model)
    longest = min(filter(None, (recipe.max_tokens, policy.context(model))), default=None)
    rows = by_difficulty(load_rows(recipe, lambda chat: len(chat_ids(tokenizer, chat)), longest, reading(run)), recipe)
    left_out(rows, run)
    prepared(recipe, run, rows)
    fit(trainer(recipe, run, model, tokenizer, rows.rows), recipe, run, model)


def chat_ids(tokenizer: Any, chat: list[dict]) -> list[int]:
    return tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True)["input_ids"]


def trainer(recipe: Recipe, run: Run, model: Any, tokenizer: Any, rows: list[dict]) -> Any:
    from datasets import Dataset
    from trl import SFTTrainer

    config = trl_config(recipe, run.folder, run.processes)
    network, lora = policy.weights(recipe, model, config)
    data = Dataset.from_list([{"prompt": row["prompt"], "completion": row["completion"]} for row in rows])
    made = SFTTrainer(network, config, train_dataset=data, processing_class=tokenizer, peft_config=lora)
    if len(made.train_dataset) != len(rows):
        raise TrainingError(
            f"TRL kept {len(made.train_dataset):,} of {len(rows):,} rows; this is a fault of ours, tell us."
        )
    return made


if __name__ == "__main__":
    sys.exit(command("sft", train))
