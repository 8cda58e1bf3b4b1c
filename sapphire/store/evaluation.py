"""What evaluation reads of the database, kept as a compact copy in memory: the runs, the notes' labels, each run's answers.

A run of 300,000 notes is read once, as one list of small numbers a note; slices of it are then grouped here, without reading it
again. The copy of a run is renewed when answers were added to it, that of the labels when notes or reviews were.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sapphire.drg.codebook import codebook
from sapphire.marking import distinct
from sapphire.store.connections import Row
from sapphire.store.database import Store
from sapphire.store.literals import CURRENT_NOTES
from sapphire.store.memory import MemoryTables

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

KEPT_RUNS = 8  # runs whose answers stay in memory; of 300,000 notes with 8 answers each takes some 20 MB

# One number holds an answer: its DRG (0: none), whether its reward terms are known, whether its format held and a DRG title
# came first, whether it stands for its note, whether it is a failure, and the number of its sample.
DRG_BITS, KNOWN, FORMED, TITLE_FIRST, CHOSEN, FAILED, SAMPLE_BITS = 10, 1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 15

# Numbers of all rows first; the words only of each run's first row.
_RUNS = """
SELECT p.run_id, f.model, f.prompt, f.drg_version, p.notes, p.answers, p.samples, p.failed, p.calibrated, f.recorded_at AS began, r.author, r.sampling
FROM (
    SELECT run_id, count(*) FILTER (chosen) AS notes, count(*) AS answers, max(sample) + 1 AS samples, count(error) AS failed,
        count(raw_confidence) AS calibrated, min(seq) AS seq
    FROM prediction GROUP BY run_id
) p
JOIN (SELECT seq, model, prompt, drg_version, recorded_at FROM prediction) f USING (seq)
LEFT JOIN (SELECT run_id, arg_min(author, seq) AS author, arg_min(sampling, seq) AS sampling FROM run_event GROUP BY run_id) r USING (run_id)
ORDER BY p.seq DESC
"""

_NOTES = f"""
SELECT seq, note_id, coalesce(subject_id, note_id) AS patient, words, coalesce(source, '') AS source, coalesce(split, '') AS split,
    import_id, drg, CASE WHEN drg IS NULL THEN title END AS title, drg_version
FROM note WHERE seq IN ({CURRENT_NOTES})
"""
_TRAPS = f"SELECT seq, unnest(trap) AS one_trap FROM note WHERE seq IN ({CURRENT_NOTES})"
_IMPORTS = """
SELECT import_id, array_to_string(any_value(files), ', ') || strftime(min(recorded_at), ' · %d %b %Y') AS name
FROM import_event GROUP BY import_id HAVING bool_or(kind = 'imported') AND NOT bool_or(kind = 'withdrawn') ORDER BY min(seq) DESC
"""
_NOTES_END = (
    "SELECT max(seq) AS seq FROM (SELECT max(seq) AS seq FROM note UNION ALL SELECT max(seq) FROM import_event)"
)
_REVIEWS_END = "SELECT max(seq) AS seq FROM review_event WHERE kind IN ('saved', 'withdrawn')"

# What saved reviews say of a note's DRG; an accepted or changed one is settled, and several reviewers must agree.
_REVIEWED = """
SELECT note_id, drg_version, min(drg) AS drg, count(DISTINCT drg) AS drgs
FROM saved_review WHERE decision IN ('accept', 'change') AND drg IS NOT NULL GROUP BY note_id, drg_version
"""

_ANSWERS = f"""
SELECT note_id,
    list((coalesce(try_cast(drg AS INTEGER), 0) + CASE WHEN format IS NULL THEN 0 ELSE {KNOWN} END
        + CASE WHEN format = 0 THEN {FORMED} ELSE 0 END + CASE WHEN cot_first < 0 THEN {TITLE_FIRST} ELSE 0 END
        + CASE WHEN chosen THEN {CHOSEN} ELSE 0 END + CASE WHEN error IS NULL THEN 0 ELSE {FAILED} END
        + (sample << {SAMPLE_BITS}))::INTEGER) AS codes,
    min(confidence) FILTER (chosen) AS confidence
