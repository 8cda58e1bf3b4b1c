"""The cases of a preparation as Parquet, in DESIGN's columns, written page by page."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data.mimic_parallel import in_processes
from data.mimic_progress import Progress
from data.mimic_report import Report
from data.mimic_traces import Rules, with_traces

CASE = pa.schema(
    [(name, pa.string()) for name in ("note_id", "subject_id", "hadm_id", "text")]
    + [("age", pa.int32()), ("sex", pa.string()), ("discharge_status", pa.int32()), ("pdx", pa.string())]
    + [(name, pa.list_(pa.string())) for name in ("sdx", "poa", "procedures")]
    + [(name, pa.string()) for name in ("drg", "title", "drg_version", "split")]
    + [("trap", pa.list_(pa.string())), ("trace", pa.string()), ("source", pa.string()), ("credentialed", pa.bool_())]
)
PAGE = 2000  # rows of the notes file looked at together
PROCESSES = 2

PAGE_OF_CASES = """
select c.note_id, c.subject_id, c.hadm_id, c.text, s.age, s.sex, s.discharge_status, s.pdx, s.sdx, s.procedures,
       k.drg, k.title, side.split
from kase k join course c using (row) join side on side.note_id = k.note_id left join stay s on s.hadm_id = k.hadm_id
where k.row between ? and ? order by k.row
"""


def write_cases(db: duckdb.DuckDBPyConnection, folder: Path, rules: Rules, report: Report) -> None:
    """Write train.parquet and test.parquet, with true reasoning by these rules, in the order of the notes."""
    count = db.execute("select count(*) from kase").fetchone()[0]
    progress = Progress("cases written", count)
    explain = partial(with_traces, rules=rules)
    done = 0
    with (
        pq.ParquetWriter(folder / "train.parquet", CASE, compression="zstd") as train,
        pq.ParquetWriter(folder / "test.parquet", CASE, compression="zstd") as test,
    ):
        for cases, outcomes in in_processes(explain, pages(db), PROCESSES if count > PAGE else 1):
            for writer, side in ((train, "train"), (test, "test")):
                rows = [case for case in cases if case["split"] == side]
                if rows:
                    writer.write_table(pa.Table.from_pylist(rows, schema=CASE))
            report.traced(outcomes)
            done += len(cases)
            progress.show(done)
    progress.end()


def pages(db: duckdb.DuckDBPyConnection) -> Iterator[list[dict]]:
    """The cases in the order of the notes, some thousand at a time."""
    last = db.execute("select coalesce(max(row), 0) from kase").fetchone()[0]
    for first in range(1, last + 1, PAGE):
        page = db.execute(PAGE_OF_CASES, [first, first + PAGE - 1]).to_arrow_table().to_pylist()
        if page:
            yield page
