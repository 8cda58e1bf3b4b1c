"""Files of notes for the tests: written, and read into notes and problems."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet

from sapphire.notes import Note, Problem, read_notes

TEXT = "Brief Hospital Course:\nMr. ___ was admitted with acute on chronic systolic heart failure.\nHe improved."


def items(source, **options) -> tuple[list[Note], list[Problem]]:
    found = list(read_notes(source, **options))
    return [item for item in found if isinstance(item, Note)], [item for item in found if isinstance(item, Problem)]


def write(path: Path, rows: list[dict]) -> Path:
    """Rows as a file of the kind that the path's ending names."""
    kind, data = path.name.split(".")[1], io.BytesIO()
    if kind in ("csv", "tsv"):
        flat = [
            {name: ";".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()} for row in rows
        ]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, rows[0], delimiter="\t" if kind == "tsv" else ",")
        writer.writeheader()
        writer.writerows(flat)
        data.write(text.getvalue().encode())
    elif kind == "jsonl":
        data.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    elif kind == "json":
        data.write(json.dumps(rows, indent=1).encode())
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), data)
    packed = path.name.endswith(".gz")
    path.write_bytes(gzip.compress(data.getvalue()) if packed else data.getvalue())
    return path


def table(tmp_path: Path, text: str, name: str = "notes.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path
