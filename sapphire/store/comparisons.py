"""What several runs said of the same notes: counts by agreement and by who was right, and the way from case to case.

The answers of the runs that stand beside each other are copied into memory once, a narrow row a note, and filtered there:
a page of 300,000 notes with 2.4 million predictions costs what it shows. The copy is made anew when the database has moved.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace

import duckdb

from sapphire.drg.codebook import MDC_TITLES, CodeBook, codebook
from sapphire.store import notes
from sapphire.store.connections import Row, rows
from sapphire.store.database import Store
from sapphire.store.literals import CURRENT_NOTES, literal

MAX_RUNS = 4
KEPT_COPIES = 6
KEPT_ANSWERS = 500

# How far all answers to a note are apart, by the hierarchy of the code book; an answer that is no DRG is far from any.
AGREEMENTS = ("same DRG", "same base DRG", "same MDC", "different MDC", "some without a DRG")
DIFFERENT = AGREEMENTS[1:]


@dataclass(frozen=True)
class CaseFilters:
    """Which of the notes that all runs answered are shown; an empty field shows all.

    `right` says for each run whether its answer equals the recorded DRG; `mdc` is the recorded DRG's, where none is recorded
    any answer's; `severity` is (index of the run, recorded level, level said) where base DRGs are equal. `among` names the notes
    that may be shown at all; None: any.
    """

    agreements: tuple[str, ...] = ()
    right: tuple[bool, ...] = ()
    mdc: str = ""
    severity: tuple[int, str, str] | None = None
    among: tuple[str, ...] | None = None

    def where(self) -> tuple[str, dict[str, object]]:
        tests, params = ["true"], {}
        if self.agreements:
            tests.append("list_contains($agreements, agreement)")
            params["agreements"] = list(self.agreements)
        if self.right:
            tests.append("pattern = $pattern")
            params["pattern"] = pattern(self.right)
        if self.mdc:
            tests.append("list_contains(mdcs, $mdc)")
            params["mdc"] = self.mdc
        if self.severity:
            run, recorded, said = self.severity
            tests.append(f"gold_level = $recorded AND level_{run:d} = $said AND base_{run:d} = gold_base")
            params |= {"recorded": recorded, "said": said}
        if self.among is not None:
            tests.append("note_id IN (SELECT unnest($among::VARCHAR[]))")
            params["among"] = list(self.among)
        return " AND ".join(tests), params


@dataclass(frozen=True)
class _Copy:
    """A table in memory: how far the logs were when it was last looked at, and when it was made, of predictions those of its runs."""

    table: str
    looked: Row
    revision: Row


def pattern(right: Sequence[bool]) -> str:
    """Who is right, as the copy holds it: a digit for each run in order."""
    return "".join("1" if each else "0" for each in right)


class Comparisons:
    """Copies of the answers of sets of runs, as of the last look. Safe to share between threads."""

    def __init__(self, store: Store):
        self._store = store
        self._lock = threading.Lock()
        self._copy = duckdb.connect()
        self._made: dict[
            tuple[str, ...], tuple[str, Row]
        ] = {}  # runs → table and its revision, least lately used first
        self._answers: dict[tuple[str, str], list[Row]] = {}
        self._tables = 0
        self._runs: tuple[Row, list[Row]] | None = None

    def runs(self) -> list[Row]:
        """Every run that answered a note, newest first: run_id, model, prompt, drg_version, notes (answered), failed, first_seq,
        began, and of its record sampling (JSON), author, asked (notes it was started for) or None."""
        revision = self._store.read(
            "SELECT (SELECT max(seq) FROM prediction) AS p, (SELECT max(seq) FROM run_event) AS r"
        )[0]
        with self._lock:
            if self._runs is None or self._runs[0] != revision:
                self._runs = revision, self._store.read(_RUNS)
            return self._runs[1]

    def note(self, seq: int) -> Row | None:
        """The note of that number, or None when there is none or it was withdrawn."""
        found = self._store.read("SELECT note_id FROM note WHERE seq = $seq", seq=seq)
        note = self.note_named(found[0]["note_id"]) if found else None
        return note if note and note["seq"] == seq else None

    def note_named(self, note_id: str) -> Row | None:
        return notes.note(self._store, note_id)

    def answers(self, note_id: str, run_ids: Sequence[str]) -> dict[str, Row]:
        """run_id → what stands for the note in that run, an answer or a failure; a run that has neither is left out."""
        found = self._store.read(
            "SELECT * FROM prediction WHERE note_id = $note AND chosen AND list_contains($runs, run_id) ORDER BY seq",
            note=note_id,
            runs=list(run_ids),
        )
        return {row["run_id"]: row for row in found}

    def runs_of(self, note_id: str) -> set[str]:
        """The runs that answered this note."""
        found = self._store.read(
            "SELECT DISTINCT run_id FROM prediction WHERE note_id = $note AND chosen AND error IS NULL", note=note_id
        )
        return {row["run_id"] for row in found}

    def note_ids(self, run_id: str) -> list[str]:
        """The notes that a run answered or failed at, in the order it came to them."""
        found = self._store.read(
            "SELECT note_id FROM prediction WHERE run_id = $run AND chosen GROUP BY note_id ORDER BY min(seq)",
            run=run_id,
        )
        return [row["note_id"] for row in found]

    def cases(self, run_ids: Sequence[str], filters: CaseFilters) -> list[Row]:
        """The notes that pass, in the order of import, with the recorded DRG, those said, and how far these are apart."""
        where, params = filters.where()
        drgs = ", ".join(f"drg_{i}" for i in range(len(run_ids)))
        return self._ask(
            run_ids, f"SELECT note_id, gold_drg, {drgs}, agreement FROM {{t}} WHERE {where} ORDER BY note_seq", params
        )

    def drawn(
        self, run_ids: Sequence[str], pair: tuple[int, int], pool: str, without: Sequence[str], salt: str, limit: int
    ) -> list[tuple[str, int, int]]:
        """Some notes that all runs answered, in an order that `salt` decides, but for those of `without`: each with the numbers
        of the two answers in the log.

        `pool` is "any", or "different DRG" or "same DRG" of the two runs at the indexes `pair`.
        """
        one, other = pair
        tests = {"any": "true", "same DRG": f"drg_{one:d} = drg_{other:d}"}
        tests["different DRG"] = f"drg_{one:d} IS DISTINCT FROM drg_{other:d}"
        found = self._ask(
            run_ids,
            f"""SELECT note_id, seq_{one:d} AS one, seq_{other:d} AS other FROM {{t}}
            WHERE {tests[pool]} AND note_id NOT IN (SELECT unnest($without::VARCHAR[]))
            ORDER BY hash(note_id || $salt), note_id LIMIT {limit:d}""",
            {"without": list(without), "salt": salt},
        )
        return [(row["note_id"], row["one"], row["other"]) for row in found]

    def agreements(self, run_ids: Sequence[str]) -> dict[str, int]:
        """Notes at each of AGREEMENTS."""
        found = {
            r["agreement"]: r["n"] for r in self._ask(run_ids, "SELECT agreement, count(*) AS n FROM {t} GROUP BY ALL")
        }
        return {name: found.get(name, 0) for name in AGREEMENTS}

    def patterns(self, run_ids: Sequence[str]) -> dict[tuple[bool, ...], int]:
        """Of the notes whose DRG is recorded in the runs' version: how many for each combination of right and wrong."""
        found = self._ask(
            run_ids, "SELECT pattern, count(*) AS n FROM {t} WHERE pattern IS NOT NULL GROUP BY ALL ORDER BY 1 DESC"
        )
        return {tuple(digit == "1" for digit in row["pattern"]): row["n"] for row in found}

    def mdcs(self, run_ids: Sequence[str]) -> dict[str, int]:
        found = self._ask(run_ids, "SELECT mdc, count(*) AS n FROM (SELECT unnest(mdcs) AS mdc FROM {t}) GROUP BY ALL")
        counts = {row["mdc"]: row["n"] for row in found}
        return {mdc: counts[mdc] for mdc in MDC_TITLES if mdc in counts}

    def severities(self, run_ids: Sequence[str]) -> dict[tuple[int, str, str], int]:
        """Right base DRG and wrong severity: (index of the run, recorded level, level said) → notes, commonest first."""
        each = " UNION ALL ".join(
            f"SELECT {i} AS run, gold_level, level_{i} AS said FROM {{t}} WHERE base_{i} = gold_base AND level_{i} <> gold_level"
            for i in range(len(run_ids))
        )
        found = self._ask(
            run_ids, f"SELECT run, gold_level, said, count(*) AS n FROM ({each}) GROUP BY ALL ORDER BY n DESC, 1, 2, 3"
        )
        return {(row["run"], row["gold_level"], row["said"]): row["n"] for row in found}

    def coverage(self, run_ids: Sequence[str]) -> Row:
        """`shared`: notes that all runs answered; `labelled`: of these, those with a recorded DRG of the runs' version;
        `right_0` … : of these, those that the run has right."""
        right = ", ".join(f"count(*) FILTER (right_{i}) AS right_{i}" for i in range(len(run_ids)))
        return self._ask(run_ids, f"SELECT count(*) AS shared, count(pattern) AS labelled, {right} FROM {{t}}")[0]

    def count(self, run_ids: Sequence[str], filters: CaseFilters) -> int:
        where, params = filters.where()
        return self._ask(run_ids, f"SELECT count(*) AS n FROM {{t}} WHERE {where}", params)[0]["n"]

    def first(self, run_ids: Sequence[str], filters: CaseFilters) -> Row | None:
        """note_id and note_seq of the first note that passes, in the order of import."""
        where, params = filters.where()
        found = self._ask(
            run_ids, f"SELECT note_id, note_seq FROM {{t}} WHERE {where} ORDER BY note_seq LIMIT 1", params
        )
        return found[0] if found else None

    def around(self, run_ids: Sequence[str], filters: CaseFilters, note_seq: int) -> Row:
        """Where a note stands among those that pass: before, after (note_seq or None), position (1 for the first; None when it
        does not pass)."""
        where, params = filters.where()
        return self._ask(
            run_ids,
            f"""SELECT max(note_seq) FILTER (note_seq < $here) AS before, min(note_seq) FILTER (note_seq > $here) AS after,
                CASE WHEN count(*) FILTER (note_seq = $here) > 0 THEN count(*) FILTER (note_seq <= $here) END AS position
            FROM {{t}} WHERE {where}""",
            params | {"here": note_seq},
        )[0]

    def _ask(self, run_ids: Sequence[str], sql: str, params: dict[str, object] | None = None) -> list[Row]:
        with self._lock:
            asked = sql.format(t=self._table(tuple(run_ids)))
            key = (asked, repr(params))
            if key not in self._answers:
                if len(self._answers) >= KEPT_ANSWERS:
                    self._answers.clear()
                self._answers[key] = rows(self._copy.execute(asked, params or {}))
            return self._answers[key]

    def _table(self, run_ids: tuple[str, ...]) -> str:
        """The name of the copy for these runs, made anew when their answers or the notes have changed."""
        moved = self._store.read(
            """SELECT (SELECT max(seq) FROM prediction) AS prediction, (SELECT max(seq) FROM note) AS note,
                (SELECT max(seq) FROM import_event) AS import"""
        )[0]
        made = self._made.pop(run_ids, None)
        if made is None or made.looked != moved:
            # Another run may have answered: only what these runs say counts, which takes longer to look up.
            revision = moved | {"prediction": self._newest(run_ids)}
            if made is None or made.revision != revision:
                self._drop(made)
                made = _Copy(self._make(run_ids), moved, revision)
            made = replace(made, looked=moved)
        self._made[run_ids] = made
        while len(self._made) > KEPT_COPIES:
            self._drop(self._made.pop(next(iter(self._made))))
        return made.table

    def _newest(self, run_ids: tuple[str, ...]) -> int | None:
        named = ", ".join(map(literal, run_ids))
        return self._store.read(f"SELECT max(seq) AS seq FROM prediction WHERE run_id IN ({named})")[0]["seq"]

    def _drop(self, made: "_Copy | None") -> None:
        if made:
            self._copy.execute(f"DROP TABLE {made.table}")

    def _make(self, run_ids: tuple[str, ...]) -> str:
        answers = self._store.read_arrow(_answers_sql(run_ids))
        versions = sorted({v for c in ("drg_version", "other_version") for v in answers.column(c).unique().to_pylist()})
        if len(versions) > 1:
            raise ValueError(
                f"These runs answer in different MS-DRG versions ({', '.join(versions)}), which number other DRGs; compare runs of one version."
            )
        self._tables += 1
        name = f"answers_{self._tables}"
        book = codebook(versions[0]) if versions else codebook()
        self._copy.register("answers", answers)
        self._copy.register("book", _book(book))
        self._copy.register("titled", _titled(book, answers))
        self._copy.execute(f"CREATE TABLE {name} AS {_copy_sql(len(run_ids))}")
        for view in ("answers", "book", "titled"):
            self._copy.unregister(view)
        return name


