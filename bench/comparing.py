"""Seconds that comparing and voting take, with few and with very many notes and predictions stored.

    python -m bench.comparing [--notes 300000] [--samples 8]

The database is that of `bench.evaluation`: two runs over all notes. The first look pays for copying the two runs' answers; what
a reader does after it (another case, a filter, a vote) does not. Wall clock of this process, and in brackets processor
seconds, which other work on the machine does not stretch as much. Prints figures and ratios, judges nothing.
"""

import argparse
import runpy
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.evaluation import RUNS as SHARES
from bench.evaluation import fill, opened
from sapphire.balloting import ballots, open_ballot
from sapphire.comparing import open_comparison, runs
from sapphire.profiles import Profile, save_profile
from sapphire.store import open_store
from sapphire.store.comparisons import DIFFERENT, CaseFilters, Comparisons
from sapphire.voting import draft, next_pair, vote, votes

ANA = Profile("Ana", "coder")
RUNS = tuple(SHARES)


def measure(path: Path) -> dict[str, tuple[float, float]]:
    """What a reader waits for → wall and processor seconds; medians of five where it is done again and again."""
    store = open_store(path)
    known = Comparisons(store)
    found = {"list of the runs, after a change": _timed(known.runs)}
    found["first look at two runs"] = _timed(lambda: _page(known, None, CaseFilters()))
    differing = CaseFilters(agreements=DIFFERENT)
    found["a filter for the first time"] = _timed(lambda: _page(known, None, differing))
    at = known.first(RUNS, differing)["note_seq"]
    seqs = [at := known.around(RUNS, differing, at)["after"] for _ in range(5)]
    found["the next case"] = _median([lambda seq=seq: _page(known, seq, differing) for seq in seqs])
    open_ballot(store, known, "Ballot", RUNS, "Ana")
    ballot = ballots(store)[0]
    found["a vote and the next pair"] = _median([lambda: _vote(store, known, ballot)] * 5)
    found["results"] = _median([lambda: votes(store, ballot)] * 5)
    store.close()
    return found


def measure_page(home: Path) -> dict[str, tuple[float, float]]:
    """The whole page through Streamlit's test driver, drawn by a reader who is shown answers at once."""
    store = open_store(home / "sapphire.duckdb")
    save_profile(store, Profile("Bo", "coder"))
    store.close()
    driver, file = opened(home, "compare")
    driver.query_params["runs"] = ",".join(RUNS)
    driver.switch_page(file)
    found = {"the page, first drawing": _timed(driver.run)}
    assert not driver.exception and any("Next difference" in each.label for each in driver.button)
    found["the page, drawn again"] = _median([driver.run] * 5)
    found["the page, next difference"] = _median([lambda: driver.button(key="compare_differing").click().run()] * 5)
    assert not driver.exception
    return found


def _unlike(path: Path) -> None:
    """Give the second run texts of its own: two answers of the same text are no pair to vote on."""
    store = open_store(path)
    store._connection._connection.execute(
        f"UPDATE prediction SET completion = replace(completion, '<think>', '<think>B ') WHERE run_id = '{RUNS[1]}'"
    )
    store.close()


def _page(known: Comparisons, seq: int | None, filters: CaseFilters) -> None:
    """What the compare page asks for at one drawing."""
    compared = [run for run in runs(known.runs()) if run.run_id in RUNS]
    known.coverage(RUNS), known.agreements(RUNS), known.patterns(RUNS), known.mdcs(RUNS), known.severities(RUNS)
    known.count(RUNS, filters)
    seq = seq or known.first(RUNS, filters)["note_seq"]
    known.around(RUNS, filters, seq), known.around(RUNS, CaseFilters(agreements=DIFFERENT), seq)
    open_comparison(known, known.note(seq), compared, "coder")


def _vote(store, known: Comparisons, ballot) -> None:
    pair = next_pair(store, known, ballot, ANA)
    draft(store, pair, ANA, "left", (), "")
    vote(store, pair, ANA)
    next_pair(store, known, ballot, ANA)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - processor


def _median(work: list[Callable[[], object]]) -> tuple[float, float]:
    walls, processors = zip(*map(_timed, work), strict=True)
    return statistics.median(walls), statistics.median(processors)


def main() -> None:
    from streamlit.runtime.scriptrunner import script_runner

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--notes", type=int, default=300_000)
    parser.add_argument("--samples", type=int, default=8, help="answers a note, in both runs together")
    options = parser.parse_args()
    script_runner._mpa_v1 = lambda main: runpy.run_path(main, run_name="__main__")
    with tempfile.TemporaryDirectory() as folder:
        homes = Path(folder, "small"), Path(folder, "large")
        for home, notes in zip(homes, (1_000, options.notes), strict=True):
            home.mkdir()
            fill(home / "sapphire.duckdb", notes, options.samples)
            _unlike(home / "sapphire.duckdb")
        few, many = (measure(home / "sapphire.duckdb") | measure_page(home) for home in homes)
    print(
        f"1,000 notes against {options.notes:,} notes, {options.notes * options.samples:,} predictions; seconds [processor]"
    )
    for name, (wall, processor) in many.items():
        ratio = wall / few[name][0]
        print(f"{name:34} {few[name][0]:7.3f} [{few[name][1]:.3f}]   {wall:7.3f} [{processor:.3f}]   ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
