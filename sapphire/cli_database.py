"""`sapphire import`, `import-predictions` and `export`: the app's services with a progress bar instead of a page.

While an app holds the database these commands work through it; otherwise they open the file themselves.
"""

import argparse
import getpass
import os
import sys
from contextlib import contextmanager
from pathlib import Path


def add_import(commands) -> None:
    parser = commands.add_parser(
        "import",
        help="bring notes from files into the database",
        description="Read CSV, TSV, JSONL, Parquet or text files, plain or gzipped, and store their notes.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+", type=Path)
    parser.add_argument(
        "--column",
        metavar="FIELD=NAME",
        action="append",
        default=[],
        help="which column holds a field, for example text=NOTE_BODY",
    )
    parser.set_defaults(run=run_import)


def run_import(args: argparse.Namespace) -> int:
    from sapphire.importing import import_files

    columns = dict(pair.split("=", 1) for pair in args.column if "=" in pair)
    if len(columns) < len(args.column):
        return fail("--column takes FIELD=NAME, for example text=NOTE_BODY.")
    with open_database() as store, progress_bar(None, "notes") as bar:
        report = import_files(store, args.files, author(), columns or None, lambda done: bar.update(done - bar.n))
    for problem in report.problems:
        # What is wrong with a file as a whole names it already.
        print(problem if problem.row is not None else problem.message, file=sys.stderr)
    print(f"{report.notes:,} notes imported, {report.already:,} were there already, {len(report.problems):,} problems")
    return 2 if report.unreadable else 0


def add_import_predictions(commands) -> None:
    parser = commands.add_parser(
        "import-predictions",
        help="bring predictions made elsewhere into the database",
        description="Store the rows of train.evaluate, of predict --out, or of any program: note_id and completion, the rows of "
        "a note together. The notes must be in the database. Done twice, nothing is stored twice.",
    )
    parser.add_argument("file", metavar="FILE", type=Path, help=".jsonl or .parquet, one row a completion")
    parser.add_argument("--model", metavar="NAME", help="the model's name, where the file has none")
    parser.add_argument("--prompt", metavar="NAME", default="plain", help="the prompt's name, where the file has none")
    parser.set_defaults(run=run_import_predictions)


def run_import_predictions(args: argparse.Namespace) -> int:
    from sapphire.taking_in import TakingInError, take_in

    with open_database() as store, progress_bar(None, "rows") as bar:
        try:
            report = take_in(store, args.file, author(), args.model, args.prompt, lambda done: bar.update(done - bar.n))
        except TakingInError as error:
            return fail(str(error))
    for problem in report.problems:
        print(problem, file=sys.stderr)
    print(
        f"{report.predictions:,} predictions of {report.notes:,} notes taken in, {report.already:,} notes were there already, "
        f"{len(report.problems):,} problems"
    )
    return 0


def add_export(commands) -> None:
    parser = commands.add_parser(
        "export",
        help="write reviews as the next training round",
        description="Write the saved reviews as tables and labels, and with --with-text as SFT and GRPO rows.",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="where the round's folder goes (default: Sapphire's own exports)"
    )
    parser.add_argument(
        "--with-text", action="store_true", help="add training rows, comments and reasoning; these hold note text"
    )
    parser.add_argument(
        "--decision", action="append", help="accept, change, query or escalate (default: accept and change)"
    )
    parser.add_argument("--reviewer", action="append", default=[], help="only this reviewer's (may be repeated)")
    parser.add_argument("--min-accuracy", type=int, default=1, help="only reviews rated at least this, 1 to 5")
    parser.add_argument("--min-helpfulness", type=int, default=1, help="only reviews rated at least this, 1 to 5")
    parser.set_defaults(run=run_export)


def run_export(args: argparse.Namespace) -> int:
    from sapphire.exporting import RoundFilters, write_round
    from sapphire.paths import exports_dir
    from sapphire.reviewing import DECISIONS

    decisions = tuple(args.decision or ("accept", "change"))
    if unknown := set(decisions) - DECISIONS.keys():
        return fail(f"{', '.join(sorted(unknown))} is no decision; those are {', '.join(DECISIONS)}.")
    filters = RoundFilters(decisions, tuple(args.reviewer), (), args.min_helpfulness, args.min_accuracy, args.with_text)
    with open_database() as store:
        try:
            record = write_round(store, filters, author(), (args.out or exports_dir()).absolute())
        except (ValueError, OSError) as error:
            return fail(str(error))
    print(f"Round {record['round']} in {record['path']}")
    for name, count in record["counts"].items():
        print(f"  {count:8,} {name}")
    if record["with_text"]:
        print("These files hold note text: keep them where the notes themselves may be.")
    return 0


@contextmanager
def open_database():
    from sapphire.paths import database
    from sapphire.store import StoreError, open_store

    os.umask(0o077)
    try:
        store = open_store(database(), os.environ.get("SAPPHIRE_DB_TOKEN"))
        try:
            yield store
        finally:
            store.close()
    except StoreError as error:
        sys.exit(fail(str(error)))


def progress_bar(total: int | None, unit: str):
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, leave=False, disable=None, smoothing=0.1)


def author() -> str:
    return f"{getpass.getuser()} (command line)"


def fail(message: str) -> int:
    print(f"sapphire: {message}", file=sys.stderr)
    return 2
