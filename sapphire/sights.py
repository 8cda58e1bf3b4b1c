"""Which notes' answers a reader has been shown, wherever that was: a case is thought through first only if none of them was."""

import uuid
from collections.abc import Sequence

from sapphire.profiles import Profile
from sapphire.store import Store
from sapphire.store.sights import notes_seen, predictions_seen


def seen(store: Store, reader: str, note_ids: Sequence[str]) -> set[str]:
    """Which of these notes have an answer that this reader was shown."""
    return set(notes_seen(store, reader, note_ids))


def seen_notes(store: Store, reader: str) -> tuple[str, ...]:
    """Every note with an answer that this reader was shown, by name."""
    return tuple(notes_seen(store, reader))


def record_sight(store: Store, reader: Profile, note_id: str, prediction_ids: Sequence[str]) -> None:
    """Record that this reader is shown these answers to a note, without a DRG of their own before; known sights are left alone.

    A DRG given before counts only where one model's answer follows it: what several answers side by side change in a reader's
    mind is no single model's doing.
    """
    new = set(prediction_ids) - predictions_seen(store, reader.name, note_id)
    store.append(
        "review_event",
        [
            {"event_id": str(uuid.uuid4()), "note_id": note_id, "prediction_id": each, "reviewer": reader.name, "role": reader.role, "kind": "revealed"}
            for each in prediction_ids if each in new
        ],
    )  # fmt: skip
