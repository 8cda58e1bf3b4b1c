"""What may follow so that a text becomes one of several: the constraint that the local engines share, of titles and guided lines.

It works on text, so a model may spell a choice in any tokens it likes. A title ends with its closing tag, which decides
between it and a longer one that begins with it.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import takewhile

from sapphire.completions import ANSWER_CLOSE
from sapphire.drg.codebook import codebook

LONGEST = 32  # characters; longer tokens are runs of marks or spaces, which no title has


class Choices:
    """Several texts of which one is to be written; none begins with another."""

    def __init__(self, texts: Iterable[str]):
        self._texts = sorted(texts)

    def whole(self, written: str) -> bool:
        """Whether one of them is written."""
        at = bisect_left(self._texts, written)
        return at < len(self._texts) and self._texts[at] == written

    def characters(self) -> set[str]:
        """What a vocabulary must hold as single tokens, so that no beginning is a dead end."""
        return set().union(*self._texts)

    def beginning(self, written: str) -> list[str]:
        """Those that begin with what is written so far, sorted."""
        first = bisect_left(self._texts, written)
        # No text holds the highest character, so this sorts after all that begin alike.
        return self._texts[first : bisect_left(self._texts, written + "\U0010ffff")]

    def certain(self, written: str) -> str:
        """What must follow: all that is left of the only one, else the whole words that those left share.

        Words are not cut, so that a model meets the next fork where its own tokens begin.
        """
        left = self.beginning(written)
        if len(left) == 1:
            return left[0][len(written) :]
        # What the first and the last of a sorted list share, all share.
        shared = "".join(a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(left[0], left[-1], strict=False)))
        return shared[len(written) : max(shared.rfind(" "), len(written))]

    def next_tokens(self, written: str, vocabulary: Mapping[str, int]) -> dict[int, str]:
        """The tokens that continue one of them, id to text and in the order of the texts, where `vocabulary` is text to id."""
        at = len(written)
        texts = {text[at:end] for text in self.beginning(written) for end in range(at + 1, at + 1 + LONGEST)}
        return {vocabulary[text]: text for text in sorted(texts) if text in vocabulary}


class Titles(Choices):
    """The answers that a version allows: each title in upper case (as the prompt asks), then `</answer>`. `only`: the DRG whose title it must be."""

    def __init__(self, version: str, only: str | None = None):
        self._book = codebook(version)
        drgs = [self._book.drgs[only]] if only else self._book.drgs.values()
        super().__init__(drg.title.upper() + ANSWER_CLOSE for drg in drgs)

    def answer(self, title: str) -> str | None:
        """The answer of a title in whatever spelling the code book accepts; None if it is none of these."""
        drg = self._book.by_title(title)
        answer = drg and drg.title.upper() + ANSWER_CLOSE
        return answer if answer and self.whole(answer) else None

    def all(self) -> list[str]:
        """Every title in upper case, without the closing tag."""
        return [answer.removesuffix(ANSWER_CLOSE) for answer in self._texts]


@cache
def titles(version: str) -> Titles:
    """The answers of a version, sorted once."""
    return Titles(version)


def readable(tokens: Iterable[tuple[int, str]]) -> dict[str, int]:
    """Text to id for the tokens that titles can be made of, from ids and raw vocabulary entries (special ones left out).

    Byte-level BPE writes a space as Ġ, SentencePiece as ▁; entries that are not plain ASCII after that are dropped.
    """
    texts: dict[str, int] = {}
    for number, raw in tokens:
        text = raw.replace("Ġ", " ").replace("▁", " ")
        if text.isascii() and text.isprintable():
            texts.setdefault(text, number)
    return texts
