"""What a file of notes is, told by its content, and its rows, streamed.

Known are CSV and TSV (any of , tab ; |), JSON lines, a JSON array, Parquet, plain text (one note), and gzip of each. A
name's ending only decides where the content leaves it open. Bytes that are not UTF-8 arrive as lone surrogates (Python's
`surrogateescape`), so that the note they stand in can be named and mended (`fields.mend`).
"""

import codecs
import csv
import gzip
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sapphire.notes.columns import guess
from sapphire.notes.rows import EXPORT, NotesError, Row, Rows, delimited, header, json_array, json_lines, parquet, plain

HEAD = 1 << 16  # bytes that tell what a file is
DELIMITED_ENDINGS = (".csv", ".tsv", ".tab", ".psv")
LINES_ENDINGS = (".jsonl", ".ndjson")
OTHER_ENDINGS = (*LINES_ENDINGS, ".json", ".parquet", ".pq")

_OTHER_KINDS = (
    (b"%PDF", f"is a PDF; {EXPORT}, or save each note as plain text"),
    (b"\xd0\xcf\x11\xe0", f"is an old Office file (.xls or .doc); {EXPORT}"),
    (b"{\\rtf", f"is RTF; {EXPORT}, or save each note as plain text"),
    (b"<?xml", f"is XML (perhaps a C-CDA document); {EXPORT}"),
    (b"MSH|", f"is an HL7 message; {EXPORT}"),
    (b"SQLite format 3", f"is an SQLite database; {EXPORT}"),
    (b"ARROW1", "is an Arrow (Feather) file; save it as Parquet"),
    (b"PARE", "is encrypted Parquet; save it unencrypted"),
    (b"BZh", "is compressed with bzip2; unpack it or use gzip"),
    (b"\xfd7zXZ", "is compressed with xz; unpack it or use gzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed with zstd; unpack it or use gzip"),
    (b"7z\xbc\xaf", "is a 7z archive; unpack it first"),
    (b"\x1f\x8b", "is gzip inside gzip; unpack it once"),
)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_SURROGATES = re.compile(r"[\udc80-\udcff]")


@dataclass
class Table:
    """A file opened. `rows(columns)` can be read once and raises NotesError where the file breaks off; `close` ends it."""

    name: str
    kind: str  # "csv", "jsonl", "json", "parquet" or "text"
    encoding: str
    columns: list[str]
    rows: Rows
    close: Callable[[], None]
    count: int | None = None


def open_table(source: str | Path | BinaryIO) -> Table:
    """Open a path, or a binary file-like with a `name` (an upload), whose position and content stay as they are.

    Raises:
        NotesError: the file is missing, empty, a folder, may not be read, or is of a kind that holds no notes.
    """
    name, raw = _open(source)
    try:
        return _table(name, raw)
    except BaseException:
        raw.close()
        raise


def _open(source: str | Path | BinaryIO) -> tuple[str, BinaryIO]:
    if hasattr(source, "read"):
        source.seek(0)
        return Path(str(getattr(source, "name", "upload"))).name, io.BytesIO(source.read())
    path = Path(source)
    try:
        return path.name, path.open("rb")
    except FileNotFoundError:
        raise NotesError(f"{path} does not exist; check the name.") from None
    except IsADirectoryError:
        raise NotesError(f"{path} is a folder; name the files in it.") from None
    except PermissionError:
        raise NotesError(f"{path} may not be read by this user; change its permissions.") from None
    except (OSError, ValueError) as error:
        raise NotesError(f"{path} cannot be opened ({error}); check the name.") from None


