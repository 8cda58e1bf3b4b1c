"""The worklist's own copy of `case_state`, held in memory and kept up by following the event log.

The view reads every event; the copy makes a page of the worklist cost what it shows. After each event only the cases
it touched are read again, so that 300,000 stored notes cost a rerun no more than a hundred do.
"""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from sapphire.store.connections import Row, rows
from sapphire.store.database import Store
from sapphire.store.literals import literal

KEPT_ANSWERS = 500
STATES = ("new", "failed", "predicted", "skipped", "in review", "queried", "escalated", "reviewed")

# What the worklist sorts by; the note's own order settles ties so that paging is stable.
ORDERS = {
    "as imported": "note_seq",
    "least confident first": "confidence IS NULL, confidence, note_seq",
    "most confident first": "confidence IS NULL, confidence DESC, note_seq",
    "newest prediction first": "predicted_at IS NULL, predicted_at DESC, note_seq",
    "predicted DRG": "predicted_drg IS NULL, predicted_drg, note_seq",
    "longest note first": "words DESC, note_seq",
}


@dataclass(frozen=True)
class Filters:
    """Which cases the worklist shows; an empty field shows all."""

    states: tuple[str, ...] = ()
    search: str = ""
    model: str = ""
    mdc_drgs: tuple[str, ...] = ()
    reviewer: str = ""
    flagged: bool = False
    source: str = ""
    order: str = "as imported"

    def where(self) -> tuple[str, dict[str, object]]:
        tests, params = ["true"], {}
        for column, values in (("state", self.states), ("predicted_drg", self.mdc_drgs)):
            if values:
                tests.append(f"list_contains(${column}, {column})")
                params[column] = list(values)
        for column, value in (("model", self.model), ("reviewer", self.reviewer), ("source", self.source)):
            if value:
                tests.append(f"{column} = ${column}")
                params[column] = value
        if self.flagged:
            tests.append("flagged")
        return " AND ".join(tests), params


