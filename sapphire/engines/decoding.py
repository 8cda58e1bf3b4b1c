"""Two-step decoding: an answer that is always a DRG, without losing the reasoning.

A grammar over titles would constrain the whole completion. So the model first writes freely until its answer begins or a
budget of tokens is spent; then whatever of `</think><answer>` is missing is forced, and only tokens that continue a title
of the model's version may follow. What the model writes in the right form by itself is left alone and nothing is forced.

On the grounded prompt the reasoning is guided: the model chooses each line among those that the note and CMS's rules bear out
(`sapphire.drg.guiding`), and what lies between two choices is read instead of decoded, which is ten times as fast. First it is asked,
unseen, which title it would give at once, the condition index's chance of each weighing in. That title is the answer, and if such lines can lead there,
they are kept to those that do: left to itself, a small model names a severity that its own lines deny in every second note.
"""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate

from sapphire.completions import ANSWER_CLOSE, ANSWER_OPEN, FORM, TAG, THINK_CLOSE, THINK_OPEN
from sapphire.drg.codebook import codebook
from sapphire.drg.grounding import ELSEWHERE
from sapphire.drg.guiding import Stay, following, reachable, towards
from sapphire.drg.lines import Line, render
from sapphire.engines import Completion, Sampling
from sapphire.engines.backend import Backend, Part, Token, Watch
from sapphire.engines.titles import Choices, Titles, titles
from sapphire.rewards import HEAD, first_words

TAGS = 16  # tokens that the tags between reasoning and answer may take
ANSWER = 128  # tokens kept free after the reasoning; the longest title has 146 characters
PARTIAL = re.compile("<[a-z/]*$")

# How much of a text with so many tokens can stand, and whether the model shall stop.
Judge = Callable[[str, int], tuple[int, bool]]


def boundary(text: str) -> tuple[int, bool]:
    """How much of a completion can stand, and whether free writing is over.

    It is over when the answer's opening tag is complete, and when the text leaves the form: no `<think>` first (nothing
    stands), another tag than `</think>` inside the reasoning (what is before it stands), or other words after `</think>` (the
    reasoning stands). A tag that is not complete yet does not stand.
    """
    begun = text.lstrip()
    if not begun.startswith(THINK_OPEN):
        return 0, not THINK_OPEN.startswith(begun)
    inside = len(text) - len(begun) + len(THINK_OPEN)
    tag = TAG.search(text, inside)
    if not tag:
        return _before_partial_tag(text), False
    if tag[0] != THINK_CLOSE:
        return tag.start(), True
    rest = text[tag.end() :].lstrip()
    if rest.startswith(ANSWER_OPEN):
        return len(text) - len(rest) + len(ANSWER_OPEN), True
    return tag.end(), not ANSWER_OPEN.startswith(rest)


def _before_partial_tag(text: str) -> int:
    partial = PARTIAL.search(text)
    is_tag = partial and any(tag.startswith(partial[0]) for tag in FORM)
    return partial.start() if is_tag else len(text)


class Draft:
    """A completion while it is written: its text, and the same as the model's context. Pieces go to `emit`."""

    def __init__(self, backend: Backend, context: Sequence[Part], emit: Callable[[str], None], watch: Watch):
        self.backend, self.context, self.emit, self.watch = backend, list(context), emit, watch
        self.text = self.head = ""
        self.forced: list[str] = []
        self.tokens = 0

    def add(self, text: str, parts: Sequence[Part]) -> None:
        self.text += text
        self.context.extend(parts)
        self.emit(text)

    def force(self, name: str, text: str) -> None:
        self.forced.append(name)
        self.add(text, self.backend.encode(text))

    def write(self, sampling: Sampling, seed: int, limit: int, judge: Judge) -> list[Token]:
        """Let the model write on; of what it wrote, only what `judge` lets stand is kept and shown."""
        begun = stands = len(self.text)
        text, tokens = self.text, []

        def accept(token: Token) -> bool:
            nonlocal text, stands
            tokens.append(token)
            text += token.text
            shown, (stands, over) = stands, judge(text, len(tokens))
            stands = max(stands, begun)
            self.emit(text[shown:stands])
            return not over

        self.backend.write(self.context, limit, sampling, seed, accept, self.watch)
        self.tokens += len(tokens)
        self.text = text[:stands]
        self.context.extend(self._parts(tokens, begun))
        return tokens

    def _parts(self, tokens: list[Token], at: int) -> list[Part]:
        """The tokens that stand in the text from `at` on; one that does so only in part is read anew."""
        parts: list[Part] = []
        for token in tokens:
            end = at + len(token.text)
            if end > len(self.text):
                return parts + (self.backend.encode(self.text[at:]) if at < len(self.text) else [])
            parts.extend(token.parts)
            at = end
        return parts


