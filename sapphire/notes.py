"""Files in, notes out: each row becomes a Note or a Problem that names file, row and remedy.

`sources` tells what a file is, `rows` reads it, `fields` knows column names and values, `sections` finds the course.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS, codebook
from sapphire.fields import NOT_UTF8, clean_text, guess, read_value
from sapphire.rows import NotesError, Row
from sapphire.sections import Section, hospital_course, sections
from sapphire.sources import Table, open_table

__all__ = [
    "Note",
    "NotesError",
    "Preview",
    "Problem",
    "Section",
    "hospital_course",
    "preview",
    "read_notes",
    "sections",
]

MAX_WORDS = 100_000  # no model reads more
_PREVIEW_ROWS, _PREVIEW_CHARACTERS = 5, 160
_COUNTED_BYTES = 8_000_000  # a file up to this size is read to count its rows
# The columns of MIMIC-IV-Note's discharge table: a file with them is under PhysioNet's data use agreement.
_MIMIC = {"note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"}


@dataclass(frozen=True)
class Note:
    """One document of one stay, with what is known of the stay (DESIGN's case columns). `drg` is three digits."""

    note_id: str
    text: str
    subject_id: str | None = None
    hadm_id: str | None = None
    age: int | None = None
    sex: str | None = None
    discharge_status: int | None = None
    pdx: str | None = None
    sdx: tuple[str, ...] = ()
    poa: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    drg: str | None = None
    title: str | None = None
    drg_version: str | None = None
    split: str | None = None
    trap: tuple[str, ...] = ()
    trace: str | None = None
    source: str | None = None
    credentialed: bool = False


@dataclass(frozen=True)
class Problem:
    """What is wrong with a row, in a sentence, and what to do. `row` counts data rows from 1 (of JSON lines: lines);
    None means the file as a whole. `kept`: the row's note was read all the same."""

    file: str
    row: int | None
    message: str
    remedy: str
    kept: bool = False

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return " ".join(filter(None, (f"{place}: {self.message}", self.remedy)))


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
    """Look into a file without reading it through.

    Raises:
        NotesError: it cannot be read at all.
    """
    table = open_table(source)
    try:
        rows = table.rows(table.columns)
        head = list(islice(rows, _PREVIEW_ROWS))
        count = table.count
        if count is None and _size(source) <= _COUNTED_BYTES:
            count = len(head) + sum(1 for _ in rows)
    finally:
        table.close()
    mapping = guess(table.columns)
    clear = "text" in mapping
    if not clear and (longest := _longest(table.columns, head)):
        mapping = {field: column for field, column in mapping.items() if column != longest} | {"text": longest}
    shown = tuple({column: _short(row.cells.get(column)) for column in table.columns} for row in head)
    return Preview(
        table.name,
        table.kind,
        table.encoding,
        tuple(table.columns),
        mapping,
        clear,
        shown,
        count,
        _is_mimic(table.columns),
    )


def read_notes(
    source: str | Path | BinaryIO, columns: Mapping[str, str | None] | None = None
) -> Iterator[Note | Problem]:
    """The notes of a file and its problems, in row order, streamed: a row's problems come before its note.

    A repeated text or note_id is a problem: the first stays. Rows without an id get one from file name and row number.
    Text is kept as it is, but for line ends (\\n), control characters and bytes that are not UTF-8. Only two 16-byte
    hashes a note are remembered.

    Args:
        source: a path, or a binary file-like with a `name`.
        columns: field to column where the file's own names are unclear; None says that no column holds the field.

    Raises:
        NotesError: at once when the file cannot be read or its text column is unclear; after the last readable row
            when the file breaks off there.
    """
    table = open_table(source)
    try:
        mapping = _mapping(table, columns or {})
    except NotesError:
        table.close()
        raise
    return _read(table, mapping, frozenset(columns or ()))


def _mapping(table: Table, chosen: Mapping[str, str | None]) -> dict[str, str]:
    """Field to column: as chosen, the rest as guessed."""
    known = {field.name for field in fields(Note)}
    for field, column in chosen.items():
        if field not in known:
            raise NotesError(f"{field!r} is no field of a note; fields are {', '.join(sorted(known))}.")
        if column is not None and column not in table.columns:
            raise NotesError(f"{table.name} has no column {column!r}; it has {_list(table.columns)}.")
    taken = set(chosen.values())
    mapping = {field: column for field, column in guess(table.columns).items() if column not in taken}
    mapping |= chosen
    mapping = {field: column for field, column in mapping.items() if column is not None}
    if "text" not in mapping:
        raise NotesError(
            f"{table.name}: it is unclear which column holds the note's text; choose one of {_list(table.columns)} "
            '(for example columns={"text": "…"}).'
        )
    return mapping


def _list(columns: Collection[str]) -> str:
    shown = ", ".join(repr(column[:40]) for column in list(columns)[:20])
    return shown if len(columns) <= 20 else f"{shown} and {len(columns) - 20} more"


def _read(table: Table, mapping: dict[str, str], chosen: frozenset[str]) -> Iterator[Note | Problem]:
    reader = _Reader(table, mapping)
    known = set(table.columns)
    empty = True
    try:
        for row in table.rows(list(dict.fromkeys(mapping.values()))):
            empty = False
            if not row.cells.keys() <= known:  # JSON: names the file's beginning did not have
                known |= row.cells.keys()
                later = guess(known)
                reader.mapping = {field: later[field] for field in later if field not in chosen} | reader.mapping
            yield from reader.read(row)
    finally:
        table.close()
    if empty:
        yield Problem(table.name, None, "The file has column names but no rows.", "Export it again with its rows.")


class _Reader:
    """Turns a table's rows into notes, remembering what was seen."""

    def __init__(self, table: Table, mapping: dict[str, str]):
        self.name, self.mapping = table.name, mapping
        self.stem = _stem(table.name)
        self.single = table.kind == "text"
        self.credentialed = "credentialed" not in mapping and _is_mimic(table.columns)
        self.texts: dict[bytes, int] = {}
        self.ids: dict[bytes, int] = {}
        self.told_encoding = False

    def read(self, row: Row) -> Iterator[Note | Problem]:
        problem = self._problem_of(row)
        if row.fault:
            yield problem(*row.fault)
            if not row.fault.usable:
                return
        body, data, changes = clean_text(row.cells.get(self.mapping["text"]))
        for change in changes:
            if change != NOT_UTF8 or not self.told_encoding:  # it is the file's, so it is told once
                self.told_encoding |= change == NOT_UTF8
                yield problem(*change, kept=True)
        if not body:
            yield problem("The text is empty.", "Fill it in or delete the row.")
            return
        if len(body) > 2 * MAX_WORDS and (words := len(body.split())) > MAX_WORDS:
            yield problem(
                f"The text has {words:,} words, more than any model reads.", "Give each document its own row."
            )
            return
        first = self.texts.setdefault(_digest(data), row.number)
        if first != row.number:
            yield problem(f"The text is the same as in row {first}.", "Nothing need be done: the first is kept.")
            return
        yield from self._note(row, body, problem)

    def _note(self, row: Row, body: str, problem: Callable[..., Problem]) -> Iterator[Note | Problem]:
        known: dict[str, Any] = {}
        for field, column in self.mapping.items():
            if field != "text":
                try:
                    known[field] = read_value(field, row.cells.get(column))
                except ValueError as error:
                    yield problem(f"{error} It was left out of the note.", f"Correct the column {column!r}.", kept=True)
        note_id = known.pop("note_id", None)
        if not note_id:
            note_id = self.stem if self.single else f"{self.stem}-{row.number}"
            if "note_id" in self.mapping:
                yield problem(f"The id is missing; the note is called {note_id}.", "Give each row an id.", kept=True)
        first = self.ids.setdefault(_digest(note_id.encode()), row.number)
        if first != row.number:
            yield problem(
                f"The id {note_id} was given to another text in row {first}.",
                "Give each note its own id, or choose another id column (or none).",
            )
            return
        known = {"source": self.name, "credentialed": self.credentialed} | {
            field: content for field, content in known.items() if content is not None
        }
        note = Note(note_id=note_id, text=body, **known)
        fault = _wrong_drg(note)
        if fault:
            yield problem(*fault, kept=True)
            note = replace(note, drg=None, title=None)
        yield note

    def _problem_of(self, row: Row) -> Callable[..., Problem]:
        def problem(message: str, remedy: str, kept: bool = False) -> Problem:
            return Problem(self.name, row.number, message, remedy, kept)

        return problem


def _wrong_drg(note: Note) -> tuple[str, str] | None:
    """A DRG that its version does not have. Of versions without a code book here nothing can be said."""
    version = note.drg_version or DEFAULT_VERSION
    if note.drg is None or version not in VERSIONS or note.drg in codebook(version).drgs:
        return None
    remedy = "Correct it." if note.drg_version else "Correct it, or name its version in a column drg_version."
    return f"DRG {note.drg} is not in MS-DRG version {version}. It was left out of the note.", remedy


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _is_mimic(columns: Collection[str]) -> bool:
    return set(columns) >= _MIMIC


def _stem(name: str) -> str:
    """A file's name without its endings: "discharge" of discharge.csv.gz."""
    stem = name.removesuffix(".gz").removesuffix(".GZ")
    return stem.rsplit(".", 1)[0] if "." in stem[1:] else stem


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
    return shown if len(shown) <= _PREVIEW_CHARACTERS else shown[: _PREVIEW_CHARACTERS - 1] + "…"
