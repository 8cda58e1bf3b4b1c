"""Scoring notes in the background: one worker, one loaded model, runs that can be cancelled and taken up again.

Each answer is in the database before the next note begins, so a killed process loses at most the note it was on.
"""

import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from sapphire.engines import Completion, Engine, EngineError, Sampling, load
from sapphire.importing import stored_note
from sapphire.notes import Note
from sapphire.scoring import model_case, sample_rows
from sapphire.store import Store, StoreError

log = logging.getLogger(__name__)


@dataclass
class Run:
    """One run as the page shows it. `live` is the completion being written, `began` the clock at its first note."""

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
    """The one place of a process where models run for its users."""

    def __init__(self, store: Store):
        self._store = store
        self._runs: dict[str, Run] = {}
        self._wake = threading.Condition()
        self._engine: Engine | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

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
        import json

        rows = self._store.read("SELECT * FROM run_event WHERE run_id = $run AND kind = 'started'", run=run_id)
        if not rows:
            raise KeyError(run_id)
        settings = json.loads(rows[0]["sampling"])
        location = settings.pop("location")
        answered = {
            r["note_id"] for r in self._store.read("SELECT note_id FROM prediction WHERE run_id = $run", run=run_id)
        }
        pending = deque(note for note in rows[0]["note_ids"] if note not in answered)
        run = Run(run_id, rows[0]["model"], location, Sampling(**settings), author, pending, len(pending))
        self._record(run, "resumed")
        return self._enqueue(run)

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
        open_runs = self._store.read(
            """
            SELECT arg_min(run_id, seq) AS run_id, arg_min(model, seq) AS model, min(recorded_at) AS recorded_at,
                arg_min(author, seq) AS author, arg_min(len(note_ids), seq) AS total
            FROM run_event GROUP BY run_event.run_id HAVING arg_max(kind, seq) <> 'finished' ORDER BY min(seq) DESC
            """
        )
        return [run | {"left": left} for run in open_runs if run["run_id"] not in active and (left := self._left(run))]

    def _left(self, run: dict) -> int:
        # Counted only for the few runs that did not end: the table of predictions may be long.
        done = self._store.read(
            "SELECT count(DISTINCT note_id) AS n FROM prediction WHERE run_id = $run", run=run["run_id"]
        )
        return run["total"] - done[0]["n"]

    def close(self) -> None:
        """Stop after the note at work, at most some seconds from now, and free the model."""
        for run in self._runs.values():
            run.cancel.set()
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread:
            self._thread.join(timeout=10)
        if self._engine:
            self._engine.close()
            self._engine = None

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
                    self._wake.wait()
            try:
                self._step(run)
            except (EngineError, StoreError) as error:
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
        """One note of `run`, or its end."""
        if run.cancel.is_set():
            return self._end(run, "cancelled", "")
        if not run.pending:
            return self._end(run, "finished", "")
        engine = self._loaded(run)
        run.state, run.note_id, run.live = "running", run.pending[0], ""
        run.began = run.began or time.monotonic()
        rows = self._answer(run, engine)
        if rows is None:
            return None
        self._store.append("prediction", rows)
        run.pending.popleft()
        run.done += 1
        run.failed += rows[0]["error"] is not None
        return None

    def _loaded(self, run: Run) -> Engine:
        if self._engine is None or self._engine.card.location != run.location:
            run.state = "loading"
            if self._engine:
                self._engine.close()
                self._engine = None
            self._engine = load(run.location)
        return self._engine

    def _answer(self, run: Run, engine: Engine) -> list[dict] | None:
        """The rows of one note, or None when the run was cancelled in its middle."""
        found = self._store.read("SELECT * FROM current_note WHERE note_id = $note", note=run.note_id)
        if not found:
            return [_failure(run, engine, "The note was withdrawn before the model came to it.")]
        note = stored_note(found[0])
        try:
            completions = self._complete(run, engine, note)
        except EngineError as error:
            return None if run.cancel.is_set() else [_failure(run, engine, str(error))]
        if run.cancel.is_set():
            return None
        return _prediction_rows(run, engine, note, completions)

    def _complete(self, run: Run, engine: Engine, note: Note) -> list[Completion]:
        if run.sampling.n > 1:
            return next(engine.score([model_case(note)], run.sampling, run.cancel))
        pieces = engine.stream(model_case(note), run.sampling, run.cancel)
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


def _prediction_rows(run: Run, engine: Engine, note: Note, completions: Sequence[Completion]) -> list[dict]:
    return [_base(run, engine) | row for row in sample_rows(note, completions, engine.card)]


def _failure(run: Run, engine: Engine, why: str) -> dict:
    return _base(run, engine) | {"sample": 0, "chosen": True, "completion": "", "forced": [], "error": why}


def _base(run: Run, engine: Engine) -> dict:
    return {
        "prediction_id": str(uuid.uuid4()),
        "run_id": run.run_id,
        "note_id": run.note_id,
        "model": engine.card.name,
        "prompt": engine.card.prompt,
        "drg_version": engine.card.drg_version,
    }