def complete(
    backend: Backend,
    prompt: tuple[list[Part], str],
    version: str,
    sampling: Sampling,
    emit: Callable[[str], None],
    watch: Watch,
    stay: Stay | None = None,
) -> Completion:
    """One completion after a `prompt` (see `Backend.prompt`), its reasoning guided where a `stay` is given. Raises what
    `Engine.stream` does."""
    context, begun = prompt
    draft, confidence = Draft(backend, context, emit, watch), None
    draft.add(begun, [])
    if sampling.constrained:
        chance = random.Random(sampling.seed)
        guided = bool(stay and sampling.max_thinking and _choices(stay, [], backend))
        asked = _asked(draft, stay, sampling, chance) if stay else None
        if guided:
            _guided(draft, sampling, towards(stay, asked[0] if asked[0] in reachable(stay) else None), chance)
        else:
            # Of a note in which nothing is found a small model's own lines are hardly ever true: better none.
            _think(draft, replace(sampling, max_thinking=0) if stay else sampling)
        answered = _answer(draft, Titles(version, asked[0]) if asked else titles(version), sampling, chance)
        confidence = asked[1] if asked else answered
    else:
        limit, begin = sampling.max_thinking + ANSWER, len(draft.text)
        tokens = draft.write(sampling, sampling.seed, limit, lambda text, count: (len(text), False))
        draft.head = _head(draft.text, tokens, begin)
    return Completion(draft.text, tuple(draft.forced), draft.head, draft.tokens, watch.seconds(), confidence)


def _think(draft: Draft, sampling: Sampling) -> None:
    """The reasoning and the tags around it, up to and with `<answer>`."""
    budget = sampling.max_thinking

    def judge(text: str, count: int) -> tuple[int, bool]:
        stands, over = boundary(text)
        return stands, over or (count >= budget and THINK_CLOSE not in text)

    def reason() -> None:
        begin = len(draft.text)
        tokens = draft.write(sampling, sampling.seed, budget + TAGS, judge)
        draft.head = _head(draft.text, tokens, begin)

    if budget and not draft.text:
        reason()
    if THINK_OPEN not in draft.text:
        draft.force("think_open", THINK_OPEN)
    if budget and draft.text.endswith(THINK_OPEN):
        reason()
    _close(draft)


def _asked(draft: Draft, stay: Stay, sampling: Sampling, chance: random.Random) -> tuple[str, float]:
    """The DRG whose title the model would give without reasoning, and the title's probability by its own odds.

    The title that it likes best of all and those of the condition index are weighed by its odds times the index's chance: that chance tells more than
    a small model's odds, and both together more than either. What the index does not name is taken where the model insists.
    """
    form, book = titles(stay.version), codebook(stay.version)
    asked = (THINK_CLOSE if draft.text else THINK_OPEN + THINK_CLOSE) + ANSWER_OPEN
    known: dict[str, dict[str, float]] = {}  # titles share their beginnings

    def walked(pick: Callable[[dict[str, float], str], str]) -> tuple[str, float]:
        unseen = Draft(draft.backend, draft.context, lambda piece: None, draft.watch)
        unseen.add(asked, draft.backend.encode(asked))
        begin = len(unseen.text)
        odds = _walk(unseen, form, pick, known)
        draft.tokens += unseen.tokens
        return book.by_title(unseen.text[begin:].removesuffix(ANSWER_CLOSE)).drg, odds

    chances = {each.drg: each.probability for each in stay.candidates}
    liked = dict([walked(lambda odds, written: _draw(odds, sampling, chance))])
    for drg in chances:
        if drg not in liked:
            answer = book.drgs[drg].title.upper() + ANSWER_CLOSE
            liked |= [walked(lambda odds, written, answer=answer: _towards(answer[len(written) :], odds))]
    drg = _draw({drg: odds * chances.get(drg, ELSEWHERE) for drg, odds in liked.items()}, sampling, chance)
    return drg, liked[drg]


def _guided(draft: Draft, sampling: Sampling, stay: Stay, chance: random.Random) -> None:
    """The reasoning and the tags around it; the model chooses each line, and its own tags stand."""

    def opens(text: str, count: int) -> tuple[int, bool]:
        before, found, _ = text.partition(THINK_OPEN)
        return (len(before + found), True) if found and not before.strip() else boundary(text)

    def closes(text: str, count: int) -> tuple[int, bool]:
        rest = text[told:].lstrip()
        return boundary(text) if rest.startswith(THINK_CLOSE) else (told, not THINK_CLOSE.startswith(rest))

    if not draft.text:
        draft.write(sampling, sampling.seed, TAGS, opens)
    if THINK_OPEN not in draft.text:
        draft.force("think_open", THINK_OPEN)
    begun, lines = len(draft.text), []
    while texts := _choices(stay, lines, draft.backend):
        start = len(draft.text)
        _walk(draft, Choices(texts), lambda odds, written: _draw(odds, sampling, chance))
        lines.append(texts[draft.text[start:]])
    draft.forced.append("lines")
    draft.head = first_words(draft.text[begun:])
    told = len(draft.text)
    draft.write(sampling, sampling.seed, TAGS, closes)
    _close(draft)


