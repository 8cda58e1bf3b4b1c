"""Two-step answers where a server or vLLM writes whole texts: what of a free completion stands, and what is still to be written.

The rule is that of `decoding`, where a local model is stopped token by token: a completion that is in form and ends in a title is
the model's own; of any other what stands is kept, the missing tags are forced, and a title is chosen.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sapphire.completions import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN
from sapphire.engines import Completion, Sampling
from sapphire.engines.decoding import boundary
from sapphire.engines.titles import titles
from sapphire.rewards import HEAD, first_words


@dataclass(frozen=True)
class Written:
    """What a model wrote in one go: its text, and its tokens with their log-probabilities, as far as they were told."""

    text: str
    tokens: tuple[tuple[str, float], ...] = ()
    count: int = 0


def spelt(text: str, tokens: Sequence[tuple[str, float]]) -> tuple[tuple[str, float], ...]:
    """The tokens that spell a text: without the one that ended the turn; none where a character took several tokens, of which
    nobody tells the parts."""
    if not "".join(token for token, _ in tokens).startswith(text):
        return ()
    return tuple(_within(tokens, 0, 0, len(text)))


@dataclass
class Attempt:
    """One completion on its way. `wants` says what the model is asked for next: "reasoning", "title" or None (it is whole)."""

    sampling: Sampling
    version: str
    text: str = ""  # what the chat template already wrote of the completion, at first
    forced: list[str] = field(default_factory=list)
    wants: str | None = "reasoning"
    head: str = ""
    count: int = 0
    confidence: float | None = None

    def take(self, written: Written) -> None:
        """What the model wrote behind `text`, as asked."""
        self.count += written.count or len(written.tokens)
        if self.wants == "title":
            self._force("title", written.text.strip())
            self._force("answer_close", ANSWER_CLOSE)
            self.confidence, self.wants = _chance(written.tokens), None
            return
        begun, self.text = len(self.text), self.text + written.text
        if self.sampling.constrained:
            self._judge(begun, written.tokens)
        else:
            self.wants = None
        self.head = self.head or _head(self.text, begun, written.tokens)

    def is_spoilt_by(self, written: str) -> bool:
        """Whether this, written behind `text`, has left the form, so that nothing more of it can stand."""
        if self.wants != "reasoning" or not self.sampling.constrained:
            return False
        text = self.text + written
        stands, over = boundary(text)
        return over and not text[:stands].endswith(ANSWER_OPEN)

    def completion(self, seconds: float) -> Completion:
        return Completion(self.text, tuple(self.forced), self.head, self.count, seconds, self.confidence)

    def _judge(self, begun: int, tokens: Sequence[tuple[str, float]]) -> None:
        stands = max(boundary(self.text)[0], len(THINK_OPEN) if "think_open" in self.forced else 0)
        title, closed, _ = self.text[stands:].partition(ANSWER_CLOSE)
        own = self.text[:stands].endswith(ANSWER_OPEN) and closed and titles(self.version).answer(title)
        if own:
            end = stands + len(title)
            self.confidence, self.wants = _chance(_within(tokens, begun, stands, end)), None
            self.text = self.text[: end + len(closed)]
            return
        self.text = self.text[:stands]
        if THINK_OPEN not in self.text:
            self._force("think_open", THINK_OPEN)
            return
        if THINK_CLOSE not in self.text:
            self._force("think_close", THINK_CLOSE)
        if not self.text.endswith(ANSWER_OPEN):
            self._force("answer_open", ANSWER_OPEN)
        self.wants = "title"

    def _force(self, name: str, text: str) -> None:
        self.forced.append(name)
        self.text += text


def _within(tokens: Sequence[tuple[str, float]], at: int, start: int, end: int) -> list[tuple[str, float]]:
    """The tokens that lie in the text from `start` to `end`, where the first begins at `at`."""
    found = []
    for token in tokens:
        if start <= at < end:
            found.append(token)
        at += len(token[0])
    return found


def _chance(tokens: Sequence[tuple[str, float]]) -> float | None:
    """The probability of writing these tokens; None when the server told none."""
    return math.exp(sum(chance for _, chance in tokens)) if tokens else None


def _head(text: str, begun: int, tokens: Sequence[tuple[str, float]]) -> str:
    """The text of the reasoning's first 50 tokens; its first 50 words where the tokens are not known, which is never less."""
    opened = text.find(THINK_OPEN)
    start = opened + len(THINK_OPEN) if opened >= 0 else 0
    think = text[start:].partition(THINK_CLOSE)[0]
    if not tokens:
        return first_words(think)
    inside = _within(tokens, begun, start, start + len(think))[:HEAD]
    return think[: sum(len(token) for token, _ in inside)]
