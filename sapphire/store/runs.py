"""Runs of models over notes: how they began and what they answered."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


def started(store: Store, run_id: str) -> Row | None:
    """The event that a run began with: the columns of `run_event`, `sampling` as JSON."""
    found = store.read("SELECT * FROM run_event WHERE run_id = $run AND kind = 'started'", run=run_id)
    return found[0] if found else None


def recorded(store: Store, run_id: str) -> bool:
    """Whether anything but predictions is stored of a run."""
    return bool(store.read("SELECT 1 FROM run_event WHERE run_id = $run LIMIT 1", run=run_id))


def unfinished(store: Store) -> list[Row]:
    """Runs whose last event is not their end, the newest first: run_id, model, recorded_at (of the start, UTC), author, total (notes
    it was started for)."""
    return store.read(
        """
        SELECT arg_min(run_id, seq) AS run_id, arg_min(model, seq) AS model, min(recorded_at) AS recorded_at,
            arg_min(author, seq) AS author, arg_min(len(note_ids), seq) AS total
        FROM run_event GROUP BY run_event.run_id HAVING arg_max(kind, seq) <> 'finished' ORDER BY min(seq) DESC
        """
    )


def answered(store: Store, run_id: str) -> set[str]:
    """The notes that a run answered or failed at."""
    found = store.read("SELECT DISTINCT note_id FROM prediction WHERE run_id = $run", run=run_id)
    return {row["note_id"] for row in found}


def answered_count(store: Store, run_id: str) -> int:
    """How many notes a run answered or failed at."""
    return store.read("SELECT count(DISTINCT note_id) AS n FROM prediction WHERE run_id = $run", run=run_id)[0]["n"]
