"""Blind votes: which of two answers to a note is better, asked without saying whose they are.

Pairs are drawn for one reader at a time (`balloting.py`) and stored with their sides before they are shown, so that a reload
changes nothing. What a page is given of an open pair holds no name, speed or confidence;
`reveal` gives them once the reader has voted.
"""

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random, SystemRandom

from sapphire.balloting import Ballot, draw
from sapphire.completions import parse
from sapphire.drg.codebook import Drg, codebook
from sapphire.importing import stored_note
from sapphire.preferences import BOTH_BAD, LEFT, RIGHT, TIE, VERDICTS, Vote
from sapphire.profiles import Profile
from sapphire.scoring import gold_drg
from sapphire.sights import record_sight
from sapphire.store import Store
from sapphire.store import notes as stored_notes
from sapphire.store import predictions as stored_predictions
from sapphire.store import votes as stored
from sapphire.store.comparisons import Comparisons

VERDICT_WORDS = {LEFT: "A is better", RIGHT: "B is better", TIE: "Tie", BOTH_BAD: "Both bad"}
REASONS = {
    "principal": "Principal diagnosis",
    "severity": "CC and MCC",
    "evidence": "Evidence from the note",
    "rules": "DRG rules",
    "invented": "Invented facts in the other",
    "clear": "Easier to follow",
}


@dataclass(frozen=True)
class Answer:
    """One side of a pair as it is read blind. `text` is what stands in place of a DRG when the answer is none."""

    drg: Drg | None
    text: str
    steps: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """A note with two answers. `state` is drawn, draft, voted, skipped or withdrawn; `note` holds its text and what of it the
    models read, not its recorded DRG."""

    pair_id: str
    ballot_id: str
    note: dict
    left: Answer
    right: Answer
    state: str
    verdict: str | None
    reasons: tuple[str, ...]
    comment: str


@dataclass(frozen=True)
class Revealed:
    """What stood on the sides: runs, and the predictions as stored; `gold` is the note's recorded DRG of their version."""

    left_run: str
    right_run: str
    left: dict
    right: dict
    gold: Drg | None


def next_pair(
    store: Store, comparisons: Comparisons, ballot: Ballot, reader: Profile, random: Random | None = None
) -> Pair | None:
    """The pair this reader has open, else a new one, drawn and stored; None when the reader has judged all there are."""
    mine = stored.pairs_of(store, ballot.ballot_id, reader.name)
    for row in mine:
        if row["state"] in ("drawn", "draft"):
            if pair := _pair(store, row):
                return pair
            _say(store, row, reader, "skipped")  # its note was withdrawn meanwhile
    drawn = draw(store, comparisons, ballot, mine, random or SystemRandom())
    if drawn is None:
        return None
    event = drawn | {
        "pair_id": str(uuid.uuid4()),
        "ballot_id": ballot.ballot_id,
        "reader": reader.name,
        "role": reader.role,
    }
    store.append("vote_event", [event | {"kind": "drawn"}])
    record_sight(store, reader, event["note_id"], [event["left_prediction"], event["right_prediction"]])
    return open_pair(store, event["pair_id"])


def open_pair(store: Store, pair_id: str) -> Pair:
    """A pair as it stands. KeyError when there is none, or its note was withdrawn."""
    row = stored.pair(store, pair_id)
    pair = _pair(store, row) if row else None
    if pair is None:
        raise KeyError(pair_id)
    return pair


def _pair(store: Store, row: dict) -> Pair | None:
    note = stored_notes.note(store, row["note_id"])
    if note is None:
        return None
    shown = {name: note[name] for name in ("note_id", "text", "course_start", "course_end", "words", "age", "sex")}
    left, right = (
        _answer(stored_predictions.prediction(store, row["note_id"], row[side]))
        for side in ("left_prediction", "right_prediction")
    )
    return Pair(
        row["pair_id"], row["ballot_id"], shown, left, right, row["state"], row["verdict"], tuple(row["reasons"] or ()), row["comment"] or ""
    )  # fmt: skip


def _answer(prediction: dict) -> Answer:
    book = codebook(prediction["drg_version"])
    parsed = parse(prediction["completion"], book)
    return Answer(book.drgs.get(prediction["drg"] or ""), parsed.answer, parsed.steps)


