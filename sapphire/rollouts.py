"""Rollouts of a GRPO run, read where they lie: completions/step-NNNNNN.parquet in its folder, one file a step.

They hold prompts, and so notes. Only sums of a case's completions leave here for the database.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from sapphire.rewards import SCHEMES, Outcome

TERMS = ("format", "accuracy", "cot_first", "grounded")
METRICS = ("right", "base_right", "severity_right")

# As in the paper (sources: train/difficulty.py): all right is easy; every answer a DRG with nothing right in it is hard.
_GROUPS = """
SELECT step::INTEGER AS step, case_id, any_value(drg) AS drg, any_value(drg_version) AS drg_version, count(*)::INTEGER AS answers,
    avg("right") AS share_right, avg(accuracy) AS accuracy, avg(reward) AS reward, min(reward) AS reward_low, max(reward) AS reward_high,
    coalesce(stddev_samp(reward), 0) AS spread,
    CASE WHEN min("right") = 1 AND min(format) = 0 THEN 'easy'
         WHEN min(accuracy) = $hard AND max(accuracy) = $hard AND min(format) = 0 THEN 'hard'
         ELSE 'medium' END AS difficulty
FROM read_parquet($files, union_by_name = true) GROUP BY ALL ORDER BY step, case_id
"""


def files_of(folder: Path) -> dict[int, Path]:
    """Step → its file, in order of steps."""
    found = {int(path.stem.rpartition("-")[2]): path for path in folder.glob("completions/step-*.parquet")}
    return dict(sorted(found.items()))


def groups(files: Sequence[Path], scheme: str) -> list[dict]:
    """One row a case and step of these files, in the columns of the table `training_group`.

    Args:
        scheme: the recipe's `reward`, which says what an answer with nothing right in it earns.

    Raises:
        OSError: when a file is gone or is no Parquet.
    """
    hard = SCHEMES.get(scheme, SCHEMES["dense"])[Outcome.NOTHING]
    return _ask(_GROUPS, files=[str(path) for path in files], hard=hard)


def completions(file: Path) -> list[dict]:
    """Every completion of a step, in the order drawn: the file's columns, and `at`, its place. OSError as for `groups`."""
    rows = _ask("SELECT * FROM read_parquet($files)", files=[str(file)])
    return [row | {"at": at} for at, row in enumerate(rows)]


def _ask(sql: str, **params: object) -> list[dict]:
    import duckdb

    with closing(duckdb.connect()) as memory:
        try:
            found = memory.execute(sql, params)
        except duckdb.Error as error:
            raise OSError(str(error).splitlines()[0].rstrip(".")) from error
        names = [column[0] for column in found.description]
        return [dict(zip(names, values, strict=True)) for values in found.fetchall()]
