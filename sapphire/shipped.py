"""The models that come with Sapphire, put together at set-up without torch: what lies in `models/` becomes a GGUF file for the embedded engine.

A folder there holds `model.json` (the card, and how the model was trained), a README.md for people, and the weights: `file`, a GGUF file
of its own, or `adapter`, a LoRA adapter's folder, with `base`, the model that it is merged into: an installed one, or one of these.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sapphire.engines import EngineError
from sapphire.engines.model_folder import find, read_card
from sapphire.paths import renewed

FOLDER = Path(__file__).parent.parent / "models"
KIND = "Q8_0"  # of merged weights: half of F16's size, and faster on a CPU


def shipped(source: Path = FOLDER) -> list[Path]:
    """The folders of `models/`, what others are merged into before these."""
    folders = {path.parent.name: path.parent for path in sorted(source.glob("*/model.json"))}
    ordered: list[Path] = []

    def put(name: str) -> None:
        base = read_card(folders[name] / "model.json").get("base")
        if base in folders:
            put(base)
        if folders[name] not in ordered:
            ordered.append(folders[name])

    for name in folders:
        put(name)
    return ordered


def install_shipped(
    folder: Path, progress: Callable[[str], None] = lambda line: None, source: Path = FOLDER
) -> list[Path]:
    """Install every shipped model into `folder` unless it lies there as it should; returns their folders.

    A model's folder appears whole or not at all. `progress` is given a line for each that is put together.

    Raises:
        EngineError: when a part is damaged, or the model that an adapter is merged into is not installed.
    """
    return [_install(each, folder, progress) for each in shipped(source)]


def _install(source: Path, folder: Path, progress: Callable[[str], None]) -> Path:
    target = folder / source.name
    record = read_card(source / "model.json")
    made_of = _digest(source, record, folder)
    if _made_of(target) == made_of:
        return target
    progress(f"Putting {source.name} together ...")
    with renewed(target) as new:
        weights = new / f"{source.name}.gguf"
        _weights(source, record, folder, weights)
        card = {key: value for key, value in record.items() if key not in ("adapter", "base")}
        card |= {"file": weights.name, "made_of": made_of}
        (new / "model.json").write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return target


def _weights(source: Path, record: dict[str, Any], folder: Path, out: Path) -> None:
    from sapphire.gguf_writing import convert

    if not record.get("adapter"):
        shutil.copyfile(source / record["file"], out)
        return
    base, adapters = _chain(source, record)
    convert(Path(find(folder / base).weights), out, adapters, KIND)


def _chain(source: Path, record: dict[str, Any]) -> tuple[str, list[Path]]:
    """The installed model below an adapter, and all adapters to merge into it, the lowest first.

    An adapter upon an adapter is merged into the same weights: in those that are rounded to Q8_0 already, a small change would be lost.
    """
    own, below = source / record["adapter"], source.parent / record["base"]
    if (below / "model.json").exists():
        card = read_card(below / "model.json")
        if card.get("adapter"):
            base, lower = _chain(below, card)
            return base, [*lower, own]
    return record["base"], [own]


def _digest(source: Path, record: dict[str, Any], folder: Path) -> str:
    """A hash of all that an installed model is made of."""
    base = folder / record["base"] / "model.json" if record.get("base") else None
    if base and not base.exists():
        raise EngineError(
            f"{source.name} is merged into {record['base']}, which is not installed; run `python -m sapphire.models`."
        )
    parts = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".md")
    digest = hashlib.sha256(KIND.encode())
    for path in [*parts, *([base] if base else [])]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _made_of(target: Path) -> str | None:
    """What an installed model says it is made of; None where it is not whole."""
    if not (target / "model.json").exists() or not any(target.glob("*.gguf")):
        return None
    try:
        return read_card(target / "model.json").get("made_of")
    except EngineError:
        return None
