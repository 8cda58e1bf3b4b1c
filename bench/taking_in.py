"""Taking predictions in: rows a second, and what the same file costs with few and with many notes stored.

    python -m bench.taking_in [--notes 100000]

The file holds 8 answers of each of 500 notes. Aim: the cost grows with the file, not with what is stored (ratio below 2).
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sapphire.completions import compose
from sapphire.drg.codebook import codebook
from sapphire.store import Store, open_store
from sapphire.taking_in import take_in

NOTES, SAMPLES, ROUNDS = 500, 8, 5
TEXT = (
    "Brief Hospital Course:\nAdmitted with dyspnea; acute on chronic heart failure, diuresed. " + "Seen daily. " * 120
)


def store_with(path: Path, notes: int) -> Store:
    store = open_store(path)
    known = {
        "import_id": "bench",
        "text": TEXT,
        "text_hash": "0" * 64,
        "words": 250,
        "snippet": TEXT[:100],
        "credentialed": False,
    }
    for begin in range(0, notes, 5_000):
        store.append("note", [known | {"note_id": f"n{i}"} for i in range(begin, min(notes, begin + 5_000))])
    return store


def file_of(path: Path, run: str, notes: int) -> Path:
    draw, drgs = random.Random(run), list(codebook().drgs.values())
    chosen = draw.sample(range(notes), NOTES)
    think = "Heart failure decides. " * 40
    rows = [
        {"note_id": f"n{i}", "model": "bench", "prompt": "plain", "drg_version": "43.1", "run": run, "sample": sample,
         "completion": compose(think, draw.choice(drgs).title.upper())}
        for i in chosen
        for sample in range(SAMPLES)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--notes", type=int, default=100_000)
    many = parser.parse_args().notes
    seconds: dict[int, list[float]] = {2 * NOTES: [], many: []}
    with tempfile.TemporaryDirectory() as folder:
        stores = {notes: store_with(Path(folder, f"{notes}.duckdb"), notes) for notes in seconds}
        for attempt in range(ROUNDS):  # in turn, so that other processes disturb both alike
            for notes, store in stores.items():
                path = file_of(Path(folder, "rows.parquet"), f"run-{attempt}", notes)
                begin = time.perf_counter()
                report = take_in(store, path, "bench")
                seconds[notes].append(time.perf_counter() - begin)
                assert report.predictions == NOTES * SAMPLES and not report.problems
        for store in stores.values():
            store.close()
    middle = {notes: statistics.median(found) for notes, found in seconds.items()}
    for notes, found in seconds.items():
        print(
            f"{notes:>9,} notes stored: {middle[notes]:.2f} s ({min(found):.2f} to {max(found):.2f}), {NOTES * SAMPLES / middle[notes]:,.0f} rows/s"
        )
    print(f"ratio {middle[many] / middle[2 * NOTES]:.2f}, median of {ROUNDS}, {NOTES * SAMPLES:,} rows each")


if __name__ == "__main__":
    main()
