"""Scoring notes in the background: one worker, one loaded model, runs that can be cancelled and taken up again.

With a model that takes one note at a time, each answer is in the database before the next note begins. One that takes many (a server,
vLLM) gets the longest first, and what it answered is stored together, once a second. So a killed process loses what it was on, and a run
that is taken up repeats no answer that is stored.
"""

import json
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from sapphire.drg.grounding import Candidate
from sapphire.engines import Completion, Engine, EngineError, EngineLost, Sampling, load
from sapphire.importing import stored_note
from sapphire.notes import Note, Problem
from sapphire.prompts import grounded
from sapphire.scoring import Scored, model_case, sample_rows, score
from sapphire.store import Store, StoreError
from sapphire.store import notes as stored_notes
from sapphire.store import runs as stored_runs

log = logging.getLogger(__name__)
READ = 256  # notes read from the database at once
STORED_EVERY = 1.0  # seconds, where a model answers many notes at once
WITHDRAWN = "The note was withdrawn before the model came to it."


@dataclass
class Run:
    """One run as the page shows it. `live` is the completion being written, `candidates` what its grounded prompt names as likeliest, `began`
    the clock at its first note."""

    run_id: str
    model: str
    location: str
    sampling: Sampling
    author: str
    pending: deque[str]
    total: int
    urgent: bool = False
    done: int = 0
    failed: int = 0
    state: str = "waiting"  # waiting | loading | running | finished | cancelled | failed
    note_id: str = ""
    live: str = ""
    candidates: tuple[Candidate, ...] = ()
    message: str = ""
    began: float | None = None
    cancel: threading.Event = field(default_factory=threading.Event)

    @property
    def active(self) -> bool:
        return self.state in ("waiting", "loading", "running")

    def seconds_left(self) -> float | None:
        """Expected seconds to the end, from the notes done so far; None before the first is done."""
        if not self.done or self.began is None:
            return None
        return (time.monotonic() - self.began) / self.done * (self.total - self.done)


