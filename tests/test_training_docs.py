"""The commands that the training docs show: modules, recipes, studies and options that are there, and files that accelerate reads."""

import re
import shlex
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("trl")

from train.recipe import RECIPES, Recipe, read_recipe
from train.scaling import STUDIES

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parent.parent
ACCELERATE = sorted((ROOT / "train" / "accelerate").glob("*.yaml"))
SHOWN = "\n".join(path.read_text() for path in (*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", *ACCELERATE))
TRAINING = {"train.sft": "sft", "train.grpo": "grpo", "train.dpo": "dpo", "train.stages": "grpo"}


def commands(start: str) -> list[list[str]]:
    """The words of each command that begins so, up to the end of its line, a backtick, `&&` or its comment."""
    found = re.findall(rf"(?:^|[`&:] ?)({start}[^\n`&#]*)", SHOWN, re.MULTILINE)
    return [shlex.split(line.rstrip(".;, ")) for line in found]


def test_each_module_and_recipe_is_there():
    shown = [words[2:] for words in commands("python -m train")] + [
        words[words.index("-m") + 1 :] for words in commands("accelerate launch")
    ]
    assert len(shown) > 25
    for module, *words in shown:
        assert find_spec(module), module
        if not words or words[0].isupper() or words[0].startswith("-"):
            continue
        if module in TRAINING:
            assert (RECIPES / f"{words[0]}.yaml").exists(), words
            assert read_recipe(words[0], [word for word in words[1:] if "=" in word]).kind == TRAINING[module]
        if module == "train.scaling":
            assert (STUDIES / f"{words[0]}.yaml").exists(), words


@pytest.mark.parametrize("path", ACCELERATE, ids=lambda path: path.stem)
def test_accelerate_reads_its_file(path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(path))
    assert config.num_machines == (2 if "two-nodes" in path.stem else 1)
    assert config.num_processes == {"one-gpu": 1}.get(path.stem, 8 * config.num_machines)


def test_accelerate_knows_each_option_that_is_shown():
    from accelerate.commands.launch import launch_command_parser

    shown = [words for words in commands("accelerate launch") if "FILE" not in words]
    assert len(shown) >= 5
    for words in shown:
        asked = launch_command_parser().parse_args(words[2:])
        assert (ROOT / asked.config_file).exists() and asked.module


def test_each_key_of_a_recipe_is_explained():
    table = (ROOT / "docs" / "training.md").read_text().partition("| key | means |")[2].partition("\n\n")[0]
    explained = {
        key for row in table.splitlines() for key in re.findall(r"`(\w+)`", row.split("|")[1] if "|" in row else "")
    }
    assert explained == {field.name for field in fields(Recipe)} - {"trl"}
