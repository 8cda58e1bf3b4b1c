"""Ballots: which runs stand against each other in blind votes, and the next pair that a reader is given.

The side of each run is drawn at random; a share of the pairs comes again with its sides swapped, some votes later, which the
reader is not told. The order of the notes is the ballot's own, so that readers meet on the same pairs and can be compared.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from random import Random

from sapphire.store import Store
from sapphire.store import votes as stored
from sapphire.store.comparisons import MAX_RUNS, Comparisons

POOLS = {
    "any": "All notes",
    "different DRG": "Only where the two DRGs differ",
    "same DRG": "Only where the DRG is the same: the reasoning decides",
}
REPEATS = 0.1  # share of pairs that come again, unless a ballot says otherwise
GAP = 5  # votes that lie at least between a pair and its repeat
LOOK = 2  # notes looked at first for two answers that are not the same text; then twice as many, and so on


@dataclass(frozen=True)
class Ballot:
    """Which runs stand against each other, over which notes, and how often a pair is shown again with its sides swapped."""

    ballot_id: str
    name: str
    author: str
    run_ids: tuple[str, ...]
    pool: str
    repeats: float
    open: bool
    opened: datetime
    votes: int
    readers: int


def open_ballot(
    store: Store,
    comparisons: Comparisons,
    name: str,
    run_ids: Sequence[str],
    author: str,
    pool: str = "any",
    repeats: float = REPEATS,
) -> str:
    """Open a ballot; returns its id.

    Raises:
        ValueError: when it could not be voted on, or its name would tell what is blind; the message says what to change.
    """
    if not 2 <= len(set(run_ids)) == len(run_ids) <= MAX_RUNS:
        raise ValueError(f"Choose two to {MAX_RUNS} different runs.")
    if not name.strip():
        raise ValueError("Give the ballot a name.")
    runs = {row["run_id"]: row for row in comparisons.runs()}
    models = {runs[run_id]["model"] for run_id in run_ids}
    if told := next((model for model in models if model.casefold() in name.casefold()), None):
        raise ValueError(f"The name is shown while voting, so it must not name {told}.")
    if not comparisons.coverage(run_ids)["shared"]:
        raise ValueError("These runs have no note in common; run one of them on the other's notes.")
    ballot_id = str(uuid.uuid4())
    event = {"name": name.strip(), "run_ids": list(run_ids), "pool": pool, "repeats": repeats}
    store.append("ballot_event", [{"ballot_id": ballot_id, "kind": "opened", "author": author} | event])
    return ballot_id


def close_ballot(store: Store, ballot: Ballot, author: str, reopen: bool = False) -> None:
    """No more pairs are drawn; its votes stay. Or draw again."""
    kind = "reopened" if reopen else "closed"
    store.append("ballot_event", [{"ballot_id": ballot.ballot_id, "kind": kind, "author": author}])


def ballots(store: Store) -> list[Ballot]:
    """Every ballot, the newest first."""
    return [
        Ballot(
            row["ballot_id"], row["name"], row["author"], tuple(row["run_ids"]), row["pool"], row["repeats"], row["open"],
            row["recorded_at"], row["votes"], row["readers"],
        )
        for row in stored.ballots(store)
    ]  # fmt: skip


def draw(store: Store, comparisons: Comparisons, ballot: Ballot, mine: list[dict], random: Random) -> dict | None:
    """The next pair for the reader whose pairs so far are `mine`, as columns of a vote event; None when there is none left."""
    return _repeat(mine, ballot, random) or _fresh(store, comparisons, ballot, mine, random)


def _repeat(mine: list[dict], ballot: Ballot, random: Random) -> dict | None:
    """An earlier vote to ask again with its sides swapped, or None when it is no turn for that."""
    repeated = {row["repeat_of"] for row in mine}
    due = [
        row
        for row in mine[:-GAP]
        if row["state"] == "voted" and not row["repeat_of"] and row["pair_id"] not in repeated
    ]
    if not due or random.random() >= ballot.repeats:
        return None
    first = random.choice(due)
    return {
        "note_id": first["note_id"],
        "left_run": first["right_run"],
        "right_run": first["left_run"],
        "left_prediction": first["right_prediction"],
        "right_prediction": first["left_prediction"],
        "repeat_of": first["pair_id"],
    }


def _fresh(store: Store, comparisons: Comparisons, ballot: Ballot, mine: list[dict], random: Random) -> dict | None:
    """A pair of answers this reader has not seen: of the two runs that they have compared least, the next note where the answers
    are not the same text."""
    seen: dict[frozenset, list[str]] = {}
    for row in mine:
        if not row["repeat_of"]:
            seen.setdefault(frozenset((row["left_run"], row["right_run"])), []).append(row["note_id"])
    duels = [(i, j) for i, j in combinations(range(len(ballot.run_ids)), 2)]
    random.shuffle(duels)
    duels.sort(key=lambda duel: len(seen.get(frozenset(ballot.run_ids[i] for i in duel), ())))
    for duel in duels:
        runs = tuple(ballot.run_ids[i] for i in duel)
        if found := _unlike(store, comparisons, ballot, duel, seen.get(frozenset(runs), [])):
            sides = list(found)
            random.shuffle(sides)
            return {
                "note_id": sides[0]["note_id"],
                "left_run": sides[0]["run_id"],
                "right_run": sides[1]["run_id"],
                "left_prediction": sides[0]["prediction_id"],
                "right_prediction": sides[1]["prediction_id"],
            }
    return None


def _unlike(
    store: Store, comparisons: Comparisons, ballot: Ballot, duel: tuple[int, int], seen: list[str]
) -> list[dict] | None:
    """The answers of both runs to the next note, passing over notes where they are the same text."""
    passed, look = list(seen), LOOK
    while notes := comparisons.drawn(ballot.run_ids, duel, ballot.pool, passed, ballot.ballot_id, look):
        answers = stored.answers_numbered(store, [seq for _, *both in notes for seq in both])
        for _, *seqs in notes:
            one, other = (answers[seq] for seq in seqs)
            if one["completion"].strip() != other["completion"].strip():
                return [one, other]
        passed, look = passed + [note for note, *_ in notes], 2 * look
    return None
