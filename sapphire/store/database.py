"""Opening a Sapphire database: by whom it is held, whether it is sound, and bringing its schema up to date."""

import contextlib
import json
import re
import secrets
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb

from sapphire.store.connections import Fetch, FileConnection, QuackConnection, Row, rows

if TYPE_CHECKING:
    import pyarrow

MIGRATIONS = sorted(files("sapphire.store").joinpath("migrations").iterdir(), key=lambda f: f.name)


class StoreError(RuntimeError):
    """The database cannot be opened, read or written; the message is one sentence with a remedy."""


class Store:
    """An open database. Safe to share between threads.

    Attributes:
        location: the file, or the address of the process that holds it.
        remote: whether another process holds the file.
    """

    def __init__(self, location: str, connection: FileConnection | QuackConnection, endpoint: Path | None = None):
        self.location = location
        self.remote = isinstance(connection, QuackConnection)
        self._connection = connection
        self._endpoint = endpoint
        self._columns = self._read_columns()

    def read(self, sql: str, **params: object) -> list[Row]:
        """The rows of a query with `$name` parameters, as dicts.

        Raises:
            StoreError: when the file or the process that holds it fails.
        """
        return self._read(sql, params, rows)

    def read_arrow(self, sql: str, **params: object) -> "pyarrow.Table":
        """Like `read`, as an Arrow table: for results of many thousand rows."""
        return self._read(sql, params, duckdb.DuckDBPyConnection.to_arrow_table)

    def _read(self, sql: str, params: dict[str, object], fetch: Fetch) -> object:
        try:
            return self._connection.read(sql, params, fetch)
        except (duckdb.IOException, duckdb.FatalException, duckdb.HTTPException) as error:
            raise StoreError(f"The database {self.location} cannot be read: {_first_line(error)}.") from error

    def append(self, table: str, events: Sequence[Row]) -> None:
        """Append `events` to an event table in one transaction; on return they are on disk.

        `seq` is given by the database and `recorded_at` here; columns an event leaves out are NULL.

        Raises:
            StoreError: when they could not be written; then none of them was.
            ValueError: when an event has a column that the table lacks.
        """
        if not events:
            return
        known = self._columns[table]
        unknown = {column for event in events for column in event} - known.keys()
        if unknown:
            raise ValueError(f"table {table} has no column {', '.join(sorted(unknown))}")
        now = datetime.now(UTC).replace(tzinfo=None)
        columns = {c: kind for c, kind in known.items() if c == "recorded_at" or any(c in event for event in events)}
        try:
            self._connection.append(table, columns, [{"recorded_at": now, **event} for event in events])
        except duckdb.Error as error:
            raise StoreError(
                f"Nothing was saved, because the database {self.location} refused it: {_first_line(error)}; "
                "check the disk's free space and that the database is still there, then try again."
            ) from error

    def serve(self) -> None:
        """Let commands of this user reach the database through this process while it holds the file.

        Writes the address and a token beside the file, readable by its owner only.
        """
        if self.remote or self._endpoint is None:
            return
        token = secrets.token_urlsafe(32)
        uri = self._connection.serve(_free_port(), token)
        with contextlib.suppress(FileNotFoundError):
            self._endpoint.unlink()
        self._endpoint.touch(mode=0o600)
        self._endpoint.write_text(json.dumps({"uri": uri, "token": token}))

    def close(self) -> None:
        if self._endpoint and not self.remote:
            self._endpoint.unlink(missing_ok=True)
        self._connection.close()

    def _read_columns(self) -> dict[str, dict[str, str]]:
        columns: dict[str, dict[str, str]] = {}
        for row in self.read(
            "SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() c JOIN duckdb_tables() t USING (table_oid) "
            "WHERE c.column_name <> 'seq' AND NOT c.internal AND c.database_name NOT IN ('system', 'temp') "
            "ORDER BY c.table_name, c.column_index"
        ):
            columns.setdefault(row["table_name"], {})[row["column_name"]] = row["data_type"]
        return columns


def open_store(location: str | Path, token: str | None = None) -> Store:
    """Open the database file at `location`, made new if there is none, or a `quack:host:port` address.

    A file that a running Sapphire holds is reached through that process.

    Args:
        token: for a `quack:` address, its token.

    Raises:
        StoreError: when the file is no database, is damaged, newer than this Sapphire, or held by another program.
    """
    if str(location).startswith("quack:"):
        if not token:
            raise StoreError(f"The database {location} needs a token: set SAPPHIRE_DB_TOKEN.")
        return _reach(str(location), token)
    path = Path(location)
    endpoint = path.with_name(path.name + ".endpoint")
    if endpoint.exists():
        with contextlib.suppress(StoreError, ValueError):
            address = json.loads(endpoint.read_text())
            return _reach(address["uri"], address["token"])
    return Store(str(path), FileConnection(_open_file(path)), endpoint)


