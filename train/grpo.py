"""GRPO: `python -m train.grpo RECIPE [key=value ...]`, see docs/training.md.

TRL's trainer with what the paper adds: the rewards of `sapphire.rewards`, KL decay, dynamic resampling, Dr. GRPO's constant.
Everything else of a recipe is TRL's own setting.
"""

import sys
from importlib.util import find_spec
from typing import Any

from train import policy
from train.loop import fit, left_out, prepared, reading
from train.recipe import Recipe, RecipeError, trl_config
from train.rewards import functions, rewards_of
from train.rows import by_difficulty, load_rows
from train.run import Run, TrainingError, command


def train(recipe: Recipe, run: Run) -> None:
    import torch

    if recipe.stages:
        raise RecipeError(f"{recipe.name} is trained in stages; run it with python -m train.stages.")
    if recipe.trl.get("use_vllm") and not find_spec("vllm"):
        raise TrainingError(
            f"{recipe.name} generates with vLLM, which is not installed; install requirements.txt on a machine with a GPU, or "
            "give trl.use_vllm=false to generate with transformers."
        )
    if recipe.trl.get("use_vllm") and recipe.trl.get("vllm_mode") == "server" and not torch.cuda.is_available():
        raise TrainingError(
            f"{recipe.name} sends its weights to a vLLM server by NCCL, which needs a GPU here too; give trl.vllm_mode=colocate, or "
            "trl.use_vllm=false to generate with transformers."
        )
    model = policy.found(recipe)
    tokenizer = policy.tokenizer(model)
    config = trl_config(recipe, run.folder, run.processes)
    longest = _longest_prompt(recipe, config, policy.context(model))
    rows = by_difficulty(load_rows(recipe, lambda chat: _length(tokenizer, chat), longest, reading(run)), recipe)
    left_out(rows, run)
    prompts = config.generation_batch_size // config.num_generations
    if len(rows.rows) < prompts:
        raise RecipeError(f"A step takes {prompts} prompts, but the data hold {len(rows.rows)}; lower batch_size.")
    prepared(recipe, run, rows)
    fit(trainer(recipe, run, model, tokenizer, rows.rows, config), recipe, run, model)


def _length(tokenizer: Any, chat: list[dict]) -> int:
    chat = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True)
    return len(chat["input_ids"])


def _longest_prompt(recipe: Recipe, config: Any, context: int | None) -> int | None:
    """Prompts beyond this are left out: what the recipe allows, and what leaves room for a completion in the model and in vLLM."""
    held = min(filter(None, (context, config.vllm_max_model_length if config.use_vllm else None)), default=None)
    room = held - config.max_completion_length if held else None
    if room is not None and room < 1:
        holder = recipe.model if held == context else "vLLM by trl.vllm_max_model_length"
        raise RecipeError(
            f"A completion may take {config.max_completion_length:,} tokens, but {holder} holds {held:,} in all; lower "
            "trl.max_completion_length."
        )
    return min(filter(None, (recipe.max_tokens, room)), default=None)


def trainer(recipe: Recipe, run: Run, model: Any, tokenizer: Any, rows: list[dict], config: Any) -> Any:
    from datasets import Dataset

    from train.grpo_trainer import Trainer
    from train.kl import CosineKL
    from train.resample import refuse

    if recipe.kl == "cosine" and not config.beta:
        raise RecipeError(
            f"{recipe.name} lets the KL term decay from trl.beta, which is 0; set trl.beta, 0.04 in the paper."
        )
    config.shuffle_dataset = recipe.order == "shuffled"
    network, lora = policy.weights(recipe, model, config)
    rewards = rewards_of(recipe, lambda ids: tokenizer.decode(ids, skip_special_tokens=True))
    config.reward_weights = list(rewards.weights.values())
    made = Trainer(
        network,
        functions(rewards),
        config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
        recipe=recipe,
        run=run,
        rewards=rewards,
    )
    refuse(recipe, made.args, run.processes, made.is_deepspeed_enabled or made.is_fsdp_enabled)
    if recipe.kl == "cosine":
        made.add_callback(CosineKL(made))
    return made


if __name__ == "__main__":
    sys.exit(command("grpo", train))
