"""What a library that runs a model in this process must do for two-step decoding (see `decoding`)."""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sapphire.engines import Cancelled, EngineError, Sampling

# A part of what the model has read: a token's id, or text.
Part = int | str


@dataclass(frozen=True)
class Token:
    """What the model wrote: text, and the same as parts of a context (several where a character took several tokens)."""

    text: str
    parts: tuple[Part, ...]


class Watch:
    """Whether one completion may go on: `check` raises when its caller cancelled or left, or its time is over."""

    def __init__(self, timeout: float, cancel: threading.Event | None):
        self._began, self._timeout, self._cancel = time.monotonic(), timeout, cancel
        self.abandoned = threading.Event()  # set when nobody waits any more

    def check(self) -> None:
        if self.abandoned.is_set() or (self._cancel and self._cancel.is_set()):
            raise Cancelled("The model was stopped.")
        if self.seconds() > self._timeout:
            raise EngineError(
                f"The model did not finish within {self._timeout:g} seconds; allow more time or less reasoning."
            )

    def seconds(self) -> float:
        return time.monotonic() - self._began


class Backend(Protocol):
    """`context` is all that the model has read so far. A backend keeps what it computed for the last one, so that going on
    from it, or from a part of it, is cheap."""

    vocabulary: Mapping[str, int]  # text to id, of the tokens that titles are made of

    def prompt(self, messages: list[dict[str, str]], room: int, fresh: bool) -> tuple[list[Part], str]:
        """The context for chat messages, and what of the completion the template already wrote ("" or `<think>`).

        A `fresh` prompt is read anew even where parts of it were read before: numbers differ in the last digits by how
        a prompt is cut into batches, and greedy answers must not depend on what the model read before. EngineError, here
        or when the model reads it, unless `room` tokens are left after it.
        """
        ...

    def encode(self, text: str) -> list[Part]:
        """Text as parts of a context."""
        ...

    def write(
        self,
        context: Sequence[Part],
        limit: int,
        sampling: Sampling,
        seed: int,
        accept: Callable[[Token], bool],
        watch: Watch,
    ) -> None:
        """Decode freely, handing each token to `accept`, until that says False, the model ends its turn or `limit`
        tokens are written. Looks at `watch` at least once a token."""
        ...

    def odds(self, context: Sequence[Part], allowed: Collection[int], watch: Watch) -> dict[int, float]:
        """The probabilities of the allowed next tokens at temperature 1, renormalised so that they add up to 1."""
        ...

    def close(self) -> None:
        """Free the model's memory."""
        ...
