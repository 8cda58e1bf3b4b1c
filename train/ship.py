"""Put a trained model among those that come with Sapphire: `python -m train.ship runs/NAME`.

    ship(run, out)      a run of train.sft, train.grpo or train.dpo -> models/NAME/ with model.json and the weights

A run that is not finished gives its newest whole checkpoint, and model.json says how far it got. An adapter is kept as float16, which
merging at set-up reads; a model trained whole becomes a GGUF file of Q8_0. The README.md there, the model's card for people, is written by hand.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path
from typing import Any

from sapphire.engines import EngineError
from sapphire.engines.model_folder import read_card
from sapphire.gguf_writing import convert
from sapphire.shipped import FOLDER, KIND
from sapphire.weights import from_safetensors
from train.run import WHOLE

LORA = ("r", "lora_alpha", "target_modules", "peft_type", "task_type", "use_rslora", "use_dora", "bias")


def ship(run: Path, out: Path, base: str = "", note: str = "") -> Path:
    """Write `out`. `base` names the model it was trained from, which an adapter is merged into, `note` is the card's sentence for readers.

    Raises:
        EngineError: when there is no such run or no checkpoint yet, it was trained on credentialed data, or an adapter's base is not named.
    """
    record = read_card(run / "run.json")
    recipe = record["recipe"]
    if record["credentialed"]:
        raise EngineError(f"{run} was trained on credentialed data and cannot be given away.")
    if recipe["lora"] and not base:
        raise EngineError(f"{run} trained a LoRA adapter; name the installed model that it belongs to with --base.")
    weights, steps = _newest(run)
    out.mkdir(parents=True, exist_ok=True)
    card: dict[str, Any] = {
        "name": out.name,
        "kind": "llama.cpp",
        "prompt": recipe["prompt"],
        "drg_version": record["drg_version"],
        "tuned": True,
        "note": note or f"{recipe['kind'].upper()} by the recipe {recipe['name']}; see models/{out.name}/README.md.",
        "parent": base,
        "training": {key: record[key] for key in ("identity", "data", "rows", "left_out", "libraries", "started")}
        | {"recipe": recipe["name"], "steps": steps, "of_steps": record["steps"]},
    }
    if recipe["lora"]:
        _save_adapter(weights, out / "adapter")
        card |= {"base": base, "adapter": "adapter"}
    else:
        convert(weights, out / f"{out.name}.gguf", kind=KIND)
        card |= {"file": f"{out.name}.gguf"}
    (out / "model.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return out


def _newest(run: Path) -> tuple[Path, int]:
    """The weights to take and after how many steps they were written."""
    if (run / "model").exists():
        adapter = run / "model" / "adapter"
        return (adapter if adapter.exists() else run / "model"), read_card(run / "run.json")["steps"]
    whole = [path.parent for path in run.glob(f"checkpoint-*/{WHOLE}")]
    if not whole:
        raise EngineError(f"{run} has no checkpoint yet; let it train on.")
    newest = max(whole, key=lambda path: int(path.name.rpartition("-")[2]))
    return newest, int(newest.name.rpartition("-")[2])


def _save_adapter(source: Path, out: Path) -> None:
    from safetensors.numpy import save_file

    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    config = read_card(source / "adapter_config.json")
    kept = {key: config[key] for key in LORA}
    (out / "adapter_config.json").write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    halved = {name: tensor.astype("float16") for name, tensor in from_safetensors(source / "adapter_model.safetensors")}
    save_file(halved, out / "adapter_model.safetensors", metadata={"format": "pt"})


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train.ship", description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="the run's folder, runs/NAME")
    parser.add_argument("--name", default="", help="the model's name in the app (default: the run's)")
    parser.add_argument("--base", default="", help="the model that it was trained from; an adapter is merged into it")
    parser.add_argument("--note", default="", help="what readers are told of the model, in a sentence")
    options = parser.parse_args(argv)
    try:
        print(ship(options.run, FOLDER / (options.name or options.run.name), options.base, options.note))
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
