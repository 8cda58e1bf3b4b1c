"""MIMIC-IV-Note's discharge.csv.gz → hospital courses, streamed: a few hundred notes in memory, whatever the file's size."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from data.mimic_parallel import in_processes
from data.mimic_progress import Progress
from data.mimic_titles import SourceError
from sapphire.notes import hospital_course

COLUMNS = ("note_id", "subject_id", "hadm_id", "text")
BATCH = 400  # notes; about 4 MB
LONGEST = 20_000_000  # characters of a cell; the longest notes have some 60,000
SMALL = 20_000_000  # bytes of a file below which a second process is not worth its start


class Source(NamedTuple):
    """A discharge note as it stands in the file; `row` counts notes from 1."""

    row: int
    note_id: str
    subject_id: str
    hadm_id: str
    text: str


class Course(NamedTuple):
    """A note's hospital course, None where no heading tells it, and the number of its words."""

    row: int
    note_id: str
    subject_id: str
    hadm_id: str
    text: str | None
    words: int


def read_discharge(path: Path, progress: Progress | None = None) -> Iterator[Source]:
    """The notes of a discharge.csv or discharge.csv.gz in file order. SourceError, without a word of a note, when the file is
    missing, damaged, truncated, not UTF-8, or lacks a column."""
    row = 0
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if path.suffix == ".gz" and not packed:
                raise SourceError(f"{path} is not a gzip file though its name says so; copy or download it again.")
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            csv.field_size_limit(LONGEST)
            reader = csv.reader(io.TextIOWrapper(stream, encoding="utf-8-sig", newline=""), strict=True)
            places = _places(path, next(reader, []))
            for row, cells in enumerate(reader, start=1):
                if len(cells) <= max(places):
                    raise SourceError(f"{path}, note {row}: too few columns; download the file again.")
                if progress and row % BATCH == 0:
                    progress.show(raw.tell())
                yield Source(row, *(cells[place] for place in places))
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist; give the path of MIMIC-IV-Note's discharge.csv.gz.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise SourceError(
            f"{path} is a damaged or truncated gzip file (after note {row}); download it again."
        ) from None
    except UnicodeDecodeError:
        raise SourceError(f"{path}: soon after note {row} stands text that is not UTF-8; download it again.") from None
    except csv.Error:
        raise SourceError(f"{path}: the CSV is broken after note {row}, or cut off there; download it again.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from None


def _places(path: Path, header: list[str]) -> list[int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise SourceError(
            f"{path} has no column {', '.join(missing)}; give MIMIC-IV-Note's discharge.csv.gz (columns note_id, subject_id, "
            "hadm_id, note_type, note_seq, charttime, storetime, text)."
        )
    return [header.index(name) for name in COLUMNS]


def courses(path: Path, processes: int = 2) -> Iterator[list[Course]]:
    """The hospital courses of all notes of a file in file order, by batches; progress on standard error."""
    size = path.stat().st_size if path.exists() else 0
    progress = Progress("hospital courses", size)
    few = size < SMALL
    yield from in_processes(extract, _batches(read_discharge(path, progress)), 1 if few else processes)
    progress.end()


def _batches(sources: Iterator[Source]) -> Iterator[list[Source]]:
    while batch := list(islice(sources, BATCH)):
        yield batch


def extract(batch: Iterable[Source]) -> list[Course]:
    return [_course(source) for source in batch]


def _course(source: Source) -> Course:
    span = hospital_course(source.text)
    text = source.text[slice(*span)].strip() if span else None
    return Course(*source[:4], text or None, len(text.split()) if text else 0)
