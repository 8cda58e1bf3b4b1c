"""Words that pages and reports share."""


def counted(n: int, thing: str) -> str:
    """`n` with its unit in words: "1 note", "1,200 notes"."""
    return f"{n:,} {thing}" if n == 1 else f"{n:,} {thing}s"


def inside(sentence: str) -> str:
    """A sentence as it stands within another: without its capital, but with those of names."""
    return sentence[:1].lower() + sentence[1:]
