"""Predictions made elsewhere (train.evaluate, `sapphire predict --out`, any program's) into the database, with a report by row.

A file holds one row a completion, the rows of a note together. It needs `note_id` and `completion`; each DRG is read from the
completion by our own parser, whatever else the file says. What a row may tell besides: model, prompt, drg_version, forced, head,
confidence, raw_confidence, alternatives, tokens, seconds, error, run, credentialed, text_hash.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from sapphire.completions import parse
from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS, codebook
from sapphire.engines import Completion, ModelCard
from sapphire.importing import stored_note
from sapphire.notes import Problem
from sapphire.prompts import PROMPTS
from sapphire.rewards import FORCED, first_words
from sapphire.scoring import sample_rows
from sapphire.store import Store
from sapphire.store import notes as stored_notes
from sapphire.store import runs as stored_runs

BATCH = 200  # notes stored at once
TOGETHER = ("note_id", "run", "model", "prompt", "drg_version")  # equal in the samples of a note

Numbered = tuple[int, dict[str, Any]]  # a row and its number, from 1


class TakingInError(ValueError):
    """The file cannot be taken in as a whole; one sentence with a remedy."""


@dataclass
class Report:
    """What came of a file: `runs` it holds, `notes` and `predictions` stored now, notes that were there `already`, problems by row."""

    file: str
    runs: list[str] = field(default_factory=list)
    notes: int = 0
    predictions: int = 0
    already: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True)
class _Run:
    run_id: str
    model: str
    prompt: str
    drg_version: str


def take_in(
    store: Store,
    file: str | Path,
    author: str,
    model: str | None = None,
    prompt: str = "plain",
    progress: Callable[[int], None] = lambda rows: None,
) -> Report:
    """Append the predictions of `file` (.jsonl or .parquet) to the database; each run of it is recorded as finished.

    Done twice, nothing is stored twice: a run is told by its fingerprint (the column `run`, else the file's bytes), and notes
    that it has answered are left. So a file can be taken in again once missing notes are imported. A note that is unknown, was
    scored with other text, or is credentialed there and not here has its rows left out and reported.

    Args:
        model, prompt: of rows that do not tell theirs.
        progress: called with the number of rows read so far.

    Raises:
        TakingInError: when the file cannot be read or lacks a column.
        StoreError: when nothing more can be written; what was stored before stays, and the same call goes on.
    """
    file = Path(file)
    source, about = _open(file)
    report = Report(file.name)
    fallback = {"model": model, "prompt": prompt, "digest": _digest(file)}
    seen: set[tuple[_Run, str]] = set()
    answered: dict[_Run, set[str]] = {}
    stored: dict[_Run, list[str]] = {}
    groups = groupby(source, key=lambda numbered: [numbered[1].get(name) for name in TOGETHER])
    taken = (_read_group(key[0], list(rows), fallback, report, seen) for key, rows in groups)
    whole = (group for group in taken if group)
    try:
        while batch := list(islice(whole, BATCH)):
            _store_batch(store, batch, report, answered, stored)
            progress(batch[-1][1][-1][0])
    finally:
        for run, before in answered.items():
            _record(store, run, before, stored.get(run, []), author, about | {"file": file.name})
    report.runs = [run.run_id for run in answered]
    return report


def _read_group(
    note_id: Any, rows: list[Numbered], fallback: dict, report: Report, seen: set[tuple[_Run, str]]
) -> tuple[_Run, list[Numbered]] | None:
    """A note's rows with the run they belong to; None with a problem in the report."""
    number, first = rows[0]
    if isinstance(note_id, str) and note_id:
        run, fault = _run_of(first, fallback)
        fault = fault or next(filter(None, (_fault(row) for _, row in rows)), None)
        if fault is None and (run, note_id) in seen:
            fault = (f"Note {note_id} came before.", "Keep the rows of a note together.")
        if fault is None:
            seen.add((run, note_id))
            return run, rows
    else:
        fault = ("The row is no object with a note_id.", "Every row names the note it answers.")
    report.problems.append(Problem(report.file, number, *fault))
    return None


def _run_of(row: dict, fallback: dict) -> tuple[_Run | None, tuple[str, str] | None]:
    model, version = row.get("model") or fallback["model"], row.get("drg_version") or DEFAULT_VERSION
    prompt = row.get("prompt") or fallback["prompt"]
    if not isinstance(model, str):
        return None, ("The row names no model.", "Add a column model, or name it when you take the file in.")
    if version not in VERSIONS:
        return None, (f"{version!r} is no MS-DRG version of Sapphire's.", f"Those are {', '.join(VERSIONS)}.")
    if not isinstance(prompt, str):
        return None, ("The prompt is no text.", f"Write its name, such as {PROMPTS[0]}.")
    if isinstance(row.get("run"), str):
        return _Run(row["run"], model, prompt, version), None
    job = json.dumps([fallback["digest"], model, prompt, version])
    return _Run(hashlib.sha256(job.encode()).hexdigest()[:16], model, prompt, version), None


def _fault(row: dict) -> tuple[str, str] | None:
    if not isinstance(row.get("completion"), str) and not row.get("error"):
        return "The row has neither a completion nor an error.", "Write the model's raw text into completion."
    if unknown := set(row.get("forced") or ()) - set(FORCED):
        return (
            f"{', '.join(sorted(map(str, unknown)))} is nothing that a decoder is made to write.",
            f"Those are {', '.join(FORCED)}.",
        )
    return None


def _store_batch(
    store: Store,
    batch: Sequence[tuple[_Run, list[Numbered]]],
    report: Report,
    answered: dict[_Run, set[str]],
    stored: dict[_Run, list[str]],
) -> None:
    note_ids = sorted({rows[0][1]["note_id"] for _, rows in batch})
    known = stored_notes.notes(store, note_ids)
    events = []
    for run, rows in batch:
        if run not in answered:
            answered[run] = stored_runs.answered(store, run.run_id)
        note_id = rows[0][1]["note_id"]
        if note_id in answered[run]:
            report.already += 1
        elif fault := _unfit(known.get(note_id), rows):
            report.problems.append(Problem(report.file, rows[0][0], *fault, note_id=note_id))
        else:
            events += _events(run, known[note_id], [row for _, row in rows])
            stored.setdefault(run, []).append(note_id)
    store.append("prediction", events)
    report.predictions += len(events)
    report.notes += len({event["note_id"] for event in events})


def _unfit(note: dict | None, rows: Iterable[Numbered]) -> tuple[str, str] | None:
    if note is None:
        return "Its note is not in the database.", "Import the notes first, then take the file in again."
    if any(row.get("text_hash") not in (None, note["text_hash"]) for _, row in rows):
        return "Its note is stored here with other text.", "Import the notes that the model read."
    if any(row.get("credentialed") for _, row in rows) and not note["credentialed"]:
        return (
            "It quotes a credentialed note, and the one stored here is not marked so.",
            "Import the notes with their mark, so that it is kept.",
        )
    return None


def _events(run: _Run, note: dict, rows: Sequence[dict]) -> list[dict]:
    base = {"run_id": run.run_id, "note_id": note["note_id"], "model": run.model}
    base |= {"prompt": run.prompt, "drg_version": run.drg_version}
    answers = [row for row in rows if isinstance(row.get("completion"), str) and not row.get("error")]
    if not answers:
        failed = {"sample": 0, "chosen": True, "completion": "", "forced": [], "error": str(rows[0]["error"])}
        return [base | failed | {"prediction_id": str(uuid.uuid4())}]
    card = ModelCard(run.model, "", "", run.prompt, run.drg_version)
    made = sample_rows(stored_note(note), [_completion(row, run.drg_version) for row in answers], card)
    if len(made) == 1:  # the one row of a note may stand for several samples that the file leaves out
        made[0]["alternatives"] = answers[0].get("alternatives") or []
    return [base | row | {"prediction_id": str(uuid.uuid4())} for row in made]


def _completion(row: dict, version: str) -> Completion:
    text, head = row["completion"], row.get("head")
    if not isinstance(head, str):
        head = first_words(parse(text, codebook(version)).think)
    forced, seconds = tuple(row.get("forced") or ()), row.get("seconds") or 0.0
    return Completion(text, forced, head, row.get("tokens"), seconds, row.get("confidence"), row.get("raw_confidence"))


def _record(store: Store, run: _Run, before: set[str], stored: list[str], author: str, about: dict) -> None:
    """The run's events; once for all its notes, and again when some came later."""
    if not stored and stored_runs.recorded(store, run.run_id):
        return
    event = {"run_id": run.run_id, "model": run.model, "prompt": run.prompt, "drg_version": run.drg_version}
    event |= {"author": author, "message": f"taken in from {about['file']}"}
    started = {"kind": "started", "sampling": about, "note_ids": [*sorted(before), *stored]}
    store.append("run_event", [event | started, event | {"kind": "finished"}])


def _digest(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _open(file: Path) -> tuple[Iterator[Numbered], dict]:
    """The file's rows, numbered, and what it says of its run."""
    try:
        if file.suffix == ".jsonl":
            file.open("rb").close()
            return _jsonl_rows(file), {}
        if file.suffix != ".parquet":
            raise TakingInError(f"{file.name} must end in .jsonl or .parquet: predictions are taken in from these.")
        import pyarrow.parquet as pq

        table = pq.ParquetFile(file)
    except (OSError, ValueError) as error:
        if isinstance(error, TakingInError):
            raise
        raise TakingInError(
            f"{file.name} cannot be read ({type(error).__name__}); check its name, or make it anew."
        ) from error
    if missing := {"note_id", "completion"} - set(table.schema_arrow.names):
        raise TakingInError(
            f"{file.name} has no column {', '.join(sorted(missing))}; give a row a completion, with its note's id."
        )
    about = json.loads((table.schema_arrow.metadata or {}).get(b"about", b"{}"))
    return _parquet_rows(file.name, table), about


def _parquet_rows(name: str, table: Any) -> Iterator[Numbered]:
    try:
        rows = (row for batch in table.iter_batches(BATCH) for row in batch.to_pylist())
        yield from enumerate(rows, start=1)
    except (OSError, ValueError) as error:
        raise TakingInError(
            f"{name} breaks off ({type(error).__name__}); what came before is stored. Copy it anew."
        ) from error


def _jsonl_rows(file: Path) -> Iterator[Numbered]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield number, _object(line)


def _object(line: bytes) -> dict:
    """A line's JSON object; an empty one, which is reported as a row without a note, for anything else."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
