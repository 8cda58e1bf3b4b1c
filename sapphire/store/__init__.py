"""The database: append-only events in DuckDB, and the present state as views of them.

store = open_store(".sapphire/sapphire.duckdb")
store.append("profile_event", [{"name": "ana", "role": "coder", "think_first": False}])
store.read("SELECT * FROM case_state WHERE state = $state", state="new")
"""

from sapphire.store.database import Store, StoreError, open_store

__all__ = ["Store", "StoreError", "open_store"]