class Runner:
    """The one place of a process where models run for its users. `open_engine` opens the model at a location."""

    def __init__(self, store: Store, open_engine: Callable[[str], Engine] = load):
        self._store, self._open = store, open_engine
        self._runs: dict[str, Run] = {}
        self._wake = threading.Condition()
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._closed = self._stale = False

    def start(
        self, note_ids: Sequence[str], model: str, location: str, sampling: Sampling, author: str, urgent: bool = False
    ) -> Run:
        """Queue a run over `note_ids`; an urgent one (a reader waits for it) goes before the others.

        Raises:
            StoreError: when the run cannot be recorded.
        """
        run = Run(str(uuid.uuid4()), model, location, sampling, author, deque(note_ids), len(note_ids), urgent)
        self._record(run, "started", note_ids=list(note_ids), sampling=asdict(sampling) | {"location": location})
        return self._enqueue(run)

    def resume(self, run_id: str, author: str) -> Run:
        """Take up a run that was cancelled or interrupted, with the notes it has not answered yet.

        Raises:
            KeyError: when there is no such run.
        """
        begun = _begun(self._store, run_id)
        location, sampling = settings(self._store, run_id)
        answered = stored_runs.answered(self._store, run_id)
        pending = deque(note for note in begun["note_ids"] if note not in answered)
        run = Run(run_id, begun["model"], location, sampling, author, pending, len(pending))
        self._record(run, "resumed")
        return self._enqueue(run)

    def notes(self, run_id: str) -> list[str]:
        """The notes that a run was started over."""
        return _begun(self._store, run_id)["note_ids"]

    def cancel(self, run_id: str) -> None:
        if run := self._runs.get(run_id):
            run.cancel.set()
            with self._wake:
                self._wake.notify_all()

    def runs(self) -> list[Run]:
        """This process's runs, newest first."""
        return list(reversed(self._runs.values()))

    def unfinished(self) -> list[dict]:
        """Runs of the database that did not end and are not at work here: run_id, model, recorded_at, left, total, author."""
        active = {run.run_id for run in self._runs.values() if run.active}
        open_runs = stored_runs.unfinished(self._store)
        return [run | {"left": left} for run in open_runs if run["run_id"] not in active and (left := self._left(run))]

    def _left(self, run: dict) -> int:
        # Counted only for the few runs that did not end: the table of predictions may be long.
        return run["total"] - stored_runs.answered_count(self._store, run["run_id"])

    def close(self) -> None:
        """Stop after the note at work, at most some seconds from now, and free the model."""
        for run in self._runs.values():
            run.cancel.set()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread:
            self._thread.join(timeout=10)
        self.release()

    def _enqueue(self, run: Run) -> Run:
        with self._wake:
            self._runs[run.run_id] = run
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="sapphire-runner", daemon=True)
                self._thread.start()
            self._wake.notify_all()
        return run

    def _work(self) -> None:
        while True:
            with self._wake:
                while not (run := self._next()):
                    if self._closed:
                        return
                    if self._stale:
                        self.release()
                    self._wake.wait()
            try:
                self._step(run)
            except (EngineError, StoreError) as error:
                if isinstance(error, EngineLost):
                    self.release()
                self._end(run, "failed", str(error))
            except Exception as error:
                # The worker must outlive any one run; a note's text is in no log.
                log.error("run %s stopped: %s", run.run_id, type(error).__name__)
                self._end(
                    run, "failed", f"The run stopped on an unexpected {type(error).__name__}; resume it or report it."
                )

    def _next(self) -> Run | None:
        active = [run for run in self._runs.values() if run.active]
        return min(active, key=lambda run: not run.urgent, default=None)

    def _step(self, run: Run) -> None:
        """One note of `run`, or many where the model takes many; or its end."""
        if run.cancel.is_set():
            return self._end(run, "cancelled", "")
        if not run.pending:
            return self._end(run, "finished", "")
        engine = self._loaded(run)
        run.state, run.live, run.candidates = "running", "", ()
        run.began = run.began or time.monotonic()
        if engine.ahead > 1 and len(run.pending) > 1:
            return self._many(run, engine)
        run.note_id = run.pending[0]
        rows = self._answer(run, engine)
        if rows is not None:
            self._keep(run, [rows])
        return None

    def _loaded(self, run: Run) -> Engine:
        if self._stale or self._engine is None or self._engine.card.location != run.location:
            run.state = "loading"
            self.release()
            self._engine = self._open(run.location)
        return self._engine

    def renew(self) -> None:
        """Open the model anew before the next note: it can be reached in another way now."""
        with self._wake:
            self._stale = True
            self._wake.notify_all()

    def release(self) -> None:
        """Close the loaded model, if any; the next note loads what it needs. Only the worker calls this, or who has ended it."""
        self._stale = False
        if self._engine:
            self._engine.close()
            self._engine = None

    def _keep(self, run: Run, answered: Sequence[list[dict]]) -> None:
        """Store the rows of the first pending notes in one transaction."""
        self._store.append("prediction", [row for rows in answered for row in rows])
        for rows in answered:
            run.pending.popleft()
            run.done += 1
            run.failed += rows[0]["error"] is not None

    def _many(self, run: Run, engine: Engine) -> None:
        """Notes until the run ends or a reader waits for another one."""
        run.note_id = ""
        run.pending = deque(self._longest_first(run.pending))
        answered, stored = [], time.monotonic()
        try:
            for scored in score(self._notes(run), engine, run.sampling, run.cancel):
                answered.append(_rows(run, engine, scored))
                if time.monotonic() - stored >= STORED_EVERY:
                    ready, answered = answered, []
                    self._keep(run, ready)
                    stored = time.monotonic()
        finally:
            if answered:
                self._keep(run, answered)

    def _longest_first(self, note_ids: Sequence[str]) -> list[str]:
        """An engine that works on many notes then has no long one left when the others are done."""
        words = stored_notes.lengths(self._store)
        return sorted(note_ids, key=lambda note: -words.get(note, 0))

    def _notes(self, run: Run) -> Iterator[Note | Problem]:
        """The pending notes in their order; no more of them once somebody waits."""
        source = iter(list(run.pending))
        while some := list(islice(source, READ)):
            notes = stored_notes.notes(self._store, some)
            for note_id in some:
                if run.cancel.is_set() or self._others_wait(run):
                    return
                yield (
                    stored_note(notes[note_id])
                    if note_id in notes
                    else Problem("", None, WITHDRAWN, "", note_id=note_id)
                )

    def _others_wait(self, run: Run) -> bool:
        with self._wake:
            return self._next() is not run

    def _answer(self, run: Run, engine: Engine) -> list[dict] | None:
        """The rows of one note, or None when the run was cancelled in its middle."""
        found = stored_notes.note(self._store, run.note_id)
        if found is None:
            return _rows(run, engine, Scored(Note(run.note_id, ""), (), WITHDRAWN))
        note = stored_note(found)
        try:
            scored = Scored(note, tuple(self._complete(run, engine, note)))
        except EngineLost:
            raise
        except EngineError as error:
            scored = Scored(note, (), str(error))
        return None if run.cancel.is_set() else _rows(run, engine, scored)

    def _complete(self, run: Run, engine: Engine, note: Note) -> list[Completion]:
        case = model_case(note, engine.card)
        if run.sampling.n > 1:
            answer = next(engine.score([case], run.sampling, run.cancel))
            if isinstance(answer, EngineError):
                raise answer
            return answer
        if engine.card.prompt == "grounded":
            run.candidates = grounded(case, engine.card.drg_version).candidates
        pieces = engine.stream(case, run.sampling, run.cancel)
        while True:
            try:
                run.live += next(pieces)
            except StopIteration as end:
                return [end.value]

    def _end(self, run: Run, state: str, message: str) -> None:
        try:
            self._record(run, state, message=message)
        except StoreError as error:
            message = f"{message} {error}".strip()
        run.message, run.live, run.note_id, run.state = message, "", "", state

    def _record(self, run: Run, kind: str, **fields: object) -> None:
        self._store.append(
            "run_event", [{"run_id": run.run_id, "kind": kind, "model": run.model, "author": run.author} | fields]
        )


def settings(store: Store, run_id: str) -> tuple[str, Sampling]:
    """Where a run's model is and how it samples. KeyError when there is no such run."""
    known = json.loads(_begun(store, run_id)["sampling"])
    return known.pop("location"), Sampling(**known)


def _begun(store: Store, run_id: str) -> dict:
    begun = stored_runs.started(store, run_id)
    if begun is None:
        raise KeyError(run_id)
    return begun


def _rows(run: Run, engine: Engine, scored: Scored) -> list[dict]:
    """What is stored of one note: a row for each completion, or one with the error."""
    base = _base(run, engine, scored.note.note_id)
    if scored.error is not None:
        failed = {"sample": 0, "chosen": True, "completion": "", "forced": [], "error": scored.error}
        return [base | {"prediction_id": str(uuid.uuid4())} | failed]
    rows = sample_rows(scored.note, scored.completions, engine.card)
    return [base | {"prediction_id": str(uuid.uuid4())} | row for row in rows]


def _base(run: Run, engine: Engine, note_id: str) -> dict:
    return {
        "run_id": run.run_id,
        "note_id": note_id,
        "model": engine.card.name,
        "prompt": engine.card.prompt,
        "drg_version": engine.card.drg_version,
    }
