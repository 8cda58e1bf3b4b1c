"""`sapphire import`, `predict` and `export`: the app's services with a progress bar instead of a page.

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
        return _fail("--column takes FIELD=NAME, for example text=NOTE_BODY.")
    with _store() as store, _bar(None, "notes") as bar:
        report = import_files(store, args.files, _author(), columns or None, lambda done: bar.update(done - bar.n))
    for problem in report.problems:
        # What is wrong with a file as a whole names it already.
        print(problem if problem.row is not None else problem.message, file=sys.stderr)
    print(f"{report.notes:,} notes imported, {report.already:,} were there already, {len(report.problems):,} problems")
    return 2 if report.unreadable else 0


def add_predict(commands) -> None:
    parser = commands.add_parser(
        "predict",
        help="let a model name the DRG of notes",
        description="Answer the pending notes of the database, or those of a file with --notes and --out, which needs no database. "
        "Stopped at any moment, the same command goes on where it was.",
    )
    parser.add_argument("--notes", metavar="FILE", type=Path, help="read notes from this file instead of the database")
    parser.add_argument("--out", metavar="FILE", type=Path, help="with --notes: where the rows go, .jsonl or .parquet")
    parser.add_argument(
        "--model", metavar="M", help="installed model, folder, GGUF file or hub name (default: the embedded one)"
    )
    parser.add_argument("--samples", metavar="N", type=int, default=1, help="answers a note; the commonest DRG stands")
    parser.add_argument("--temperature", type=float, help="default 0, or 0.6 with several samples")
    parser.add_argument(
        "--all", action="store_true", help="answer every note of the database, not only those without an answer"
    )
    parser.set_defaults(run=run_predict)


def run_predict(args: argparse.Namespace) -> int:
    if (args.notes is None) != (args.out is None):
        return _fail("--notes and --out go together.")
    if args.samples < 1:
        return _fail("--samples must be 1 or more.")
    return _predict_database(args) if args.notes is None else _predict_file(args)


def _sampling(args: argparse.Namespace):
    from sapphire.engines import Sampling

    usual = 0.0 if args.samples == 1 else 0.6
    return Sampling(n=args.samples, temperature=usual if args.temperature is None else args.temperature, top_p=0.95)


def _location(model: str | None) -> str:
    """An installed model's folder by its name; anything else is for `load` to find."""
    from sapphire.models import default_model, installed

    if model is None:
        return default_model().location
    return next((card.location for card in installed() if card.name == model), model)


def _predict_file(args: argparse.Namespace) -> int:
    from sapphire.engines import EngineError, load
    from sapphire.notes import NotesError, Problem
    from sapphire.prediction_files import OutputError
    from sapphire.scoring import Scored, predict_file

    with _bar(None, "notes") as bar:

        def tell(event: Scored | Problem) -> None:
            if isinstance(event, Problem):
                bar.write(str(event), file=sys.stderr)
            else:
                bar.update()

        try:
            engine = load(_location(args.model))
            summary = predict_file(args.notes, args.out, engine, _sampling(args), progress=tell)
        except (EngineError, NotesError, OutputError, OSError) as error:
            return _fail(str(error))
    taken = f", {summary.resumed:,} of them from before" if summary.resumed else ""
    print(
        f"{summary.rows:,} notes in {args.out}{taken}; {summary.failed:,} without an answer, {summary.problems:,} problems"
    )
    return 0


def _predict_database(args: argparse.Namespace) -> int:
    import time

    from sapphire.engines import EngineError
    from sapphire.engines.model_folder import find
    from sapphire.running import Runner
    from sapphire.store.worklist import Filters, Worklist

    with _store() as store:
        notes = Worklist(store).note_ids(Filters() if args.all else Filters(states=("new", "failed")))
        if not notes:
            print("No note is waiting for an answer.")
            return 0
        runner = Runner(store)
        try:
            card = find(_location(args.model)).card
            run = runner.start(notes, card.name, card.location, _sampling(args), _author())
        except EngineError as error:
            return _fail(str(error))
        try:
            with _bar(len(notes), "notes") as bar:
                while run.active:
                    time.sleep(0.2)
                    bar.update(run.done - bar.n)
        finally:
            runner.close()
    print(f"{run.done:,} of {run.total:,} notes answered, {run.failed:,} failed. {run.message}".rstrip())
    return 0 if run.state == "finished" else 1


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

    with _store() as store, _bar(None, "rows") as bar:
        try:
            report = take_in(
                store, args.file, _author(), args.model, args.prompt, lambda done: bar.update(done - bar.n)
            )
        except TakingInError as error:
            return _fail(str(error))
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
        return _fail(f"{', '.join(sorted(unknown))} is no decision; those are {', '.join(DECISIONS)}.")
    filters = RoundFilters(decisions, tuple(args.reviewer), (), args.min_helpfulness, args.min_accuracy, args.with_text)
    with _store() as store:
        try:
            record = write_round(store, filters, _author(), (args.out or exports_dir()).absolute())
        except (ValueError, OSError) as error:
            return _fail(str(error))
    print(f"Round {record['round']} in {record['path']}")
    for name, count in record["counts"].items():
        print(f"  {count:8,} {name}")
    if record["with_text"]:
        print("These files hold note text: keep them where the notes themselves may be.")
    return 0


@contextmanager
def _store():
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
        sys.exit(_fail(str(error)))


def _bar(total: int | None, unit: str):
    from tqdm import tqdm

    return tqdm(total=total, unit=f" {unit}", file=sys.stderr, leave=False, disable=None, smoothing=0.1)


def _author() -> str:
    return f"{getpass.getuser()} (command line)"


def _fail(message: str) -> int:
    print(f"sapphire: {message}", file=sys.stderr)
    return 2
