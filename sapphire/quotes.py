"""Where a reasoning's quotations stand in the note."""

import re

# Straight or typographic double quotes around at least a word; single quotes are apostrophes too often.
QUOTED = re.compile(r'["“]([^"“”\n]{4,300})["”]')


def quotes(reasoning: str) -> list[str]:
    """What the reasoning puts in double quotation marks, in order."""
    return [match.strip() for match in QUOTED.findall(reasoning)]


def locate(quote: str, text: str) -> tuple[int, int] | None:
    """The offsets of `quote` in `text`, whatever its case and white space; None when it does not stand there.

    A closing full stop or comma, which American usage puts inside the quotation marks, need not be in the note.
    """
    words = quote.strip().rstrip(".,;").split()
    if not words:
        return None
    found = re.search(r"\s+".join(map(re.escape, words)), text, re.IGNORECASE)
    return found.span() if found else None


def quoted_spans(reasoning: str, text: str) -> list[tuple[int, int]]:
    """The offsets in `text` of every quotation of `reasoning` that stands there, in the order of the note."""
    return sorted({span for quote in quotes(reasoning) if (span := locate(quote, text))})
