"""Models at work beside the runner's: vLLM servers that this app started, and checks. They end with the app."""

import threading
from collections.abc import Callable
from dataclasses import asdict

from sapphire import registry
from sapphire.checking import LOADS_IN, Check, begin, open_within
from sapphire.engines import Engine, EngineError, ModelCard, load
from sapphire.serving import Served, serve
from sapphire.store import Store

READY_IN = 900.0  # seconds that a server is given to load its model


class Hosting:
    """Safe to share between threads. `changed` is called when a model is to be reached in another way than before."""

    def __init__(self, store: Store):
        self.changed: Callable[[], None] = lambda: None
        self._store = store
        self._servers: dict[str, Served] = {}
        self._ended: dict[str, str] = {}
        self._checks: dict[str, Check] = {}

    def open(self, location: str) -> Engine:
        """The model at a location: by the server that this app started for it, once that is ready, else in this process.

        Raises:
            EngineError: when it cannot be opened, or not in time.
        """
        served = self._servers.get(location)
        if served and served.state() == "ready":
            from sapphire.engines.server import ServerEngine

            return ServerEngine(served.card, served.server)
        return open_within(load, location, LOADS_IN)

    def start(self, card: ModelCard, *options: str) -> None:
        """Start a vLLM server for a model of transformers; `server` says how it stands.

        Raises:
            EngineError: when vLLM is not installed or does not serve such a model.
        """
        if self.server(card)[0] in ("starting", "ready"):
            return
        served = serve(card.location, *options)
        self._servers[card.location] = served
        self._ended.pop(card.location, None)
        threading.Thread(target=self._watch, args=(card.location, served), name="sapphire-serving", daemon=True).start()

    def server(self, card: ModelCard) -> tuple[str, str]:
        """How the server of a model stands: "" (there is none), "starting", "ready" or "ended", and why it ended."""
        served = self._servers.get(card.location)
        state = served.state() if served else ""
        if state == "ended":
            self._ended.setdefault(card.location, served.why_not())
        return state, self._ended.get(card.location, "")

    def stop(self, card: ModelCard) -> None:
        """Stop the server of a model; a run that uses it stops with a message and can be resumed."""
        if served := self._servers.pop(card.location, None):
            served.stop()
            self.changed()
        self._ended.pop(card.location, None)

    def check(self, card: ModelCard, author: str) -> Check:
        """Check a model in the background; what is found is kept in the register."""
        self._checks[card.name] = begin(card, author, self._keep, self.open)
        return self._checks[card.name]

    def checked(self, card: ModelCard) -> Check | None:
        """The check of a model that is at work, or the last one of this app."""
        return self._checks.get(card.name)

    def close(self) -> None:
        for check in self._checks.values():
            check.cancel.set()
        for served in self._servers.values():
            served.stop()

    def _keep(self, check: Check) -> None:
        registry.record_check(self._store, check.card.name, check.author, asdict(check.report))

    def _watch(self, location: str, served: Served) -> None:
        try:
            served.wait(READY_IN)
        except EngineError as error:
            self._ended[location] = str(error)
        self.changed()
