"""Files in, notes out: each row becomes a Note or a Problem that names file, row and remedy.

`sources` tells what a file is, `rows` reads it, `columns` knows column names and values, `sections` finds the course.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, BinaryIO

from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS, codebook
from sapphire.notes.columns import NOT_UTF8, clean_text, guess, is_mimic, read_value
from sapphire.notes.previews import Preview, preview
from sapphire.notes.rows import NotesError, Row
from sapphire.notes.sections import Section, hospital_course, passage, sections
from sapphire.notes.sources import Table, open_table

__all__ = [
    "Note",
    "NotesError",
    "Preview",
    "Problem",
    "Section",
    "hospital_course",
    "passage",
    "preview",
    "read_notes",
    "sections",
]

Remark = tuple[str, str]  # message and remedy
MAX_WORDS = 100_000  # no model reads more


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
    None means the file as a whole. `kept`: the row's note was read all the same; else `note_id` is what it would be called."""

    file: str
    row: int | None
    message: str
    remedy: str
    kept: bool = False
    note_id: str | None = None

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return " ".join(filter(None, (f"{place}: {self.message}", self.remedy)))


def read_notes(
    source: str | Path | BinaryIO, columns: Mapping[str, str | None] | None = None, repeated: bool = False
) -> Iterator[Note | Problem]:
    """The notes of a file and its problems, in row order, streamed: a row's problems come before its note.

    A repeated text or note_id is a problem: the first stays. Rows without an id get one from file name and row number.
    Text is kept as it is, but for line ends (\\n), control characters and bytes that are not UTF-8. Only two 16-byte
    hashes a note are remembered.

    Args:
        source: a path, or a binary file-like with a `name`.
        columns: field to column where the file's own names are unclear; None says that no column holds the field.
        repeated: keep notes whose text or id came before; each is still reported.

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
    return _read(table, _Reader(table, mapping, repeated), frozenset(columns or ()))


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


def _read(table: Table, reader: "_Reader", chosen: frozenset[str]) -> Iterator[Note | Problem]:
    known = dict.fromkeys(table.columns)
    empty = True
    try:
        for row in table.rows(list(dict.fromkeys(reader.mapping.values()))):
            empty = False
            if not row.cells.keys() <= known.keys():  # JSON: names the file's beginning did not have
                known |= dict.fromkeys(row.cells)
                later = guess(known)
                reader.mapping = {field: later[field] for field in later if field not in chosen} | reader.mapping
            yield from reader.read(row)
    finally:
        table.close()
    if empty:
        yield Problem(table.name, None, "The file has column names but no rows.", "Export it again with its rows.")


class _Reader:
    """Turns a table's rows into notes, remembering what was seen."""

    def __init__(self, table: Table, mapping: dict[str, str], repeated: bool):
        self.name, self.mapping, self.repeated = table.name, mapping, repeated
        self.stem = _stem(table.name)
        self.single = table.kind == "text"
        self.credentialed = "credentialed" not in mapping and is_mimic(table.columns)
        self.texts: dict[bytes, int] = {}
        self.ids: dict[bytes, int] = {}
        self.told_encoding = False

    def read(self, row: Row) -> Iterator[Note | Problem]:
        found = list(self._found(row))
        kept = isinstance(found[-1], Note)
        note_id = None if kept else self._id(row)
        for item in found:
            yield item if isinstance(item, Note) else Problem(self.name, row.number, *item, kept, note_id)

    def _id(self, row: Row) -> str:
        given = row.cells.get(self.mapping["note_id"]) if "note_id" in self.mapping else None
        return str(given or "").strip() or (self.stem if self.single else f"{self.stem}-{row.number}")

    def _found(self, row: Row) -> Iterator[Note | Remark]:
        """What is to be said of a row, and at last its note, if it has one."""
        if row.fault:
            yield row.fault.message, row.fault.remedy
            if not row.fault.usable:
                return
        cell = row.cells.get(self.mapping["text"])
        if isinstance(cell, list | dict):
            yield "The text is a list or an object.", "Give the note as one string."
            return
        body, data, changes = clean_text(cell)
        for change in changes:
            if change != NOT_UTF8 or not self.told_encoding:  # it is the file's, so it is told once
                self.told_encoding |= change == NOT_UTF8
                yield change
        if not body:
            yield "The text is empty.", "Fill it in or delete the row."
            return
        if len(body) > 2 * MAX_WORDS and (words := len(body.split())) > MAX_WORDS:
            yield f"The text has {words:,} words, more than any model reads.", "Give each document its own row."
            return
        first = self.texts.setdefault(_digest(data), row.number)
        if first != row.number:
            yield f"The text is the same as in row {first}.", "Nothing need be done."
            if not self.repeated:
                return
        yield from self._note(row, body)

    def _note(self, row: Row, body: str) -> Iterator[Note | Remark]:
        known: dict[str, Any] = {"source": self.name, "credentialed": self.credentialed}
        for field, column in self.mapping.items():
            if field != "text":
                try:
                    content = read_value(field, row.cells.get(column))
                    known |= {} if content is None else {field: content}
                except ValueError as error:
                    yield f"{error} It was left out of the note.", f"Correct the column {column!r}."
        note_id = known.pop("note_id", None)
        if not note_id:
            note_id = self.stem if self.single else f"{self.stem}-{row.number}"
            if "note_id" in self.mapping:
                yield f"The id is missing; the note is called {note_id}.", "Give each row an id."
        first = self.ids.setdefault(_digest(note_id.encode()), row.number)
        if first != row.number:
            yield (
                f"The id {note_id} was given to another text in row {first}.",
                "Give each note its own id, or choose another id column (or none).",
            )
            if not self.repeated:
                return
        note = Note(note_id=note_id, text=body, **known)
        if remark := _wrong_drg(note):
            yield remark
            note = replace(note, drg=None, title=None)
        yield note


def _wrong_drg(note: Note) -> Remark | None:
    """A DRG that its version does not have. Of versions without a code book here nothing can be said."""
    version = note.drg_version or DEFAULT_VERSION
    if note.drg is None or version not in VERSIONS or note.drg in codebook(version).drgs:
        return None
    remedy = "Correct it." if note.drg_version else "Correct it, or name its version in a column drg_version."
    return f"DRG {note.drg} is not in MS-DRG version {version}. It was left out of the note.", remedy


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _stem(name: str) -> str:
    """A file's name without its endings: "discharge" of discharge.csv.gz."""
    stem = name.removesuffix(".gz").removesuffix(".GZ")
    return stem.rsplit(".", 1)[0] if "." in stem[1:] else stem
