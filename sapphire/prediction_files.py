"""Files of predictions that survive a kill: rows go to a work file beside the output, one by one, and the output appears
only when it is complete.

The work file `<out>.part` is JSON Lines, in the order in which rows came. Its first line names the run (what is predicted, with which model, how), so that it
is continued by the same job only; a last line that was cut off is dropped. All files are of mode 600.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import IO, Any

# The prediction row (DESIGN's columns, with the right DRG if it is known, the error, and the run that wrote the row).
COLUMNS = (
    "note_id",
    "model",
    "drg",
    "title",
    "drg_version",
    "outcome",
    "format",
    "accuracy",
    "cot_first",
    "reward",
    "confidence",
    "raw_confidence",
    "alternatives",
    "completion",
    "forced",
    "seconds",
    "gold_drg",
    "error",
    "run",
)
NUMBERS = ("format", "accuracy", "cot_first", "reward", "confidence", "raw_confidence", "seconds")
SUFFIXES = (".jsonl", ".parquet")
PLACE = "place in the output"
BATCH = 1000  # rows held while a Parquet file is written


class OutputError(ValueError):
    """The output cannot be written; one sentence with a remedy."""


def finished(out: Path) -> tuple[str, int] | None:
    """The run that wrote an output and its number of rows; None if nothing is written there (or no rows).

    Raises:
        OutputError: when something else is written there, or nothing can be.
    """
    _check_name(out)
    if not out.exists() or out.stat().st_size == 0:
        return None
    try:
        if out.suffix == ".jsonl":
            with open(out, "rb") as file:
                return json.loads(file.readline())["run"], 1 + sum(1 for _ in file)
        import pyarrow.parquet as pq

        footer = pq.read_metadata(out)
        return footer.metadata[b"run"].decode(), footer.num_rows
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise OutputError(f"{out} exists and holds no predictions; choose another name or delete it.") from error


def _check_name(out: Path) -> None:
    if out.suffix not in SUFFIXES:
        raise OutputError(f"{out} must end in {' or '.join(SUFFIXES)}.")
    if not out.parent.is_dir():
        raise OutputError(f"There is no folder {out.parent}; make it or choose another.")


class Part:
    """The work file of an output, held by one process. `rows` counts those that are safe in it.

    `schema` is the output's pyarrow schema where it is not that of prediction rows; `about` is what a Parquet output says of its run.
    """

    def __init__(self, out: Path, run: str, schema: Any = None, about: dict[str, Any] | None = None):
        _check_name(out)
        self.out, self.run, self.rows, self.schema, self.about = out, run, 0, schema, about or {}
        self.path = out.with_name(out.name + ".part")
        self._places: dict[int, int] = {}  # place in the output → offset in the work file
        try:
            self._file = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        except OSError as error:
            raise OutputError(f"{self.path} cannot be written ({error.strerror}); choose another place.") from error
        try:
            self._lock()
            self._continue()
        except OutputError:
            self._file.close()
            raise

    def __contains__(self, place: int) -> bool:
        """Whether the row with this place is there."""
        return place in self._places

    def append(self, row: dict[str, Any] | list[dict[str, Any]], place: int | None = None) -> None:
        """Add a row, or several that belong together and count as one; they are in the file when this returns. Rows may come in any
        order if each is given its place in the output; else they stand as they came."""
        if place is not None:
            self._places[place] = self._file.tell()
        self._write(row if place is None else {PLACE: place, "row": row})
        self.rows += 1

    def finish(self) -> None:
        """Turn the work file into the output."""
        whole = self.out.with_name(self.out.name + ".whole")
        try:
            with os.fdopen(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                (self._as_jsonl if self.out.suffix == ".jsonl" else self._as_parquet)(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(whole, self.out)
            self.path.unlink()
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Part":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"Another process is writing {self.out}; wait for it or choose another name.") from error

    def _continue(self) -> None:
        """Go to the end of the last whole line; begin the file if there is none."""
        header, end = self._file.readline(), 0
        if header.endswith(b"\n"):
            if self._run(header) != self.run:
                raise OutputError(
                    f"{self.path} belongs to another run (other notes, model or settings); "
                    "finish that one, delete the file, or choose another name."
                )
            end = len(header)
            for line in self._file:
                if line.endswith(b"\n"):
                    if (place := _place(line)) is not None:
                        self._places[place] = end
                    end, self.rows = end + len(line), self.rows + 1
        self._file.seek(end)
        self._file.truncate()
        if not end:
            self._write({"run": self.run})

    @staticmethod
    def _run(header: bytes) -> str | None:
        try:
            return json.loads(header)["run"]
        except (ValueError, TypeError, KeyError):
            return None

    def _write(self, row: dict[str, Any] | list[dict[str, Any]]) -> None:
        try:
            self._file.write(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
            self._file.flush()
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self.out} cannot be written ({error.strerror}); what is done stays in {self.path.name}: "
            "make room and run the same command again."
        )

    def _rows(self) -> Iterator[dict[str, Any]]:
        for line in self._lines():
            found = json.loads(line)
            found = found["row"] if PLACE in found else found
            yield from found if isinstance(found, list) else [found]

    def _lines(self) -> Iterator[bytes]:
        self._file.seek(0)
        next(self._file)
        if not self._places:
            yield from self._file
        for place in sorted(self._places):
            self._file.seek(self._places[place])
            yield self._file.readline()

    def _as_jsonl(self, file: IO[bytes]) -> None:
        file.writelines(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in self._rows())

    def _as_parquet(self, file: IO[bytes]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = (self.schema or _schema()).with_metadata({"run": self.run, "about": json.dumps(self.about)})
        with pq.ParquetWriter(file, schema) as writer:
            rows = self._rows()
            while batch := list(islice(rows, BATCH)):
                writer.write_table(pa.Table.from_pylist(batch, schema))


def _place(line: bytes) -> int | None:
    """The place that a line of the work file gives for its row, if it gives one."""
    found = json.loads(line)
    return found.get(PLACE) if isinstance(found, dict) else None


def _schema() -> Any:
    import pyarrow as pa

    text, number = pa.string(), pa.float64()
    lists = {
        "alternatives": pa.list_(pa.struct([("drg", text), ("title", text), ("share", number)])),
        "forced": pa.list_(text),
    }
    return pa.schema([(name, lists.get(name, number if name in NUMBERS else text)) for name in COLUMNS])
