"""What lies at a location: which files make up the model, and its card.

A model folder holds `model.json`: the card's fields without `location`, and `file` (a GGUF file or a folder in the layout of
transformers, relative to the model folder) or `base` (a folder or hub name), with `adapter` (a LoRA adapter's folder) if any.
Without these the weights lie in the model folder itself. A model behind a server has no weights but `url`, and may have `model`
(its name there), `key_variable` (the variable of the environment that holds the key, never the key itself) and, where the server
is another machine, `purpose` and `entered_by`, without which it is not used.
"""

import json
import re
from dataclasses import dataclass, fields, replace
from pathlib import Path

from sapphire.calibration import Calibration
from sapphire.drg.codebook import VERSIONS
from sapphire.engines import EngineError, ModelCard, addresses
from sapphire.prompts import PROMPTS

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
KINDS = ("llama.cpp", "transformers", "server")
UNKNOWN = "There is no model.json, so nothing is known of its training."


@dataclass(frozen=True)
class Server:
    """Where a model is served: the address, the model's name there ("": the only one), the variable that holds the key."""

    url: str
    model: str = ""
    key_variable: str = ""


@dataclass(frozen=True)
class Model:
    """A model found: its card; its weights (a GGUF file, a folder, or a hub name); its LoRA adapter, if any; or its server."""

    card: ModelCard
    weights: str
    adapter: str | None = None
    server: Server | None = None


def find(location: str | Path) -> Model:
    """The model at `location`. EngineError when there is none or its model.json is unfit."""
    path = Path(location)
    if path.is_dir():
        return _in_folder(path)
    if path.is_file():
        if path.suffix.lower() != ".gguf":
            raise EngineError(
                f"{path} is no model; give a GGUF file, a model folder or the name of a model on the hub."
            )
        return Model(ModelCard(path.stem, "llama.cpp", str(location), note=UNKNOWN), str(path))
    if HUB_NAME.fullmatch(str(location)) and not path.parent.is_dir():
        return Model(ModelCard(str(location), "transformers", str(location), note=UNKNOWN), str(location))
    raise EngineError(f"There is no model at {location}; `python -m sapphire.models` installs the embedded one.")


def _in_folder(path: Path) -> Model:
    if (path / "model.json").exists():
        return _described(path)
    if (path / "adapter_config.json").exists():
        return Model(_bare(path), _base_of(path), str(path))
    if (path / "config.json").exists():
        return Model(_bare(path), str(path))
    found = sorted(path.glob("*.gguf"))
    if len(found) == 1:
        return Model(ModelCard(path.name, "llama.cpp", str(path), note=UNKNOWN), str(found[0]))
    raise EngineError(
        f"The folder {path} holds no model (model.json, config.json, adapter_config.json or one GGUF file); "
        "give the folder that holds the weights."
    )


def _described(path: Path) -> Model:
    record = read_card(path / "model.json")
    known = {field.name for field in fields(ModelCard)} - {"location", "calibration"}
    try:
        card = ModelCard(location=str(path), **{name: record[name] for name in known & record.keys()})
    except TypeError as error:
        raise EngineError(f"{path / 'model.json'} lacks a name or a kind; add them.") from error
    if record.get("calibration"):
        try:
            card = replace(card, calibration=Calibration(**record["calibration"]))
        except (TypeError, ValueError) as error:
            raise EngineError(
                f"The calibration in {path / 'model.json'} is unfit ({error}); fit it anew with train.calibrate, or delete it."
            ) from error
    if card.kind not in KINDS:
        raise EngineError(f"{path / 'model.json'} is of kind {card.kind!r}; kinds are {', '.join(KINDS)}.")
    if card.prompt not in PROMPTS:
        raise EngineError(f"{path / 'model.json'} asks for the prompt {card.prompt!r}; there are {', '.join(PROMPTS)}.")
    if card.drg_version not in VERSIONS:
        raise EngineError(
            f"{path / 'model.json'} is of MS-DRG version {card.drg_version!r}; known are {', '.join(VERSIONS)}."
        )
    if card.kind == "server":
        return _served(path, record, card)
    adapter = path / record["adapter"] if record.get("adapter") else None
    if record.get("file"):
        weights = str(path / record["file"])
    elif record.get("base"):
        weights = _near(path, record["base"])
    else:
        weights = _base_of(adapter) if adapter else str(path)
    return Model(card, weights, str(adapter) if adapter else None)


def _served(path: Path, record: dict, card: ModelCard) -> Model:
    if not record.get("url"):
        raise EngineError(f"{path / 'model.json'} names no url of its server; add it.")
    where = addresses.host(record["url"])
    if addresses.is_loopback(where):
        return Model(replace(card, host=""), "", server=_server(record))
    if not (record.get("purpose") and record.get("entered_by")):
        raise EngineError(
            f"The server {where} is not this machine; an administrator must enter it with its purpose on the Models page."
        )
    # The host stands in the name, so that every answer of such a model is marked wherever it is shown or exported.
    return Model(replace(card, host=where, name=f"{card.name} @ {where}"), "", server=_server(record))


def _server(record: dict) -> Server:
    return Server(record["url"], record.get("model") or "", record.get("key_variable") or "")


def read_card(path: Path) -> dict:
    """The content of a model.json. EngineError when it cannot be read or is no JSON object."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} cannot be read as JSON; write it anew or install the model again.") from error
    if not isinstance(record, dict):
        raise EngineError(f"{path} is not a JSON object; write it anew or install the model again.")
    return record


def _bare(path: Path) -> ModelCard:
    return ModelCard(path.name, "transformers", str(path), note=UNKNOWN)


def _base_of(adapter: Path) -> str:
    """The model that a LoRA adapter was trained on, as its configuration names it."""
    path = adapter / "adapter_config.json"
    base = read_card(path).get("base_model_name_or_path")
    if not base:
        raise EngineError(f"{path} does not name its base model; add base_model_name_or_path.")
    return _near(adapter, base)


def _near(path: Path, base: str) -> str:
    """A base model's folder, relative to what names it, if there is one; else the name as it stands."""
    return str(path / base) if (path / base).is_dir() else base
