"""What models answered to one note."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


def prediction(store: Store, note_id: str, prediction_id: str) -> Row | None:
    """The columns of `prediction`, `alternatives` as JSON; None when the note has no such prediction."""
    found = store.read(
        "SELECT * FROM prediction WHERE note_id = $note AND prediction_id = $id", note=note_id, id=prediction_id
    )
    return found[0] if found else None


def current_prediction(store: Store, note_id: str) -> Row | None:
    """What stands for the note, with the same columns: the chosen completion of the newest run that answered."""
    found = store.read("SELECT * FROM current_prediction WHERE note_id = $note", note=note_id)
    return found[0] if found else None


def predictions(store: Store, note_id: str) -> list[Row]:
    """Every prediction that stood for the note, the newest first: prediction_id, model, drg, title, confidence (0 to 1), recorded_at
    (UTC)."""
    return store.read(
        "SELECT prediction_id, model, drg, title, confidence, recorded_at FROM prediction "
        "WHERE note_id = $note AND chosen AND error IS NULL ORDER BY seq DESC",
        note=note_id,
    )


def last_error(store: Store, note_id: str) -> str | None:
    """Why a model last failed at the note; None when none did."""
    found = store.read(
        "SELECT error FROM prediction WHERE note_id = $note AND error IS NOT NULL ORDER BY seq DESC LIMIT 1",
        note=note_id,
    )
    return found[0]["error"] if found else None
