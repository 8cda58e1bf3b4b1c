"""The open corpus: `python -m data.corpus --cases 50000 --seed 7 --out DIR` writes notes with exact DRG labels and true reasoning.

Stays are drawn from the tables in `data/knowledge`, grouped by CMS's rules and written in many styles; see `data/CORPUS.md`.
The folder appears when it is complete. `--verify` makes the same cases, writes nothing, and checks every label, quote and line.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from data import corpus_cases, corpus_natural, corpus_qa, corpus_verify
from data.corpus_card import Counts, write_card
from data.corpus_cases import Recipe, recipe
from data.corpus_files import CASES, QUESTIONS, Gatherer, OutputError, whole
from data.corpus_names import stale
from data.corpus_tables import TablesError, load_tables

TEST_SHARE = 0.1
SPLITS = ("train", "dev", "test")


def build(made: Recipe, out: Path, command: str) -> Counts:
    """The corpus in the folder `out`, with a progress bar on stderr. OutputError when `out` holds something else."""
    with whole(out) as folder:
        files = {split: Gatherer(CASES) for split in SPLITS}
        counts = Counts()
        for case in tqdm(corpus_cases.cases(made), total=len(made.dealt), unit=" cases", desc="Writing"):
            files[case["split"]].add(case)
            counts.add(case)
        for split, gathered in files.items():
            gathered.write(folder / f"{split}.parquet")
        write_card(folder, counts, _others(folder), command)
    return counts


def _others(folder: Path) -> dict[str, int]:
    """The code book's questions and the notes written by hand: file → rows."""
    files = {"qa.parquet": (list(corpus_qa.rows(load_tables())), QUESTIONS)}
    for split in corpus_natural.SPLITS:
        files[f"natural-{split}.parquet"] = (list(corpus_natural.cases(split)), CASES)
    for name, (rows, schema) in files.items():
        gathered = Gatherer(schema)
        for row in rows:
            gathered.add(row)
        gathered.write(folder / name)
    return {name: len(rows) for name, (rows, _) in files.items()}


def verify(made: Recipe) -> Counter:
    """What is wrong with all cases together: fault → how often."""
    with tqdm(total=len(made.dealt), unit=" cases", desc="Checking") as bar:
        found: Counter = Counter()
        for faults in corpus_cases.in_chunks(made, corpus_verify.count):
            found.update(faults)
            bar.update(min(corpus_cases.CHUNK, len(made.dealt) - bar.n))
    return found


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m data.corpus", description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=50_000, help="how many stays (default 50000)")
    parser.add_argument("--seed", type=int, default=7, help="the same seed gives the same bytes (default 7)")
    parser.add_argument("--out", type=Path, help="folder to write")
    parser.add_argument("--test-share", type=float, default=TEST_SHARE, help="share worded anew for test (default 0.1)")
    parser.add_argument("--verify", action="store_true", help="check every case instead of writing")
    options = parser.parse_args(argv)
    if options.cases < 1 or not 0 <= options.test_share <= 0.9:
        parser.error("--cases must be at least 1 and --test-share from 0 to 0.9")
    if (options.out is None) != options.verify:
        parser.error("give either --out DIR or --verify")
    return options


def main(argv: list[str] | None = None) -> int:
    options = _arguments(argv)
    try:
        made = recipe(options.cases, options.seed, options.test_share)
        if stale(load_tables()):
            raise TablesError(
                "The names of the knowledge tables have changed: run `python -m data.corpus_names` first."
            )
        if options.verify:
            found = verify(made)
            print(
                *(f"{number} x {fault}" for fault, number in found.most_common(40)), sep="\n", end="\n" if found else ""
            )
            print(f"{options.cases:,} cases checked, {sum(found.values())} faults")
            return 1 if found else 0
        command = f"python -m data.corpus --cases {options.cases} --seed {options.seed}"
        if options.test_share != TEST_SHARE:
            command += f" --test-share {options.test_share}"
        counts = build(made, options.out, command)
    except (TablesError, OutputError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.out}: {options.cases:,} cases of {len(counts.drgs)} DRGs; README.md there is the card")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
