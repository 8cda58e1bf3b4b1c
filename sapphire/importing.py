"""Notes from files into the database, with a report of what was wrong by file and row."""

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from pathlib import Path

from sapphire.notes import Note, NotesError, Problem, hospital_course, passage, read_notes
from sapphire.store import Store
from sapphire.store import notes as stored_notes

BATCH = 500
SNIPPET = 120


@dataclass
class ImportReport:
    """What one import did. `already` counts notes that were stored before, word for word; `unreadable` files, or their ends."""

    import_id: str
    notes: int = 0
    already: int = 0
    files: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unreadable: int = 0


def import_files(
    store: Store,
    paths: Sequence[Path],
    author: str,
    columns: Mapping[str, str] | None = None,
    progress: Callable[[int], None] = lambda notes: None,
) -> ImportReport:
    """Read `paths` and append their notes; a file that cannot be read is a problem of the report, not of the others.

    A note that is already stored word for word is counted and left; a note_id that is stored with other text is
    a problem, because reviews stand on what is stored.

    Args:
        columns: which column holds what, where the file's own names are unclear.
        progress: called with the number of notes stored so far.

    Raises:
        StoreError: when nothing more can be written; what was stored before stays.
    """
    report = ImportReport(import_id=str(uuid.uuid4()))
    names = [Path(path).name for path in paths]
    begun = {"import_id": report.import_id, "author": author, "files": names}
    # Recorded before the first note, so that what an interrupted import stored can be withdrawn too.
    store.append("import_event", [begun | {"kind": "started"}])
    for path in paths:
        report.files.append(Path(path).name)
        try:
            for batch in _batches(_sound(read_notes(path, columns), report)):
                _store_batch(store, batch, report)
                progress(report.notes)
        except NotesError as error:
            report.unreadable += 1
            report.problems.append(Problem(file=Path(path).name, row=None, message=str(error), remedy=""))
    problems = [asdict(problem) for problem in report.problems]
    store.append("import_event", [begun | {"kind": "imported", "notes": report.notes, "problems": problems}])
    return report


def imports(store: Store) -> list[dict]:
    """Past imports, newest first: import_id, recorded_at, author, files, kind (started: it was interrupted), notes, problems
    (JSON), withdrawn."""
    return stored_notes.imports(store)


def withdraw_import(store: Store, import_id: str, author: str) -> None:
    """Take an import's notes out of the worklist. Its reviews stay in the history."""
    store.append("import_event", [{"import_id": import_id, "kind": "withdrawn", "author": author}])


def text_hash(text: str) -> str:
    """SHA-256 of a note's text, hexadecimal: how exports name a note without showing it."""
    return hashlib.sha256(text.encode()).hexdigest()


def _sound(items: Iterable[Note | Problem], report: ImportReport) -> Iterator[Note]:
    for item in items:
        if isinstance(item, Problem):
            report.problems.append(item)
        else:
            yield item


def _batches(notes: Iterator[Note]) -> Iterator[list[Note]]:
    while batch := list(islice(notes, BATCH)):
        yield batch


def _store_batch(store: Store, batch: list[Note], report: ImportReport) -> None:
    stored = stored_notes.text_hashes(store, [note.note_id for note in batch])
    rows = []
    for note in batch:
        row = _row(note, report.import_id)
        if stored.get(note.note_id) == row["text_hash"]:
            report.already += 1
        elif note.note_id in stored:
            report.problems.append(
                Problem(
                    file=report.files[-1],
                    row=None,
                    message=f"Note {note.note_id} is already stored with other text, and was left out.",
                    remedy="Give it another note_id, or withdraw the earlier import first.",
                )
            )
        else:
            rows.append(row)
    store.append("note", rows)
    report.notes += len(rows)


def stored_note(row: Mapping) -> Note:
    """A row of the note table as the note it was imported as."""
    values = {field.name: row[field.name] for field in fields(Note)}
    return Note(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


def _row(note: Note, import_id: str) -> dict:
    start, end = passage(note.text) or (None, None)
    # By its course a case is recognised better than by "DISCHARGE SUMMARY".
    course = hospital_course(note.text)
    told = note.text[slice(*course)] if course else note.text
    return asdict(note) | {
        "import_id": import_id,
        "text_hash": text_hash(note.text),
        "words": len(note.text.split()),
        "course_start": start,
        "course_end": end,
        "snippet": " ".join(told.split())[:SNIPPET],
    }