def _book(book: CodeBook):
    import pyarrow as pa

    return pa.Table.from_pylist(
        [{"drg": d.drg, "base": d.base_id, "level": d.level, "mdc": d.mdc} for d in book.drgs.values()]
    )


def _titled(book: CodeBook, answers):
    """The DRGs of notes whose record names the DRG by its title alone."""
    import pyarrow as pa

    titles = filter(None, answers.column("gold_title").unique().to_pylist())
    known = {title: drg.drg for title in titles if (drg := book.by_title(title))}
    return pa.table({"title": pa.array(known, pa.string()), "drg": pa.array(known.values(), pa.string())})


def _answers_sql(run_ids: Sequence[str]) -> str:
    """A row for each note that all the runs answered; a withdrawn note has none."""
    said = "arg_max({'drg': drg, 'seq': seq}, seq) FILTER (run_id = %s) AS said_%d"
    columns = ", ".join(said % (literal(run), i) for i, run in enumerate(run_ids))
    drgs = ", ".join(f"said_{i}.drg AS drg_{i}, said_{i}.seq AS seq_{i}" for i in range(len(run_ids)))
    answered = " AND ".join(f"said_{i} IS NOT NULL" for i in range(len(run_ids)))
    return f"""
    SELECT n.seq AS note_seq, note_id, s.drg_version, s.other_version, n.drg_version AS gold_version, n.drg AS gold, n.title AS gold_title, {drgs}
    FROM (
        SELECT note_id, max(drg_version) AS drg_version, min(drg_version) AS other_version, {columns}
        FROM prediction WHERE chosen AND error IS NULL AND run_id IN ({", ".join(map(literal, run_ids))}) GROUP BY note_id
    ) s JOIN (
        SELECT seq, note_id, drg_version, drg, title FROM note WHERE seq IN ({CURRENT_NOTES})
    ) n USING (note_id) WHERE {answered}"""


