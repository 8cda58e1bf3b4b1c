"""Export rounds as they were recorded."""

from sapphire.store.connections import Row
from sapphire.store.database import Store


def next_round(store: Store) -> int:
    """The number of the round to come, from 1."""
    return store.read("SELECT coalesce(max(round), 0) + 1 AS n FROM export_event")[0]["n"]


def rounds(store: Store) -> list[Row]:
    """Every round, the newest first: the columns of `export_event`, of which filters, counts and files are JSON."""
    return store.read("SELECT * FROM export_event ORDER BY seq DESC")
