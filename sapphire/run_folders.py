"""Folders that `train` writes and we only read: run.json, and metrics.jsonl from where we stopped. See docs/training.md.

A run may be going on, may have been killed, and may be resumed from an earlier step, which makes its file shorter again.
"""

import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST_LINE = 1 << 16  # bytes; a line of metrics is about one thousand
CHUNK = 1 << 20


@dataclass(frozen=True)
class Line:
    """A step's line: `metrics` its numbers by name, `end` the offset after it in the file."""

    step: int
    at: float
    seconds: float | None
    metrics: dict[str, float]
    end: int


def run_files(root: Path) -> list[Path]:
    """The run.json of every run below `root`, by name; none when there is no such folder."""
    return sorted(root.glob("*/run.json"))


def read_record(path: Path) -> dict[str, Any]:
    """A run's record.

    Raises:
        ValueError: one sentence, when the file is no run's record.
        OSError: when it is gone or cannot be read.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no JSON; train the run again under another name, or remove its folder.") from error
    if not isinstance(record, dict) or not all(
        isinstance(record.get(key), str) for key in ("name", "state", "started")
    ):
        raise ValueError(f"{path} is no record of a run; remove it, or move it out of the folder of runs.")
    return record


def run_id(record: dict[str, Any]) -> str:
    """What tells a run from all others: its name, recipe and first start."""
    told = json.dumps([record["name"], record.get("identity"), record["started"]])
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def stamp(path: Path) -> tuple[int, int, int]:
    """What changes when a file does; zeros when there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def held(folder: Path) -> bool:
    """Whether a process trains in this folder now.

    The lock is shared for a moment only, and only asked for where the record says "running": a run that starts in just that
    moment would be told that another process trains there.
    """
    import fcntl

    try:
        with (folder / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def line_before(path: Path, end: int) -> tuple[int, float] | None:
    """Step and time of the line that ends at this offset; None when none ends there."""
    try:
        with path.open("rb") as file:
            file.seek(max(end - LONGEST_LINE, 0))
            text = file.read(min(end, LONGEST_LINE))
    except OSError:
        return None
    if not text.endswith(b"\n") or len(text) < min(end, LONGEST_LINE):
        return None
    line = _line(text[:-1].rpartition(b"\n")[2], end)
    return (line.step, line.at) if line else None


def lines_after(path: Path, offset: int) -> Iterator[list[Line]]:
    """The whole lines after this offset, some hundred at a time; a line that is still being written is left for the next time."""
    with path.open("rb") as file:
        file.seek(offset)
        rest = b""
        while chunk := file.read(CHUNK):
            *whole, rest = (rest + chunk).split(b"\n")
            found = []
            for text in whole:
                offset += len(text) + 1
                if line := _line(text, offset):
                    found.append(line)
            if found:
                yield found


def _line(text: bytes, end: int) -> Line | None:
    """What a line says; None for one that tells no step."""
    try:
        told = json.loads(text)
        step, at = int(told["step"]), float(told["at"])
    except (ValueError, KeyError, TypeError):
        return None
    # A term that is not known is null, one that is no number NaN: both are gaps in its curve.
    metrics = {
        name: float(value)
        for name, value in told.items()
        if name not in ("step", "at")
        and isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    }
    return Line(step, at, metrics.get("seconds/step"), metrics, end)
