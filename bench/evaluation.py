"""Seconds that the evaluation and reader study pages take, with few and with very many notes and predictions stored.

    python -m bench.evaluation [--notes 300000] [--samples 8]

The database is made inside DuckDB: 300,000 notes of 210,000 patients, DRGs of unequal frequency, two runs with half of the
answers each (2.4 million in all), reviews of every third note by two readers. Through Streamlit's test driver: the first drawing
of a tab after the app was opened, which reads and marks the runs, and a rerun of it. Prints figures, judges nothing.
"""

import argparse
import os
import runpy
import statistics
import tempfile
import time
from pathlib import Path

from sapphire.drg.codebook import codebook
from sapphire.profiles import Profile, save_profile
from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction

ROOT = Path(__file__).parent.parent
VERSION = "43.1"
RUNS = {"run-a": 0.55, "run-b": 0.5}  # share of answers that are right
PAGES = {
    "evaluation": ("Measures", "Groups", "Between runs", "Errors", "Calibration and rewards", "Case mix"),
    "reader_study": ("Ratings", "Agreement", "Steps", "Kinds of error", "Time", "First answers"),
}
TABS = {"evaluation": "evaluation_tab", "reader_study": "study_tab"}


def fill(path: Path, notes: int, samples: int) -> None:
    store = open_store(path)
    save_profile(store, Profile("Ana", "coder", think_first=True))
    store.append("note", [stored_note("seed", "Hospital Course: " + "words of a note " * 90, drg_version=VERSION)])
    store.append("prediction", [stored_prediction("seed", format=0.0, cot_first=0.0)])
    many = store._connection._connection  # one statement instead of millions of rows through Python
    many.execute("SET enable_progress_bar = false")
    drgs = [drg.drg for drg in codebook(VERSION).drgs.values()]
    many.execute(
        "CREATE TEMP TABLE book AS SELECT unnest($drgs) AS drg, unnest(range(len($drgs))) AS place", {"drgs": drgs}
    )
    many.execute(
        f"""CREATE TEMP TABLE stay AS SELECT i, 'n' || i AS note_id, 's' || (i * 7 // 10) AS subject_id, 100 + (i * 37) % 1400 AS words,
            (floor(pow(random(), 3) * {len(drgs)}))::INT AS place FROM range({notes}) t(i)"""
    )
    many.execute(
        """INSERT INTO note BY NAME SELECT s.* EXCLUDE (subject_id, drg, words, note_id, trap), stay.note_id, stay.subject_id, stay.words, book.drg,
            CASE WHEN i % 3 = 0 THEN ['history_of', 'ruled_out'] ELSE [] END AS trap
        FROM (SELECT * EXCLUDE seq FROM note LIMIT 1) s, stay JOIN book USING (place) ORDER BY i"""
    )
    for run, share in RUNS.items():
        _run(many, run, share, samples // len(RUNS), len(drgs))
    _reviews(many)
    store.close()


def _run(many, run: str, share: float, samples: int, drgs: int) -> None:
    many.execute(
        f"""INSERT INTO prediction BY NAME
        SELECT s.* EXCLUDE (prediction_id, run_id, note_id, sample, chosen, drg, confidence, model, completion), 'p' || i || '-' || k || '{run}' AS prediction_id,
            '{run}' AS run_id, answer.note_id, 'model of {run}' AS model, k AS sample, k = 0 AS chosen, book.drg, random() AS confidence,
            '<think>- "' || md5(i::VARCHAR || k) || '": hypertension (I10), none</think><answer>X</answer>' AS completion
        FROM (SELECT * EXCLUDE seq FROM prediction LIMIT 1) s, (
            SELECT i, note_id, k, CASE WHEN random() < {share} THEN place ELSE (place + (random() * 3)::INT) % {drgs} END AS place FROM stay, range({samples}) t(k)
        ) answer JOIN book USING (place) ORDER BY i, k"""
    )


def _reviews(many) -> None:
    """Two readers open, see, and save every third note of the first run."""
    for reader in ("Ana", "Ben"):
        for kind, second in (("opened", 0), ("revealed", 60), ("saved", 180)):
            many.execute(
                f"""INSERT INTO review_event BY NAME SELECT TIMESTAMP '2026-01-01' + to_seconds(i * 200 + {second}) AS recorded_at, uuid()::VARCHAR AS event_id, note_id,
                    'p' || i || '-0run-a' AS prediction_id, '{reader}' AS reviewer, 'coder' AS role, '{kind}' AS kind, '{VERSION}' AS drg_version,
                    CASE WHEN '{kind}' = 'revealed' THEN drg END AS prior_drg,
                    CASE WHEN '{kind}' = 'saved' THEN CASE WHEN random() < 0.8 THEN drg ELSE '291' END END AS drg,
                    CASE WHEN '{kind}' = 'saved' THEN random() < 0.5 END AS drg_right, CASE WHEN '{kind}' = 'saved' THEN 'accept' END AS decision,
                    CASE WHEN '{kind}' = 'saved' THEN 1 + (random() * 4.99)::INT % 5 END AS helpfulness,
                    CASE WHEN '{kind}' = 'saved' THEN 1 + (random() * 4.99)::INT % 5 END AS accuracy,
                    CASE WHEN '{kind}' = 'saved' THEN 'severity' END AS error_category,
                    CASE WHEN '{kind}' = 'saved' THEN ['right'] END AS step_verdicts, '' AS reasoning, '' AS comment
                FROM stay JOIN book USING (place) WHERE i % 3 = 0 ORDER BY i"""
            )


def opened(home: Path, page: str):
    """The test driver on a page of a freshly opened app, before the page has drawn anything."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    os.environ["SAPPHIRE_HOME"] = str(home)
    st.cache_resource.clear()
    driver = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    return driver, f"pages/{page}.py"


def timed(run) -> float:
    start = time.perf_counter()
    found = run()
    assert not found.exception, found.exception
    return time.perf_counter() - start


def measure(home: Path, page: str) -> dict[str, tuple[float, float]]:
    """Seconds of the first drawing and of reruns (median of 5) by tab."""
    driver, file = opened(home, page)
    driver.switch_page(file)
    found = {}
    for tab in PAGES[page]:
        driver.session_state[TABS[page]] = tab
        if page == "evaluation":
            driver.session_state["evaluation_runs"] = list(RUNS)
        first = timed(driver.run)
        found[tab] = first, statistics.median(timed(driver.run) for _ in range(5))
    return found


def main() -> None:
    from streamlit.runtime.scriptrunner import script_runner

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=300_000)
    parser.add_argument("--samples", type=int, default=8, help="answers a note, over both runs")
    parser.add_argument("--keep", type=Path, help="a folder whose database is made once and used again")
    chosen = parser.parse_args()
    script_runner._mpa_v1 = lambda main: runpy.run_path(main, run_name="__main__")
    with tempfile.TemporaryDirectory() as folder:
        sizes = {100: Path(folder, "small"), chosen.notes: chosen.keep or Path(folder, "large")}
        for notes, home in sizes.items():
            if not (home / "sapphire.duckdb").exists():
                home.mkdir(parents=True, exist_ok=True)
                fill(home / "sapphire.duckdb", notes, chosen.samples)
        for page in PAGES:
            small, large = (measure(home, page) for home in sizes.values())
            print(f"{page:24} {'first drawing':>32} {'rerun':>24}")
            for tab in PAGES[page]:
                print(
                    f"  {tab:24} {small[tab][0]:9.2f} s {large[tab][0]:9.2f} s {large[tab][0] / small[tab][0]:6.1f}x"
                    f" {small[tab][1]:9.2f} s {large[tab][1]:9.2f} s {large[tab][1] / small[tab][1]:6.1f}x"
                )


if __name__ == "__main__":
    main()