FROM prediction WHERE run_id = $run GROUP BY note_id
"""


@dataclass(frozen=True)
class CaseFilter:
    """Which notes are evaluated, and by whose label: "recorded" with the note, "reviewed" here, or "either" (a review goes before
    what was recorded). Empty fields let all notes pass."""

    labels: str = "recorded"
    source: str = ""
    split: str = ""
    import_id: str = ""

    def where(self) -> tuple[str, dict[str, object]]:
        tests, params = ["true"], {}
        for column in ("source", "split", "import_id"):
            if value := getattr(self, column):
                tests.append(f"n.{column} = ${column}")
                params[column] = value
        return " AND ".join(tests), params


# Why an answered note cannot be measured; 0: it can.
NO_LABEL, OTHER_VERSION, DISAGREE = 1, 2, 3


def _table(names: Sequence[str], values: Sequence[tuple]):
    import pyarrow as pa

    return pa.table(dict(zip(names, map(list, zip(*values, strict=True)), strict=True)))


class EvaluationCopy:
    """Labels and answers in memory, in `tables`. Safe to share between threads; `refresh` before a page is drawn."""

    def __init__(self, store: Store):
        self._store = store
        self._lock = threading.RLock()
        self.tables = MemoryTables()
        self._runs: list[Row] = []
        self._imports: list[Row] = []
        self._ends: dict[str, object] = {}
        self._kept: dict[str, tuple[str, int]] = {}  # run_id → its table and the answers it holds
        self._rows: dict[str, np.ndarray] = {}  # table of answers → its row for each note, -1 for none
        self.labels_revision = 0

    def refresh(self) -> None:
        """Follow the database: the list of runs, and the labels if notes or reviews came in."""
        with self._lock:
            if self._moved("prediction", "SELECT max(seq) AS seq FROM prediction"):
                self._runs = self._store.read(_RUNS)
            notes = self._moved("note", _NOTES_END)
            if notes:
                self._imports = self._store.read(_IMPORTS)
                self.tables["note"], self.tables["label"] = _numbered(self._store.read_arrow(_NOTES))
                self._rows.clear()
                self.tables.drop("trap")
            if self._moved("review", _REVIEWS_END) or notes:
                self.tables.drop("reviewed")
                self.labels_revision += 1

    def runs(self) -> list[Row]:
        """Every run with an answer, newest first: run_id, model, prompt, drg_version, notes, answers, samples, failed (notes without an
        answer), calibrated (answers with a calibrated confidence), began, author, sampling (JSON)."""
        return self._runs

    def answers(self, run_id: str) -> tuple[str, int]:
        """The table that holds a run's answers, a row each note (note_id, codes, predicted (0: no DRG), confidence, failed, at: its
        place), and how many answers it holds. KeyError when there is no such run."""
        with self._lock:
            stored = next((run["answers"] for run in self._runs if run["run_id"] == run_id), None)
            if stored is None:
                raise KeyError(run_id)
            kept = self._kept.pop(run_id, None)
            if kept is None or kept[1] != stored:
                if kept:
                    self._drop(kept[0])
                kept = (self.tables.keep(_placed(self._store.read_arrow(_ANSWERS, run=run_id))), stored)
            self._kept[run_id] = kept
            while len(self._kept) > KEPT_RUNS:
                self._drop(self._kept.pop(next(iter(self._kept)))[0])
            return kept

    def labelled(self, answers: Sequence[str], cases: CaseFilter, version: str) -> "pa.Table":
        """The notes that have a row in every one of these tables of answers, by seq: seq, patient (a number), words, gold (a DRG
        number of `version`; 0: none, and `why` says why not), and at_0, at_1, …: the note's row in each table."""
        import numpy as np
        import pyarrow as pa

        rows = self._rows_of(answers)
        place = np.flatnonzero(np.all([each >= 0 for each in rows], axis=0) & self._passing(cases))
        gold, why = (each[place] for each in self._gold(cases.labels, version))
        columns = {name: self.tables["note"][name].to_numpy()[place] for name in ("seq", "patient", "words")}
        at = {f"at_{i}": each[place] for i, each in enumerate(rows)}
        return pa.table(columns | {"gold": gold, "why": why} | at)

    def _passing(self, cases: CaseFilter) -> "np.ndarray":
        """(notes,) Whether each note passes the filters."""
        import numpy as np

        where, params = cases.where()
        passing = np.zeros(len(self.tables["note"]), bool)
        passing[self.tables.arrow(f"SELECT place FROM note n WHERE {where}", **params)["place"].to_numpy()] = True
        return passing

    def _gold(self, labels: str, version: str) -> tuple["np.ndarray", "np.ndarray"]:
        """(notes,) The number of each note's right DRG, 0 for none, and why it has none."""
        import numpy as np

        book, titled = self._name_titles(version)
        recorded = self.tables.arrow(
            f"""SELECT coalesce(number, 0)::SMALLINT AS number, CASE WHEN drg_version <> $version THEN {OTHER_VERSION} ELSE {NO_LABEL} END AS why
            FROM label l LEFT JOIN {titled} t ON t.title = l.title
            LEFT JOIN {book} book ON book.drg = coalesce(l.drg, t.drg) AND coalesce(drg_version, $version) = $version ORDER BY label""",
            version=version,
        )
        label = self.tables["note"]["label"].to_numpy()
        gold, why = recorded["number"].to_numpy()[label], recorded["why"].to_numpy()[label]
        if labels != "recorded":
            if labels == "reviewed":
                gold, why = np.zeros_like(gold), np.full_like(why, NO_LABEL)
            self._read_reviewed()
            said = self.tables.arrow(
                f"""SELECT place, CASE WHEN drgs = 1 THEN coalesce(number, 0) ELSE 0 END AS number, CASE WHEN drgs > 1 THEN {DISAGREE} ELSE {NO_LABEL} END AS why
                FROM reviewed JOIN note USING (note_id) LEFT JOIN {book} USING (drg) WHERE reviewed.drg_version = $version""",
                version=version,
            )
            gold[said["place"].to_numpy()], why[said["place"].to_numpy()] = said["number"], said["why"]
        return gold, np.where(gold > 0, 0, why)

    def _rows_of(self, answers: Sequence[str]) -> "list[np.ndarray]":
        """For each of these tables of answers (notes,): the row of each note, -1 for none."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc

        new = [table for table in answers if table not in self._rows]
        if new:
            notes = self.tables["note"]["note_id"].combine_chunks()
            ids = [self.tables[table]["note_id"].combine_chunks() for table in new]
            found = pc.index_in(pa.concat_arrays(ids), value_set=notes).fill_null(len(notes)).to_numpy()
            for table, place in zip(new, np.split(found, np.cumsum([len(each) for each in ids[:-1]])), strict=True):
                rows = np.full(len(notes) + 1, -1, np.int32)
                rows[place] = np.arange(len(place))
                self._rows[table] = rows[:-1]
        return [self._rows[table] for table in answers]

    def _drop(self, answers: str) -> None:
        self.tables.drop(answers)
        self._rows.pop(answers, None)

    def count(self, cases: CaseFilter) -> int:
        """Notes that pass the filters, answered or not."""
        where, params = cases.where()
        return self.tables.read(f"SELECT count(*) AS n FROM note n WHERE {where}", **params)[0]["n"]

    def choices(self, column: str) -> list[str]:
        """The values of a column of the notes that can be filtered by, the commonest first."""
        found = self.tables.read(
            f"SELECT {column} AS v FROM note WHERE {column} <> '' GROUP BY ALL ORDER BY count(*) DESC, v"
        )
        return [row["v"] for row in found]

    def imports(self) -> list[Row]:
        """Imports whose notes are still there, newest first: import_id, name (its files and day)."""
        return self._imports

    def standing(self, run_id: str, note_id: str) -> str | None:
        """The prediction_id that stands for a note in a run."""
        found = self._store.read(
            "SELECT prediction_id FROM prediction WHERE run_id = $run AND note_id = $note AND chosen",
            run=run_id,
            note=note_id,
        )
        return found[0]["prediction_id"] if found else None

    def read_traps(self) -> None:
        """Have the table `trap` (seq, one_trap): read when it is first asked for, since few corpora have traps."""
        with self._lock:
            if "trap" not in self.tables:
                self.tables["trap"] = self._store.read_arrow(_TRAPS)

    def _read_reviewed(self) -> None:
        """Labels from reviews are read when they are first asked for: most evaluations need none."""
        with self._lock:
            if "reviewed" not in self.tables:
                self.tables["reviewed"] = self._store.read_arrow(_REVIEWED)

    def _name_titles(self, version: str) -> tuple[str, str]:
        """Tables of one code book, and of the DRG of each recorded title that came without a number."""
        book, name = codebook(version), version.replace(".", "_")
        titles = self.tables.read("SELECT DISTINCT title FROM label WHERE title IS NOT NULL")
        found = [(row["title"], drg.drg) for row in titles if (drg := book.by_title(row["title"]))]
        self.tables[f"book_{name}_"] = _table(("drg", "number"), [(drg, int(drg)) for drg in book.drgs])
        self.tables[f"titled_{name}_"] = _table(("title", "drg"), found or [("", "")])
        return f"book_{name}_", f"titled_{name}_"

    def _moved(self, what: str, end: str) -> bool:
        seq = self._store.read(end)[0]["seq"]
        moved = what not in self._ends or self._ends[what] != seq
        self._ends[what] = seq
        return moved


def _placed(answers: "pa.Table") -> "pa.Table":
    """With each note's place, the DRG of the answer that stands for it (0: none), and whether it could not be answered at all."""
    import numpy as np
    import pyarrow as pa

    lists = answers["codes"].combine_chunks()
    codes, offsets = lists.values.to_numpy(), lists.offsets.to_numpy()
    note = np.repeat(np.arange(len(lists), dtype=np.int32), np.diff(offsets))
    chosen = codes & CHOSEN > 0
    predicted = np.zeros(len(lists), np.int16)
    predicted[note[chosen]] = codes[chosen] & (1 << DRG_BITS) - 1
    failed = np.ones(len(lists), bool)
    failed[note[codes & FAILED == 0]] = False
    columns = {"codes": lists, "at": np.arange(len(lists), dtype=np.int32), "predicted": predicted, "failed": failed}
    return pa.table({name: answers[name] for name in ("note_id", "confidence")} | columns)


def _numbered(notes: "pa.Table") -> tuple["pa.Table", "pa.Table"]:
    """The notes with their place, patients as numbers, since they are only ever grouped by, and a number for what was recorded of the
    DRG; and the table of these labels: label, drg, title, drg_version."""
    import numpy as np
    import pyarrow as pa

    of_labels = ("drg", "title", "drg_version")
    encoded = (notes[name].combine_chunks().dictionary_encode().indices for name in of_labels)
    label, one = distinct(*(indices.fill_null(-1).to_numpy() + 1 for indices in encoded))
    labels = notes.select(of_labels).take(pa.array(one)).append_column("label", pa.array(np.arange(len(one))))
    columns = {name: notes[name] for name in notes.column_names if name not in of_labels}
    columns["patient"] = notes["patient"].combine_chunks().dictionary_encode().indices
    return pa.table(columns | {"place": np.arange(len(notes), dtype=np.int32), "label": label}), labels
