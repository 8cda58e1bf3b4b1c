"""The corpus on disk: one Parquet schema for all cases, and a folder that appears whole or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_texts = pa.list_(pa.string())
_messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
CASES = pa.schema(
    [
        ("note_id", pa.string()),
        ("subject_id", pa.string()),
        ("hadm_id", pa.string()),
        ("text", pa.string()),
        ("age", pa.int16()),
        ("sex", pa.string()),
        ("discharge_status", pa.int16()),
        ("pdx", pa.string()),
        ("sdx", _texts),
        ("poa", _texts),
        ("procedures", _texts),
        ("drg", pa.string()),
        ("title", pa.string()),
        ("drg_version", pa.string()),
        ("split", pa.string()),
        ("trap", _texts),
        ("trace", pa.string()),
        ("source", pa.string()),
        ("credentialed", pa.bool_()),
        ("style", pa.string()),
        ("note_form", pa.string()),
        ("trace_form", pa.string()),
        ("evidence", pa.list_(pa.struct([("codes", _texts), ("quote", pa.string()), ("says", pa.string())]))),
    ]
)
QUESTIONS = pa.schema(
    [("prompt", _messages), ("completion", _messages), ("case_id", pa.string()), ("kind", pa.string())]
)
CARD = "README.md"
GATHERED = 1_000  # rows


class OutputError(ValueError):
    """The output folder cannot be used; one sentence with a remedy."""


class Gatherer:
    """The rows of one Parquet file, kept as Arrow tables, a fifth of what Python's objects would take."""

    def __init__(self, schema: pa.Schema):
        self.schema, self._rows, self._tables = schema, [], []

    def add(self, row: dict) -> None:
        self._rows.append(row)
        if len(self._rows) == GATHERED:
            self._pack()

    def _pack(self) -> None:
        self._tables.append(pa.Table.from_pylist(self._rows, schema=self.schema))
        self._rows = []

    def write(self, path: Path) -> None:
        """The same rows give the same bytes: row groups have one size."""
        self._pack()
        pq.write_table(pa.concat_tables(self._tables), path, compression="zstd", row_group_size=5_000)


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """A folder to fill, `out` with .part at its end, that takes the place of `out` when all went well.

    OutputError when `out` is there and holds anything but a corpus. What a stopped run has left is removed first.
    """
    if out.exists() and not (out.is_dir() and ((out / CARD).exists() or not any(out.iterdir()))):
        raise OutputError(f"{out} exists and is no corpus made by this command; name another folder.")
    part = out.with_name(f"{out.name}.part")
    old = out.with_name(f"{out.name}.old")
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)
