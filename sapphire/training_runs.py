"""Training runs watched: what their folders tell is taken into the database as it grows, and read from there as curves.

So the page costs the same whatever a run has written, and the history of a run outlives its folder. Rollouts stay in the folder.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from sapphire import rollouts
from sapphire.run_folders import held, line_before, lines_after, read_record, run_files, run_id, stamp
from sapphire.store import Store
from sapphire.store.training import TrainingLog

if TYPE_CHECKING:
    import numpy as np
    import pyarrow

FILES = 100  # rollout files read at once
WINDOW = 50  # steps of the paper's moving average
KEPT_CURVES = 40  # runs and windows

# `interrupted`: the record says running and no process holds the folder. `gone`: it was running when its folder disappeared.
STATES = ("running", "finished", "failed", "stopped", "interrupted", "gone")


@dataclass
class _Place:
    """How far a folder has been read: `offset` in metrics.jsonl, `line` the step and time of the line that ends there."""

    folder: Path
    stamp: tuple[int, int, int]
    run_id: str
    record: dict[str, Any]
    offset: int = 0
    line: tuple[int, float] = (0, 0.0)
    metrics: tuple[int, int, int] = (0, 0, 0)
    groups: int = 0
    waiting: bool = False
    unreadable: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TrainingRun:
    """A run as it stands. `folder` is None once it is gone; `done` of `steps`; `seconds` spent in steps, `left` to come (None: unknown);
    `at` when the last step ended; `groups`: case groups of rollouts that were taken in."""

    run_id: str
    record: dict[str, Any]
    state: str
    folder: Path | None
    done: int
    seconds: float
    left: float | None
    at: datetime | None
    groups: int

    @property
    def name(self) -> str:
        return self.record["name"]

    @property
    def kind(self) -> str:
        return self.record.get("kind", "")

    @property
    def recipe(self) -> dict[str, Any]:
        return self.record.get("recipe") or {}

    @property
    def steps(self) -> int | None:
        return self.record.get("steps")

    @property
    def started(self) -> datetime:
        return datetime.fromisoformat(self.record["started"])

    @property
    def model(self) -> Path | None:
        """The folder of the trained model, once there is one."""
        found = self.folder / "model" if self.folder else None
        return found if found and found.is_dir() else None


class Curve(NamedTuple):
    """A metric in few points: the last step of each, hours of training up to it, the mean of its steps, the moving average there, and how
    many steps it stands for."""

    step: "np.ndarray"
    hours: "np.ndarray"
    reading: "np.ndarray"
    mean: "np.ndarray"
    steps: "np.ndarray"


class TrainingRuns:
    """The runs of one folder and the database. Safe to share between threads: `refresh` before a page is drawn."""

    def __init__(self, store: Store, root: Path):
        self.root = root
        self.log = TrainingLog(store)
        self.problems: list[str] = []
        self._lock = threading.RLock()
        self._places: dict[Path, _Place] = {}
        self._runs: list[TrainingRun] = []
        self._end = -1
        self._curves: dict[tuple[str, int], tuple[tuple, dict[str, Curve]]] = {}

    def refresh(self, budget: float = 1.0) -> bool:
        """Take in what folders tell and the database does not know yet; whether more is waiting after `budget` seconds.

        Each batch is one statement, so that a crash between two of them loses nothing and repeats nothing.

        Raises:
            StoreError: when the database refuses; what is not taken in stays in its folder for the next time.
        """
        until = time.monotonic() + budget
        with self._lock:
            self._find()
            for place in self._places.values():
                place.waiting = self._take_steps(place, until) or self._take_groups(place, until)
                self.problems += place.unreadable
            self._list()
            return any(place.waiting for place in self._places.values())

    def runs(self) -> list[TrainingRun]:
        """Every run ever seen, the newest first."""
        return self._runs

    def curves(self, run: TrainingRun, window: int = 1) -> dict[str, Curve]:
        """A run's metrics by name; `window` steps up to each are averaged in `mean`. Kept until the run moves on."""
        key, now = (run.run_id, window), (run.done, run.at)
        with self._lock:
            kept = self._curves.pop(key, None)
            if kept is None or kept[0] != now:
                kept = (now, _by_metric(self.log.curves(run.run_id, run.done, window)))
            self._curves[key] = kept
            while len(self._curves) > KEPT_CURVES:
                del self._curves[next(iter(self._curves))]
            return kept[1]

    def _find(self) -> None:
        """The folders as they are now: new ones, those whose record changed, and none that is gone."""
        self.problems = []
        found: dict[Path, _Place] = {}
        known = cache(lambda: {row["run_id"]: row for row in self.log.runs()})
        for path in run_files(self.root):
            place = self._places.get(path)
            now = stamp(path)
            if place is None or place.stamp != now:
                place = self._read(path, now, place, known)
            if place and (twin := next((p for p in found.values() if p.run_id == place.run_id), None)):
                self.problems.append(
                    f"{path.parent} is a copy of {twin.folder}; only the latter is shown. Move one of them away."
                )
            elif place:
                found[path] = place
        self._places = found

    def _read(
        self, path: Path, now: tuple, before: _Place | None, every: Callable[[], dict[str, dict]]
    ) -> _Place | None:
        try:
            record = read_record(path)
        except (OSError, ValueError) as error:
            self.problems.append(str(error))
            return before
        place = _Place(path.parent, now, run_id(record), record)
        known = every().get(place.run_id)
        if known is None or json.loads(known["record"]) != record:
            self.log.tell(place.run_id, record)
        if before and before.run_id == place.run_id:
            place.offset, place.line, place.metrics, place.groups = (
                before.offset,
                before.line,
                before.metrics,
                before.groups,
            )
        elif known and known["step"]:
            last = self.log.lines(place.run_id)[0]
            place.offset, place.line = last["line_end"], (last["step"], last["written_at"])
            place.groups = known["group_step"] or 0
        return place

    def _take_steps(self, place: _Place, until: float) -> bool:
        """Append the lines that are new; whether the time ran out before the end."""
        path = place.folder / "metrics.jsonl"
        now = stamp(path)
        if now == place.metrics:
            return False
        if place.offset and (now[1] < place.offset or line_before(path, place.offset) != place.line):
            self._go_back(place, path)
        if now[1] == 0:
            return False
        for lines in lines_after(path, place.offset):
            if time.monotonic() > until:
                return True
            rows = [
                {
                    "run_id": place.run_id, "step": line.step, "written_at": line.at, "seconds": line.seconds, "line_end": line.end,
                    "metrics": list(line.metrics), "readings": list(line.metrics.values()),
                }
                for line in lines
            ]  # fmt: skip
            self.log.add_steps(rows)
            place.offset, place.line = lines[-1].end, (lines[-1].step, lines[-1].at)
        place.metrics = now
        return False

    def _go_back(self, place: _Place, path: Path) -> None:
        """The run was resumed: to the last line that is still as it was taken in. What stands before it in the file is unchanged."""
        kept = next(
            (
                row
                for row in self.log.lines(place.run_id)
                if line_before(path, row["line_end"]) == (row["step"], row["written_at"])
            ),
            {"step": 0, "written_at": 0.0, "line_end": 0},
        )
        self.log.rewind(place.run_id, kept["step"])
        place.offset, place.line = kept["line_end"], (kept["step"], kept["written_at"])
        place.groups = min(place.groups, kept["step"])

    def _take_groups(self, place: _Place, until: float) -> bool:
        """Sum up rollouts of steps that have their line: a file beyond it may be of a step that will be done again."""
        if place.record.get("kind") != "grpo" or place.groups >= place.line[0]:
            return False
        scheme = (place.record.get("recipe") or {}).get("reward", "dense")
        new = [
            (step, path)
            for step, path in rollouts.files_of(place.folder).items()
            if place.groups < step <= place.line[0]
        ]
        for batch in _batches(new):
            if time.monotonic() > until:
                return True
            self.log.add_groups(self._summed(place, [path for _, path in batch], scheme))
            place.groups = batch[-1][0]
        place.groups = place.line[0]
        return False

    def _summed(self, place: _Place, files: list[Path], scheme: str) -> list[dict]:
        """Their groups; a file that cannot be read is told and left, the others come."""
        try:
            return [row | {"run_id": place.run_id} for row in rollouts.groups(files, scheme)]
        except OSError as error:
            if len(files) == 1:
                place.unreadable.append(f"{files[0]} cannot be read, so its completions are not counted ({error}).")
                return []
        return [row for file in files for row in self._summed(place, [file], scheme)]

    def _list(self) -> None:
        if (end := self.log.end()) != self._end:
            self._known, self._end = [row | {"record": json.loads(row["record"])} for row in self.log.runs()], end
        folders = {place.run_id: place for place in self._places.values()}
        self._runs = [self._run(row, folders.get(row["run_id"])) for row in self._known]
        self._runs.sort(key=lambda run: run.started, reverse=True)

    def _run(self, row: dict, place: _Place | None) -> TrainingRun:
        record, done = row["record"], row["step"] or 0
        state = record["state"]
        if state == "running":
            state = "gone" if place is None else "running" if held(place.folder) else "interrupted"
        left = None
        if state == "running" and row["recent"] and record.get("steps"):
            left = max(record["steps"] - done, 0) * row["recent"]
        return TrainingRun(
            run_id=row["run_id"], record=record, state=state, folder=place.folder if place else None, done=done, seconds=row["seconds"] or 0.0, left=left,
            at=datetime.fromtimestamp(row["written_at"], UTC) if row["written_at"] else None, groups=row["groups"],
        )  # fmt: skip


def _by_metric(table: "pyarrow.Table") -> dict[str, Curve]:
    names = table["metric"].to_numpy()
    starts = [at for at in range(len(names)) if at == 0 or names[at] != names[at - 1]]
    columns = [table[name].to_numpy() for name in Curve._fields]
    return {
        names[start]: Curve(*(column[start:end] for column in columns))
        for start, end in zip(starts, [*starts[1:], len(names)], strict=True)
    }


def _batches(files: list) -> Iterator[list]:
    for start in range(0, len(files), FILES):
        yield files[start : start + FILES]
