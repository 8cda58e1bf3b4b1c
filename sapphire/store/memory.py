"""Tables in memory, held as Arrow and read where they lie: what pages group again and again without reading the database anew."""

import contextlib
import threading
from typing import TYPE_CHECKING

import duckdb

from sapphire.store.connections import Fetch, Row, rows

if TYPE_CHECKING:
    import pyarrow as pa

BATCH = 50_000  # rows; several batches, so that several threads read them


class MemoryTables:
    """Named Arrow tables that SQL reads. Safe to share between threads."""

    def __init__(self) -> None:
        self._memory = duckdb.connect()
        self._lock = threading.Lock()
        self._tables: dict[str, pa.Table] = {}
        self._made = 0

    def __getitem__(self, name: str) -> "pa.Table":
        return self._tables[name]

    def __contains__(self, name: str) -> bool:
        return name in self._tables

    def __setitem__(self, name: str, table: "pa.Table") -> None:
        self._tables[name] = type(table).from_batches(table.to_batches(BATCH), table.schema)

    def keep(self, table: "pa.Table") -> str:
        """Hold a table under a name that is never used again; returns the name."""
        with self._lock:
            self._made += 1
            name = f"kept_{self._made}_"
        self[name] = table
        return name

    def drop(self, name: str) -> None:
        self._tables.pop(name, None)

    def read(self, sql: str, **params: object) -> list[Row]:
        return self._ask(sql, params, rows)

    def arrow(self, sql: str, **params: object) -> "pa.Table":
        return self._ask(sql, params, duckdb.DuckDBPyConnection.to_arrow_table)

    def _ask(self, sql: str, params: dict[str, object], fetch: Fetch) -> object:
        with contextlib.closing(self._memory.cursor()) as cursor:
            for name, table in list(self._tables.items()):
                if name in sql:
                    cursor.register(name, table)
            return fetch(cursor.execute(sql, params))
