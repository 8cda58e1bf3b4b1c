"""`sapphire predict`: notes of the database or of a file, by any model, in batches where the model takes them; stopped at any moment, the
same command goes on where it was."""

import argparse
import sys
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

from sapphire.cli_database import author, fail, open_database, progress_bar


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
        "--model", metavar="M", help="a model's name, folder, GGUF file or hub name (default: the default one)"
    )
    parser.add_argument("--samples", metavar="N", type=int, default=1, help="answers a note; the commonest DRG stands")
    parser.add_argument("--temperature", type=float, help="default 0, or 0.6 with several samples")
    parser.add_argument(
        "--all", action="store_true", help="answer every note of the database, not only those without an answer"
    )
    parser.add_argument(
        "--vllm",
        action="store_true",
        help="run a model of transformers by vLLM in this process, for many notes on a GPU",
    )
    parser.add_argument(
        "--ray",
        metavar="ADDRESS",
        help="share the notes among the machines of a Ray cluster: its address, auto, or local for this machine alone",
    )
    parser.set_defaults(run=run_predict)


def run_predict(args: argparse.Namespace) -> int:
    if (args.notes is None) != (args.out is None):
        return fail("--notes and --out go together.")
    if args.samples < 1:
        return fail("--samples must be 1 or more.")
    return _database(args) if args.notes is None else _file(args)


def _sampling(args: argparse.Namespace):
    from sapphire.engines import Sampling

    usual = 0.0 if args.samples == 1 else 0.6
    return Sampling(n=args.samples, temperature=usual if args.temperature is None else args.temperature, top_p=0.95)


def _opener(args: argparse.Namespace) -> Callable:
    """What opens the model at a location, by this command's options."""
    from sapphire.engines import load

    if args.ray:
        from sapphire.engines.ray_engine import RayEngine

        return lambda location: RayEngine(location, args.ray, args.vllm)
    return lambda location: load(location, vllm=args.vllm)


def _installed(model: str | None) -> str:
    """The folder of a model by its name; anything else is for `load` to find."""
    from sapphire.models import default_model, installed

    if model is None:
        return default_model().location
    return next((card.location for card in installed() if model in (card.name, Path(card.location).name)), model)


def _registered(store, model: str | None) -> str:
    """The same with the database at hand, whose register knows the default and what is withdrawn. ValueError says why not."""
    from sapphire import registry

    if model is None:
        cards = registry.usable(store)
        return cards[0].location if cards else _installed(None)
    for entry in registry.entries(store):
        if model == entry.card.name:
            if entry.withdrawn or entry.missing:
                raise ValueError(entry.missing or f"{model} is withdrawn; restore it on the Models page.")
            return entry.card.location
    return _installed(model)


def _file(args: argparse.Namespace) -> int:
    from sapphire.engines import EngineError
    from sapphire.notes import Note, NotesError, Problem, read_notes
    from sapphire.prediction_files import OutputError
    from sapphire.scoring import Scored, predict_file

    with progress_bar(None, "notes") as bar:

        def tell(event: Scored | Problem) -> None:
            if isinstance(event, Problem):
                bar.write(str(event), file=sys.stderr)
            else:
                bar.update()

        def resumed(rows: int) -> None:
            bar.reset(sum(isinstance(each, Note) for each in read_notes(args.notes, repeated=True)) - rows)

        try:
            engine = _opener(args)(_installed(args.model))
            summary = predict_file(args.notes, args.out, engine, _sampling(args), progress=tell, begun=resumed)
        except (EngineError, NotesError, OutputError, OSError) as error:
            return fail(str(error))
        except KeyboardInterrupt:
            print("\nStopped; the same command goes on where it was.", file=sys.stderr)
            raise
    taken = f", {summary.resumed:,} of them from before" if summary.resumed else ""
    print(
        f"{summary.rows:,} notes in {args.out}{taken}; {summary.failed:,} without an answer, {summary.problems:,} problems"
    )
    return 0


def _database(args: argparse.Namespace) -> int:
    from sapphire.engines import EngineError
    from sapphire.engines.model_folder import find
    from sapphire.store.worklist import Filters, Worklist

    with open_database() as store:
        notes = Worklist(store).note_ids(Filters() if args.all else Filters(states=("new", "failed")))
        try:
            card = find(_registered(store, args.model)).card
        except (EngineError, ValueError) as error:
            return fail(str(error))
        with _runner(store, args) as runner:
            runs = []
            if args.all:  # what an earlier command of this kind left; without --all the pending notes say that
                runs = [
                    runner.resume(row["run_id"], author())
                    for row in runner.unfinished()
                    if row["model"] == card.name
                    and row["author"] == author()
                    and _same(store, row["run_id"], card, args)
                ][:1]
            begun = {note for run in runs for note in runner.notes(run.run_id)}
            if left := [note for note in notes if note not in begun]:
                runs.append(runner.start(left, card.name, card.location, _sampling(args), author()))
            if not runs:
                print("No note is waiting for an answer.")
                return 0
            _wait(runs)
    done, total, failed = (sum(getattr(run, name) for run in runs) for name in ("done", "total", "failed"))
    messages = " ".join(run.message for run in runs if run.message)
    print(f"{done:,} of {total:,} notes answered, {failed:,} failed. {messages}".rstrip())
    return 0 if all(run.state == "finished" for run in runs) else 1


def _same(store, run_id: str, card, args: argparse.Namespace) -> bool:
    from sapphire.running import settings

    return settings(store, run_id) == (card.location, _sampling(args))


@contextmanager
def _runner(store, args: argparse.Namespace):
    from sapphire.running import Runner

    runner = Runner(store, _opener(args))
    try:
        yield runner
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on where it was.", file=sys.stderr)
        raise
    finally:
        runner.close()


def _wait(runs: list) -> None:
    """Until all runs ended, with a bar that says how much time is left."""
    import time

    with progress_bar(sum(run.total for run in runs), "notes") as bar:
        while any(run.active for run in runs):
            time.sleep(0.2)
            bar.update(sum(run.done for run in runs) - bar.n)
