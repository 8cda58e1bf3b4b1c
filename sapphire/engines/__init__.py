"""Engines: one small protocol for everything that can answer a note, whatever runs the model behind it.

`load` opens a model that lies on this machine. An engine holds its model in memory and serves one request at a time;
callers in other threads wait for their turn.
"""

import threading
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sapphire.calibration import Calibration
from sapphire.drg.codebook import DEFAULT_VERSION
from sapphire.prompts import Case


class EngineError(RuntimeError):
    """What went wrong and what to do about it, in one sentence. No text of a note is in it."""


class EngineLost(EngineError):
    """What runs the model is gone or refuses us: the notes that follow would fail as well, so a run stops here and can be resumed."""


class Cancelled(EngineError):
    """The caller's cancel event was set; the model has stopped."""


@dataclass(frozen=True)
class Sampling:
    """How to decode.

    `n` completions a note; `temperature` 0 is greedy; `max_thinking` is the budget of the reasoning in tokens; sample i is
    drawn with `seed` + i. `constrained` makes every answer a DRG, and where a local model is asked by the grounded prompt every line
    of its reasoning one that the note and CMS's rules bear out (see `decoding`); without it the completion is the
    model's own, up to `max_thinking` + 128 tokens. `timeout` is in seconds and holds for one completion, from its turn on.
    """

    n: int = 1
    temperature: float = 0.0
    top_p: float = 1.0
    max_thinking: int = 384
    seed: int = 0
    constrained: bool = True
    timeout: float = 120.0


@dataclass(frozen=True)
class Completion:
    """One answer.

    `text` is all of it, forced parts included; `forced` names what the decoder was made to write, of think_open,
    think_close, answer_open, title, answer_close, lines (the reasoning was guided); `head` is the text of the reasoning's first 50 tokens; `tokens` counts
    what the model decoded; `seconds` is the wall time. `confidence` (0 to 1) is, where the completion was constrained,

    - on the plain prompt the probability of the title given the note and the reasoning, among the titles of the model's version: the product
      of the token probabilities at temperature 1, each renormalised over the tokens that continue a title;
    - on the grounded prompt, on this machine, the chance that the condition index gives the answer's DRG (`grounding.support`), which tells
      right answers from wrong ones far better than a small model's own odds (docs/measurements.md);

    and then what the model's calibration makes of it, where the card has one: `raw_confidence` is what it was before, else None.
    """

    text: str
    forced: tuple[str, ...]
    head: str
    tokens: int
    seconds: float
    confidence: float | None
    raw_confidence: float | None = None


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model: `kind` is "llama.cpp", "transformers" or "server", `location` what `load` was given, `prompt`
    one of `prompts.PROMPTS`, `tuned` whether it was trained on this task, `note` what a user should know before believing it, `calibration` what its
    confidence on this machine is calibrated by (a server's, and vLLM's, is reckoned in another way and stays as it is).

    `host` is the machine of a server that is not this one, else ""; `agreement` whether an administrator asserted that the
    data-use agreement allows credentialed notes to go there.
    """

    name: str
    kind: str
    location: str
    prompt: str = "plain"
    drg_version: str = DEFAULT_VERSION
    tuned: bool = False
    note: str = ""
    host: str = ""
    agreement: bool = False
    calibration: Calibration | None = None

    def refuses(self, credentialed: bool) -> str:
        """Why a note may not be given to this model, or ""."""
        if not credentialed or not self.host or self.agreement:
            return ""
        return (
            f"This note is credentialed and {self.name} runs elsewhere: the data-use agreement forbids sending it to others. "
            "Use a model on this machine, or let an administrator assert that the agreement allows it."
        )


class Engine(Protocol):
    card: ModelCard
    ahead: (
        int  # cases that `score` may take before it answers the first, to keep the model busy; 1: one after the other
    )

    def stream(
        self, case: Case | str, sampling: Sampling, cancel: threading.Event | None = None
    ) -> Generator[str, None, Completion]:
        """One completion of a case, or of a text of which nothing else is known: yields its text piece by piece, forced parts included, and returns it whole.

        Raises:
            Cancelled: when `cancel` is set.
            EngineError: when the note is too long for the model, or the model fails or takes too long.
        """
        ...

    def score(
        self, cases: Iterable[Case | str], sampling: Sampling, cancel: threading.Event | None = None
    ) -> Iterator["list[Completion] | EngineError"]:
        """`sampling.n` completions of each case, in input order; of a case that failed the error, and the others go on.

        Raises:
            Cancelled: when `cancel` is set.
            EngineLost: when the others would fail as well.
        """
        ...

    def close(self) -> None:
        """Free the model's memory. The engine cannot be used afterwards."""
        ...


def load(location: str | Path, vllm: bool = False) -> Engine:
    """Open a model: a model folder (`model.json` beside the weights, or with a server's address), a GGUF file, a folder in the
    layout of transformers, a LoRA adapter's folder, or the name of a model on the hub (owner/name).

    With `vllm` a transformers model is run by vLLM in this process, for batches of many notes.

    Raises:
        EngineError: when there is no such model, it is damaged, or what runs it is not installed.
    """
    from sapphire.engines.local import LocalEngine
    from sapphire.engines.model_folder import find

    model = find(location)
    if model.server:
        from sapphire.engines.server import ServerEngine

        return ServerEngine(model.card, model.server)
    if vllm:
        from sapphire.engines.vllm_engine import VllmEngine

        return VllmEngine(model)
    if model.card.kind == "llama.cpp":
        from sapphire.engines.llamacpp import LlamaCpp as Backend
    else:
        from sapphire.engines.transformers_engine import Transformers as Backend
    return LocalEngine(model.card, lambda: Backend(model))