def _choices(stay: Stay, lines: Sequence[Line], backend: Backend) -> dict[str, Line]:
    """What may be written next → its line. Lines that quote a tag or a character that is no token of its own are left out."""
    texts = {("\n- " if lines else "- ") + render(line): line for line in following(stay, lines)}
    known = backend.vocabulary.keys() | {"\n"}
    written = {text: line for text, line in texts.items() if set(text) <= known and not TAG.search(text)}
    # Where the way to the aim cannot be written, any true line is better than none.
    return written or (_choices(towards(stay, None), lines, backend) if stay.aim else {})


def _close(draft: Draft) -> None:
    if THINK_CLOSE not in draft.text:
        draft.force("think_close", THINK_CLOSE)
    if not draft.text.endswith(ANSWER_OPEN):
        draft.force("answer_open", ANSWER_OPEN)


def _head(text: str, tokens: list[Token], at: int) -> str:
    """The text of the reasoning's first 50 tokens, where `tokens` begin at offset `at`; of the text's without a tag."""
    opened, closed = text.find(THINK_OPEN), text.find(THINK_CLOSE)
    start = opened + len(THINK_OPEN) if opened >= 0 else 0
    end, left = start, HEAD
    for token in tokens:
        at += len(token.text)
        if at > start and left:
            end, left = at, left - 1
    return text[start : min(end, closed if closed >= 0 else end)]


def _answer(draft: Draft, form: Titles, sampling: Sampling, chance: random.Random) -> float:
    """A title and `</answer>`: the model's own if it began the answer itself and writes a title, else the one it chooses
    among all titles. Returns the title's probability."""
    begin, context = len(draft.text), list(draft.context)

    def judge(text: str, count: int) -> tuple[int, bool]:
        title, closed, _ = text[begin:].partition(ANSWER_CLOSE)
        return (begin + len(title + closed) if closed and form.answer(title) else begin), bool(closed)

    if "answer_open" not in draft.forced:
        draft.write(sampling, sampling.seed, ANSWER - TAGS, judge)
    if own := form.answer(draft.text[begin:].removesuffix(ANSWER_CLOSE)):
        unseen = Draft(draft.backend, context, lambda piece: None, draft.watch)
        return _walk(unseen, form, lambda odds, written: _towards(own[len(written) :], odds))
    draft.forced += ["title", "answer_close"]
    return _walk(draft, form, lambda odds, written: _draw(odds, sampling, chance))


def _walk(
    draft: Draft,
    form: Choices,
    pick: Callable[[dict[str, float], str], str],
    known: dict[str, dict[str, float]] | None = None,
) -> float:
    """Write one of the choices; at each fork `pick` chooses a token by the odds of those that continue one, given what is written.
    Returns the product of the chosen odds. Between forks nothing is decoded: what is certain has probability 1. `known` keeps the odds of each fork for
    another walk from the same place."""
    written, confidence = "", 1.0
    known = {} if known is None else known
    while not form.whole(written):
        if text := form.certain(written):
            draft.add(text, draft.backend.encode(text))
        else:
            if written not in known:
                allowed = form.next_tokens(written, draft.backend.vocabulary)
                odds = draft.backend.odds(draft.context, allowed, draft.watch)
                known[written] = {allowed[token]: share for token, share in odds.items()}
                draft.tokens += 1
            text = pick(known[written], written)
            confidence *= known[written][text]
            draft.add(text, [draft.backend.vocabulary[text]])
        written += text
    return confidence


def _towards(rest: str, odds: dict[str, float]) -> str:
    """The likeliest token with which the rest of an answer can begin."""
    return max((text for text in odds if rest.startswith(text)), key=odds.__getitem__)


def _draw(odds: dict[str, float], sampling: Sampling, chance: random.Random) -> str:
    """A token by its odds under the sampling's temperature, then top-p."""
    ranked = sorted(odds, key=odds.__getitem__, reverse=True)
    if sampling.temperature == 0:
        return ranked[0]
    weights = [(odds[text] / odds[ranked[0]]) ** (1 / sampling.temperature) for text in ranked]
    enough = sampling.top_p * sum(weights)
    count = next((i for i, mass in enumerate(accumulate(weights), 1) if mass >= enough), len(weights))
    return chance.choices(ranked[:count], weights[:count])[0]
