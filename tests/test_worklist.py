"""The worklist's copy says what the view says, after every kind of event."""

import pytest

from sapphire.store import open_store
from sapphire.store.worklist import ORDERS, STATES, Filters, Worklist


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    store.append(
        "note",
        [
            {
                "import_id": "first" if i < 8 else "second", "note_id": f"note-{i}", "text": f"Text {i}. " + ("CHF exacerbation" if i % 2 else "pneumonia"),
                "text_hash": str(i), "words": 10 + i, "snippet": f"Text {i}", "source": "a.csv" if i < 5 else "b.csv", "credentialed": False,
                "drg": "291" if i == 0 else None,
            }
            for i in range(10)
        ],
    )  # fmt: skip
    yield store
    store.close()


def prediction(i: int, **more) -> dict:
    facts = {
        "prediction_id": f"p{i}",
        "run_id": "r",
        "note_id": f"note-{i}",
        "model": "m",
        "prompt": "plain",
        "drg_version": "43.1",
    }
    return (
        facts
        | {
            "sample": 0,
            "chosen": True,
            "completion": "",
            "forced": [],
            "drg": "291",
            "title": "T",
            "confidence": i / 10,
        }
        | more
    )


def review(i: int, kind: str, **more) -> dict:
    facts = {
        "event_id": f"{i}{kind}{more}",
        "note_id": f"note-{i}",
        "prediction_id": f"p{i}",
        "reviewer": "ana",
        "role": "coder",
    }
    return facts | {"kind": kind} | more


def states(worklist: Worklist) -> dict[str, str]:
    worklist.refresh()
    return {row["note_id"]: row["state"] for row in worklist.page(Filters(), 100)}


def test_every_event_moves_its_case_to_its_state(store):
    worklist = Worklist(store)
    assert set(states(worklist).values()) == {"new"}
    steps = [
        ("prediction", prediction(1), "predicted"),
        ("review_event", review(1, "skipped"), "skipped"),
        ("review_event", review(1, "draft"), "in review"),
        ("review_event", review(1, "saved", decision="accept", drg="291"), "reviewed"),
        ("review_event", review(1, "draft"), "reviewed"),
        ("review_event", review(1, "withdrawn"), "predicted"),
        ("review_event", review(1, "saved", decision="query"), "queried"),
        ("review_event", review(1, "saved", decision="escalate"), "escalated"),
    ]
    for table, event, expected in steps:
        store.append(table, [event])
        assert states(worklist)["note-1"] == expected, (event, expected)


def test_events_that_move_no_case_are_passed_over(store):
    worklist = Worklist(store)
    store.append("review_event", [review(1, "opened"), review(1, "revealed")])
    store.append("import_event", [{"import_id": "third", "kind": "started"}])
    before = worklist.page(Filters(), 100)
    worklist.refresh()
    assert worklist.page(Filters(), 100) == before


def test_a_failed_note_says_why_and_a_later_answer_replaces_it(store):
    worklist = Worklist(store)
    store.append("prediction", [prediction(2, error="The note is too long.", drg=None)])
    worklist.refresh()
    row = worklist.page(Filters(states=("failed",)), 5)[0]
    assert (row["note_id"], row["error"]) == ("note-2", "The note is too long.")
    store.append("prediction", [prediction(2, prediction_id="again")])
    assert states(worklist)["note-2"] == "predicted"


def test_the_copy_equals_the_view(store):
    worklist = Worklist(store)
    store.append("prediction", [prediction(i) for i in range(7)])
    store.append(
        "review_event", [review(3, "saved", decision="accept", drg="291"), review(4, "flagged"), review(5, "draft")]
    )
    store.append("review_event", [review(4, "unflagged"), review(6, "flagged")])
    store.append("import_event", [{"import_id": "second", "kind": "withdrawn"}])
    worklist.refresh()
    view = store.read("SELECT * FROM case_state ORDER BY note_seq")
    assert worklist.page(Filters(), 100) == view
    assert len(view) == 8
    fresh = Worklist(store)
    assert fresh.page(Filters(), 100) == view
    assert sum(worklist.counts().values()) == 8
    assert list(worklist.counts()) == list(STATES)


def test_filters_narrow_and_search_reads_the_text(store):
    worklist = Worklist(store)
    store.append(
        "prediction",
        [
            prediction(i, drg="291" if i < 3 else "193", title="Heart Failure" if i < 3 else "Pneumonia")
            for i in range(6)
        ],
    )
    store.append("review_event", [review(2, "flagged")])
    worklist.refresh()
    found = lambda **filters: [row["note_id"] for row in worklist.page(Filters(**filters), 100)]  # noqa: E731
    assert found(search="chf") == [f"note-{i}" for i in (1, 3, 5, 7, 9)]
    assert found(search="exacerbation chf") == found(search="chf")
    assert found(search="heart failure") == ["note-0", "note-1", "note-2"]
    assert found(search="note-7") == ["note-7"]
    assert found(search="it's") == []
    assert found(mdc_drgs=("193",)) == ["note-3", "note-4", "note-5"]
    assert found(flagged=True) == ["note-2"]
    assert found(source="b.csv", states=("new",)) == [f"note-{i}" for i in (6, 7, 8, 9)]
    assert worklist.count(Filters(model="m")) == 6
    assert worklist.choices("source") == ["a.csv", "b.csv"]


@pytest.mark.parametrize("order", ORDERS)
def test_pages_and_neighbours_follow_one_order(store, order):
    worklist = Worklist(store)
    store.append("prediction", [prediction(i) for i in (0, 3, 6)])
    worklist.refresh()
    filters = Filters(order=order)
    whole = [row["note_id"] for row in worklist.page(filters, 100)]
    paged = [row["note_id"] for start in range(0, 10, 3) for row in worklist.page(filters, 3, start)]
    assert paged == whole == worklist.note_ids(filters)
    assert len(set(whole)) == 10
    for i, note_id in enumerate(whole):
        before = whole[i - 1] if i else None
        after = whole[i + 1] if i < 9 else None
        assert worklist.neighbours(note_id, filters) == (before, after)


def test_least_confident_comes_first_and_unpredicted_last(store):
    worklist = Worklist(store)
    store.append("prediction", [prediction(i, confidence=c) for i, c in ((1, 0.9), (2, 0.2), (3, None))])
    worklist.refresh()
    order = worklist.note_ids(Filters(order="least confident first"))
    assert order[:2] == ["note-2", "note-1"]
