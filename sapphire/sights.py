"""Which notes' answers a reader has been shown, wherever that was: a case is thought through first only if none of them was."""

import uuid
from collections.abc import Sequence

from sapphire.profiles import Profile
from sapphire.store import Store


def seen(store: Store, reader: str, note_ids: Sequence[str]) -> set[str]:
    """Which of these notes have an answer that this reader was shown."""
    rows = store.read(
        "SELECT DISTINCT note_id FROM review_event WHERE kind = 'revealed' AND reviewer = $reviewer AND list_contains($notes, note_id)",
        reviewer=reader,
        notes=list(note_ids),
    )
    return {row["note_id"] for row in rows}


def seen_notes(store: Store, reader: str) -> tuple[str, ...]:
    """Every note with an answer that this reader was shown, by name."""
    rows = store.read(
        "SELECT DISTINCT note_id FROM review_event WHERE kind = 'revealed' AND reviewer = $reviewer ORDER BY note_id",
        reviewer=reader,
    )
    return tuple(row["note_id"] for row in rows)


def record_sight(store: Store, reader: Profile, note_id: str, prediction_ids: Sequence[str]) -> None:
    """Record that this reader is shown these answers to a note, without a DRG of their own before; known sights are left alone.

    A DRG given before counts only where one model's answer follows it: what several answers side by side change in a reader's
    mind is no single model's doing.
    """
    known = store.read(
        "SELECT prediction_id FROM review_event WHERE kind = 'revealed' AND reviewer = $reviewer AND note_id = $note",
        reviewer=reader.name,
        note=note_id,
    )
    new = set(prediction_ids) - {row["prediction_id"] for row in known}
    store.append(
        "review_event",
        [
            {"event_id": str(uuid.uuid4()), "note_id": note_id, "prediction_id": each, "reviewer": reader.name, "role": reader.role, "kind": "revealed"}
            for each in prediction_ids if each in new
        ],
    )  # fmt: skip
