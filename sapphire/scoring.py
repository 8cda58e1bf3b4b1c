"""Scoring notes: what of a note a model reads, its completions, and the prediction row they make."""

import hashlib
import json
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from sapphire.completions import parse
from sapphire.drg.codebook import CodeBook, Drg, codebook
from sapphire.engines import Cancelled, Completion, Engine, EngineError, ModelCard, Sampling
from sapphire.notes import Note, NotesError, Problem, passage, read_notes
from sapphire.prediction_files import COLUMNS, OutputError, Part, finished
from sapphire.prompts import Case
from sapphire.rewards import breakdown, outcome, total

WINDOWS = 4  # notes read to be sorted by length, in numbers of those that an engine takes ahead


@dataclass(frozen=True)
class Scored:
    """A note with its completions; with none of them and an error when the model could not answer it."""

    note: Note
    completions: tuple[Completion, ...]
    error: str | None = None


def note_input(note: Note) -> str:
    """What a model reads of a note: its brief hospital course, as in the paper, or all of it when it is short or no heading tells that."""
    span = passage(note.text)
    return note.text[slice(*span)] if span else note.text


def model_case(note: Note, card: ModelCard) -> Case:
    """A note as engines take it: its input, and age, sex and discharge status where the note's file gave them. Every note that goes to a
    model comes through here.

    Raises:
        EngineError: when the note may not be given to this model.
    """
    if why := card.refuses(note.credentialed):
        raise EngineError(why)
    return Case(note_input(note), note.age, note.sex, note.discharge_status)


def score(
    notes: Iterable[Note | Problem], engine: Engine, sampling: Sampling, cancel: threading.Event | None = None
) -> Iterator[Scored]:
    """Completions of each note, in input order. A note that the model cannot answer or may not be given, or a row that gave none (a
    problem), comes with the error; the others go on. Ends early when `cancel` is set.

    Raises:
        EngineLost: when what runs the model is gone.
    """
    taken: deque[Scored] = deque()  # notes without an answer yet; those with an error are not asked about

    def cases() -> Iterator[Case]:
        for item in notes:
            if isinstance(item, Problem):
                taken.append(Scored(_note_of(item), (), f"{item.message} {item.remedy}".strip()))
                continue
            try:
                case = model_case(item, engine.card)
            except EngineError as refusal:
                taken.append(Scored(item, (), str(refusal)))
                continue
            taken.append(Scored(item, ()))
            yield case

    def unasked() -> Iterator[Scored]:
        while taken and taken[0].error:
            yield taken.popleft()

    try:
        for answer in engine.score(cases(), sampling, cancel):
            yield from unasked()
            note = taken.popleft().note
            failed = isinstance(answer, EngineError)
            yield Scored(note, (), str(answer)) if failed else Scored(note, tuple(answer))
        yield from unasked()
    except Cancelled:
        return


def _note_of(item: Note | Problem) -> Note:
    return item if isinstance(item, Note) else Note(item.note_id or "", "")


def longest_first(items: Iterable[Note | Problem], window: int) -> Iterator[tuple[int, Note | Problem]]:
    """Each item with its place in the input, the longest note of every `window` of them first: an engine that works on many at once
    then has no long one left when the others are done. A window of 1 keeps the order and holds nothing."""
    numbered = enumerate(items)
    while some := list(islice(numbered, window)):
        yield from sorted(some, key=lambda each: -len(_note_of(each[1]).text))


def row(note: Note, completions: Sequence[Completion], card: ModelCard, error: str | None = None) -> dict[str, Any]:
    """The prediction row of one note (see `prediction_files.COLUMNS`; `run` is left to the writer).

    The DRG is the commonest among the completions' (of equals the first; one without a DRG counts only when none has one),
    and `completion`, `forced` and the reward terms are those of the first completion that gives it. `confidence` is that
    completion's own when there is one (and `raw_confidence`), else the share of completions that give the DRG; `alternatives` are the other DRGs
    with their shares; `seconds` is the sum. `reward` is the dense reward; it, its accuracy term and the outcome are None
    while the right DRG is unknown or of another version than the model's.
    """
    book = codebook(card.drg_version)
    gold = gold_drg(note, book)
    known = {"note_id": note.note_id, "model": card.name, "drg_version": card.drg_version}
    known |= {"gold_drg": gold.drg if gold else note.drg, "error": error}
    if not completions:
        return dict.fromkeys(COLUMNS) | known | {"alternatives": [], "forced": []}
    parsed = [parse(completion.text, book) for completion in completions]
    votes = Counter(each.drg.drg for each in parsed if each.drg)
    drg = votes.most_common(1)[0][0] if votes else None
    chosen = next(i for i, each in enumerate(parsed) if (each.drg.drg if each.drg else None) == drg)
    completion, predicted = completions[chosen], parsed[chosen].drg
    terms = breakdown(parsed[chosen], gold, completion.forced, completion.head)
    return (
        dict.fromkeys(COLUMNS)
        | known
        | {
            "drg": drg,
            "title": predicted.title if predicted else None,
            "outcome": str(outcome(predicted, gold)) if gold else None,
            **{term.name: term.value for term in terms},
            "reward": total(terms),
            "confidence": _confidence(completion, len(completions), votes[drg]),
            "raw_confidence": completion.raw_confidence if len(completions) == 1 else None,
            "alternatives": [
                {"drg": other, "title": book.drgs[other].title, "share": count / len(completions)}
                for other, count in votes.most_common()
                if other != drg
            ],
            "completion": completion.text,
            "forced": list(completion.forced),
            "seconds": sum(each.seconds for each in completions),
        }
    )


