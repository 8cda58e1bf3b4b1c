"""Blind votes over a real database: what is drawn, what is hidden, what counts, and what can be taken back."""

import random
from collections import Counter
from dataclasses import asdict

import pytest

from sapphire.balloting import GAP, ballots, close_ballot, open_ballot
from sapphire.profiles import Profile
from sapphire.sights import seen, seen_notes
from sapphire.store import open_store
from sapphire.store.comparisons import Comparisons
from sapphire.voting import draft, last_vote, next_pair, open_pair, reveal, skip, vote, votes, withdraw
from tests.stays import stored_note
from tests.test_comparing import said

ANA, BO = Profile("ana", "coder"), Profile("bo", "physician")
NOTES = 12


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    store.append("note", [stored_note(f"n{i:02}", drg="291") for i in range(NOTES)])
    answers = [
        said(f"n{i:02}", run, drg, think=f"Reasoning of run {place}.", confidence=0.987, seconds=12.34)
        for i in range(NOTES)
        for place, (run, drg) in enumerate((("run-a", "291"), ("run-b", "292" if i % 2 else "291"), ("run-c", "280")))
    ]
    store.append("prediction", answers)
    yield store
    store.close()


@pytest.fixture
def comparisons(store):
    return Comparisons(store)


def ballot(store, comparisons, runs=("run-a", "run-b"), **rules):
    open_ballot(store, comparisons, "Ballot", runs, "ana", **{"repeats": 0.0} | rules)
    return ballots(store)[0]


def judge(store, pair, reader=ANA, verdict="left", reasons=(), comment=""):
    draft(store, pair, reader, verdict, reasons, comment)
    vote(store, pair, reader)


def judge_all(store, comparisons, chosen, reader=ANA, verdict="left", rng=None) -> list:
    found = []
    while pair := next_pair(store, comparisons, chosen, reader, rng):
        judge(store, pair, reader, verdict)
        found.append(pair)
        assert len(found) <= 100
    return found


def test_a_pair_is_a_sight_of_both_its_answers(store, comparisons):
    pair = next_pair(store, comparisons, ballot(store, comparisons), ANA)
    assert (
        seen(store, "ana", [pair.note["note_id"], "other"]) == {pair.note["note_id"]} == set(seen_notes(store, "ana"))
    )
    looks = store.read("SELECT DISTINCT prediction_id, prior_drg FROM review_event WHERE kind = 'revealed'")
    assert len(looks) == 2 and not any(look["prior_drg"] for look in looks)
    assert seen(store, "bo", [pair.note["note_id"]]) == set()


def test_every_pair_is_drawn_once_and_its_sides_at_random(store, comparisons):
    chosen = ballot(store, comparisons)
    pairs = judge_all(store, comparisons, chosen, rng=random.Random(1))
    assert sorted(pair.note["note_id"] for pair in pairs) == [f"n{i:02}" for i in range(NOTES)]
    left = Counter(each.left for each in votes(store, chosen))
    assert set(left) == {"run-a", "run-b"}
    assert ballots(store)[0].votes == NOTES


def test_an_open_pair_stays_as_it_was_drawn_with_what_was_said_so_far(store, comparisons):
    chosen = ballot(store, comparisons)
    pair = next_pair(store, comparisons, chosen, ANA)
    draft(store, pair, ANA, "right", ["severity"], "half a sent")
    again = next_pair(store, comparisons, chosen, ANA)
    assert (again.pair_id, again.left, again.right) == (pair.pair_id, pair.left, pair.right)
    assert (again.verdict, again.reasons, again.comment) == ("right", ("severity",), "half a sent")
    assert votes(store, chosen) == []


def test_nothing_of_an_open_pair_tells_whose_it_is(store, comparisons):
    pair = next_pair(store, comparisons, ballot(store, comparisons), ANA)
    told = repr(asdict(pair))
    for secret in ("run-a", "run-b", "model-", "0.987", "12.34", "'drg': '291', 'drg_version'"):
        assert secret not in told
    assert "drg" not in pair.note
    with pytest.raises(ValueError, match="after the vote"):
        reveal(store, pair.pair_id)
    judge(store, pair)
    revealed = reveal(store, pair.pair_id)
    assert {revealed.left_run, revealed.right_run} == {"run-a", "run-b"}
    assert revealed.gold.drg == "291"


def test_readers_meet_on_the_same_notes_and_do_not_see_each_others_votes(store, comparisons):
    chosen = ballot(store, comparisons)
    judge(store, mine := next_pair(store, comparisons, chosen, ANA), ANA, "tie")
    theirs = next_pair(store, comparisons, chosen, BO)
    assert theirs.note["note_id"] == mine.note["note_id"]
    assert (theirs.state, theirs.verdict) == ("drawn", None)