def reveal(store: Store, pair_id: str) -> Revealed:
    """Whose answers they were.

    Raises:
        ValueError: while the pair is open: then its reader must not know.
    """
    row = stored.pair(store, pair_id)
    if row["state"] in ("drawn", "draft"):
        raise ValueError("The names are shown after the vote.")
    left, right = (
        stored_predictions.prediction(store, row["note_id"], row[side])
        for side in ("left_prediction", "right_prediction")
    )
    note = stored_notes.note(store, row["note_id"])
    gold = gold_drg(stored_note(note), codebook(left["drg_version"])) if note else None
    return Revealed(row["left_run"], row["right_run"], left, right, gold)


def draft(store: Store, pair: Pair, reader: Profile, verdict: str | None, reasons: Sequence[str], comment: str) -> None:
    """Keep what the reader has chosen so far; on return it is on disk."""
    _open_row(store, pair)
    said = {"verdict": verdict, "reasons": list(reasons), "comment": comment}
    _say(store, {"pair_id": pair.pair_id, "ballot_id": pair.ballot_id}, reader, "draft", said)


def vote(store: Store, pair: Pair, reader: Profile) -> None:
    """Make what is stored of the pair the reader's vote.

    Raises:
        ValueError: without a verdict, or when the pair is open no more.
    """
    row = _open_row(store, pair)
    if row["verdict"] not in VERDICTS:
        raise ValueError("Say first which answer is better, or that they tie or are both bad.")
    said = {name: row[name] for name in ("verdict", "reasons", "comment")}
    _say(store, row, reader, "voted", said)


def skip(store: Store, pair: Pair, reader: Profile) -> None:
    """Leave the pair without a vote; this reader does not get it again."""
    _say(store, _open_row(store, pair), reader, "skipped")


def voted(store: Store, ballot: Ballot, reader: Profile) -> int:
    """How many votes of this reader are in force."""
    return sum(row["state"] == "voted" for row in stored.pairs_of(store, ballot.ballot_id, reader.name))


def last_vote(store: Store, ballot: Ballot, reader: Profile) -> str | None:
    """The pair this reader voted on last, if that vote is in force."""
    said = [
        row for row in stored.pairs_of(store, ballot.ballot_id, reader.name) if row["state"] in ("voted", "withdrawn")
    ]
    newest = max(said, key=lambda row: row["state_seq"], default=None)
    return newest["pair_id"] if newest and newest["state"] == "voted" else None


def withdraw(store: Store, pair_id: str, reader: Profile) -> None:
    """Take a vote back: it counts no more, and since its names may have been seen the pair does not come again.

    Raises:
        ValueError: when there is no such vote of this reader.
    """
    row = stored.pair(store, pair_id)
    if row is None or row["state"] != "voted" or row["reader"] != reader.name:
        raise ValueError("There is no vote of yours to withdraw.")
    _say(store, row, reader, "withdrawn", {name: row[name] for name in ("verdict", "reasons", "comment")})


def _open_row(store: Store, pair: Pair) -> dict:
    row = stored.pair(store, pair.pair_id)
    if row["state"] not in ("drawn", "draft"):
        raise ValueError("This pair was voted on or skipped meanwhile, perhaps in another window.")
    return row


def _say(store: Store, row: dict, reader: Profile, kind: str, said: dict | None = None) -> None:
    about = {"pair_id": row["pair_id"], "ballot_id": row["ballot_id"], "reader": reader.name, "role": reader.role}
    store.append("vote_event", [about | {"kind": kind} | (said or {})])


def votes(store: Store, ballot: Ballot) -> list[Vote]:
    """The votes in force, in the order given."""
    return [_vote(row) for row in stored.votes(store, ballot.ballot_id)]


def _vote(row: dict) -> Vote:
    # A patient's stays are not independent; without a patient's id the note stands for one.
    cluster = row["subject_id"] or row["note_id"]
    return Vote(
        row["pair_id"], row["left_run"], row["right_run"], row["verdict"], row["reader"], row["note_id"], cluster, row["repeat_of"], row["seconds"]
    )  # fmt: skip


def reasons(store: Store, ballot: Ballot) -> Counter[str]:
    """How often each reason was given, repeats included."""
    return Counter(reason for row in stored.votes(store, ballot.ballot_id) for reason in row["reasons"] or ())