def sample_rows(note: Note, completions: Sequence[Completion], card: ModelCard) -> list[dict[str, Any]]:
    """One row of the `prediction` table for each completion, without its ids, with the reward terms that need no right DRG. The one
    that stands for the note is `chosen` and carries the confidence and the alternatives of `row`."""
    summary, book = row(note, completions, card), codebook(card.drg_version)
    chosen = next(i for i, completion in enumerate(completions) if completion.text == summary["completion"])
    rows = []
    for i, completion in enumerate(completions):
        parsed = parse(completion.text, book)
        own = {"drg": parsed.drg and parsed.drg.drg, "title": parsed.drg and parsed.drg.title}
        own |= {"confidence": completion.confidence, "raw_confidence": completion.raw_confidence}
        if i == chosen:
            own = {key: summary[key] for key in ("drg", "title", "confidence", "raw_confidence", "alternatives")}
        kept = {"completion": completion.text, "forced": list(completion.forced), "head": completion.head}
        spent = {"tokens": completion.tokens, "seconds": completion.seconds, "error": None}
        terms = breakdown(parsed, None, completion.forced, completion.head)
        known = {term.name: term.value for term in terms if term.name != "accuracy"}
        rows.append({"sample": i, "chosen": i == chosen} | kept | spent | own | known)
    return rows


def _confidence(completion: Completion, samples: int, votes: int) -> float | None:
    return completion.confidence if samples == 1 else votes / samples if votes else None


def gold_drg(note: Note, book: CodeBook) -> Drg | None:
    """The note's recorded DRG in the model's version; None when there is none or it is of another version."""
    if (note.drg_version or book.version) != book.version:
        return None
    if note.drg:
        return book.drgs.get(note.drg)
    return book.by_title(note.title) if note.title else None


@dataclass
class Summary:
    """What became of a file: rows in the output, of these with an error and taken over from a run that was interrupted;
    problems of the input (a row that gave no note has none in the output); whether the output is complete."""

    out: Path
    rows: int = 0
    failed: int = 0
    resumed: int = 0
    problems: int = 0
    complete: bool = False


def predict_file(
    source: str | Path,
    out: str | Path,
    engine: Engine,
    sampling: Sampling,
    columns: Mapping[str, str | None] | None = None,
    progress: Callable[[Scored | Problem], None] = lambda event: None,
    cancel: threading.Event | None = None,
    begun: Callable[[int], None] = lambda rows: None,
) -> Summary:
    """Predict the notes of a file into `out` (.jsonl or .parquet): one row for each row of the file, in its order, with the columns of `row`
    and `run`; one that holds no readable note has an error. Nothing is lost or done twice when the process is killed and the same job
    started again; a job that is complete is not done again. An engine that takes many notes at once gets the longest first. `begun` is told
    the number of rows taken over from before, `progress` each note scored and each problem of the input as it comes.

    Raises:
        NotesError: when the notes cannot be read.
        OutputError: when `out` cannot be written, or holds or is held by something else.
    """
    out = Path(out)
    run = fingerprint(source, engine.card, sampling, columns)
    if before := finished(out):
        if before[0] == run:
            return Summary(out, rows=before[1], resumed=before[1], complete=True)
        raise OutputError(f"{out} holds the predictions of another run; choose another name or delete it.")

    summary = Summary(out)
    with Part(out, run) as part:
        summary.rows = summary.resumed = part.rows
        begun(part.rows)
        places: deque[int] = deque()
        window = WINDOWS * engine.ahead if engine.ahead > 1 else 1

        def left() -> Iterator[Note | Problem]:
            for place, each in longest_first(_rows_of(source, columns, summary, progress), window):
                if place not in part:
                    places.append(place)
                    yield each

        for scored in score(left(), engine, sampling, cancel):
            made = row(scored.note, scored.completions, engine.card, scored.error) | {"run": run}
            part.append(made, places.popleft())
            summary.rows += 1
            summary.failed += scored.error is not None
            progress(scored)
        if not (cancel and cancel.is_set()):
            part.finish()
            summary.complete = True
    return summary


def _rows_of(
    source: str | Path, columns: Mapping[str, str | None] | None, summary: Summary, progress: Callable
) -> Iterator[Note | Problem]:
    """One item for each row of the file: its note, or the last problem of a row that gave none."""
    last = None
    for each in read_notes(source, columns, repeated=True):
        if isinstance(each, Note):
            yield each
            continue
        summary.problems += 1
        progress(each)
        if not each.kept and each.row is not None and each.row != last:
            last = each.row
            yield each


def fingerprint(
    source: str | Path, card: ModelCard, sampling: Sampling, columns: Mapping[str, str | None] | None
) -> str:
    """What tells one run from another: the bytes of the notes, the model and its files' dates, and the settings."""
    location = Path(card.location)
    if not card.location:  # a baseline has none, and an empty path would be the working folder
        files = []
    else:
        files = sorted(location.rglob("*")) if location.is_dir() else [location] if location.exists() else []
    dates = [(str(file), file.stat().st_mtime_ns) for file in files]
    try:
        with open(source, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise NotesError(f"{source} cannot be read ({error.strerror}); check its name.") from error
    job = [digest, asdict(card), dates, asdict(sampling), dict(columns or {})]
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:16]