def test_pools_choose_notes_by_whether_the_drgs_differ(store, comparisons):
    odd = [f"n{i:02}" for i in range(1, NOTES, 2)]
    differing = judge_all(store, comparisons, ballot(store, comparisons, pool="different DRG"))
    assert sorted(pair.note["note_id"] for pair in differing) == odd
    same = judge_all(store, comparisons, ballot(store, comparisons, pool="same DRG"))
    assert sorted({pair.note["note_id"] for pair in same} | set(odd)) == [f"n{i:02}" for i in range(NOTES)]


def test_two_answers_of_the_same_text_are_no_pair(store, comparisons):
    store.append(
        "prediction", [said(f"n{i:02}", run, "291", think="The same.") for run in ("d", "e") for i in range(NOTES)]
    )
    assert next_pair(store, comparisons, ballot(store, comparisons, ("d", "e")), ANA) is None


def test_of_three_runs_every_two_are_compared_equally_often(store, comparisons):
    chosen = ballot(store, comparisons, ("run-a", "run-b", "run-c"))
    for _ in range(9):
        judge(store, next_pair(store, comparisons, chosen, ANA))
    duels = Counter(frozenset((each.left, each.right)) for each in votes(store, chosen))
    assert sorted(duels.values()) == [3, 3, 3]


def test_repeats_come_later_with_their_sides_swapped_and_only_once(store, comparisons):
    chosen = ballot(store, comparisons, repeats=1.0)
    pairs = judge_all(store, comparisons, chosen)
    found = votes(store, chosen)
    order = [each.pair_id for each in found]
    repeats = [each for each in found if each.repeat_of]
    assert len({each.repeat_of for each in repeats}) == len(repeats) > 3
    for each in repeats:
        first = next(other for other in found if other.pair_id == each.repeat_of)
        assert (first.left, first.right, first.note_id) == (each.right, each.left, each.note_id)
        assert order.index(each.pair_id) - order.index(first.pair_id) > GAP - 1
    assert len(pairs) == NOTES + len(repeats)
    assert not any(hasattr(pair, "repeat_of") for pair in pairs)


def test_a_vote_needs_a_verdict_and_is_given_once(store, comparisons):
    chosen = ballot(store, comparisons)
    pair = next_pair(store, comparisons, chosen, ANA)
    with pytest.raises(ValueError, match="Say first which answer is better"):
        vote(store, pair, ANA)
    judge(store, pair)
    with pytest.raises(ValueError, match="in another window"):
        judge(store, pair, verdict="right")
    assert [each.verdict for each in votes(store, chosen)] == ["left"]


def test_the_last_vote_can_be_withdrawn_by_its_reader_and_does_not_come_again(store, comparisons):
    chosen = ballot(store, comparisons)
    pair = next_pair(store, comparisons, chosen, ANA)
    judge(store, pair)
    assert last_vote(store, chosen, ANA) == pair.pair_id
    with pytest.raises(ValueError, match="no vote of yours"):
        withdraw(store, pair.pair_id, BO)
    withdraw(store, pair.pair_id, ANA)
    assert votes(store, chosen) == []
    assert last_vote(store, chosen, ANA) is None
    assert pair.note["note_id"] not in {each.note["note_id"] for each in judge_all(store, comparisons, chosen)}
    kinds = store.read("SELECT kind FROM vote_event WHERE pair_id = $pair ORDER BY seq", pair=pair.pair_id)
    assert [row["kind"] for row in kinds] == ["drawn", "draft", "voted", "withdrawn"]


def test_a_skipped_pair_and_a_withdrawn_note_are_left_out(store, comparisons):
    chosen = ballot(store, comparisons)
    first = next_pair(store, comparisons, chosen, ANA)
    skip(store, first, ANA)
    second = next_pair(store, comparisons, chosen, ANA)
    assert second.note["note_id"] != first.note["note_id"]
    store.append("import_event", [{"import_id": "import", "kind": "withdrawn", "author": "ana"}])
    assert next_pair(store, comparisons, chosen, ANA) is None
    with pytest.raises(KeyError):
        open_pair(store, second.pair_id)


def test_a_ballot_is_closed_and_opened_again(store, comparisons):
    chosen = ballot(store, comparisons)
    close_ballot(store, chosen, "ana")
    assert ballots(store)[0].open is False
    close_ballot(store, chosen, "ana", reopen=True)
    assert ballots(store)[0].open is True


@pytest.mark.parametrize(
    ("name", "runs", "message"),
    [
        ("Ballot", ("run-a",), "two to 4 different runs"),
        ("Ballot", ("run-a", "run-a"), "two to 4 different runs"),
        (" ", ("run-a", "run-b"), "Give the ballot a name"),
        ("Is Model-run-A better?", ("run-a", "run-b"), "must not name model-run-a"),
        ("Ballot", ("run-a", "elsewhere"), "no note in common"),
    ],
)
def test_a_ballot_that_cannot_be_blind_or_voted_on_is_refused(store, comparisons, name, runs, message):
    store.append("note", [stored_note("other")])
    store.append("prediction", [said("other", "elsewhere", "291")])
    with pytest.raises(ValueError, match=message):
        open_ballot(store, comparisons, name, runs, "ana")
    assert ballots(store) == []
