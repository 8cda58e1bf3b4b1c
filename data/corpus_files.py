"""The corpus on disk: one Parquet schema for all cases, and a folder that appears whole or not at all."""

import shutil
from collections.abc import Iterator, Sequence
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


class OutputError(ValueError):
    """The output folder cannot be used; one sentence with a remedy."""


def write_table(rows: Sequence[dict], schema: pa.Schema, path: Path) -> None:
    # Row groups of one size and no statistics of the writing machine: the same rows give the same bytes.
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path, compression="zstd", row_group_size=5_000)


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
