"""Two ways to the same tables: the file itself, or the process that holds the file, over DuckDB's Quack protocol."""

import contextlib
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import duckdb

from sapphire.store.literals import bind, literal

Row = dict[str, object]
Fetch = Callable[[duckdb.DuckDBPyConnection], object]


def load_quack(connection: duckdb.DuckDBPyConnection) -> None:
    """Load the Quack extension (and httpfs, which it needs) from their packages: nothing is downloaded."""
    for name in ("httpfs", "quack"):
        root = Path(str(files(f"duckdb_extension_{name}")))
        path = next(root.rglob(f"{name}.duckdb_extension"))
        connection.execute(f"LOAD {literal(str(path))}")


def rows(cursor: duckdb.DuckDBPyConnection) -> list[Row]:
    """The whole result as dicts: an open result would hold its cursor while another thread waits."""
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, values, strict=True)) for values in cursor.fetchall()]


class FileConnection:
    """The process that holds the file. Readers take a cursor each; writers take turns."""

    def __init__(self, connection: duckdb.DuckDBPyConnection):
        self._connection = connection
        self._write_lock = threading.Lock()
        self._served: str | None = None

    def read(self, sql: str, params: Mapping[str, object], fetch: Fetch = rows) -> object:
        with contextlib.closing(self._connection.cursor()) as cursor:
            return fetch(cursor.execute(sql, dict(params)))

    def append(self, table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        import pyarrow as pa

        batch = pa.table({c: [_plain(row.get(c), kind) for row in rows] for c, kind in columns.items()})
        with self._write_lock, contextlib.closing(self._connection.cursor()) as cursor:
            cursor.register("batch", batch)
            cursor.execute(f"INSERT INTO {table} BY NAME SELECT * FROM batch")

    def serve(self, port: int, token: str) -> str:
        """Let other processes of this machine read and append through this one; returns the address."""
        load_quack(self._connection)
        self._served = f"quack:localhost:{port}"
        with contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(f"CALL quack_serve({literal(self._served)}, token => {literal(token)})").fetchall()
        return self._served

    def close(self) -> None:
        with self._write_lock:
            if self._served:
                self._connection.execute(f"CALL quack_stop({literal(self._served)})")
            self._connection.execute("CHECKPOINT")
            self._connection.close()


class QuackConnection:
    """Another process holds the file: each statement goes there as text and is one transaction."""

    def __init__(self, uri: str, token: str):
        self._uri, self._token = uri, token
        self._connection = duckdb.connect()
        load_quack(self._connection)

    def read(self, sql: str, params: Mapping[str, object], fetch: Fetch = rows) -> object:
        call = f"FROM quack_query({literal(self._uri)}, {literal(bind(sql, params) if params else sql)}, token => {literal(self._token)})"
        with contextlib.closing(self._connection.cursor()) as cursor:
            return fetch(cursor.execute(call))

    def append(self, table: str, columns: Mapping[str, str], rows: Sequence[Row]) -> None:
        values = ", ".join(
            "(" + ", ".join(literal(_plain(row.get(c), kind)) for c, kind in columns.items()) + ")" for row in rows
        )
        self.read(f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}", {})

    def close(self) -> None:
        self._connection.close()


def _plain(value: object, kind: str) -> object:
    """`value` in a form that Arrow and a literal both write: JSON as text, lists as lists, times as ISO text."""
    if value is None:
        return None
    if kind == "JSON":
        return json.dumps(value, ensure_ascii=False)
    if kind.endswith("[]"):
        return list(value)
    if kind == "TIMESTAMP":
        return value.isoformat(sep=" ")
    return value
