"""Title lists, mapping files and columns of descriptions: small CSV or TSV tables, plain or gzipped."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from data.mapping import Matcher
from sapphire.drg.codebook import codebook

DECIDED_BY_HAND = (
    "raw_description",
    "DRG_34_description",
)  # DRG-LLaMA's mapping file; any "…description" does for the second


class SourceError(ValueError):
    """A source file cannot be used; the message is one sentence that names file, place and remedy."""


def rows(path: Path) -> tuple[list[str], Iterator[tuple[int, list[str]]]]:
    """Header and (line number, cells) of a CSV or TSV file, gzipped or not; the delimiter is the header's.

    SourceError when the file is missing, no UTF-8 text, a truncated gzip, empty, or has a row of another length.
    """
    text = read_text(path)
    delimiter = "\t" if text.partition("\n")[0].count("\t") else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise SourceError(f"{path} is empty; give a table with a header line.")

    def body() -> Iterator[tuple[int, list[str]]]:
        for cells in reader:
            if cells and len(cells) != len(header):
                raise SourceError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells where the header has {len(header)}; "
                    "quote cells that hold the delimiter."
                )
            if cells:
                yield reader.line_num, cells

    return header, body()


def read_text(path: Path) -> str:
    """The whole of a small text file, gzipped or not. SourceError as for `rows`."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        return data.decode("utf-8-sig")
    except FileNotFoundError:
        raise SourceError(f"{path} does not exist; give the path of an existing file.") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise SourceError(f"{path} is a damaged or truncated gzip file; copy or download it again.") from None
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise SourceError(f"{path}, line {line}: not UTF-8 text; convert the file with iconv -t UTF-8.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from None


def column(path: Path, header: list[str], name: str) -> int:
    """Where a column stands, upper or lower case. SourceError names the columns there are."""
    places = [place for place, title in enumerate(header) if title.casefold() == name.casefold()]
    if not places:
        raise SourceError(f"{path} has no column {name}; its columns are {', '.join(header)}.")
    return places[0]


def version_titles(version: str) -> dict[str, str]:
    """DRG → title of a known version. ValueError names the versions."""
    return {drg.drg: drg.title for drg in codebook(version).drgs.values()}


def read_titles(path: Path) -> dict[str, str]:
    """DRG (three digits) → title, as written, from a table with the columns DRG and Description. SourceError if it has none,
    a DRG is no number, or one occurs twice."""
    header, body = rows(path)
    number, title = column(path, header, "DRG"), column(path, header, "Description")
    titles: dict[str, str] = {}
    for line, cells in body:
        drg = cells[number].strip().zfill(3)
        if not drg.isdigit() or len(drg) > 3:
            raise SourceError(f"{path}, line {line}: {cells[number]!r} is no DRG; give a number from 1 to 999.")
        if drg in titles:
            raise SourceError(f"{path}, line {line}: DRG {drg} occurs twice; keep one title for each DRG.")
        titles[drg] = cells[title]
    if not titles:
        raise SourceError(f"{path} holds no titles; give a table with the columns DRG and Description.")
    return titles


def read_mapping(path: Path, matcher: Matcher) -> dict[str, str | None]:
    """Description → title decided by a person (None where the cell is empty or NaN), for `Matcher.decide`.

    Columns as in DRG-LLaMA's file: raw_description, and one more that ends in "description". SourceError if a title is none
    of the matcher's list.
    """
    header, body = rows(path)
    raw = column(path, header, "raw_description")
    decided = [i for i, name in enumerate(header) if i != raw and name.casefold().endswith("description")]
    if not decided:
        raise SourceError(f"{path} has no column {DECIDED_BY_HAND[1]}; its columns are {', '.join(header)}.")
    mapping: dict[str, str | None] = {}
    for line, cells in body:
        title = cells[decided[0]].strip()
        if title.casefold() in ("", "nan"):
            mapping[cells[raw]] = None
        elif matcher.has_title(title):
            mapping[cells[raw]] = title
        else:
            raise SourceError(
                f"{path}, line {line}: {title!r} is no title of the chosen version; use the version the mapping was made for."
            )
    return mapping
