"""An export round: reviews and blind votes as training rows and as tables, recorded with counts and hashes."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from sapphire.drg.codebook import codebook
from sapphire.reviewing import DECISIONS
from sapphire.store import Store
from sapphire.store import exports as stored_exports
from sapphire.store import reviews as stored_reviews
from sapphire.store import votes as stored_votes
from sapphire.training_rows import best_reasoning, grpo_row, preferences, sft_row, step_row, winner

# A cell that begins like this is run as a formula by spreadsheet programs (OWASP, CSV Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")

# What a round may hold, in the order its README tells of it; the files after LABELS hold note text.
FILES = {
    "reviews.csv": "every chosen review, a row each; note_hash is the SHA-256 of the note's text",
    "reviews.parquet": "the same, with types",
    "votes.csv": "every blind vote, a row each: what stood on which side, and which was preferred",
    "labels.jsonl": "one row a case on whose DRG the chosen reviews agree: case_id, drg, title, drg_version, note_hash",
    "sft.jsonl": 'prompt and completion in chat messages, for datasets.load_dataset("json") and TRL\'s SFTTrainer',
    "grpo.jsonl": "prompt, case_id, drg, drg_version, for TRL's GRPOTrainer",
    "dpo.jsonl": "prompt, chosen and rejected in chat messages, where blind votes agree, for TRL's DPOTrainer",
    "steps.jsonl": "prompt, steps of a reasoning, and reviewers' labels of them: 1 right, -1 wrong or not in the note, 0 not judged",
}
TEXT_WARNING = "These files hold note text or words quoted from it: keep them where the notes themselves may be.\n"


@dataclass(frozen=True)
class RoundFilters:
    """Which saved reviews and votes count for a round; an empty field lets all count. `with_text` adds everything that quotes notes.

    `reviewers` are also those of the votes; of the two models of a vote one must be of `models`.
    """

    decisions: tuple[str, ...] = ("accept", "change")
    reviewers: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    min_helpfulness: int = 1
    min_accuracy: int = 1
    with_text: bool = False


@dataclass(frozen=True)
class Round:
    """A round as it stands or would stand: `counts` name → number in reading order; `rows` of each file."""

    counts: dict[str, int]
    reviews: list[dict]
    labels: list[dict]
    sft: list[dict]
    grpo: list[dict]
    votes: list[dict]
    dpo: list[dict]
    steps: list[dict]

    @property
    def empty(self) -> bool:
        return not self.reviews and not self.votes


def plan(store: Store, filters: RoundFilters) -> Round:
    """What a round with these filters holds, before anything is written."""
    reviews = [review for review in stored_reviews.exported(store) if _counts(review, filters)]
    cases: dict[str, list[dict]] = {}
    for review in reviews:
        cases.setdefault(review["note_id"], []).append(review)
    agreed = {
        note: rows[-1] for note, rows in cases.items() if len({row["drg"] for row in rows}) == 1 and rows[-1]["drg"]
    }
    labels = [_label(review) for review in agreed.values()]
    taught = {note: best_reasoning(cases[note]) for note in agreed}
    sft = (
        [sft_row(review, taught[note]) for note, review in agreed.items() if taught[note]] if filters.with_text else []
    )
    grpo = [grpo_row(review) for review in agreed.values()] if filters.with_text else []
    counts = {
        "reviews": len(reviews),
        "cases": len(cases),
        "labels": len(labels),
        "left out, reviewers name different DRGs": sum(
            len({row["drg"] for row in rows}) > 1 for rows in cases.values()
        ),
        "left out, no DRG given": sum(all(not row["drg"] for row in rows) for rows in cases.values()),
    }
    steps = [row for review in reviews if (row := step_row(review))] if filters.with_text else []
    if filters.with_text:
        counts |= {"SFT rows": len(sft), "SFT rows left out, no reasoning that is right": len(labels) - len(sft)}
        counts |= {"step rows": len(steps)} if steps else {}
    votes = [vote for vote in stored_votes.exported(store) if _vote_counts(vote, filters)]
    dpo, left_out = preferences(votes)
    if votes:
        counts |= {"votes": len(votes), "DPO pairs": len(dpo)} | left_out
    return Round(
        counts=counts,
        reviews=[_table_row(review, filters.with_text) for review in reviews],
        labels=labels,
        sft=sft,
        grpo=grpo,
        votes=[_vote_row(vote, filters.with_text) for vote in votes],
        dpo=dpo if filters.with_text else [],
        steps=steps,
    )


def write_round(store: Store, filters: RoundFilters, author: str, folder: Path) -> dict:
    """Write the round's files into `folder/round-NNNN`, record it, and return its record: round, counts, files, path.

    The round's folder appears only when it is whole; files are readable by their owner alone.

    Raises:
        ValueError: when no review or vote passes the filters.
        OSError: when the folder cannot be written.
    """
    planned = plan(store, filters)
    if planned.empty:
        raise ValueError("No saved review or vote passes these filters; widen them or review some cases first.")
    number = stored_exports.next_round(store)
    target = Path(folder) / f"round-{number:04d}"
    part = target.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True, mode=0o700)
    _write_files(part, planned, filters, number)
    files = {path.name: {"sha256": _sha256(path), "bytes": path.stat().st_size} for path in sorted(part.iterdir())}
    part.rename(target)
    record = {
        "round": number,
        "author": author,
        "filters": asdict(filters),
        "counts": planned.counts,
        "files": files,
        "with_text": filters.with_text,
    }
    store.append("export_event", [record])
    return record | {"path": target}


def rounds(store: Store) -> list[dict]:
    """Past rounds, newest first, with their JSON columns read."""
    return [
        row | {name: json.loads(row[name]) for name in ("filters", "counts", "files")}
        for row in stored_exports.rounds(store)
    ]


def reviewers(store: Store) -> list[str]:
    """Everyone who saved a review or voted."""
    return sorted({*stored_reviews.reviewers(store), *stored_votes.readers(store)})


def _counts(review: dict, filters: RoundFilters) -> bool:
    return (
        (not filters.decisions or review["decision"] in filters.decisions)
        and (not filters.reviewers or review["reviewer"] in filters.reviewers)
        and (not filters.models or review["model"] in filters.models)
        and (review["helpfulness"] or 5) >= filters.min_helpfulness
        and (review["accuracy"] or 5) >= filters.min_accuracy
    )


def _vote_counts(vote: dict, filters: RoundFilters) -> bool:
    models = {vote["left"]["model"], vote["right"]["model"]}
    return (not filters.reviewers or vote["reader"] in filters.reviewers) and (
        not filters.models or bool(models & set(filters.models))
    )


def _vote_row(vote: dict, with_text: bool) -> dict:
    names = (
        "note_id",
        "text_hash",
        "ballot",
        "reader",
        "role",
        "recorded_at",
        "pair_id",
        "repeat_of",
        "verdict",
        "reasons",
    )
    row = {name: vote[name] for name in names} | {"note_hash": vote["text_hash"]}
    del row["text_hash"]
    for side in ("left", "right"):
        said = {name: vote[side][name] for name in ("model", "prompt", "drg_version", "drg", "prediction_id")}
        row |= {f"{side}_{name}": value for name, value in said.items()} | {f"{side}_run": vote[f"{side}_run"]}
    row |= {"preferred": winner(vote), "credentialed": vote["credentialed"]}
    return row | ({"comment": vote["comment"]} if with_text else {})


def _label(review: dict) -> dict:
    title = codebook(review["drg_version"]).drgs[review["drg"]].title
    return {
        "case_id": review["note_id"],
        "drg": review["drg"],
        "title": title,
        "drg_version": review["drg_version"],
        "note_hash": review["text_hash"],
        "credentialed": review["credentialed"],
    }


def _table_row(review: dict, with_text: bool) -> dict:
    names = (
        "note_id", "text_hash", "reviewer", "role", "recorded_at", "model", "drg_version", "predicted_drg", "predicted_title",
        "confidence", "prior_drg", "drg_right", "drg", "decision", "recorded_drg", "helpfulness", "accuracy", "step_verdicts",
        "error_category", "seconds", "credentialed",
    )  # fmt: skip
    row = {name: review[name] for name in names} | {"decision_words": DECISIONS.get(review["decision"], "")}
    row["note_hash"] = row.pop("text_hash")
    # A reviewer's own words may quote the note.
    return row | ({name: review[name] for name in ("reasoning", "comment", "completion")} if with_text else {})


def _write_files(folder: Path, planned: Round, filters: RoundFilters, number: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = {"labels.jsonl": planned.labels}
    if filters.with_text:
        tables |= {"sft.jsonl": planned.sft, "grpo.jsonl": planned.grpo}
        tables |= {"dpo.jsonl": planned.dpo, "steps.jsonl": planned.steps}
    if planned.reviews:
        with _private(folder / "reviews.parquet") as out:
            pq.write_table(pa.Table.from_pylist(planned.reviews), out)
        with _private(folder / "reviews.csv") as out:
            out.write(csv_table(planned.reviews).encode())
    if planned.votes:
        with _private(folder / "votes.csv") as out:
            out.write(csv_table(planned.votes).encode())
    for name, rows in tables.items():
        if rows:
            _write_jsonl(folder / name, rows)
    written = {path.name for path in folder.iterdir()}
    about = "\n".join(f"{name:<18} {words}" for name, words in FILES.items() if name in written)
    counts = planned.counts
    title = f"Sapphire export round {number}: {counts['reviews']} reviews of {counts['cases']} cases, {counts.get('votes', 0)} votes."
    warning = TEXT_WARNING if filters.with_text else "No note text is inside.\n"
    with _private(folder / "README.txt") as out:
        out.write(f"{title}\n\n{about}\n\n{warning}".encode())


def csv_table(rows: list[dict]) -> str:
    """Rows of the same columns as CSV that no spreadsheet runs as a formula; "" without rows."""
    import csv
    import io

    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows({name: harmless(_cell(value)) for name, value in row.items()} for row in rows)
    return out.getvalue()


def _cell(value: object) -> str:
    if value is None:
        return ""
    return "; ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def harmless(cell: str) -> str:
    """`cell` so that no spreadsheet runs it: an apostrophe before what begins like a formula. Numbers stay numbers."""
    if not cell.startswith(FORMULA):
        return cell
    try:
        float(cell)
    except ValueError:
        return "'" + cell
    return cell


def _write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    with _private(path) as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _private(path: Path):
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
