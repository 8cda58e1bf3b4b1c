"""Notes that count, by name, and the imports that brought them."""

from collections.abc import Sequence

from sapphire.store.connections import Row
from sapphire.store.database import Store
from sapphire.store.literals import literal


def note(store: Store, note_id: str) -> Row | None:
    """The columns of `note`; None when there is no such note, or it was withdrawn."""
    # By its id the view looks at one note; by its number it would look at all of them.
    found = store.read("SELECT * FROM current_note WHERE note_id = $note", note=note_id)
    return found[0] if found else None


def notes(store: Store, note_ids: Sequence[str]) -> dict[str, Row]:
    """note_id → the columns of `note`, for those of these notes (one at least) that are stored and not withdrawn."""
    # A list of literals reaches the scan below the view; a subquery would make it compute every note.
    named = ", ".join(map(literal, note_ids))
    return {row["note_id"]: row for row in store.read(f"SELECT * FROM current_note WHERE note_id IN ({named})")}


def text_hashes(store: Store, note_ids: Sequence[str]) -> dict[str, str]:
    """note_id → SHA-256 of its text, hexadecimal, for those of these notes that are stored and not withdrawn."""
    found = store.read(
        "SELECT note_id, text_hash FROM current_note WHERE note_id IN (SELECT unnest($ids::VARCHAR[]))",
        ids=list(note_ids),
    )
    return {row["note_id"]: row["text_hash"] for row in found}


def lengths(store: Store) -> dict[str, int]:
    """note_id → words of its text, of every note."""
    return {row["note_id"]: row["words"] for row in store.read("SELECT note_id, words FROM current_note")}


def imports(store: Store) -> list[Row]:
    """Every import as it stands, the newest first: import_id, recorded_at, author, files, kind ("started": it was interrupted),
    notes, problems (JSON), withdrawn."""
    return store.read(
        "SELECT i.*, EXISTS (FROM import_event w WHERE w.import_id = i.import_id AND w.kind = 'withdrawn') AS withdrawn "
        "FROM import_event i WHERE kind <> 'withdrawn' "
        "QUALIFY row_number() OVER (PARTITION BY import_id ORDER BY seq DESC) = 1 ORDER BY seq DESC"
    )
