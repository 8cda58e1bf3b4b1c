"""What the reader study reads of the database: saved reviews with the prediction they judge, first answers, and time on each case.

Reviews are copied into memory once and grouped there; the copy is renewed when a review was saved or taken back.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sapphire.store.connections import Row
from sapphire.store.database import Store
from sapphire.store.literals import literal
from sapphire.store.memory import MemoryTables

# The longest pause that counts as work on a case, in seconds: notes are long, and reading one leaves no event.
LONGEST_PAUSE = 600

# A reader's first sight of a case, and the DRG given before it; later ones come after another model's answer was seen.
# `asked`: the reader's profile asked for a DRG first. `seconds`: between two events of a reader on the same case.
_REVIEWS = f"""
WITH moves AS (
    SELECT reviewer, prediction_id, seq, CASE WHEN kind = 'opened' OR lag(note_id) OVER w IS DISTINCT FROM note_id THEN 0
        ELSE least(epoch(recorded_at) - epoch(lag(recorded_at) OVER w), {LONGEST_PAUSE}) END AS seconds
    FROM review_event WINDOW w AS (PARTITION BY reviewer ORDER BY seq)
), spent AS (
    SELECT m.reviewer, m.prediction_id, sum(m.seconds) AS seconds FROM moves m
    JOIN (SELECT reviewer, prediction_id, seq FROM saved_review) s USING (reviewer, prediction_id)
    WHERE m.seq <= s.seq GROUP BY ALL
), sight AS (
    SELECT reviewer, note_id, prediction_id, prior_drg, seq FROM review_event WHERE kind = 'revealed'
    QUALIFY row_number() OVER (PARTITION BY reviewer, note_id ORDER BY seq) = 1
), asked AS (
    SELECT s.*, p.think_first FROM sight s ASOF LEFT JOIN profile_event p ON p.name = s.reviewer AND p.seq <= s.seq
)
SELECT r.seq, r.reviewer, r.role, r.note_id, r.prediction_id, p.model, p.run_id, p.drg AS predicted, r.drg, r.drg_version, r.drg_right,
    r.helpfulness, r.accuracy, r.error_category, r.decision, len(list_filter(r.step_verdicts, v -> v <> '')) AS steps, spent.seconds,
    CASE WHEN a.prediction_id = r.prediction_id THEN a.prior_drg END AS prior_drg,
    coalesce(a.think_first AND a.prediction_id = r.prediction_id, false) AS asked,
    CASE WHEN coalesce(n.drg_version, r.drg_version) = r.drg_version THEN n.drg END AS recorded