class Worklist:
    """Pages, counts and neighbours of the cases of `store`, as of the last `refresh`. Safe to share between threads.

    What was asked once is not asked again until the log has moved on: most reruns of a page change nothing.
    """

    def __init__(self, store: Store):
        self._store = store
        self._lock = threading.Lock()
        self._copy = duckdb.connect()
        self._seq = -1
        self._answers: dict[tuple[str, str], list[Row]] = {}
        self.refresh()

    def refresh(self) -> int:
        """Follow the log to its end; returns the sequence number reached, the copy's revision."""
        with self._lock:
            last = self._store.read("SELECT seq FROM log_end")[0]["seq"]
            if self._seq < 0:
                self._load()
                self._answers = {}
            elif last > self._seq:
                touched = [
                    row["note_id"]
                    for row in self._store.read(
                        "SELECT DISTINCT note_id FROM touched_note WHERE seq > $seq", seq=self._seq
                    )
                ]
                if touched:
                    self._replace(touched)
                    self._answers = {}
            self._seq = last
            return last

    def page(self, filters: Filters, limit: int, offset: int = 0) -> list[Row]:
        """`limit` cases from `offset` on, in the order of the filters."""
        where, params = self._where(filters)
        return self._read(
            f"SELECT * FROM cases WHERE {where} ORDER BY {ORDERS[filters.order]} LIMIT {limit:d} OFFSET {offset:d}",
            params,
        )

    def count(self, filters: Filters) -> int:
        where, params = self._where(filters)
        return self._read(f"SELECT count(*) AS n FROM cases WHERE {where}", params)[0]["n"]

    def counts(self) -> dict[str, int]:
        """Cases in each state."""
        found = {
            row["state"]: row["n"] for row in self._read("SELECT state, count(*) AS n FROM cases GROUP BY state", {})
        }
        return {state: found.get(state, 0) for state in STATES}

    def choices(self, column: str) -> list[str]:
        """The distinct values of `column` (model, reviewer, source, predicted_drg), for a filter."""
        rows = self._read(f"SELECT DISTINCT {column} AS v FROM cases WHERE {column} IS NOT NULL ORDER BY v", {})
        return [row["v"] for row in rows]

    def note_ids(self, filters: Filters) -> list[str]:
        where, params = self._where(filters)
        rows = self._read(f"SELECT note_id FROM cases WHERE {where} ORDER BY {ORDERS[filters.order]}", params)
        return [row["note_id"] for row in rows]

    def neighbours(self, note_id: str, filters: Filters) -> tuple[str | None, str | None]:
        """The cases before and after `note_id` in the filtered order; the first case comes after one that is not in it."""
        where, params = self._where(filters)
        rows = self._read(
            f"""WITH ordered AS (
                SELECT note_id, lag(note_id) OVER w AS before, lead(note_id) OVER w AS after
                FROM cases WHERE {where} OR note_id = $here WINDOW w AS (ORDER BY {ORDERS[filters.order]})
            ) SELECT before, after FROM ordered WHERE note_id = $here""",
            {**params, "here": note_id},
        )
        return (rows[0]["before"], rows[0]["after"]) if rows else (None, None)

    def _where(self, filters: Filters) -> tuple[str, dict[str, object]]:
        where, params = filters.where()
        if not filters.search.strip():
            return where, params
        words = filters.search.split()
        short = " OR ".join(
            f"{column} ILIKE $phrase"
            for column in ("note_id", "predicted_drg", "predicted_title", "gold_drg", "reviewed_drg")
        )
        # The text itself is only in the file; it is searched there, and only when someone searches.
        every = " AND ".join(f"contains(lower(text), $word{i})" for i in range(len(words)))
        asked = {f"word{i}": word.lower() for i, word in enumerate(words)}
        found = self._once(f"SELECT note_id FROM current_note WHERE {every}", asked, self._store_rows)
        params |= {"phrase": f"%{filters.search.strip()}%", "found": [row["note_id"] for row in found]}
        return f"{where} AND ({short} OR note_id IN (SELECT unnest($found::VARCHAR[])))", params

    def _load(self) -> None:
        shape = self._store.read("DESCRIBE case_state")
        columns = ", ".join(f"{column['column_name']} {column['column_type']}" for column in shape)
        self._copy.execute(f"CREATE OR REPLACE TABLE cases ({columns})")
        self._insert(self._copy, self._store.read_arrow("SELECT * FROM case_state"))

    def _replace(self, note_ids: list[str]) -> None:
        # A list of literals reaches the scans below the view; a subquery would make it compute every case.
        batch = self._store.read_arrow(
            "SELECT * FROM case_state WHERE note_id IN (" + ", ".join(map(literal, note_ids)) + ")"
        )
        with contextlib.closing(self._copy.cursor()) as cursor:
            cursor.execute("BEGIN")
            cursor.execute("DELETE FROM cases WHERE note_id IN (SELECT unnest($ids::VARCHAR[]))", {"ids": note_ids})
            self._insert(cursor, batch)
            cursor.execute("COMMIT")

    @staticmethod
    def _insert(cursor: duckdb.DuckDBPyConnection, batch: object) -> None:
        if batch.num_rows:
            cursor.register("batch", batch)
            cursor.execute("INSERT INTO cases BY NAME SELECT * FROM batch")
            cursor.unregister("batch")

    def _read(self, sql: str, params: dict[str, object]) -> list[Row]:
        return self._once(sql, params, self._copy_rows)

    def _copy_rows(self, sql: str, params: dict[str, object]) -> list[Row]:
        with contextlib.closing(self._copy.cursor()) as cursor:
            return rows(cursor.execute(sql, params))

    def _store_rows(self, sql: str, params: dict[str, object]) -> list[Row]:
        return self._store.read(sql, **params)

    def _once(self, sql: str, params: dict[str, object], ask: Callable[..., list[Row]]) -> list[Row]:
        answers = self._answers
        asked = (sql, repr(params))
        if asked not in answers:
            if len(answers) >= KEPT_ANSWERS:
                answers.clear()
            answers[asked] = ask(sql, params)
        return answers[asked]
