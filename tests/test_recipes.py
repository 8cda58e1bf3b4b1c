"""Recipes: each parses into TRL's configuration, differs from its base as its first line declares, and leaves no default of TRL's that
would change the experiment."""

from dataclasses import asdict
from pathlib import Path

import pytest

pytest.importorskip("trl")

from train.recipe import RECIPES, RecipeError, read_recipe, resolve, trl_config

pytestmark = pytest.mark.torch
ALL = sorted(RECIPES.glob("*.yaml"))
BASED = [path for path in ALL if "\nbase:" in path.read_text()]
TABLE_1 = 18  # rows of the paper's table


def flat(values: dict) -> dict:
    trl = {f"trl.{key}": value for key, value in values.get("trl", {}).items()}
    return {key: value for key, value in values.items() if key not in ("trl", "base")} | trl


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_it_parses_into_trls_configuration(path, tmp_path):
    recipe = read_recipe(path)
    config = trl_config(recipe, tmp_path)
    assert recipe.name == path.stem
    assert config.logging_steps == 1 and config.eval_strategy == "no" and not config.push_to_hub
    step = config.per_device_train_batch_size * config.gradient_accumulation_steps
    assert step == recipe.batch_size
    if recipe.kind in ("sft", "dpo"):
        assert config.max_length is None and not getattr(config, "packing", False)
    else:
        assert config.generation_batch_size == recipe.batch_size  # on-policy: one generation a step
        assert config.num_iterations == 1
        assert config.beta == (0 if recipe.kl == "none" else 0.04)
        assert not config.log_completions and not config.use_bias_correction_kl
        assert config.top_p == config.temperature == 1.0 and not config.top_k and not config.min_p
        assert not (config.use_vllm and config.vllm_importance_sampling_correction)


@pytest.mark.parametrize("path", BASED, ids=lambda path: path.stem)
def test_it_differs_from_its_base_as_its_first_line_says(path):
    declared = path.read_text().splitlines()[0].rpartition(": ")[2]
    base = next(line for line in path.read_text().splitlines() if line.startswith("base: ")).removeprefix("base: ")
    mine, theirs = flat(resolve(path)), flat(resolve(path.parent / base))
    differing = {key for key in mine | theirs if mine.get(key) != theirs.get(key)}
    assert differing == set(declared.split(", ")) - {"nothing"}


def test_each_row_of_table_1_is_there():
    rows = [path for path in ALL if path.stem.startswith("table1-") and read_recipe(path).kind == "grpo"]
    assert len(rows) == TABLE_1


def test_the_papers_settings():
    config = trl_config(read_recipe("table1-vanilla"), Path("x"))
    assert (config.loss_type, config.scale_rewards, config.learning_rate) == ("grpo", "group", 3e-6)
    assert (config.lr_scheduler_type, config.warmup_steps) == ("constant_with_warmup", 0.1)
    assert (config.num_generations, config.generation_batch_size, config.num_train_epochs) == (8, 512, 1)
    sft = trl_config(read_recipe("table1-sft"), Path("x"))
    assert (sft.learning_rate, sft.num_train_epochs, sft.warmup_steps) == (4e-5, 9, 0.05)
    assert sft.lr_scheduler_kwargs == {"min_lr_rate": 0.1}


def test_changes_go_over_a_recipe_and_null_removes():
    recipe = read_recipe(
        "table2-vanilla", ["subset={sft_90: null, sft_75: grpo}", "trl.max_steps=3", "trl.learning_rate=1e-5"]
    )
    assert recipe.subset == {"sft_75": "grpo"}
    assert (recipe.trl["max_steps"], recipe.trl["learning_rate"], recipe.trl["beta"]) == (3, 1e-5, 0.04)
    assert recipe.identity() != read_recipe("table2-vanilla").identity()
    assert recipe.identity() == read_recipe("table2-vanilla", ["name=x", *_changes(recipe)]).identity()


def _changes(recipe) -> list[str]:
    return [f"{key}={value}" for key, value in asdict(recipe).items() if key in ("subset", "trl")] + [
        "subset={sft_90: null}"
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (["beta=0.1"], "sets beta, which no recipe has"),
        (["trl.logging_steps=10"], "a run settles itself"),
        (["reward=lenient"], "it may be dense, balanced, strict"),
        (["trl.nonsense=1"], "TRL refuses"),
        (["trl.per_device_train_batch_size=7"], "cannot be shared out"),
        (["trl.save_total_limit=1"], "2 or more"),
        (["data="], "gives no data"),
        (["trl"], "key=value"),
        (["name=../up"], "no name of a run"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(changes, words):
    with pytest.raises(RecipeError, match=words):
        trl_config(read_recipe("tiny-grpo", changes), Path("x"))


def test_a_recipe_that_is_its_own_base(tmp_path):
    (tmp_path / "a.yaml").write_text("base: b.yaml")
    (tmp_path / "b.yaml").write_text("base: a.yaml")
    with pytest.raises(RecipeError, match="its own base"):
        read_recipe(tmp_path / "a.yaml")
    with pytest.raises(RecipeError, match="There is no recipe"):
        read_recipe(tmp_path / "c.yaml")
