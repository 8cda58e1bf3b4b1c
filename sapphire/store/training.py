"""What the database holds of training runs: appended as run folders grow, and read as curves of few points.

Nothing of a note is here; rollouts come as one row a case and step.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from sapphire.store.connections import Row
from sapphire.store.database import Store

if TYPE_CHECKING:
    import pyarrow

POINTS = 400  # points a curve is drawn with, however long the run

# A rate of its own for time left: the last steps, since the first ones are slower.
_RUNS = """
SELECT e.run_id, e.record, s.step, s.written_at, s.seconds, s.recent, coalesce(g.groups, 0) AS groups, g.step AS group_step
FROM (
    SELECT run_id, arg_max(record, seq) AS record, min(seq) AS seq FROM training_event WHERE kind = 'told' GROUP BY run_id
) e
LEFT JOIN (
    SELECT run_id, max(step) AS step, max(written_at) AS written_at, sum(seconds) AS seconds, median(seconds) FILTER (step > last - 50) AS recent
    FROM (SELECT run_id, step, written_at, seconds, max(step) OVER (PARTITION BY run_id) AS last FROM current_training_step)
    GROUP BY run_id
) s USING (run_id)
LEFT JOIN (SELECT run_id, count(*) AS groups, max(step) AS step FROM current_training_group GROUP BY run_id) g USING (run_id)
ORDER BY e.seq DESC
"""

# The mean over `window` steps up to each one; then bins of equal width, the last of them as far as the run has come.
_CURVES = """
WITH step AS (
    SELECT step, sum(seconds) OVER (ORDER BY step) / 3600 AS hours, unnest(metrics) AS metric, unnest(readings) AS reading
    FROM current_training_step WHERE run_id = $run
), mean AS (
    SELECT *, avg(reading) OVER (PARTITION BY metric ORDER BY step ROWS BETWEEN $window - 1 PRECEDING AND CURRENT ROW) AS mean FROM step
)
SELECT metric, max(step)::INTEGER AS step, max(hours)::FLOAT AS hours, avg(reading)::FLOAT AS reading, avg(mean)::FLOAT AS mean,
    count(reading)::INTEGER AS steps
FROM mean WHERE reading IS NOT NULL GROUP BY metric, (step - 1) // $width ORDER BY metric, step
"""


class TrainingLog:
    def __init__(self, store: Store):
        self._store = store

    def end(self) -> int:
        """A number that grows when something was taken in."""
        found = self._store.read(
            "SELECT greatest((SELECT coalesce(max(seq), 0) FROM training_event), (SELECT coalesce(max(seq), 0) FROM training_step), "
            "(SELECT coalesce(max(seq), 0) FROM training_group)) AS seq"
        )
        return found[0]["seq"]

    def runs(self) -> list[Row]:
        """Every run, that seen first last: run_id, record (JSON), step reached, written_at (Unix time of it), seconds in steps, recent (median
        seconds of the last 50 steps), groups and group_step (of the rollouts taken in); None where there is nothing yet."""
        return self._store.read(_RUNS)

    def tell(self, run_id: str, record: dict) -> None:
        self._store.append("training_event", [{"run_id": run_id, "kind": "told", "record": record}])

    def rewind(self, run_id: str, step: int) -> None:
        """What was taken in of steps after this one counts no longer."""
        self._store.append("training_event", [{"run_id": run_id, "kind": "rewound", "step": step}])

    def add_steps(self, rows: Sequence[Row]) -> None:
        self._store.append("training_step", rows)

    def add_groups(self, rows: Sequence[Row]) -> None:
        self._store.append("training_group", rows)

    def lines(self, run_id: str) -> list[Row]:
        """Of each step that counts, the newest first: step, written_at (Unix time), line_end."""
        return self._store.read(
            "SELECT step, written_at, line_end FROM current_training_step WHERE run_id = $run ORDER BY step DESC",
            run=run_id,
        )

    def curves(self, run_id: str, steps: int, window: int) -> "pyarrow.Table":
        """Every metric of a run in at most `POINTS` points, by metric and step: metric, step, hours (of training up to it), reading (mean
        of the point's steps), mean (over `window` steps up to each), steps (how many the point stands for)."""
        return self._store.read_arrow(_CURVES, run=run_id, width=-(-max(steps, 1) // POINTS), window=window)

    def group_steps(self, run_id: str, steps: int) -> list[Row]:
        """Of each step, or bin of steps: step, groups, and how many were dead, easy, medium and hard."""
        return self._store.read(
            """SELECT max(step) AS step, count(*) AS groups, count(*) FILTER (reward_low = reward_high) AS dead,
                count(*) FILTER (difficulty = 'easy') AS easy, count(*) FILTER (difficulty = 'medium') AS medium,
                count(*) FILTER (difficulty = 'hard') AS hard
            FROM current_training_group WHERE run_id = $run GROUP BY (step - 1) // $width ORDER BY step""",
            run=run_id,
            width=-(-max(steps, 1) // POINTS),
        )

    def cases(self, run_id: str, difficulty: Iterable[str], limit: int) -> list[Row]:
        """Cases as the run met them last, the least often right first: case_id, drg, drg_version, difficulty, share_right and reward then
        and when first met, step, times met."""
        return self._store.read(
            f"""SELECT * FROM (
                SELECT case_id, arg_max(drg, step) AS drg, arg_max(drg_version, step) AS drg_version, arg_max(difficulty, step) AS difficulty,
                    arg_max(share_right, step) AS share_right, arg_min(share_right, step) AS first_right,
                    arg_max(reward, step) AS reward, max(step) AS step, count(*) AS times
                FROM current_training_group WHERE run_id = $run GROUP BY case_id
            ) WHERE list_contains($levels, difficulty) ORDER BY share_right, reward, case_id LIMIT {limit:d}""",
            run=run_id,
            levels=list(difficulty),
        )

    def difficulties(self, run_id: str) -> dict[str, int]:
        """How many cases were easy, medium and hard when last met."""
        found = self._store.read(
            """SELECT difficulty, count(*) AS n FROM (
                SELECT arg_max(difficulty, step) AS difficulty FROM current_training_group WHERE run_id = $run GROUP BY case_id
            ) GROUP BY ALL""",
            run=run_id,
        )
        return {row["difficulty"]: row["n"] for row in found}
