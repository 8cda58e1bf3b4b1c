"""Words that are not ours, in a widget that reads Markdown."""

_MARKUP = "\\`*_{}[]()<>#+-.!|~$:"


def plain(words: str) -> str:
    """`words` with nothing left for Markdown to act on: shown as they are."""
    return "".join(f"\\{c}" if c in _MARKUP else c for c in words)
