"""Seconds from `streamlit run` to a drawn page, a worklist rerun with few and with many notes, and the time of a save.

    python -m bench.app [--notes 300000]

The page is drawn in headless Chromium over the embedded model's home; the reruns go through Streamlit's test driver, small
and large databases taking turns, so that a busy machine slows both. Prints ratios, judges nothing.
"""

import argparse
import os
import runpy
import statistics
import tempfile
import time
from pathlib import Path

from sapphire.profiles import Profile, save_profile
from sapphire.reviewing import Form, open_case, save_draft
from sapphire.store import open_store
from tests.stays import stored_note, stored_prediction

ROOT = Path(__file__).parent.parent
ROUNDS = 15


def fill(path: Path, notes: int) -> None:
    """A database of so many notes of 350 words, each with a prediction and a third with a review, made inside DuckDB."""
    store = open_store(path)
    save_profile(store, Profile("Ana", "coder"))
    store.append("note", [stored_note("seed", "Hospital Course: " + "words of a note " * 90)])
    store.append("prediction", [stored_prediction("seed")])
    save_draft(store, open_case(store, "seed", "Ana"), Profile("Ana", "coder"), Form(comment="x"))
    many = store._connection._connection  # one statement instead of 300,000 rows through Python
    for table, changes, count in (
        ("note", "'n' || i AS note_id", notes),
        ("prediction", "'n' || i AS note_id, 'p' || i AS prediction_id, random() AS confidence", notes),
        (
            "review_event",
            "'n' || i AS note_id, 'p' || i AS prediction_id, 'saved' AS kind, 'accept' AS decision",
            notes // 3,
        ),
    ):
        seed = f"(SELECT * EXCLUDE seq FROM {table} LIMIT 1)"
        many.execute(
            f"INSERT INTO {table} BY NAME SELECT * EXCLUDE i REPLACE ({changes}) FROM {seed}, range({count}) t(i)"
        )
    store.close()


def first_page() -> list[float]:
    """Seconds from starting the server to the worklist's table in the browser, three times."""
    from playwright.sync_api import sync_playwright

    from tests.chromium import installed
    from tests.test_browser import FLAGS, Server

    seconds = []
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=installed(), args=FLAGS)
        fill(Path(folder, "sapphire.duckdb"), 75)
        for _ in range(3):
            start = time.perf_counter()
            server = Server(Path(folder))
            page = browser.new_page()
            page.goto(server.url)
            page.get_by_test_id("stDataFrame").wait_for()
            seconds.append(time.perf_counter() - start)
            page.close()
            server.kill()
        browser.close()
    return seconds


def rerun(home: Path):
    """The test driver on the worklist of one home, drawn once."""
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    os.environ["SAPPHIRE_HOME"] = str(home)
    st.cache_resource.clear()
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()


def reruns(sizes: list[int]) -> dict[int, list[float]]:
    from streamlit.runtime.scriptrunner import script_runner

    script_runner._mpa_v1 = lambda main: runpy.run_path(main, run_name="__main__")
    found: dict[int, list[float]] = {size: [] for size in sizes}
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            Path(folder, str(size)).mkdir()
            fill(Path(folder, str(size), "sapphire.duckdb"), size)
        for _ in range(3):
            for size in sizes:
                driver = rerun(Path(folder, str(size)))
                driver.run().run()  # the first reruns still pay for the opening
                for _ in range(ROUNDS // 3):
                    start = time.perf_counter()
                    driver.run()
                    found[size].append(time.perf_counter() - start)
    return found


def saves(notes: int) -> list[float]:
    """Seconds that one change of the form takes until it is on disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "sapphire.duckdb")
        fill(path, notes)
        store = open_store(path)
        ana = Profile("Ana", "coder")
        seconds = []
        for i in range(40):
            start = time.perf_counter()
            save_draft(store, open_case(store, "n1", "Ana"), ana, Form(comment=f"comment {i}"))
            seconds.append(time.perf_counter() - start)
        store.close()
    return seconds


def tell(name: str, seconds: list[float]) -> None:
    low, middle, high = min(seconds), statistics.median(seconds), max(seconds)
    print(f"{name:44} {middle * 1000:8.0f} ms  ({low * 1000:.0f} to {high * 1000:.0f}, n={len(seconds)})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=300_000)
    large = parser.parse_args().notes
    tell("streamlit run to a drawn worklist", first_page())
    found = reruns([100, large])
    for size, seconds in found.items():
        tell(f"worklist rerun, {size:,} notes", seconds)
    print(f"  ratio {statistics.median(found[large]) / statistics.median(found[100]):.2f}")
    for size in (100, large):
        tell(f"form change to disk, {size:,} notes", saves(size))


if __name__ == "__main__":
    main()
