"""Seconds that the evaluation and reader study pages take, with few and with very many notes and predictions stored.

    python -m bench.evaluation [--notes 300000] [--samples 8]

The database is made inside DuckDB: patients with one to three stays, DRGs of unequal frequency, half the samples right. Figures
are of Streamlit's test driver on the whole page; the first drawing pays for aggregating the run, a rerun does not. Prints
figures and ratios, judges nothing.
"""

from pathlib import Path

from sapphire.drg.codebook import codebook
from sapphire.profiles import Profile, save_profile
from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction

VERSION = "43.1"
RUNS = ("run-a", "run-b")


def fill(path: Path, notes: int, samples: int) -> None:
    """A database of so many notes, two runs over half of the predictions each, and a review of every third note."""
    store = open_store(path)
    save_profile(store, Profile("Ana", "coder"))
    store.append("note", [stored_note("seed", "Hospital Course: " + "words of a note " * 90, drg_version=VERSION)])
    store.append("prediction", [stored_prediction("seed")])
    many = store._connection._connection  # one statement instead of millions of rows through Python
    drgs = [drg.drg for drg in codebook(VERSION).drgs.values()]
    many.execute("SET enable_progress_bar = false")
    many.execute(
        "CREATE TEMP TABLE book AS SELECT unnest($drgs) AS drg, unnest(range(len($drgs))) AS place", {"drgs": drgs}
    )
    many.execute(
        f"""CREATE TEMP TABLE stay AS SELECT i, 'n' || i AS note_id, 's' || (i * 7 // 10) AS subject_id, 100 + (i * 37) % 1400 AS words,
            (floor(pow(random(), 3) * {len(drgs)}))::INT AS place FROM range({notes}) t(i)"""
    )
    many.execute(
        """INSERT INTO note BY NAME SELECT s.* EXCLUDE (subject_id, drg, words, note_id), stay.note_id, stay.subject_id, stay.words, book.drg
        FROM (SELECT * EXCLUDE seq FROM note LIMIT 1) s, stay JOIN book USING (place) ORDER BY i"""
    )
    for run, share in zip(RUNS, (0.55, 0.5), strict=True):
        many.execute(
            f"""INSERT INTO prediction BY NAME
            SELECT s.* EXCLUDE (prediction_id, run_id, note_id, sample, chosen, drg, confidence, model, completion), 'p' || i || '-' || k || '{run}' AS prediction_id,
                '{run}' AS run_id, answer.note_id, 'model of {run}' AS model, k AS sample, k = 0 AS chosen, book.drg, random() AS confidence,
                '<think>' || repeat(md5(i::VARCHAR || k), 4) || '</think><answer>X</answer>' AS completion
            FROM (SELECT * EXCLUDE seq FROM prediction LIMIT 1) s, (
                SELECT i, note_id, k, CASE WHEN random() < {share} THEN place ELSE (place + (random() * 3)::INT) % {len(drgs)} END AS place
                FROM stay, range({samples}) t(k)
            ) answer JOIN book USING (place) ORDER BY i, k"""
        )
    store.close()
