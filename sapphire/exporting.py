"""An export round: reviewed labels as training rows, and all chosen reviews as tables, recorded with counts and hashes."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sapphire.completions import compose, parse
from sapphire.drg.codebook import codebook
from sapphire.prompts import Case, messages
from sapphire.reviewing import DECISIONS
from sapphire.store import Store

# A cell that begins like this is run as a formula by spreadsheet programs (OWASP, CSV Injection).
FORMULA = ("=", "+", "-", "@", "\t", "\r")

README = """\
Sapphire export round {round}: {reviews} reviews of {cases} cases.

reviews.csv, reviews.parquet   every chosen review, a row each; note_hash is the SHA-256 of the note's text
labels.jsonl                   one row a case on whose DRG the chosen reviews agree: case_id, drg, title, drg_version, note_hash{text}
"""
TEXT_README = """
sft.jsonl                      prompt and completion in chat messages, for datasets.load_dataset("json") and TRL's SFTTrainer
grpo.jsonl                     prompt, case_id, drg, drg_version, for TRL's GRPOTrainer

These files hold note text or words quoted from it: keep them where the notes themselves may be.
"""


@dataclass(frozen=True)
class RoundFilters:
    """Which saved reviews count for a round; an empty field lets all count. `with_text` adds everything that quotes notes."""

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


def plan(store: Store, filters: RoundFilters) -> Round:
    """What a round with these filters holds, before anything is written."""
    reviews = [review for review in _saved(store) if _counts(review, filters)]
    cases: dict[str, list[dict]] = {}
    for review in reviews:
        cases.setdefault(review["note_id"], []).append(review)
    agreed = {
        note: rows[-1] for note, rows in cases.items() if len({row["drg"] for row in rows}) == 1 and rows[-1]["drg"]
    }
    labels = [_label(review) for review in agreed.values()]
    taught = {note: _best_reasoning(cases[note]) for note in agreed}
    sft = (
        [_sft_row(review, taught[note]) for note, review in agreed.items() if taught[note]] if filters.with_text else []
    )
    grpo = [_grpo_row(review) for review in agreed.values()] if filters.with_text else []
    counts = {
        "reviews": len(reviews),
        "cases": len(cases),
        "labels": len(labels),
        "left out, reviewers name different DRGs": sum(
            len({row["drg"] for row in rows}) > 1 for rows in cases.values()
        ),
        "left out, no DRG given": sum(all(not row["drg"] for row in rows) for rows in cases.values()),
    }
    if filters.with_text:
        counts |= {"SFT rows": len(sft), "SFT rows left out, no reasoning that is right": len(labels) - len(sft)}
    return Round(
        counts=counts, reviews=[_table_row(r, filters.with_text) for r in reviews], labels=labels, sft=sft, grpo=grpo
    )


def write_round(store: Store, filters: RoundFilters, author: str, folder: Path) -> dict:
    """Write the round's files into `folder/round-NNNN`, record it, and return its record: round, counts, files, path.

    The round's folder appears only when it is whole; files are readable by their owner alone.

    Raises:
        ValueError: when no review passes the filters.
        OSError: when the folder cannot be written.
    """
    planned = plan(store, filters)
    if not planned.reviews:
        raise ValueError("No saved review passes these filters; widen them or review some cases first.")
    number = store.read("SELECT coalesce(max(round), 0) + 1 AS n FROM export_event")[0]["n"]
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
    rows = store.read("SELECT * FROM export_event ORDER BY seq DESC")
    return [row | {name: json.loads(row[name]) for name in ("filters", "counts", "files")} for row in rows]


def reviewers(store: Store) -> list[str]:
    return [row["reviewer"] for row in store.read("SELECT DISTINCT reviewer FROM saved_review ORDER BY 1")]


def _saved(store: Store) -> list[dict]:
    return store.read(
        """
        SELECT r.*, p.model, p.prompt, p.completion, p.forced, p.drg AS predicted_drg, p.title AS predicted_title, p.confidence,
            n.text, n.age, n.sex, n.discharge_status, n.text_hash, n.course_start, n.course_end, n.drg AS recorded_drg, n.credentialed, n.source,
            epoch(r.recorded_at) - epoch(opened.at) AS seconds
        FROM saved_review r
        JOIN current_note n USING (note_id)
        LEFT JOIN prediction p ON p.prediction_id = r.prediction_id
        LEFT JOIN (
            SELECT note_id, reviewer, max(recorded_at) AS at FROM review_event WHERE kind = 'opened' GROUP BY ALL
        ) opened ON opened.note_id = r.note_id AND opened.reviewer = r.reviewer AND opened.at <= r.recorded_at
        ORDER BY r.seq
        """
    )


def _counts(review: dict, filters: RoundFilters) -> bool:
    return (
        (not filters.decisions or review["decision"] in filters.decisions)
        and (not filters.reviewers or review["reviewer"] in filters.reviewers)
        and (not filters.models or review["model"] in filters.models)
        and (review["helpfulness"] or 5) >= filters.min_helpfulness
        and (review["accuracy"] or 5) >= filters.min_accuracy
    )


def _best_reasoning(reviews: Sequence[dict]) -> str:
    """The newest corrected reasoning; else the model's own where a reviewer found its DRG right and no step wrong."""
    for review in reversed(reviews):
        if review["reasoning"].strip():
            return review["reasoning"].strip()
    for review in reversed(reviews):
        if review["drg_right"] and set(review["step_verdicts"]) <= {"", "right"} and review["completion"]:
            return parse(review["completion"], codebook(review["drg_version"])).think.strip()
    return ""


def _prompt(review: dict) -> list[dict]:
    text = review["text"][review["course_start"] : review["course_end"]] if review["course_end"] else review["text"]
    case = Case(text, review["age"], review["sex"], review["discharge_status"])
    return messages(case, review["prompt"] or "plain", review["drg_version"])


def _sft_row(review: dict, reasoning: str) -> dict:
    title = codebook(review["drg_version"]).drgs[review["drg"]].title.upper()
    completion = [{"role": "assistant", "content": compose(reasoning, title)}]
    return {"prompt": _prompt(review), "completion": completion, "case_id": review["note_id"]}


def _grpo_row(review: dict) -> dict:
    return {
        "prompt": _prompt(review),
        "case_id": review["note_id"],
        "drg": review["drg"],
        "drg_version": review["drg_version"],
    }


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

    text = README.format(
        round=number,
        reviews=planned.counts["reviews"],
        cases=planned.counts["cases"],
        text=TEXT_README if filters.with_text else "\nNo note text is inside.",
    )
    with _private(folder / "README.txt") as out:
        out.write(text.encode())
    with _private(folder / "reviews.parquet") as out:
        pq.write_table(pa.Table.from_pylist(planned.reviews), out)
    with _private(folder / "reviews.csv") as out:
        out.write(csv_table(planned.reviews).encode())
    _write_jsonl(folder / "labels.jsonl", planned.labels)
    if filters.with_text:
        _write_jsonl(folder / "sft.jsonl", planned.sft)
        _write_jsonl(folder / "grpo.jsonl", planned.grpo)


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
