"""The rows of an evaluation: one a completion, in the columns that the app takes in, with what is right and what is true in it."""

from typing import Any

import pyarrow as pa

from sapphire.completions import Parsed, parse
from sapphire.drg.claims import Context, check, share_true
from sapphire.drg.claims import parse as lines_of
from sapphire.drg.codebook import Drg
from sapphire.engines import Completion, ModelCard
from sapphire.importing import text_hash
from sapphire.notes import Note
from sapphire.rewards import breakdown, outcome, total
from sapphire.scoring import Scored

_text, _number, _texts = pa.string(), pa.float64(), pa.list_(pa.string())
SCHEMA = pa.schema(
    [
        ("note_id", _text),
        ("subject_id", _text),
        ("model", _text),
        ("prompt", _text),
        ("drg_version", _text),
        ("sample", pa.int32()),
        ("drg", _text),
        ("title", _text),
        ("outcome", _text),
        ("format", _number),
        ("accuracy", _number),  # dense
        ("cot_first", _number),
        ("reward", _number),
        ("true_lines", _number),
        ("borne_out", _number),
        ("completion", _text),
        ("forced", _texts),
        ("head", _text),
        ("confidence", _number),
        ("raw_confidence", _number),  # before the model's calibration; null where it has none
        ("tokens", pa.int32()),
        ("seconds", _number),
        ("error", _text),
        ("gold_drg", _text),
        ("trap", _texts),
        ("words", pa.int32()),
        ("text_hash", _text),
        ("credentialed", pa.bool_()),
        ("run", _text),
    ]
)


def rows(scored: Scored, card: ModelCard, gold: Drg, run: str) -> list[dict[str, Any]]:
    """The rows of one note, by column of SCHEMA; of a note that the model could not answer, one with the error."""
    note = scored.note
    known = {
        "note_id": note.note_id,
        "subject_id": note.subject_id,
        "model": card.name,
        "prompt": card.prompt,
        "drg_version": card.drg_version,
        "gold_drg": gold.drg,
        "trap": list(note.trap),
        "words": len(note.text.split()),
        "text_hash": text_hash(note.text),
        "credentialed": note.credentialed,
        "run": run,
    }
    empty = dict.fromkeys(SCHEMA.names)
    if not scored.completions:
        return [empty | known | {"sample": 0, "forced": [], "error": scored.error}]
    return [empty | known | {"sample": i} | _row(each, note, gold) for i, each in enumerate(scored.completions)]


def _row(completion: Completion, note: Note, gold: Drg) -> dict[str, Any]:
    from sapphire.drg.codebook import codebook

    parsed = parse(completion.text, codebook(gold.version))
    terms = breakdown(parsed, gold, completion.forced, completion.head)
    return {
        "drg": parsed.drg and parsed.drg.drg,
        "title": parsed.drg and parsed.drg.title,
        "outcome": str(outcome(parsed.drg, gold)),
        **{term.name: term.value for term in terms},
        "reward": total(terms),
        "true_lines": true_lines(parsed, note),
        "borne_out": borne_out(parsed, note),
        "completion": completion.text,
        "forced": list(completion.forced),
        "head": completion.head,
        "confidence": completion.confidence,
        "raw_confidence": completion.raw_confidence,
        "tokens": completion.tokens,
        "seconds": completion.seconds,
    }


def true_lines(parsed: Parsed, note: Note) -> float | None:
    """The share of the reasoning's lines that are true by CMS's rules, the note and, where they are known, the stay's own codes
    (`drg.claims`); 0 without reasoning. Lines that follow no form of the grammar count as not true. None where the note has no age or
    sex, without which nothing groups, or when a code counts for a reason outside the grammar."""
    stay = frozenset(filter(None, (note.pdx, *note.sdx, *note.procedures))) if note.pdx else None
    return _share(parsed, note, stay)


def borne_out(parsed: Parsed, note: Note) -> float | None:
    """The same by CMS's rules and the note alone, as the app checks a reasoning: whether the stay has these codes is not asked."""
    return _share(parsed, note, None)


def _share(parsed: Parsed, note: Note, codes: frozenset[str] | None) -> float | None:
    if note.age is None or note.sex is None:
        return None
    context = Context(note.age, note.sex, note.discharge_status or 1, codes)
    try:
        return share_true(check(lines_of(parsed.think), note.text, parsed.book.version, context)) or 0.0
    except KeyError:  # claims.reason_of
        return None
