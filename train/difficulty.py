"""How hard each case was for a policy, from its rollouts: `python -m train.difficulty RUN`, see docs/evaluation.md.

As in the paper: a case whose answers were all right is easy; one whose answers all were DRGs with nothing right in them (accuracy
-0.5; under the strict reward whatever is not the DRG itself, 0) is hard; every other is medium. The table that recipes name with
`difficulty` is RUN/difficulty.parquet: case_id, difficulty, answers, right (share), accuracy (mean), step.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from sapphire.rewards import SCHEMES, Outcome
from train.run import TrainingError

# A case that came more than once is judged by the last time, the newest policy's. A failed format is neither easy nor hard: its
# accuracy is 0 whatever it answered.
SQL = """
SELECT case_id,
    CASE WHEN min("right") = 1 AND min(format) = 0 THEN 'easy'
         WHEN min(accuracy) = $hard AND max(accuracy) = $hard AND min(format) = 0 THEN 'hard'
         ELSE 'medium' END AS difficulty,
    count(*)::INTEGER AS answers, avg("right") AS "right", avg(accuracy) AS accuracy, any_value(step)::INTEGER AS step
FROM (
    SELECT * FROM read_parquet($files, union_by_name = true)
    QUALIFY step = max(step) OVER (PARTITION BY case_id)
)
GROUP BY case_id ORDER BY case_id
"""
LEVELS = ("easy", "medium", "hard")


def difficulty(run: Path):
    """The table of a GRPO run's folder, as Arrow. TrainingError when it has no rollouts."""
    import duckdb

    try:
        scheme = json.loads((run / "run.json").read_text(encoding="utf-8"))["recipe"]["reward"]
    except (OSError, ValueError, KeyError) as error:
        raise TrainingError(f"{run} is no folder of a GRPO run; name one, such as runs/table1-vanilla.") from error
    files = sorted(map(str, run.glob("completions/step-*.parquet")))
    if not files:
        raise TrainingError(f"{run} has no rollouts yet (completions/step-*.parquet); train it first.")
    with duckdb.connect() as memory:
        return memory.execute(SQL, {"files": files, "hard": SCHEMES[scheme][Outcome.NOTHING]}).to_arrow_table()


def write(run: Path) -> Path:
    """Write RUN/difficulty.parquet, whole or not at all, for the owner alone."""
    import pyarrow.parquet as pq

    out = run / "difficulty.parquet"
    part = out.with_name(out.name + ".part")
    table = difficulty(run)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        pq.write_table(table, file)
    part.replace(out)
    return out


def main(argv: list[str] | None = None) -> int:
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    parser = argparse.ArgumentParser(prog="python -m train.difficulty", description=__doc__.partition("\n")[0])
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a GRPO run, such as runs/table1-vanilla")
    args = parser.parse_args(argv)
    try:
        out = write(args.run)
    except TrainingError as error:
        print(error, file=sys.stderr)
        return 1
    found = pq.read_table(out)["difficulty"]
    counts = {each["values"].as_py(): each["counts"].as_py() for each in pc.value_counts(found)}
    print("  ".join(f"{level}: {counts.get(level, 0):,}" for level in LEVELS), f" of {len(found):,} cases, in {out}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
