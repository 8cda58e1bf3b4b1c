"""What the app imports is what `make setup` installs. Here far more is installed, so that a module that is missing there would not be missed."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
OURS = {"app", "pages", "sapphire", "data", "train"}
FILES = [ROOT / "app.py", *sorted(ROOT.glob("pages/**/*.py")), *sorted(ROOT.glob("sapphire/**/*.py"))]


def named(file: str) -> set[str]:
    """The distributions that a file of requirements names itself."""
    lines = (ROOT / file).read_text().splitlines()
    return {plain(Requirement(line).name) for line in lines if line and not line.startswith(("#", "-"))}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def brought(names: set[str]) -> set[str]:
    """These distributions and all that they require."""
    found, left = set(), list(names)
    while left:
        if (name := left.pop()) in found:
            continue
        found.add(name)
        for line in distribution(name).requires or ():
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": ""}):
                left.append(plain(needed.name))
    return found


def imported(path: Path) -> Iterator[tuple[str, bool]]:
    """The packages from elsewhere that a file imports, and whether it does so as soon as it is itself imported."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_once = set(tree.body)
    for node in ast.walk(tree):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [node.module]
        for package in {name.partition(".")[0] for name in names} - OURS - sys.stdlib_module_names:
            yield package, node in at_once


@cache
def providers() -> dict[str, set[str]]:
    """Package → the distributions that hold it."""
    return {package: set(map(plain, names)) for package, names in packages_distributions().items()}


@cache
def with_app() -> set[str]:
    return brought(named("requirements-app.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_import_is_installed_with_the_app_or_waits_until_it_is_needed(path):
    for_more = named("requirements.txt") | named("requirements-ray.txt")
    for package, at_once in imported(path):
        holders = providers().get(package, {package})
        assert holders & with_app() or (not at_once and holders & for_more), f"{path.name} imports {package}"
