"""Rows of an opened file of notes, streamed: delimited text, JSON lines, a JSON array, Parquet, plain text.

Each reader takes the file's name, the open stream and a sample of its text, and gives the columns and a function
from the wanted columns to the rows. A row that is broken is given with its fault; it never ends the file.
"""

import contextlib
import csv
import gzip
import io
import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Callable, Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

from sapphire.notes.columns import guess

MAX_CELL = 16_000_000  # characters: no note is longer; a cell that is has lost its closing quote
MAX_ARRAY = 64_000_000  # characters of a JSON array, which is read whole
EXPORT = "export the notes as CSV, JSON lines or Parquet"


class NotesError(ValueError):
    """A file as a whole cannot be read (further); the message names the file and the remedy."""


class Fault(NamedTuple):
    """What is wrong with a row; one that is not `usable` holds no note to be trusted."""

    message: str
    remedy: str
    usable: bool


class Row(NamedTuple):
    """Data row `number`, from 1 (of JSON lines: the line), its cells by column, and what is wrong with it."""

    number: int
    cells: dict[str, Any]
    fault: Fault | None = None


Rows = Callable[[Collection[str]], Iterator[Row]]  # from the columns that are wanted


def _dialect(sample: str) -> tuple[str, int]:
    """Delimiter and quoting by which most names are known and most rows of the sample are as wide as its header."""
    best, chosen = (0, 0.0, 1), ("\x1f", csv.QUOTE_MINIMAL)  # one column: nothing divides its rows
    first = sample.lstrip().split("\n", 1)[0]
    for delimiter in ",\t;|":
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            # Exports that never quote divide by tabs or bars, and then every line is a row.
            if delimiter not in first or (quoting == csv.QUOTE_NONE and delimiter not in "\t|"):
                continue
            names, fit = _fit(sample, delimiter, quoting)
            score = (len(guess(names)), fit, len(names))
            if score > best and (quoting == csv.QUOTE_MINIMAL or fit > 0.9):
                best, chosen = score, (delimiter, quoting)
    return chosen


def _fit(sample: str, delimiter: str, quoting: int) -> tuple[list[str], float]:
    """The header, and the share of rows as wide as it; 0 when a quote stands where no quote may."""
    reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    rows = []
    try:
        for row in reader:
            rows.append(row)
    except csv.Error:
        if reader.line_num < sample.rstrip().count("\n") + 1:  # not merely cut by the sample's end
            return rows[0] if rows else [], 0.0
    rows = [row for row in rows if row] or [[]]
    inner = rows[1:-1] or rows[1:]
    return rows[0], sum(len(row) == len(rows[0]) for row in inner) / len(inner) if inner else 0.0


def header(sample: str) -> list[str]:
    delimiter, quoting = _dialect(sample)
    with contextlib.suppress(StopIteration):
        reader = csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, quoting=quoting)
        return next(row for row in reader if row)
    return []


def _named(header: list[str]) -> list[str]:
    """Column names that are all there and all different."""
    names: list[str] = []
    for place, cell in enumerate(header, 1):
        name = cell.strip() or f"column {place}"
        names.append(name if name not in names else f"{name}.{place}")
    return names


class _Lines:
    """Lines of a file, each bounded, with the quotes in them counted."""

    def __init__(self, name: str, opened: io.TextIOWrapper):
        self.name, self.read, self.quotes = name, opened.readline, 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self.read(MAX_CELL)
        if not line:
            raise StopIteration
        if len(line) == MAX_CELL:
            raise NotesError(f"{self.name} has a line of over {MAX_CELL:,} characters, so it is no table; {EXPORT}.")
        self.quotes += line.count('"')
        return line


def delimited(name: str, opened: io.TextIOWrapper, sample: str) -> tuple[list[str], Rows]:
    """CSV, TSV and their kin, with a header row."""
    delimiter, quoting = _dialect(sample)
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    lines = _Lines(name, opened)
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting)
    try:
        columns = _named(next(row for row in reader if row))
    except (StopIteration, EOFError, zlib.error, csv.Error):
        raise NotesError(f"{name} has no readable header row; export it again with column names.") from None
    if any(len(column) > 100 or "\n" in column for column in columns):
        raise NotesError(f"{name} has no header row: its first row holds long text; add one with column names.")
    return columns, lambda wanted: _csv_rows(reader, lines, columns, quoting)


