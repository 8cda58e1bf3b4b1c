"""Recipes: small YAML files that say all there is to say of a run. `base:` names the file that a recipe differs from.

    # Table 1, Dr. GRPO advantage: trl.scale_rewards
    base: grpo-7b.yaml
    trl: {scale_rewards: none}

Keys under `trl` are TRL's own (SFTConfig, GRPOConfig) and mean what TRL's documentation says; all others are fields of `Recipe`.
On the command line `key=value` changes a recipe for one run: `model=runs/x/model trl.max_steps=10`.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from sapphire.prompts import PROMPTS

KINDS = ("sft", "grpo", "dpo")
RECIPES = Path(__file__).parent / "recipes"

# What a run itself decides: other values would leave holes in what is written, cut notes or send them away.
SETTLED = {
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
    "report_to": ["tensorboard"],
    "eval_strategy": "no",
    "save_only_model": False,
    "push_to_hub": False,
    "disable_tqdm": True,
    "remove_unused_columns": False,
}


class RecipeError(ValueError):
    """A recipe that cannot be run; one sentence that names the file and what to change."""


class Loader(yaml.SafeLoader):
    """YAML 1.2's numbers: 4e-5 is one, where YAML 1.1 wants 4.0e-5."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@dataclass(frozen=True)
class Recipe:
    """One run.

    `model`: a model folder, a folder in the layout of transformers, a LoRA adapter's folder or a name on the hub. `data`:
    files of cases (corpus, MIMIC) or of TRL rows (an export round); `subset`: columns of the `subsets.parquet` beside a file of
    cases, and the value wanted. `trace` is how much reasoning SFT's completions hold (data.sft_rows), `trace_form` the only form of a
    full one that is taken. `questions`: files of code-book rows mixed into SFT. `batch_size`: rows (SFT, DPO) or
    completions (GRPO) an optimizer step, whatever the number of GPUs. `max_tokens`: longest prompt and completion together (SFT)
    or longest prompt (GRPO), in tokens; longer rows are reported and left out. `lora`: peft's LoraConfig, none for full training.

    GRPO: `reward` one of sapphire.rewards.SCHEMES; `cot_first` switches the penalty on; `grounded` is the weight of the share of
    true lines (0: a metric, none: not computed); `kl` constant, none or cosine; `resample` none, neutral, positive or fresh, at
    most `attempts` times; `difficulty` a Parquet file (case_id, difficulty) by which `without` leaves cases out and `order`
    sorts them. `stages`: for train.stages, none elsewhere.
    """

    kind: str
    name: str
    model: str
    data: tuple[str, ...]
    prompt: str = "plain"
    subset: dict[str, Any] = field(default_factory=dict)
    trace: str = "full"
    trace_form: str | None = None
    questions: tuple[str, ...] = ()
    limit: int | None = None
    credentialed: bool = False
    batch_size: int = 8
    max_tokens: int | None = None
    lora: dict[str, Any] | None = None
    reward: str = "dense"
    cot_first: bool = False
    grounded: float | None = None
    kl: str = "constant"
    resample: str = "none"
    attempts: int = 12
    difficulty: str | None = None
    without: tuple[str, ...] = ()
    order: str = "shuffled"
    stages: dict[str, Any] | None = None
    trl: dict[str, Any] = field(default_factory=dict)

    def identity(self) -> str:
        """A hash of everything but the name: two runs of one identity are the same experiment."""
        content = {key: value for key, value in asdict(self).items() if key != "name"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


CHOICES = {
    "kind": KINDS,
    "prompt": PROMPTS,
    "trace": ("full", "short", "answer_first"),
    "reward": ("dense", "balanced", "strict"),
    "kl": ("constant", "none", "cosine"),
    "resample": ("none", "neutral", "positive", "fresh"),
    "order": ("shuffled", "easy to hard"),
}
LISTS = ("data", "questions", "without")


def read_recipe(path: str | Path, changes: Iterable[str] = ()) -> Recipe:
    """The recipe in a file, its bases below it and `key=value` changes above it. RecipeError says what is wrong."""
    path = Path(path)
    if not path.exists() and (RECIPES / f"{path}.yaml").exists():
        path = RECIPES / f"{path}.yaml"
    values = {"name": path.stem} | resolve(path)
    for change in changes:
        values = merge(values, _change(change))
    return check(values, path)


def resolve(path: Path, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The values of a recipe file over those of its base."""
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise RecipeError(f"There is no recipe {path} ({error.strerror}); those here are in {RECIPES}.") from error
    except yaml.YAMLError as error:
        raise RecipeError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    if not isinstance(values, dict):
        raise RecipeError(f"{path} holds no settings; write one `key: value` a line.")
    base = values.pop("base", None)
    if base is None:
        return values
    below = (*below, path.resolve())
    if (lower := (path.parent / base)).resolve() in below:
        raise RecipeError(f"{path} is its own base through {base}; name another base.")
    return merge(resolve(lower, below), values)


def merge(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """`upper` over `lower`; of two mappings each key is taken alone, and null removes a key."""
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(value, dict) and isinstance(lower.get(key), dict)
        merged[key] = merge(lower[key], value) if both else value
    return {key: value for key, value in merged.items() if value is not None}


def _change(change: str) -> dict[str, Any]:
    key, sign, value = change.partition("=")
    if not sign or not key:
        raise RecipeError(f"{change!r} changes nothing; write key=value, such as trl.max_steps=10.")
    nested: Any = yaml.load(value, Loader)
    for part in reversed(key.split(".")):
        nested = {part: nested}
    return nested


def check(values: dict[str, Any], path: Path) -> Recipe:
    known = [each.name for each in fields(Recipe)]
    if unknown := sorted(values.keys() - set(known)):
        raise RecipeError(f"{path} sets {', '.join(unknown)}, which no recipe has; its keys are {', '.join(known)}.")
    for key in ("kind", "model", "data"):
        if not values.get(key):
            raise RecipeError(f"{path} gives no {key}; add it, or {key}=... on the command line.")
    for key in LISTS:
        given = values.get(key, ())
        values[key] = tuple(map(str, (given,) if isinstance(given, str) else given))
    for key, allowed in CHOICES.items():
        if values.get(key, allowed[0]) not in allowed:
            raise RecipeError(f"{path} sets {key} to {values[key]!r}; it may be {', '.join(allowed)}.")
    if changed := sorted(key for key in SETTLED.keys() & values.get("trl", {}).keys()):
        raise RecipeError(f"{path} sets trl.{changed[0]}, which a run settles itself; remove it.")
    values["name"] = str(values["name"])
    if not re.fullmatch(r"[\w][\w.-]*", values["name"]):
        raise RecipeError(f"{values['name']!r} is no name of a run; use letters, digits, dots and hyphens.")
    return Recipe(**values)


def trl_config(recipe: Recipe, folder: Path, processes: int = 1) -> Any:
    """The recipe as TRL's SFTConfig, GRPOConfig or DPOConfig, writing into `folder`. RecipeError where TRL refuses it."""
    import torch
    import trl

    kind = {"sft": trl.SFTConfig, "grpo": trl.GRPOConfig, "dpo": trl.DPOConfig}[recipe.kind]
    given = dict(recipe.trl)
    size = given.setdefault("per_device_train_batch_size", 8)
    if recipe.batch_size % (size * processes):
        raise RecipeError(
            f"A step of {recipe.batch_size} cannot be shared out: {processes} processes take {size} at a time; change "
            "batch_size or trl.per_device_train_batch_size."
        )
    ours = dict(SETTLED, output_dir=str(folder), gradient_accumulation_steps=recipe.batch_size // (size * processes))
    if recipe.kind in ("sft", "dpo"):
        ours["max_length"] = None
    if recipe.kind == "grpo":
        ours["log_completions"] = False  # TRL would print them; grpo_trainer writes them
        if recipe.kl == "none":
            ours["beta"] = 0.0
    # On a GPU TRL trains in bf16, as the paper does.
    if not torch.accelerator.is_available():
        given = {"use_cpu": True, "bf16": False, "dataloader_pin_memory": False} | given
    given = {"save_total_limit": 2, "save_strategy": "steps"} | given
    if given["save_total_limit"] is not None and given["save_total_limit"] < 2:
        raise RecipeError(
            "trl.save_total_limit must be 2 or more: the last checkpoint may be half written when a run dies."
        )
    try:
        config = kind(**(given | ours))
    except (TypeError, ValueError) as error:
        raise RecipeError(f"TRL refuses the recipe {recipe.name}: {' '.join(str(error).split())}.") from error
    if config.world_size != processes:
        raise RecipeError(
            f"{processes} processes were started, but they do not work together; start them with accelerate launch."
        )
    return config
