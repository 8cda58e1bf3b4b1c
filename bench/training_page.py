"""Seconds that the training page takes with short and with long runs, and what taking a run in costs.

    python -m bench.training_page [--runs 20] [--steps 5000]

Run folders are written as `train` writes them (made-up figures, see tests/run_folders.py), their case groups made inside DuckDB: eight a
step. Streamlit's test driver draws the whole page with six runs chosen and every section of curves, short and long runs taking turns: first with every curve
reckoned anew, then again as it is when nothing changed, then after one more step of one run. Prints figures and ratios, judges nothing.
"""

import argparse
import os
import runpy
import statistics
import tempfile
import time
from pathlib import Path

from bench.app import ROOT, tell
from sapphire.profiles import Profile, save_profile
from sapphire.store import open_store
from sapphire.training_runs import TrainingRuns
from tests.run_folders import line, write_run

SHORT = 50
CHOSEN = 6
ROUNDS = 3
KINDS = ("first drawing", "drawn again", "after one more step")


def fill(home: Path, runs: int, steps: int) -> list[float]:
    """A home whose runs are in the database; returns the seconds that taking in each run's lines took."""
    store = open_store(home / "sapphire.duckdb")
    save_profile(store, Profile("Ana", "coder"))
    training, seconds = TrainingRuns(store, home / "runs"), []
    for number in range(runs):
        write_run(
            home / "runs", f"run-{number:02d}", steps=steps, done=steps - 1, level=number / 100, started=f"2026-11-{number % 28 + 1:02d}T02:00:00+00:00"
        )  # fmt: skip
        start = time.perf_counter()
        training.refresh(600)
        seconds.append(time.perf_counter() - start)
    many = store._connection._connection  # one statement instead of a million rows through Python
    many.execute("SET enable_progress_bar = false")
    many.execute(
        """INSERT INTO training_group BY NAME SELECT now() AT TIME ZONE 'UTC' AS recorded_at, run_id, step, 'case-' || ((step * 8 + i) % 2000) AS case_id,
            '291' AS drg, '43.1' AS drg_version, 16 AS answers, random() AS share_right, random() AS reward, 0.0 AS reward_low, 1.0 AS reward_high,
            random() AS spread, ['easy', 'medium', 'hard'][1 + (random() * 2.99)::INT] AS difficulty FROM training_step, range(8) t(i)"""
    )
    store.close()
    return seconds


def driver(home: Path):
    import streamlit as st
    from streamlit.testing.v1 import AppTest

    os.environ |= {"SAPPHIRE_HOME": str(home), "SAPPHIRE_RUNS": str(home / "runs")}
    st.cache_resource.clear()
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120).run()
    at.switch_page("pages/training.py").run()
    return at


def timed(at) -> float:
    start = time.perf_counter()
    at.run()
    assert not at.exception
    return time.perf_counter() - start


def draw(home: Path, runs: int, steps: int, found: dict[tuple[str, int], list[float]]) -> None:
    at = driver(home)
    from pages.parts.session import open_bench

    training = open_bench().training
    at.session_state["training_runs"] = [run.run_id for run in training.runs()[:CHOSEN]]
    at.session_state["training_sections"] = ["Reward", "Learning", "Signal", "Policy", "Time"]
    training._curves.clear()
    found[KINDS[0], steps].append(timed(at))
    found[KINDS[1], steps].append(timed(at))
    with (training.runs()[0].folder / "metrics.jsonl").open("a") as out:
        out.write(line(training.runs()[0].done + 1, steps=steps))
    found[KINDS[2], steps].append(timed(at))


def main() -> None:
    from streamlit.runtime.scriptrunner import script_runner

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--steps", type=int, default=5_000)
    asked = parser.parse_args()
    script_runner._mpa_v1 = lambda main: runpy.run_path(main, run_name="__main__")
    sizes = (SHORT, asked.steps)
    found: dict[tuple[str, int], list[float]] = {(kind, steps): [] for kind in KINDS for steps in sizes}
    print(f"{asked.runs} runs, {CHOSEN} of them drawn")
    with tempfile.TemporaryDirectory() as folder:
        for steps in sizes:
            home = Path(folder, str(steps))
            home.mkdir()
            tell(f"taking in a run of {steps:,} steps", fill(home, asked.runs, steps))
        for _ in range(ROUNDS):
            for steps in sizes:
                draw(Path(folder, str(steps)), asked.runs, steps, found)
    for kind in KINDS:
        for steps in sizes:
            tell(f"{kind}, {steps:,} steps", found[kind, steps])
        small, large = (statistics.median(found[kind, steps]) for steps in sizes)
        print(f"  ratio {large / small:.2f}")


if __name__ == "__main__":
    main()
