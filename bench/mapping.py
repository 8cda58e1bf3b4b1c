"""How well descriptions are mapped: top-1, share accepted, precision of what is accepted, with 95% Wilson intervals, and speed.

    python -m bench.mapping HOSP/drgcodes.csv.gz --version 37            # truth: the recorded number, where the version has it
    python -m bench.mapping HOSP/drgcodes.csv.gz --version 37 --with-code
    python -m bench.mapping MAPPING.csv --titles DRG_34.csv              # truth: a mapping by hand (raw_description, …description)

A mapping by hand also names descriptions that mean no DRG (NaN): they count against what is accepted, not against top-1.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter

from data.mapping import DECIDED, Matcher
from data.mimic_titles import SourceError, column, read_mapping, read_titles, rows, version_titles
from sapphire.drg.codebook import VERSIONS

Z = 1.959964  # 95%


def wilson(hits: int, of: int) -> str:
    """A share with its 95% Wilson interval, in per cent."""
    if not of:
        return "none"
    share, z = hits / of, Z * Z / of
    middle, half = (share + z / 2) / (1 + z), Z * math.sqrt(share * (1 - share) / of + z / of / 4) / (1 + z)
    return f"{hits}/{of} = {share:.1%} ({middle - half:.1%} to {middle + half:.1%})"


def truths(path: Path, matcher: Matcher, with_code: bool) -> Iterator[tuple[str, str | None, str | None]]:
    """Different (description, code to give, true title or None for no DRG); recorded numbers that the version lacks are left out."""
    header, body = rows(path)
    if "raw_description" in header:
        yield from ((raw, None, title) for raw, title in read_mapping(path, matcher).items())
        return
    kind, code, text = (column(path, header, name) for name in ("drg_type", "drg_code", "description"))
    seen = {(row[text], row[code].strip().zfill(3)) for _, row in body if row[kind] == "HCFA"}
    for description, number in sorted(seen):
        if number in matcher.titles:
            yield description, number if with_code else None, matcher.titles[number]
        else:
            print(f"left out, the version has no {number}: {description}", file=sys.stderr)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.mapping", description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--version", choices=VERSIONS, default="37")
    parser.add_argument("--titles", type=Path)
    parser.add_argument("--with-code", action="store_true", help="give the matcher the recorded number, too")
    arguments = parser.parse_args()
    try:
        matcher = Matcher(read_titles(arguments.titles) if arguments.titles else version_titles(arguments.version))
        asked = list(truths(arguments.file, matcher, arguments.with_code))
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    start = perf_counter()
    matches = [(matcher.match(text, code), title) for text, code, title in asked]
    seconds = perf_counter() - start
    mappable = [(match, title) for match, title in matches if title is not None]
    accepted = [(match, title) for match, title in matches if match.status in DECIDED]
    for match, title in matches:
        if match.title != title and (title is not None or match.status in DECIDED):
            print(
                f"{match.status}: {match.raw} → {match.title or 'nothing'}; truth: {title or 'no DRG'}", file=sys.stderr
            )
    print(f"top-1: {wilson(sum(match.title == title for match, title in mappable), len(mappable))}")
    print(f"accepted: {wilson(len(accepted), len(matches))}")
    print(f"right of those accepted: {wilson(sum(match.title == title for match, title in accepted), len(accepted))}")
    print(f"{len(matches)} descriptions in {seconds:.2f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