FROM saved_review r
JOIN (SELECT prediction_id, model, run_id, drg FROM prediction WHERE chosen) p USING (prediction_id)
JOIN (SELECT note_id, drg, drg_version FROM current_note) n USING (note_id)
LEFT JOIN spent USING (reviewer, prediction_id)
LEFT JOIN asked a ON a.reviewer = r.reviewer AND a.note_id = r.note_id
"""
_END = "SELECT max(seq) AS seq FROM review_event WHERE kind IN ('saved', 'withdrawn')"


@dataclass(frozen=True)
class StudyFilter:
    """Which reviews count; an empty field lets all count."""

    models: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()

    def where(self) -> tuple[str, dict[str, object]]:
        tests, params = ["true"], {}
        for column, values in (("model", self.models), ("reviewer", self.readers)):
            if values:
                tests.append(f"list_contains(${column}, {column})")
                params[column] = list(values)
        return " AND ".join(tests), params


class StudyCopy:
    """Saved reviews in memory. Safe to share between threads; `refresh` before a page is drawn."""

    def __init__(self, store: Store):
        self._store = store
        self._lock = threading.Lock()
        self._tables = MemoryTables()
        self._end: object = -1
        self.revision = 0

    def refresh(self) -> None:
        with self._lock:
            end = self._store.read(_END)[0]["seq"]
            if end != self._end:
                self._tables["review"] = self._store.read_arrow(_REVIEWS)
                self._end = end
                self.revision += 1

    def choices(self, column: str) -> list[str]:
        """Models or reviewers with a saved review, by name."""
        return [row["v"] for row in self._tables.read(f"SELECT DISTINCT {column} AS v FROM review ORDER BY v")]

    def counts(self, chosen: StudyFilter) -> Row:
        """reviews, readers, cases, and cases that two readers or more reviewed."""
        return self._one(
            """SELECT count(*) AS reviews, count(DISTINCT reviewer) AS readers, count(DISTINCT note_id) AS cases,
            (SELECT count(*) FROM (SELECT note_id FROM review WHERE {where} GROUP BY note_id HAVING count(DISTINCT reviewer) > 1)) AS shared
            FROM review WHERE {where}""",
            chosen,
        )

    def ratings(self, chosen: StudyFilter, rating: str, by: Sequence[str]) -> list[Row]:
        """How often each point was given, by model, reader or both: the columns of `by`, points, n."""
        return self._ask(
            f"SELECT {', '.join(by)}, {rating} AS points, count(*) AS n FROM review WHERE {{where}} AND {rating} IS NOT NULL GROUP BY ALL ORDER BY ALL",
            chosen,
        )

    def rating_patterns(self, chosen: StudyFilter, rating: str) -> dict[tuple, int]:
        """The ratings that the readers of one prediction gave, sorted → predictions."""
        return self._patterns(
            f"SELECT list_sort(list({rating})) AS given FROM review WHERE {{where}} AND {rating} IS NOT NULL GROUP BY prediction_id",
            chosen,
        )

    def drg_patterns(self, chosen: StudyFilter, version: str) -> dict[tuple, int]:
        """The DRGs that the readers of one note gave, sorted → notes; of a reader the newest."""
        return self._patterns(
            """SELECT list_sort(list(drg)) AS given FROM (
                SELECT note_id, reviewer, arg_max(drg, seq) AS drg FROM review WHERE {where} AND drg IS NOT NULL AND drg_version = $version GROUP BY ALL
            ) GROUP BY note_id""",
            chosen,
            version=version,
        )

    def versions(self, chosen: StudyFilter) -> dict[str, int]:
        """Reviews that name a DRG, by MS-DRG version, the commonest first."""
        found = self._ask(
            "SELECT drg_version AS v, count(*) AS n FROM review WHERE {where} AND drg IS NOT NULL GROUP BY ALL ORDER BY n DESC",
            chosen,
        )
        return {row["v"]: row["n"] for row in found}

    def errors(self, chosen: StudyFilter) -> list[Row]:
        """Reviews that call a DRG wrong, by model and error category (null: not said): model, category, n."""
        return self._ask(
            "SELECT model, error_category AS category, count(*) AS n FROM review WHERE {where} AND drg_right = false GROUP BY ALL ORDER BY ALL",
            chosen,
        )

    def times(self, chosen: StudyFilter, by: str) -> list[Row]:
        """Seconds on a case by model or reader: the column `by`, n, low, q1, middle, q3, high (percentiles 5, 25, 50, 75, 95)."""
        names = ("low", "q1", "middle", "q3", "high")
        points = ", ".join(
            f"quantile_cont(seconds, {at}) AS {name}"
            for at, name in zip((0.05, 0.25, 0.5, 0.75, 0.95), names, strict=True)
        )
        return self._ask(
            f"SELECT {by}, count(*) AS n, {points} FROM review WHERE {{where}} AND seconds > 0 GROUP BY {by} ORDER BY {by}",
            chosen,
        )

    def first_answers(self, chosen: StudyFilter, by: str) -> list[Row]:
        """What became of first answers where a DRG was recorded: the column `by`, first_right, model_right, last_right, took (the last
        answer is the model's and the first was not), n."""
        return self._ask(
            f"""SELECT {by}, prior_drg = recorded AS first_right, predicted IS NOT DISTINCT FROM recorded AS model_right, drg = recorded AS last_right,
                drg IS NOT DISTINCT FROM predicted AND prior_drg <> predicted AS took, count(*) AS n
            FROM review WHERE {{where}} AND prior_drg IS NOT NULL AND drg IS NOT NULL AND recorded IS NOT NULL GROUP BY ALL ORDER BY ALL""",
            chosen,
        )

    def asked(self, chosen: StudyFilter) -> Row:
        """How first answers were given: asked (reviews whose reader is asked for one), given, measured (given, with a last answer and
        a recorded DRG)."""
        return self._one(
            """SELECT count(*) FILTER (asked OR prior_drg IS NOT NULL) AS asked, count(prior_drg) AS given,
            count(*) FILTER (prior_drg IS NOT NULL AND drg IS NOT NULL AND recorded IS NOT NULL) AS measured FROM review WHERE {where}""",
            chosen,
        )

    def marked(self, chosen: StudyFilter, limit: int) -> list[Row]:
        """The newest reviews with a verdict on a step: model, completion, drg_version, step_verdicts."""
        found = self._ask(
            f"SELECT seq, prediction_id, model FROM review WHERE {{where}} AND steps > 0 ORDER BY seq DESC LIMIT {limit:d}",
            chosen,
        )
        if not found:
            return []
        # Lists of literals reach the scans of the tables.
        seqs = ", ".join(literal(row["seq"]) for row in found)
        ids = ", ".join({literal(row["prediction_id"]) for row in found})
        return self._store.read(
            f"""SELECT p.model, p.completion, p.drg_version, r.step_verdicts FROM review_event r
            JOIN (SELECT prediction_id, model, completion, drg_version FROM prediction WHERE prediction_id IN ({ids})) p USING (prediction_id)
            WHERE r.seq IN ({seqs})"""
        )

    def marked_count(self, chosen: StudyFilter) -> int:
        return self._one("SELECT count(*) AS n FROM review WHERE {where} AND steps > 0", chosen)["n"]

    def _patterns(self, inner: str, chosen: StudyFilter, **params: object) -> dict[tuple, int]:
        found = self._ask(
            f"SELECT given, count(*) AS n FROM ({inner}) WHERE len(given) > 1 GROUP BY given ORDER BY given",
            chosen,
            **params,
        )
        return {tuple(row["given"]): row["n"] for row in found}

    def _one(self, sql: str, chosen: StudyFilter) -> Row:
        return self._ask(sql, chosen)[0]

    def _ask(self, sql: str, chosen: StudyFilter, **params: object) -> list[Row]:
        where, filtered = chosen.where()
        return self._tables.read(sql.replace("{where}", where), **filtered, **params)
