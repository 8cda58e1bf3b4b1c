"""Many claims in, one answer each: JSON Lines of claims through the grouper, in order and without keeping them."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from sapphire.drg import rules
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import ClaimError, claim_from, prepared, problem, ungroupable

LONGEST = 1_000_000  # bytes a line; a claim of 25 diagnoses and 25 procedures needs about 2,000


def answers(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """One answer a line, in order; blank lines hold no claim and get none. Nothing in a line stops the rest."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield answer(line, number)


def answer(line: bytes, number: int) -> dict[str, Any]:
    """`id` as the claim gives it, else the line's number; `drg` "999" if ungroupable or, with `return_code` None, not grouped.

    `error` is None or one sentence. A code that the version does not know is an error, yet the DRG is what the grouper
    makes of the rest.
    """
    identity: Any = number
    try:
        record = _parse(line)
        if isinstance(record, dict) and record.get("id") is not None:
            identity = record["id"]
        claim = prepared(claim_from(record))
        answered = rules.answer(claim)
        drg, return_code, version = answered.drg, answered.return_code, claim.version
        error = problem(claim, answered) or (None if return_code == "OK" else ungroupable(return_code))
        title = codebook(version).drgs[drg].title
    except ClaimError as unfit:
        drg, title, version, return_code, error = "999", None, None, None, str(unfit)
    return {"id": identity, "drg": drg, "title": title, "version": version, "return_code": return_code, "error": error}


def _parse(line: bytes) -> Any:
    if len(line) > LONGEST:
        raise ClaimError(f"The line is longer than {LONGEST:,} bytes, too long for a claim.")
    try:
        return json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as broken:
        raise ClaimError(f"The line is not UTF-8 text (byte {broken.start + 1}).") from None
    except json.JSONDecodeError as broken:
        raise ClaimError(f"The line is not JSON: {broken.msg} at column {broken.colno}.") from None
    except (ValueError, RecursionError):
        raise ClaimError(
            "The line is not JSON that can be read: a number is too long or the nesting too deep."
        ) from None
