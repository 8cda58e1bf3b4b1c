"""Look codes up by their beginning or by words of the official title, with CMS's level: for those who write the tables."""

import gzip
from functools import lru_cache
from importlib.resources import files
from itertools import islice

from sapphire.drg.codebook import DEFAULT_VERSION
from sapphire.drg.grouper import Claim, group
from sapphire.drg.icd import is_operating_room, normal

SHOWN = 60


@lru_cache(maxsize=100_000)
def level(code: str) -> str:
    """CMS's level of a diagnosis code as a secondary one: MCC, CC or none. Any principal diagnosis shows it."""
    return group(Claim(pdx="R5381", sdx=(code,), age=50, sex="U")).diagnoses[0].level


def show_codes(prefix: str, words: str) -> None:
    """Print the codes that begin with `prefix` and whose title holds all `words`, diagnoses first."""
    for table, status in (("icd10cm", level), ("icd10pcs", _room)):
        text = gzip.decompress(files("sapphire.drg").joinpath("tables", f"{table}.tsv.gz").read_bytes()).decode()
        rows = (line.split("\t") for line in text.splitlines() if line.startswith(normal(prefix)))
        found = [row for row in rows if all(word in row[1].lower() for word in words.lower().split())]
        for code, title, *_ in islice(found, SHOWN):
            print(f"{code:8} {status(code):9} {title}")
        if len(found) > SHOWN:
            print(f"… {len(found) - SHOWN} more; say more of the code or title")


def _room(code: str) -> str:
    return "O.R." if is_operating_room(code, DEFAULT_VERSION) else "non-O.R."
