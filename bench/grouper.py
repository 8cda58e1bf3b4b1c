"""Claims a second of the grouper, plain, explained and as lines of a file: `python -m bench.grouper [CLAIMS]`.

The claims are drawn with a fixed seed from real codes: 8 secondary diagnoses, half of them CCs or MCCs, and one procedure.
"""

import json
import random
import sys
import time
from collections.abc import Callable, Iterable

from sapphire.claim_lines import answers
from sapphire.drg.grouper import claim_from, drg_of, group

PRINCIPAL = ["I5023", "A419", "J189", "N179", "I639", "K8000", "E1110", "C3411", "I214", "S72001A"]
SEVERE = ["J9601", "R6521", "G9341", "E43", "N179", "D62", "I4891", "J690", "I2699", "K7200"]
MILD = ["I10", "E876", "E785", "Z87891", "K219", "F329", "Z7901", "M1990", "E119", "I2510"]
PROCEDURES = ["02703DZ", "0FT44ZZ", "5A1955Z", "0SRD0J9", "30233N1", "0BH17EZ", "3E0436Z", "0DTN0ZZ"]


def claims(number: int, version: str) -> list[dict]:
    rng = random.Random(0)
    return [
        {
            "pdx": rng.choice(PRINCIPAL),
            "sdx": rng.sample(SEVERE, 4) + rng.sample(MILD, 4),
            "procedures": [rng.choice(PROCEDURES)],
            "age": rng.randint(18, 95),
            "sex": rng.choice("MF"),
            "version": version,
        }
        for _ in range(number)
    ]


def rate(work: Callable, items: Iterable) -> float:
    """Items a second of wall time, after one item that loads the tables."""
    first, *rest = items
    work(first)
    began = time.perf_counter()
    for item in rest:
        work(item)
    return len(rest) / (time.perf_counter() - began)


def main() -> None:
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    for version in ("43.1", "37"):
        records = claims(number, version)
        ready = [claim_from(record) for record in records]
        lines = [json.dumps(record).encode() for record in records]
        plain, explained = rate(drg_of, ready), rate(group, ready[: max(2, number // 10)])
        by_line = rate(lambda line: list(answers([line])), lines)
        print(f"v{version}: {plain:,.0f} claims/s plain; {by_line:,.0f} lines/s of a file", end="; ")
        print(f"{explained:,.0f} claims/s explained, {plain / explained:.1f} times the work of plain")


if __name__ == "__main__":
    main()