def _reach(uri: str, token: str) -> Store:
    try:
        store = Store(uri, QuackConnection(uri, token))
    except (StoreError, duckdb.Error) as error:
        raise StoreError(
            f"The database {uri} cannot be reached ({_first_line(error)}); start the app that holds it or check the address and token."
        ) from error
    return store


def _open_file(path: Path) -> duckdb.DuckDBPyConnection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # What is replayed from a log may lie beyond the end of the file until the next checkpoint.
        replayed = path.with_name(path.name + ".wal").exists()
        connection = duckdb.connect(str(path))
        path.chmod(0o600)
    except (duckdb.Error, OSError) as error:
        raise StoreError(_why_not(path, error)) from error
    try:
        _migrate(path, connection)
        if not replayed:
            _check_length(path, connection)
        _check_tables(path, connection)
    except StoreError:
        connection.close()
        raise
    return connection


def _why_not(path: Path, error: Exception) -> str:
    text = str(error)
    if "Could not set lock" in text:
        holder = re.search(r"PID (\d+)", text)
        who = f"process {holder[1]}" if holder else "another program"
        return f"The database {path} is in use by {who}; close that program, or choose another file with SAPPHIRE_DB."
    if "replaying WAL" in text or "WAL file" in text:
        return (
            f"The last changes of the database {path} cannot be read back ({_first_line(error)}); keep a copy of {path} and "
            f"{path}.wal, then move {path}.wal away to open the database as it was at its last checkpoint."
        )
    if "not a valid DuckDB" in text or "storage" in text or "Serialization" in text or "checksum" in text.lower():
        return (
            f"{path} is damaged, is no DuckDB database, or was written by a newer DuckDB ({_first_line(error)}); "
            "restore a copy, or choose another file with SAPPHIRE_DB."
        )
    return f"The database {path} cannot be opened: {_first_line(error)}; check the folder's permissions and free space."


def _migrate(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Bring the schema up to date, one transaction a step and a checkpoint after each (duckdb#22124: DDL in a WAL)."""
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_step (number INTEGER, name VARCHAR, sapphire VARCHAR, recorded_at TIMESTAMP)"
    )
    done = connection.execute("SELECT coalesce(max(number), 0) FROM schema_step").fetchone()[0]
    if done > len(MIGRATIONS):
        raise StoreError(
            f"The database {path} was made by a newer Sapphire (schema {done}, this one knows {len(MIGRATIONS)}); update Sapphire, "
            "or choose another file with SAPPHIRE_DB."
        )
    from sapphire import __version__

    for number, step in enumerate(MIGRATIONS[done:], start=done + 1):
        connection.execute("BEGIN")
        connection.execute(step.read_text())
        now = datetime.now(UTC).replace(tzinfo=None)
        connection.execute("INSERT INTO schema_step VALUES (?, ?, ?, ?)", [number, step.name, __version__, now])
        connection.execute("COMMIT")
        connection.execute("CHECKPOINT")


def _check_length(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """A file that was cut short opens, and fails when its missing part is read: say so before.

    Blocks in use are counted: free ones at the end are no longer in the file.
    """
    blocks, size = connection.execute("SELECT used_blocks, block_size FROM pragma_database_size()").fetchone()
    if path.stat().st_size < blocks * size:
        raise StoreError(
            f"{path} is damaged: a part of the file is missing; restore a copy, or choose another file with SAPPHIRE_DB."
        )


def _check_tables(path: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Count every table, so that damage is met now and not in the middle of a review."""
    for (table,) in connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall():
        column = "number" if table == "schema_step" else "seq"
        try:
            counted, present = connection.execute(f"SELECT count(*), count({column}) FROM {table}").fetchone()
        except duckdb.Error as error:
            raise StoreError(
                f"Table {table} of {path} is damaged ({_first_line(error)}); restore a copy of the file."
            ) from error
        if counted != present:
            raise StoreError(
                f"Table {table} of {path} is damaged: {counted} rows, {present} readable; restore a copy of the file."
            )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".")
