"""Runs of models over notes: whether they are recorded and what they answered."""

from sapphire.store.database import Store


def recorded(store: Store, run_id: str) -> bool:
    """Whether anything but predictions is stored of a run."""
    return bool(store.read("SELECT 1 FROM run_event WHERE run_id = $run LIMIT 1", run=run_id))


def answered(store: Store, run_id: str) -> set[str]:
    """The notes that a run answered or failed at."""
    found = store.read("SELECT DISTINCT note_id FROM prediction WHERE run_id = $run", run=run_id)
    return {row["note_id"] for row in found}