def _copy_sql(runs: int) -> str:
    """The narrow row of a note from `answers`, with base, level and MDC of each DRG from `book`."""
    each = range(runs)
    joins = " ".join(f"LEFT JOIN book b{i} ON b{i}.drg = a.drg_{i}" for i in each)
    facts = ", ".join(
        f"seq_{i}, drg_{i}, b{i}.base AS base_{i}, b{i}.level AS level_{i}, coalesce(drg_{i} = g.drg, false) AS right_{i}"
        for i in each
    )
    digits = " || ".join(f"CASE WHEN drg_{i} = g.drg THEN '1' ELSE '0' END" for i in each)

    def same(column: str) -> str:
        return " AND ".join(f"{column.format(0)} = {column.format(i)}" for i in each)

    return f"""
    SELECT note_seq, note_id, {facts}, g.drg AS gold_drg, g.base AS gold_base, g.level AS gold_level,
        CASE WHEN g.drg IS NOT NULL THEN {digits} END AS pattern,
        CASE WHEN {" OR ".join(f"b{i}.drg IS NULL" for i in each)} THEN '{AGREEMENTS[4]}'
            WHEN {same("drg_{}")} THEN '{AGREEMENTS[0]}' WHEN {same("b{}.base")} THEN '{AGREEMENTS[1]}'
            WHEN {same("b{}.mdc")} THEN '{AGREEMENTS[2]}' ELSE '{AGREEMENTS[3]}' END AS agreement,
        list_distinct(CASE WHEN g.drg IS NOT NULL THEN [g.mdc] ELSE [{", ".join(f"b{i}.mdc" for i in each)}] END) AS mdcs
    FROM (
        SELECT answers.*, CASE WHEN coalesce(gold_version, drg_version) = drg_version THEN coalesce(gold, titled.drg) END AS recorded
        FROM answers LEFT JOIN titled ON title = gold_title
    ) a
    LEFT JOIN book g ON g.drg = recorded
    {joins}"""


_RUNS = """
WITH said AS (
    SELECT run_id, arg_min(model, seq) AS model, arg_min(prompt, seq) AS prompt, arg_min(drg_version, seq) AS drg_version,
        count(DISTINCT note_id) FILTER (error IS NULL) AS notes, count(*) FILTER (error IS NOT NULL) AS failed,
        min(seq) AS first_seq, min(recorded_at) AS began
    FROM prediction WHERE chosen GROUP BY run_id
), started AS (
    SELECT run_id, arg_min(sampling, seq) AS sampling, arg_min(author, seq) AS author, arg_min(len(note_ids), seq) AS asked
    FROM run_event WHERE kind = 'started' GROUP BY run_id
)
SELECT said.*, sampling, author, asked FROM said LEFT JOIN started USING (run_id) WHERE notes > 0 ORDER BY first_seq DESC
"""
