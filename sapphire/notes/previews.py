"""What a column chooser shows of a file: its columns, what they seem to hold, and the first rows."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from sapphire.notes.columns import guess, is_mimic
from sapphire.notes.rows import NotesError, Row
from sapphire.notes.sources import Table, open_table

ROWS, CHARACTERS = 5, 160  # shown
COUNTED_BYTES = 8_000_000  # a file up to this size is read through to count its rows


@dataclass(frozen=True)
class Preview:
    """What a column chooser shows: `mapping` is field to column, `clear` when no choice is needed, `rows` the first ones
    (cells as strings, shortened), `count` the number of rows where it is cheap to know."""

    file: str
    kind: str
    encoding: str
    columns: tuple[str, ...]
    mapping: dict[str, str]
    clear: bool
    rows: tuple[dict[str, str], ...]
    count: int | None
    credentialed: bool


def preview(source: str | Path | BinaryIO) -> Preview:
    """Look into a file; only a small one is read through.

    Raises:
        NotesError: it cannot be read at all.
    """
    table = open_table(source)
    try:
        head, count = _first_rows(table, whole=_size(source) <= COUNTED_BYTES)
    finally:
        table.close()
    mapping = guess(table.columns)
    clear = "text" in mapping
    if not clear and (longest := _longest(table.columns, head)):
        mapping = {field: column for field, column in mapping.items() if column != longest} | {"text": longest}
    return Preview(
        file=table.name,
        kind=table.kind,
        encoding=table.encoding,
        columns=tuple(table.columns),
        mapping=mapping,
        clear=clear,
        rows=tuple({column: _short(row.cells.get(column)) for column in table.columns} for row in head),
        count=count,
        credentialed=is_mimic(table.columns),
    )


def _first_rows(table: Table, whole: bool) -> tuple[list[Row], int | None]:
    """The first rows and the number of all, None where that is not known; a file that breaks off shows what it has."""
    head: list[Row] = []
    count = 0
    try:
        for row in table.rows(table.columns):
            count += 1
            if count <= ROWS:
                head.append(row)
            elif table.count is not None or not whole:
                return head, table.count
    except NotesError:
        return head, None
    return head, count


def _size(source: str | Path | BinaryIO) -> int:
    """Bytes to read: a packed file counts several times."""
    if hasattr(source, "read"):
        size, name = source.seek(0, 2), str(getattr(source, "name", ""))
        source.seek(0)
    else:
        size, name = Path(source).stat().st_size, str(source)
    return 5 * size if name.lower().endswith("gz") else size


def _longest(columns: Collection[str], rows: list[Row]) -> str | None:
    """The column with the most text, if it reads like notes."""
    length = {
        column: sum(len(cell) for row in rows if isinstance(cell := row.cells.get(column), str)) for column in columns
    }
    best = max(length, key=length.__getitem__, default=None)
    return best if best is not None and length[best] > 100 * len(rows) else None


def _short(cell: Any) -> str:
    shown = "" if cell is None else " ".join(str(cell).split())
    shown = shown.encode("utf-8", "replace").decode()
    return shown if len(shown) <= CHARACTERS else shown[: CHARACTERS - 1] + "…"
