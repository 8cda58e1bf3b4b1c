"""How fast files become notes, and in how much memory: MB/s and peak resident memory for each kind of file.

    python -m bench.notes [--megabytes 200]

Writes discharge notes of about 10 KB, made of drawn words, in MIMIC-IV-Note's layout, reads each kind in a process of its own
(duplicates are looked for as always), then times the section finder.
"""

import argparse
import csv
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

COLUMNS = ("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text")
WORDS = (
    "patient",
    "admitted",
    "with",
    "acute",
    "on",
    "chronic",
    "heart",
    "failure,",
    "improved.",
    "Denies",
    "fever;",
    "Cr",
)
HEADINGS = (
    "Chief Complaint",
    "History of Present Illness",
    "Physical Exam",
    "Pertinent Results",
    "Brief Hospital Course",
)
HEADINGS += ("Medications on Admission", "Discharge Medications", "Discharge Diagnosis", "Discharge Instructions")


def note(draw: random.Random) -> str:
    """About 10 KB in nine sections of short lines, as MIMIC-IV has them."""
    parts = []
    for heading in HEADINGS:
        lines = (" ".join(draw.choices(WORDS, k=12)) for _ in range(16))
        parts.append(f" \n{heading}:\n" + "\n".join(lines) + "\n")
    return "".join(parts)


def rows(characters: int) -> Iterator[dict[str, str]]:
    draw, written, number = random.Random(1), 0, 0
    while written < characters:
        text, number = note(draw), number + 1
        written += len(text)
        yield dict(zip(COLUMNS, (f"{number}-DS-1", str(number), str(2 * number), "DS", "1", "", "", text), strict=True))


def write(folder: Path, characters: int) -> list[Path]:
    table, packed, lines, parquet = (folder / f"notes.{kind}" for kind in ("csv", "csv.gz", "jsonl", "parquet"))
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(column, pyarrow.string()) for column in COLUMNS])
    with (
        table.open("w", newline="") as plain,
        gzip.open(packed, "wt", newline="", compresslevel=1) as zipped,
        lines.open("w") as json_lines,
        pyarrow.parquet.ParquetWriter(parquet, schema) as arrow,
    ):
        writers = [csv.DictWriter(plain, COLUMNS), csv.DictWriter(zipped, COLUMNS)]
        for writer in writers:
            writer.writeheader()
        batch = []
        for row in rows(characters):
            for writer in writers:
                writer.writerow(row)
            json_lines.write(json.dumps(row) + "\n")
            batch.append(row)
            if len(batch) == 2000:
                arrow.write_table(pyarrow.Table.from_pylist(batch, schema))
                batch = []
        arrow.write_table(pyarrow.Table.from_pylist(batch, schema))
    return [table, packed, lines, parquet]


def read(path: str) -> None:
    from sapphire.notes import Note, read_notes

    start, notes, characters = time.perf_counter(), 0, 0
    for item in read_notes(path):
        notes += isinstance(item, Note)
        characters += len(item.text) if isinstance(item, Note) else 0
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()
    peak = int(status.split("VmHWM:")[1].split()[0]) / 1024
    print(f"{Path(path).name:15} {characters / 1e6 / seconds:6.0f} MB/s of text {notes:8,} notes {peak:6.0f} MB peak")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    options.add_argument("--megabytes", type=int, default=200)
    options.add_argument("--read", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.read:
        read(chosen.read)
        return
    with tempfile.TemporaryDirectory() as folder:
        for path in write(Path(folder), chosen.megabytes * 1_000_000):
            subprocess.run([sys.executable, "-m", "bench.notes", "--read", str(path)], check=True)
    from sapphire.notes.sections import hospital_course

    draw = random.Random(2)
    texts = [note(draw) for _ in range(300)]
    start = time.perf_counter()
    found = sum(hospital_course(text) is not None for text in texts)
    print(
        f"hospital_course {1000 * (time.perf_counter() - start) / len(texts):6.2f} ms a note of {len(texts[0]):,} characters"
    )
    start, long = time.perf_counter(), "\n".join(texts)[:700_000]
    hospital_course(long)
    print(
        f"hospital_course {time.perf_counter() - start:6.3f} s for {len(long.split()):,} words; found in {found} of 300"
    )


if __name__ == "__main__":
    main()
