"""Time and peak memory of making the open corpus: `python -m bench.corpus 5000 50000`; a line of JSON a size.

Each size runs in a process of its own, so that peaks do not add up. The time is that of a user's
command, start to finished folder; CPU seconds of all its processes tell what a busy machine adds.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def measure(cases: int) -> dict:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "corpus"
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "data.corpus", "--cases", str(cases), "--out", str(out)],
            check=True,
            stdout=sys.stderr,
        )
        seconds = time.perf_counter() - start
        size = sum(file.stat().st_size for file in out.iterdir())
    # The largest process so far (Linux: KiB): sizes grow, so it is this run's own, the parent that holds all rows.
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cases": cases,
        "seconds": round(seconds, 1),
        "cases_per_second": round(cases / seconds),
        "cpu_seconds": round(used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
        "folder_mb": round(size / 1e6, 1),
    }


def main() -> None:
    for cases in sorted(int(argument) for argument in sys.argv[1:] or ("5000", "50000")):
        print(json.dumps(measure(cases)), flush=True)


if __name__ == "__main__":
    main()