def _csv_rows(reader: Any, lines: _Lines, columns: list[str], quoting: int) -> Iterator[Row]:
    width, lines.quotes, line = len(columns), 0, reader.line_num
    for number, cells in enumerate(reader, 1):
        fault = None
        if lines.quotes % 2 and reader.line_num > line + 1 and quoting != csv.QUOTE_NONE:
            fault = Fault(
                f"A quote in lines {line + 1} to {reader.line_num} is not closed, so rows may have run together.",
                "Double each quote inside a cell and export the file again.",
                usable=False,
            )
        elif len(cells) > width and any(cell.strip() for cell in cells[width:]):
            fault = Fault(
                f"The row has {len(cells)} cells but the header {width}, so a cell was cut.",
                "Quote cells that hold the delimiter, a quote or a line break.",
                usable=False,
            )
        elif 0 < len(cells) < width:
            fault = Fault(
                f"The row has only {len(cells)} of {width} cells.",
                "Check that no line break or quote cut it short.",
                usable=True,
            )
        lines.quotes, line = 0, reader.line_num
        if any(cells):
            yield Row(number, dict(zip(columns, cells, strict=False)), fault)


def json_lines(name: str, opened: io.TextIOWrapper, sample: str) -> tuple[list[str], Rows]:
    """One JSON object a line; the columns are those of the sample, later ones come with their rows."""
    columns: dict[str, None] = {}
    for line in sample.split("\n"):
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            columns.update(dict.fromkeys(json.loads(line, strict=False)))
    if not columns:  # the first line is longer than the sample
        columns = dict.fromkeys(re.findall(r'(?:^\s*\{|,)\s*"([^"\\]{1,100})"\s*:', sample))
    if not columns:
        raise NotesError(f"{name} holds no JSON object with named values at its beginning; {EXPORT}.")
    return list(columns), lambda wanted: _json_rows(_Lines(name, opened))


def _json_rows(lines: Iterator[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line, strict=False)
        except (ValueError, RecursionError):
            yield Row(number, {}, Fault("The line is not JSON.", "Write one JSON object a line.", usable=False))
            continue
        yield _json_row(number, cells)


def _json_row(number: int, cells: Any) -> Row:
    if isinstance(cells, dict):
        return Row(number, cells)
    return Row(number, {}, Fault("The entry is no JSON object.", "Write one object with named values.", usable=False))


def json_array(name: str, opened: io.TextIOWrapper, sample: str) -> tuple[list[str], Rows]:
    """A JSON array of objects, or one object: read whole."""
    try:
        text = opened.read(MAX_ARRAY + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise NotesError(f"{name} is damaged or incomplete gzip; copy or export it again.") from None
    if len(text) > MAX_ARRAY:
        raise NotesError(f"{name} is JSON of over {MAX_ARRAY:,} characters; write JSON lines, one object a line.")
    try:
        entries = json.loads(text, strict=False)
    except (ValueError, RecursionError) as error:
        raise NotesError(f"{name} is not valid JSON ({error}); export it again.") from None
    entries = entries if isinstance(entries, list) else [entries]
    columns = dict.fromkeys(key for entry in entries if isinstance(entry, dict) for key in entry)
    return list(columns), lambda wanted: (_json_row(number, entry) for number, entry in enumerate(entries, 1))


def parquet(name: str, stream: BinaryIO, packed: bool) -> tuple[list[str], Rows, int]:
    """Parquet, with its number of rows. `packed`: the stream cannot be sought cheaply and is unpacked first."""
    import pyarrow
    import pyarrow.parquet

    def broken(error: Exception, number: int) -> NotesError:
        reason = str(error).split("\n")[0].rstrip(".")
        return NotesError(f"{name} is damaged Parquet after row {number} ({reason}); copy or export it again.")

    try:
        file = pyarrow.parquet.ParquetFile(
            _unpacked(stream) if packed else stream, pre_buffer=False, buffer_size=1 << 20
        )
    except (EOFError, zlib.error, OSError, pyarrow.ArrowException) as error:
        raise broken(error, 0) from None

    def rows(wanted: Collection[str]) -> Iterator[Row]:
        number = 0
        try:
            for batch in file.iter_batches(batch_size=64, columns=list(wanted)):
                for cells in batch.to_pylist():
                    number += 1
                    yield Row(number, cells)
        except (OSError, pyarrow.ArrowException) as error:
            raise broken(error, number) from None

    return file.schema_arrow.names, rows, file.metadata.num_rows


def _unpacked(stream: BinaryIO) -> BinaryIO:
    """Parquet is read from its end, so its gzip is unpacked into a nameless file that only this process sees."""
    whole = tempfile.TemporaryFile()  # noqa: SIM115  closed with the reader that is given it
    shutil.copyfileobj(stream, whole, 1 << 20)
    whole.seek(0)
    return whole


def plain(name: str, opened: io.TextIOWrapper, sample: str) -> tuple[list[str], Rows]:
    """Plain text: one note."""

    def rows(wanted: Collection[str]) -> Iterator[Row]:
        text = opened.read(MAX_CELL + 1)
        if len(text) > MAX_CELL:
            raise NotesError(
                f"{name} is text of over {MAX_CELL:,} characters, but a text file holds one note; {EXPORT}."
            )
        yield Row(1, {"text": text})

    return ["text"], rows
