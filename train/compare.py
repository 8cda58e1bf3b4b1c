"""Several evaluations of the same cases: `python -m train.compare FIRST OTHER ...` (files of train.evaluate), see docs/evaluation.md.

Each is tested against the first on the cases that all of them have.
"""

import argparse
import sys
from pathlib import Path

from sapphire.prediction_files import OutputError
from train.measures import Results, read_results, shared
from train.tables import comparison, head


def read_runs(paths: list[Path]) -> dict[str, Results]:
    """Name → results, named by model, or by file where models are the same. OutputError when they cannot be compared."""
    results = [read_results(path) for path in paths]
    names = [each.about["model"]["name"] for each in results]
    if len(set(names)) < len(names):
        names = [path.stem for path in paths]
    if len(set(names)) < len(names):
        raise OutputError("A file is named twice; name each evaluation once.")
    if len({each.version for each in results}) > 1:
        raise OutputError(
            "The evaluations are of different MS-DRG versions; only those of one version can be compared."
        )
    if len({each.k for each in results}) > 1:
        raise OutputError("The evaluations have different numbers of samples a case; ask each model equally often.")
    runs = dict(zip(names, results, strict=True))
    if not next(iter(shared(runs).values())):
        raise OutputError("The evaluations have no case in common; evaluate the models on the same data.")
    return runs


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train.compare", description=__doc__.partition("\n")[0])
    parser.add_argument("first", metavar="FIRST", type=Path, help="the evaluation that the others are tested against")
    parser.add_argument("others", metavar="OTHER", type=Path, nargs="+")
    args = parser.parse_args(argv)
    try:
        runs = read_runs([args.first, *args.others])
    except OutputError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n\n".join([*(head(run) for run in runs.values()), comparison(runs)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
