"""The model that is trained: opened from where the recipe says, and at the end written as a folder the app can open."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from sapphire.engines import EngineError
from sapphire.engines.model_folder import Model, find, read_card
from train.recipe import Recipe
from train.run import Run, TrainingError, write_whole


def found(recipe: Recipe) -> Model:
    """The model a recipe begins from. TrainingError when there is none or its weights cannot be trained."""
    try:
        model = find(recipe.model)
    except EngineError as error:
        raise TrainingError(str(error)) from error
    if model.weights.endswith(".gguf"):
        raise TrainingError(
            f"{recipe.model} is a GGUF file, which cannot be trained; name the model in transformers' layout."
        )
    return model


def credentialed(recipe: Recipe) -> bool:
    """Whether the model was itself trained on credentialed data, by its card."""
    card = Path(recipe.model, "model.json")
    return card.exists() and bool(read_card(card).get("credentialed"))


def tokenizer(model: Model) -> Any:
    """The tokenizer, with a pad token. TrainingError when it has no chat template."""
    from transformers import AutoTokenizer

    own = model.adapter and Path(model.adapter, "tokenizer_config.json").exists()
    result = AutoTokenizer.from_pretrained(model.adapter if own else model.weights)
    if not result.chat_template:
        raise TrainingError(
            f"The tokenizer of {model.weights} has no chat template; choose an instruction-tuned model."
        )
    if result.pad_token is None:
        result.pad_token = result.eos_token
    return result


def context(model: Model) -> int | None:
    """How many tokens the model holds, None where its configuration does not say."""
    from transformers import AutoConfig

    return getattr(AutoConfig.from_pretrained(model.weights).get_text_config(), "max_position_embeddings", None)


def weights(recipe: Recipe, model: Model, config: Any) -> tuple[Any, Any]:
    """What TRL's trainers take: the model (a place, or a network that has an adapter already) and a new adapter's peft_config.

    A LoRA run on a model with an adapter trains that adapter on; TRL keeps a frozen copy of it as GRPO's reference. Full
    training of such a model begins from its merged weights.
    """
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    kwargs = config.model_init_kwargs or {}
    lora = LoraConfig(task_type="CAUSAL_LM", **recipe.lora) if recipe.lora else None
    if model.adapter is None:
        return model.weights, lora
    config.model_init_kwargs = None
    network = AutoModelForCausalLM.from_pretrained(model.weights, **({"dtype": "float32"} | kwargs))
    adapted = PeftModel.from_pretrained(network, model.adapter, is_trainable=bool(lora))
    return (adapted, None) if lora else (adapted.merge_and_unload(), None)


def save(trainer: Any, recipe: Recipe, run: Run, model: Model) -> None:
    """Write `model/`: weights or adapter, tokenizer, and model.json last. The folder appears whole."""
    part, target = run.folder / "model.part", run.folder / "model"
    place = part / "adapter" if recipe.lora else part
    if run.main:
        shutil.rmtree(part, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(place))
    if not run.main:
        return
    for needless in ("training_args.bin", "README.md"):
        (place / needless).unlink(missing_ok=True)
    shutil.rmtree(place / "ref", ignore_errors=True)  # GRPO's frozen copy of the adapter it began from
    write_whole(
        part / "model.json", json.dumps(_card(recipe, run, model), indent=2, ensure_ascii=False).encode() + b"\n"
    )
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)


def _card(recipe: Recipe, run: Run, model: Model) -> dict[str, Any]:
    record = run.record
    rows = sum(file["rows"] for file in record["data"])
    base = os.path.relpath(model.weights, run.folder / "model") if Path(model.weights).is_dir() else model.weights
    where = "credentialed data: keep it where they may be" if record["credentialed"] else f"{rows:,} rows"
    card = {
        "name": recipe.name,
        "kind": "transformers",
        "prompt": recipe.prompt,
        "drg_version": record["drg_version"],
        "tuned": True,
        "note": f"{recipe.kind.upper()} by the recipe {recipe.name} on {where}. Its accuracy is what python -m train.evaluate says.",
        "parent": recipe.model,
        "credentialed": record["credentialed"],
        "training": {key: record[key] for key in ("identity", "data", "libraries", "started", "steps")},
    }
    return card | ({"base": base, "adapter": "adapter"} if recipe.lora else {})
