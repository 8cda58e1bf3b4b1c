"""Which answers a reader was shown, read from the events of reviews."""

from collections.abc import Sequence

from sapphire.store.database import Store


def notes_seen(store: Store, reader: str, among: Sequence[str] | None = None) -> list[str]:
    """The notes with an answer that this reader was shown, by name; `among`: only these."""
    params, only = {}, ""
    if among is not None:
        params, only = {"among": list(among)}, " AND list_contains($among, note_id)"
    rows = store.read(
        f"SELECT DISTINCT note_id FROM review_event WHERE kind = 'revealed' AND reviewer = $reviewer{only} ORDER BY note_id",
        reviewer=reader,
        **params,
    )
    return [row["note_id"] for row in rows]


def predictions_seen(store: Store, reader: str, note_id: str) -> set[str]:
    """The answers to one note that this reader was shown."""
    rows = store.read(
        "SELECT prediction_id FROM review_event WHERE kind = 'revealed' AND reviewer = $reviewer AND note_id = $note",
        reviewer=reader,
        note=note_id,
    )
    return {row["prediction_id"] for row in rows}
