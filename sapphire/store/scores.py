"""Queries of marked notes: one table a run (see `evaluating.Evaluation`), grouped by patient and then by equal notes.

Columns of such a table: seq, patient, words, gold, mdc, level, gold_notes (notes of the set with this right DRG), predicted,
confidence, and `pattern`, a number that notes which are marked alike share (`marking.Marks`).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sapphire.store.connections import Row
from sapphire.store.memory import MemoryTables

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

# What notes are grouped by: the name of a group, and a number that puts the groups in order.
BANDS = {
    "frequency": ("gold_notes", ((1, "1 note"), (9, "2 to 9"), (99, "10 to 99"), (999, "100 to 999"), (None, "1,000 and more"))),
    "length": ("words", ((200, "up to 200 words"), (400, "201 to 400"), (800, "401 to 800"), (1600, "801 to 1,600"), (None, "over 1,600 words"))),
}  # fmt: skip


def _band(column: str, bands: Sequence[tuple[int | None, str]]) -> tuple[str, str]:
    cases = [f"WHEN {column} <= {top} THEN " for top, _ in bands if top is not None]
    last = len(bands) - 1
    name = (
        "CASE " + " ".join(f"{case}'{bands[i][1]}'" for i, case in enumerate(cases)) + f" ELSE '{bands[last][1]}' END"
    )
    order = "CASE " + " ".join(f"{case}{i}" for i, case in enumerate(cases)) + f" ELSE {last} END"
    return name, order


DIMENSIONS = {
    "": ("''", "0"),
    "mdc": ("mdc", "0"),
    "level": ("level", "list_position(['MCC', 'CC', 'none', 'CC/MCC', 'without MCC', 'unsplit'], level)"),
    "trap": ("t.one_trap", "0"),
    **{name: _band(*bands) for name, bands in BANDS.items()},
}


def patterns(
    tables: MemoryTables, table: str, by: str = ""
) -> dict[str, tuple["np.ndarray", "np.ndarray", "np.ndarray"]]:
    """For each group of `by` what `marking.patient_sums` takes: the patterns of one patient's notes after another's, how many notes
    each has, and how many patients have just these."""
    import pyarrow.compute as pc

    name, order = DIMENSIONS[by]
    trapped = "JOIN trap t USING (seq)" if by == "trap" else ""
    found = tables.arrow(
        f"""SELECT grp, patterns, count(*) AS patients FROM (
            SELECT {name} AS grp, {order} AS ord, list(pattern) AS patterns FROM {table} s {trapped} GROUP BY grp, ord, patient
        ) GROUP BY grp, ord, patterns ORDER BY ord, grp"""
    )
    groups = {}
    for group in dict.fromkeys(found["grp"].to_pylist()):
        mine = found.filter(pc.equal(found["grp"], group))
        lists = mine["patterns"].combine_chunks()
        groups[group] = lists.flatten().to_numpy(), lists.value_lengths().to_numpy(), mine["patients"].to_numpy()
    return groups


def pairs(tables: MemoryTables, table: str, wrong_in: Sequence[str] = ()) -> list[tuple[int, int | None, int]]:
    """(right DRG, predicted DRG or None, notes); with `wrong_in` only of the notes that all these tables have wrong."""
    wrong = "".join(
        f" SEMI JOIN (SELECT seq FROM {other} WHERE predicted IS DISTINCT FROM gold) w{i} ON w{i}.seq = s.seq"
        for i, other in enumerate(wrong_in)
    )
    found = tables.read(f"SELECT s.gold, s.predicted, count(*) AS n FROM {table} s{wrong} GROUP BY s.gold, s.predicted")
    return [(row["gold"], row["predicted"], row["n"]) for row in found]


def weight_errors(tables: MemoryTables, table: str, weights: "pa.Table") -> list[tuple[float, int, int]]:
    """The rows that `metrics.case_mix` takes: a patient's sum of the predicted minus the right weight, the notes in it, and how
    many patients have these. Patients whose sums agree to a fiftieth of a standard deviation stand together with their mean:
    the estimate stays exact, its variance loses 1 part in 30,000, and there are some hundred rows instead of one a patient.

    Args:
        weights: number (of a DRG) and weight; notes whose DRG or answer is not among them are left out.
    """
    book = tables.keep(weights)
    found = tables.read(
        f"""WITH patient AS (
            SELECT sum(p.weight - g.weight) AS error, count(*) AS cases
            FROM {table} s JOIN {book} g ON g.number = s.gold JOIN {book} p ON p.number = s.predicted GROUP BY patient
        ), placed AS (
            SELECT *, round(50 * error / nullif((SELECT stddev_pop(error) FROM patient), 0)) AS place FROM patient
        )
        SELECT avg(error) AS error, cases, count(*) AS patients FROM placed GROUP BY place, cases ORDER BY place, cases"""
    )
    tables.drop(book)
    return [(row["error"], row["cases"], row["patients"]) for row in found]


def confidences(tables: MemoryTables, table: str):
    """Confidence and whether the answer that stands is right, of the notes that have a confidence, as Arrow."""
    return tables.arrow(
        f"SELECT confidence, (predicted IS NOT DISTINCT FROM gold)::INTEGER AS hit FROM {table} WHERE confidence IS NOT NULL"
    )


def cases(
    tables: MemoryTables,
    table: str,
    gold: Sequence[int],
    predicted: Sequence[int],
    limit: int,
    among: Sequence[str] | None = None,
) -> list[Row]:
    """Notes (of those of `among`, if given) whose right DRG is one of `gold` and whose answer is one of `predicted` (0: no DRG): seq,
    note_id, gold, predicted, confidence, words."""
    params, only = {}, ""
    if among is not None:
        params, only = {"among": list(among)}, " AND n.note_id IN (SELECT unnest($among::VARCHAR[]))"
    return tables.read(
        f"""SELECT seq, n.note_id, s.gold, s.predicted, s.confidence, s.words FROM {table} s JOIN note n USING (seq)
        WHERE list_contains($gold, gold) AND list_contains($predicted, coalesce(predicted, 0)){only} ORDER BY seq LIMIT {limit:d}""",
        gold=list(gold),
        predicted=list(predicted),
        **params,
    )