def _table(name: str, raw: BinaryIO) -> Table:
    head = raw.read(HEAD)
    stream, ending = raw, name.lower()
    if head[:2] == b"\x1f\x8b":
        ending = re.sub(r"\.(gz|gzip)$", "", ending)
        try:
            head = zlib.decompressobj(wbits=31).decompress(head, HEAD)
        except zlib.error:
            raise NotesError(f"{name} starts like gzip but cannot be unpacked; copy or export it again.") from None
        stream = gzip.GzipFile(fileobj=raw)
    if not head.strip():
        raise NotesError(f"{name} is empty; export it again.")
    raw.seek(0)
    if head[:4] == b"PAR1":
        columns, rows, count = parquet(name, stream, packed=stream is not raw)
        return Table(name, "parquet", "utf-8", columns, rows, raw.close, count)
    _refuse_other_kinds(name, head, raw)
    encoding = _encoding(head)
    sample = _decode(head, encoding)
    if _is_binary(sample):
        raise NotesError(f"{name} holds binary data, not text; {EXPORT}.")
    opened = io.TextIOWrapper(stream, encoding, _errors(encoding), newline="")
    kind = _kind(name, Path(ending).suffix, sample)
    read = {"csv": delimited, "jsonl": json_lines, "json": json_array, "text": plain}[kind]
    columns, rows = read(name, opened, sample)
    shown = "windows-1252" if encoding.startswith("utf-8") and _SURROGATES.search(sample) else encoding
    return Table(name, kind, shown, columns, _until_broken(name, rows), raw.close)


def _refuse_other_kinds(name: str, head: bytes, raw: BinaryIO) -> None:
    if head[:4] == b"PK\x03\x04":
        try:
            inside = " ".join(zipfile.ZipFile(raw).namelist())
        except (zipfile.BadZipFile, OSError):
            inside = ""
        what = "an Excel workbook" if "xl/" in inside else "a Word document" if "word/" in inside else "a zip archive"
        remedy = "unpack it first" if what == "a zip archive" else "save it as CSV (UTF-8)"
        raise NotesError(f"{name} is {what}; {remedy}.")
    for magic, sentence in _OTHER_KINDS:
        if head.lstrip(b"\xef\xbb\xbf").startswith(magic):
            raise NotesError(f"{name} {sentence}.")
    if head[257:262] == b"ustar":
        raise NotesError(f"{name} is a tar archive; unpack it first.")
    if head[8:12] == b"DUCK":
        raise NotesError(f"{name} is a DuckDB database; {EXPORT}.")


def _encoding(head: bytes) -> str:
    marks = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"))
    for mark, encoding in (*marks, (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if head.startswith(mark):
            return encoding
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if odd > 0.4 * len(head) / 2 and even < 0.05 * len(head):
        return "utf-16-le"
    if even > 0.4 * len(head) / 2 and odd < 0.05 * len(head):
        return "utf-16-be"
    return "utf-8"


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding.startswith("utf-8") else "replace"


def _decode(head: bytes, encoding: str) -> str:
    """The head's characters, without the one that its end may cut."""
    return codecs.getincrementaldecoder(encoding)(_errors(encoding)).decode(head)


def _is_binary(text: str) -> bool:
    controls, foreign = len(_CONTROLS.findall(text)), len(_SURROGATES.findall(text))
    return controls > 0.25 * len(text) or (controls > 0.01 * len(text) and foreign > 0.1 * len(text))


def _kind(name: str, ending: str, sample: str) -> str:
    start = sample.lstrip()
    first, rest = start.partition("\n")[::2]
    if re.match(r"\[\s*[{\]]", start):
        return "json"
    if re.match(r"\{\s*[\"}]", start):
        return "jsonl" if ending in LINES_ENDINGS or not rest or _is_json(first) else "json"
    known = guess(header(sample))
    if ending in DELIMITED_ENDINGS or ("text" in known and len(known) > 1):
        return "csv"
    if ending in LINES_ENDINGS and re.search(r"^\s*\{", sample, re.MULTILINE):
        return "jsonl"
    if ending in OTHER_ENDINGS:
        raise NotesError(f"{name} ends in {ending} but holds none; {EXPORT}.")
    return "text"


def _is_json(line: str) -> bool:
    try:
        json.loads(line, strict=False)
    except (ValueError, RecursionError):
        return False
    return True


def _until_broken(name: str, rows: Rows) -> Rows:
    """The rows as far as they can be read, then NotesError."""

    def read(columns: Collection[str]) -> Iterator[Row]:
        number = 0
        try:
            for row in rows(columns):
                number = row.number
                yield row
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise NotesError(
                f"{name} breaks off after row {number}: its gzip is damaged or incomplete; copy or export it again."
            ) from None
        except csv.Error as error:
            raise NotesError(
                f"{name} cannot be read after row {number} ({error}); a quote there is probably not closed."
            ) from None
        except OSError as error:
            raise NotesError(f"{name} cannot be read after row {number} ({error}); copy it again.") from None

    return read
