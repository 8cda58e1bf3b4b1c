"""Time and peak memory of `python -m data.mimic` at 10,000, 100,000 and 331,000 made-up notes, and how they grow.

    python -m bench.mimic [--notes 10000 100000 331000] [--folder DIR]

MIMIC-IV-Note 2.2 has 331,794 discharge notes. The made-up ones (bench/fake_mimic.py) are about 10,000 characters long, as are
MIMIC's. Memory is the sum over the program and its processes of their resident pages, each shared page counted in part
(PSS), looked at ten times a second.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import monotonic, sleep

from bench.fake_mimic import write

NOTES = (10_000, 100_000, 331_000)


def run(folder: Path, notes: int) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak memory in GB of one preparation of so many made-up notes."""
    source = folder / str(notes)
    if not (source / "done").exists():
        write(source, notes)
        (source / "done").touch()
    command = [
        sys.executable,
        "-m",
        "data.mimic",
        "--hosp",
        str(source / "hosp"),
        "--notes",
        str(source / "discharge.csv.gz"),
    ]
    start, spent, peak = monotonic(), processor_time(), 0
    process = subprocess.Popen([*command, "--version", "37", "--out", str(source / "out")], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, sum(map(memory, family(process.pid))))
        sleep(0.1)
    if process.returncode:
        raise SystemExit(f"data.mimic ended with {process.returncode} on {notes} notes.")
    return monotonic() - start, processor_time() - spent, peak / 1e6


def processor_time() -> float:
    """Seconds that ended child processes, and theirs, have had of the processors: what other work on the machine changes least."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def family(pid: int) -> list[int]:
    """A process and its children's children, as far as they still run."""
    children = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):
        try:
            children += (thread / "children").read_text().split()
        except OSError:
            continue
    return [pid, *(member for child in children for member in family(int(child)))]


def memory(pid: int) -> int:
    """Kilobytes of a process, shared pages in part; 0 when it has ended."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mimic", description=__doc__.partition("\n")[0])
    parser.add_argument("--notes", type=int, nargs="+", default=NOTES)
    parser.add_argument(
        "--folder", type=Path, help="where to keep the made-up notes (331,000 take 1 GB); default: nowhere"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.folder or Path(temporary)
        before = None
        print("| notes | seconds | processor seconds | peak memory, GB | growth of processor time | growth of memory |")
        print("|---|---|---|---|---|---|")
        for notes in arguments.notes:
            seconds, spent, peak = run(folder, notes)
            growth = f"{spent / before[0]:.1f}x | {peak / before[1]:.1f}x" if before else " | "
            print(f"| {notes:,} | {seconds:.0f} | {spent:.0f} | {peak:.2f} | {growth} |", flush=True)
            before = spent, peak


if __name__ == "__main__":
    main()
