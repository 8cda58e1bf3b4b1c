"""An engine whose model runs in this process: one request at a time, each in a thread of its own, under a time limit.

A native call can hang. Then its thread is abandoned with the model it holds, the caller gets an EngineError, and the next
request loads the model anew.
"""

import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace

from sapphire.completions import parse
from sapphire.drg.codebook import codebook
from sapphire.drg.grounding import support
from sapphire.drg.guiding import Stay, stay
from sapphire.engines import Cancelled, Completion, EngineError, EngineLost, ModelCard, Sampling
from sapphire.engines.backend import Backend, Watch
from sapphire.engines.decoding import ANSWER, complete
from sapphire.engines.titles import titles
from sapphire.prompts import Case, grounded, messages

POLL = 0.1  # seconds between two looks at the clock and the cancel event
GRACE = 5.0  # seconds that a model is given to stop


class LocalEngine:
    """See `engines.Engine`. `open_backend` loads the model and may raise EngineError."""

    ahead = 1

    def __init__(self, card: ModelCard, open_backend: Callable[[], Backend]):
        self.card = card
        self._open = open_backend
        self._turn = threading.Lock()
        self._closed = False
        self._backend: Backend | None = self._load()

    def stream(
        self, case: Case | str, sampling: Sampling, cancel: threading.Event | None = None
    ) -> Generator[str, None, Completion]:
        """See `engines.Engine.stream`. Closing the generator stops the model."""
        return self._stream(case, sampling, cancel, fresh=True)

    def score(
        self, cases: Iterable[Case | str], sampling: Sampling, cancel: threading.Event | None = None
    ) -> Iterator[list[Completion] | EngineError]:
        """See `engines.Engine.score`. One sequence at a time; the prompt that samples share is read once."""
        for case in cases:
            samples = [replace(sampling, seed=sampling.seed + i) for i in range(sampling.n)]
            try:
                yield [_last(self._stream(case, each, cancel, fresh=i == 0)) for i, each in enumerate(samples)]
            except (Cancelled, EngineLost):
                raise
            except EngineError as error:
                yield error

    def _stream(
        self, case: Case | str, sampling: Sampling, cancel: threading.Event | None, fresh: bool
    ) -> Generator[str, None, Completion]:
        turn = self._wait(cancel)
        watch = Watch(sampling.timeout, cancel)
        pieces: queue.SimpleQueue[str | Completion | Exception] = queue.SimpleQueue()
        worker = threading.Thread(
            target=self._decode,
            args=(turn, case, sampling, fresh, pieces.put, watch),
            name="sapphire-model",
            daemon=True,
        )
        worker.start()
        try:
            while True:
                piece = self._next(pieces, watch)
                if isinstance(piece, Completion):
                    return piece
                if isinstance(piece, Exception):
                    raise piece
                if piece:
                    yield piece
        finally:
            watch.abandoned.set()
            worker.join(GRACE)
            if worker.is_alive():
                self._abandon(turn)

    def close(self) -> None:
        """Free the model's memory, once the request at work is over."""
        turn = self._wait(None)
        self._closed = True
        if self._backend:
            self._backend.close()
            self._backend = None
        turn.release()

    def _load(self) -> Backend:
        backend = self._open()
        missing = titles(self.card.drg_version).characters() - set(backend.vocabulary)
        if missing:
            backend.close()
            raise EngineError(
                f"The vocabulary of {self.card.name} lacks {' '.join(sorted(missing))}, which titles of version "
                f"{self.card.drg_version} need; choose a model with a byte-level vocabulary."
            )
        return backend

    def _wait(self, cancel: threading.Event | None) -> threading.Lock:
        """Wait for this caller's turn. Whoever has it may hand over a new lock, when the model hangs."""
        while True:
            turn = self._turn
            if turn.acquire(timeout=POLL):
                if turn is self._turn:
                    return turn
                turn.release()
            if cancel and cancel.is_set():
                raise Cancelled("The model was stopped.")

    def _decode(
        self,
        turn: threading.Lock,
        case: Case | str,
        sampling: Sampling,
        fresh: bool,
        put: Callable[[str | Completion | Exception], None],
        watch: Watch,
    ) -> None:
        try:
            if self._closed:
                raise EngineError(f"The model {self.card.name} was closed; load it again.")
            if self._backend is None:
                self._backend = self._load()
            chat = messages(case, self.card.prompt, self.card.drg_version)
            prompt = self._backend.prompt(chat, sampling.max_thinking + ANSWER, fresh)
            choices = guided(case, self.card) if sampling.constrained else None
            done = complete(self._backend, prompt, self.card.drg_version, sampling, put, watch, choices)
            put(_judged(done, case, self.card))
        except Exception as error:
            # It goes to the thread that waits for the answer and is raised there.
            put(error)
        finally:
            turn.release()

    def _next(self, pieces: queue.SimpleQueue, watch: Watch) -> str | Completion | Exception:
        while True:
            try:
                return pieces.get(timeout=POLL)
            except queue.Empty:
                watch.check()

    def _abandon(self, turn: threading.Lock) -> None:
        if self._turn is turn:
            self._backend, self._turn = None, threading.Lock()


def guided(case: Case | str, card: ModelCard) -> Stay | None:
    """What a reasoning on the grounded prompt can be made of; the plain prompt leaves it free."""
    if card.prompt != "grounded":
        return None
    case = _case(case)
    return stay(grounded(case, card.drg_version), case.text, card.drg_version)


def _judged(done: Completion, case: Case | str, card: ModelCard) -> Completion:
    """The completion with its confidence as `Completion` says: on the grounded prompt the index's, then calibrated."""
    if done.confidence is None:
        return done
    if card.prompt == "grounded":
        answer = parse(done.text, codebook(card.drg_version)).drg
        done = replace(done, confidence=support(grounded(_case(case), card.drg_version), answer.drg))
    if card.calibration is None:
        return done
    return replace(done, confidence=card.calibration(done.confidence), raw_confidence=done.confidence)


def _case(case: Case | str) -> Case:
    return Case(case) if isinstance(case, str) else case


def _last(pieces: Generator[str, None, Completion]) -> Completion:
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return end.value
