"""The register of models: which there are, who added them, what made them, whether they answer, and which one is the default.

A model is known by the name that its answers carry, so a name is given once. How to run a model is in its folder below `models_dir()`,
which also works without the database; the register says who put it there and what became of it. Events are only appended.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sapphire import models
from sapphire.engines import EngineError, ModelCard, addresses
from sapphire.engines.model_folder import Model, Server, find, read_card
from sapphire.paths import models_dir
from sapphire.profiles import ENTERS_SERVERS, Profile
from sapphire.store import Store
from sapphire.store import registry as table

# What a key's variable may be called. Keys hold small letters or dashes, so one that was pasted by mistake does not pass.
VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{2,63}")


@dataclass(frozen=True)
class Entry:
    """A model of the register, or one that only lies in the models folder (then `author` is ""). `place` is where it came from, `size` the
    bytes of its weights on this machine (None: elsewhere), `report` its newest check (see `checking.Report`), `missing` why it cannot be
    opened here, or ""."""

    card: ModelCard
    place: str
    size: int | None
    author: str = ""
    added: datetime | None = None
    recipe: str = ""
    data_hash: str = ""
    purpose: str = ""
    report: Mapping[str, Any] | None = None
    checked: datetime | None = None
    withdrawn: bool = False
    missing: str = ""

    @property
    def usable(self) -> bool:
        """Whether notes may be given to it: it is here, not withdrawn, and, where someone added it, answered when it was checked."""
        found_fit = bool(self.report and self.report["passed"]) if self.author else True
        return found_fit and not self.withdrawn and not self.missing


def entries(store: Store) -> list[Entry]:
    """Every model, withdrawn ones last, else by name."""
    installed = {card.name: card for card in models.installed()}
    known = {row["name"]: row for row in table.registered(store)}
    found = [_entry(row, installed.pop(name, None)) for name, row in known.items()]
    found += [_entry(None, card) for card in installed.values()]
    return sorted(found, key=lambda each: (each.withdrawn, each.card.name.casefold()))


def usable(store: Store) -> list[ModelCard]:
    """The models that notes may be given to, the default first."""
    cards = [entry.card for entry in entries(store) if entry.usable]
    preferred = (table.default(store), *models.PREFERRED)
    rank = {name: place for place, name in reversed(list(enumerate(preferred)))}
    return sorted(cards, key=lambda card: rank.get(card.name, len(rank)))


def add_local(
    store: Store, author: str, place: str, name: str = "", prompt: str = "plain", drg_version: str = ""
) -> ModelCard:
    """Register a model folder, GGUF file, transformers folder, LoRA folder or hub name (owner/name).

    A folder with a `model.json` of its own is described there, and the other arguments are ignored. The model is not opened: it is used
    only once a check has passed.

    Raises:
        EngineError: when there is no such model.
        ValueError: when the name is taken.
        StoreError: when it cannot be recorded; then nothing was added.
    """
    path = Path(place).expanduser()
    place = str(path.absolute()) if path.exists() else place.strip()
    model = find(place)
    if model.server:
        raise EngineError(f"{place} describes a server; add that by its address.")
    if Path(place, "model.json").exists():
        _refuse_taken(store, model.card.name)
        _record_added(store, author, model.card, place, read_card(Path(place, "model.json")))
        return model.card
    record = {
        "name": name.strip() or Path(place).stem,
        "prompt": prompt,
        "drg_version": drg_version or model.card.drg_version,
    }
    return _add_folder(
        store, author, place, record | {"kind": model.card.kind, "note": model.card.note} | _weights(model)
    )


def add_server(
    store: Store,
    reader: Profile,
    url: str,
    name: str,
    served_as: str = "",
    key_variable: str = "",
    prompt: str = "plain",
    drg_version: str = "",
    purpose: str = "",
    agreement: bool = False,
) -> ModelCard:
    """Register a model behind an OpenAI-compatible server. Its name gets the host's where that is not this machine.

    Args:
        served_as: the model's name there; "" for the only one.
        key_variable: the variable of the environment that holds the key; the key itself is never given to us.
        purpose, agreement: for a server elsewhere: why notes go there, and whether credentialed ones may (the data-use agreement allows it).

    Raises:
        EngineError: when the address is none.
        PermissionError: when the server is elsewhere and the reader is no administrator.
        ValueError: when the name is missing or taken, the variable's name is none, or a server elsewhere has no purpose.
    """
    where = addresses.host(url)
    elsewhere = not addresses.is_loopback(where)
    if elsewhere and reader.role not in ENTERS_SERVERS:
        raise PermissionError(f"{where} is not this machine: only an administrator can let notes go there.")
    if elsewhere and not purpose.strip():
        raise ValueError(f"Say for what purpose notes go to {where}; it is stored with your name.")
    if not name.strip():
        raise ValueError("Give the model a name: its answers are stored under it.")
    if key_variable and not VARIABLE.fullmatch(key_variable):
        raise ValueError(
            "The key's variable is a name in capitals, such as AZURE_OPENAI_API_KEY; the key itself is never stored."
        )
    record = {"name": name.strip(), "kind": "server", "url": url.strip(), "model": served_as.strip()}
    record |= {"key_variable": key_variable, "prompt": prompt, "drg_version": drg_version or models.CARD["drg_version"]}
    if elsewhere:
        record |= {"purpose": purpose.strip(), "entered_by": reader.name, "agreement": agreement}
    record["note"] = f"Served by {where}. Nothing else is known of it; see its answers before believing them."
    return _add_folder(store, reader.name, url.strip(), record)


def record_check(store: Store, name: str, author: str, report: Mapping[str, Any]) -> None:
    """Keep what a check of a registered model said; of one that only lies in the models folder nothing is kept."""
    if any(row["name"] == name for row in table.registered(store)):
        store.append("model_event", [{"name": name, "kind": "checked", "author": author, "report": dict(report)}])


def withdraw(store: Store, entry: Entry, author: str) -> None:
    """Offer a model no more. Its answers, their reviews and its files stay."""
    if (
        not entry.author
    ):  # one that came with the folder is registered first, so that the register says who withdrew what
        _record_added(store, author, entry.card, entry.place, {})
    _say(store, entry, "withdrawn", author)


def restore(store: Store, entry: Entry, author: str) -> None:
    """Offer a withdrawn model again."""
    _say(store, entry, "restored", author)


def make_default(store: Store, entry: Entry, author: str) -> None:
    """Use this model wherever a reader has chosen no other."""
    _say(store, entry, "default", author)


def _say(store: Store, entry: Entry, kind: str, author: str) -> None:
    store.append("model_event", [{"name": entry.card.name, "kind": kind, "author": author}])


def _entry(row: Mapping[str, Any] | None, card: ModelCard | None) -> Entry:
    """What the register and the models folder say of one model; either may know nothing of it."""
    missing = card.note if card and card.kind == "unreadable" else ""
    if card is None:
        try:
            card = find(row["location"]).card
        except EngineError as error:
            card, missing = (
                ModelCard(row["name"], row["engine"], row["location"], row["prompt"], row["drg_version"]),
                str(error),
            )
    size = None if missing else _size(card)
    if row is None:
        return Entry(card, _place(card), size, missing=missing)
    return Entry(
        # A folder may have been changed since, but its answers are known by the registered name.
        replace(card, name=row["name"]), row["place"], size, row["author"], row["recorded_at"], row["recipe"] or "", row["data_hash"] or "",
        row["purpose"] or "", json.loads(row["report"]) if row["report"] else None, row["checked_at"], row["withdrawn"], missing,
    )  # fmt: skip


def _place(card: ModelCard) -> str:
    if card.kind != "server":
        return card.location
    server = find(card.location).server
    return server.url if server else card.location


def _size(card: ModelCard) -> int | None:
    """Bytes of the weights on this machine; None when they are elsewhere."""
    model = find(card.location)
    places = [Path(each) for each in (model.weights, model.adapter) if each]
    files = {file for place in places for file in ([place] if place.is_file() else place.glob("**/*"))}
    sizes = [file.stat().st_size for file in files if file.suffix in (".gguf", ".safetensors", ".bin")]
    return sum(sizes) or None


def _weights(model: Model) -> dict[str, str]:
    if model.card.kind == "llama.cpp":
        return {"file": model.weights}
    return {"base": model.weights} | ({"adapter": model.adapter} if model.adapter else {})


def _add_folder(store: Store, author: str, place: str, record: Mapping[str, Any]) -> ModelCard:
    """Make a folder with this model.json, which appears whole, and register it."""
    slug = re.sub(r"[^A-Za-z0-9._-]+", "-", record["name"]).strip("-.")
    target = models_dir() / slug
    if not slug or target.exists():
        raise ValueError(f"There is already a model {record['name']!r}; choose another name.")
    work = Path(tempfile.mkdtemp(prefix=".adding-", dir=models_dir()))
    try:
        (work / "model.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        find(work)  # fit, or an EngineError
        os.replace(work, target)
        card = find(target).card
        _refuse_taken(store, card.name)
        _record_added(store, author, card, place, record)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(target, ignore_errors=True)
        raise
    return card


def _refuse_taken(store: Store, name: str) -> None:
    if any(row["name"] == name for row in table.registered(store)):
        raise ValueError(
            f"There was already a model {name!r}, and answers carry its name; choose another name, or restore it."
        )


def _record_added(store: Store, author: str, card: ModelCard, place: str, record: Mapping[str, Any]) -> None:
    training = record.get("training") or {}
    hashes = [file["sha256"] for file in training.get("data", ())]
    made = f"{card.name}, {training['identity'][:12]}" if "identity" in training else ""
    store.append(
        "model_event",
        [
            {
                "name": card.name, "kind": "added", "author": author, "place": place, "location": str(Path(card.location).absolute()),
                "engine": card.kind, "prompt": card.prompt, "drg_version": card.drg_version, "recipe": record.get("recipe") or made,
                "data_hash": record.get("data_hash") or " ".join(hashes), "purpose": record.get("purpose"), "agreement": record.get("agreement"),
            }
        ],
    )  # fmt: skip


def server_of(card: ModelCard) -> Server | None:
    """Where a model of kind "server" is asked."""
    return find(card.location).server if card.kind == "server" else None
