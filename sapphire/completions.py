"""From a model's raw text to a prediction: the one parser of the app, the rewards and the evaluation.

A well formed completion is `<think>reasoning</think><answer>MS-DRG TITLE</answer>` and nothing else but white space. All
functions are pure and take time linear in the text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from sapphire.drg.codebook import CodeBook, Drg

THINK_OPEN, THINK_CLOSE, ANSWER_OPEN, ANSWER_CLOSE = FORM = ("<think>", "</think>", "<answer>", "</answer>")
TAG = re.compile("(</?(?:think|answer)>)")

# A reviewer judges each step. Beyond this number a completion is nearly always a loop, so the rest is one step.
MAX_STEPS = 60

MARKER = re.compile(
    r"\s*(?:[-*•·‣▪◦–—]|#{1,6}|\(?\d{1,2}[.)]|\(?[a-z]\))(?:\s+|$)"  # "- ", "# ", "1. ", "(2) ", "a) "
    r"|\s*[-*_=]{3,}\s*$"  # a ruled line
)
NUMBER = re.compile(r"\(?\d{1,2}[.)]")
WORD = re.compile(r"\S+")
# Closing marks that may follow the end of a sentence, opening ones that may precede a word.
CLOSING, OPENING = "\"'”’)]*_", "\"'“‘([*_"
# A period after these, after one letter ("E. coli") or after dotted letters ("i.v.", "b.i.d.") ends no sentence.
ABBREVIATIONS = set("dr mr mrs ms prof st vs pt pts hx dx tx rx sx approx dept hosp incl esp resp fig cf".split())  # noqa: SIM905
DOTTED = re.compile(r"(?:[a-z]\.)*[a-z]")


@dataclass(frozen=True)
class Parsed:
    """A completion, read.

    `think` and `answer` are without surrounding white space, "" where the text does not say unambiguously what they are.
    `drg` is the DRG of `book` whose whole title is the answer, else None. `start` is the offset of `think` in the text.
    """

    think: str
    answer: str
    drg: Drg | None
    well_formed: bool
    start: int
    book: CodeBook = field(repr=False, compare=False)

    @cached_property
    def step_spans(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each step, as offsets in the completion."""
        return tuple((self.start + start, self.start + end) for start, end in step_spans(self.think))

    @cached_property
    def steps(self) -> tuple[str, ...]:
        """The reasoning as a reader would number it (see `step_spans`); worked out when first asked for."""
        return tuple(self.think[start - self.start : end - self.start] for start, end in self.step_spans)


def parse(text: str, book: CodeBook) -> Parsed:
    """Read a completion against the titles of the model's version.

    Well formed: exactly the four tags, each once and in order, with only white space around the two blocks. In other
    texts a block is taken where only one reading is possible: it begins at its only opening tag and ends at the next tag
    or the end of the text; reasoning may also begin with the text, when `</think>` comes first (the opening tag was in
    the prompt). The answer must be a title and nothing else: with a number before it ("291 - ...") or words around it, it
    is no DRG, since whatever is lenient here is learnt by a model in training.
    """
    parts = [*TAG.split(text), ""]  # text and tag in turn; at the end what a missing block holds
    tags = tuple(parts[1:-1:2])
    well_formed = tags == FORM and not "".join(parts[::4]).strip()
    begun = THINK_OPEN not in tags and tags[:1] == (THINK_CLOSE,)
    at = 0 if begun else _after(THINK_OPEN, parts)
    think = parts[at].lstrip()
    end = sum(map(len, parts[: at + 1]))
    answer = parts[_after(ANSWER_OPEN, parts)].strip()
    return Parsed(think.rstrip(), answer, book.by_title(answer), well_formed, end - len(think), book)


def _after(tag: str, parts: list[str]) -> int:
    """Index of the text after the only such tag; of the empty last part when there is none or more than one."""
    return parts.index(tag) + 1 if parts.count(tag) == 1 else -1


def compose(think: str, answer: str) -> str:
    """A well formed completion: the inverse of `parse`. ValueError when a part holds one of the tags itself."""
    for name, part in (("reasoning", think), ("answer", answer)):
        if tag := TAG.search(part):
            raise ValueError(
                f"The {name} contains the tag {tag[0]}, which only marks where a part begins or ends; remove it."
            )
    return f"{THINK_OPEN}{think.strip()}{THINK_CLOSE}{ANSWER_OPEN}{answer.strip()}{ANSWER_CLOSE}"


def step_spans(think: str) -> list[tuple[int, int]]:
    """Split reasoning into steps: list items and paragraphs; where it is a single one of these, sentences.

    Every character belongs to one step, but for white space and list markers. Steps beyond MAX_STEPS form the last one.
    """
    blocks = _blocks(think)
    spans = list(_sentences(think, *blocks[0])) if len(blocks) == 1 else blocks
    if len(spans) > MAX_STEPS:
        spans[MAX_STEPS - 1 :] = [(spans[MAX_STEPS - 1][0], spans[-1][1])]
    return spans


def _blocks(text: str) -> list[tuple[int, int]]:
    """List items and paragraphs. A line break ends a paragraph, as models write one thought a line, unless the next line
    goes on in lower case, is indented under a list item, or what came before ends in a colon or comma."""
    blocks: list[tuple[int, int]] = []
    item = blank = False
    at = 0
    for line in text.split("\n"):
        marker = MARKER.match(line)
        body = line[marker.end() if marker else 0 :].strip()
        if body:
            start = at + (line.index(body, marker.end()) if marker else line.index(body))
            end = start + len(body)
            goes_on = (
                bool(blocks)
                and not marker
                and (
                    text[blocks[-1][1] - 1] in ":,"
                    or (not blank and (body[0].islower() or (item and line[0].isspace())))
                )
            )
            if goes_on:
                blocks[-1] = (blocks[-1][0], end)
            else:
                blocks.append((start, end))
                item = bool(marker)
        blank = not body
        at += len(line) + 1
    return blocks


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Sentences of one paragraph; a number that opens one ("... 2. Acute kidney injury") is its list marker."""
    words = list(WORD.finditer(text, start, end))
    first = words[0]
    for word, following in pairwise(words):
        if word is first and NUMBER.fullmatch(word[0]):
            first = following
        elif _ends_sentence(word[0], following[0]):
            yield first.start(), word.end()
            first = following
    yield first.start(), words[-1].end()


def _ends_sentence(word: str, following: str) -> bool:
    bare = word.rstrip(CLOSING)
    if not bare.endswith((".", "!", "?")) or following[0].islower():
        return False
    stem = bare[:-1].lstrip(OPENING).lower()
    return bare[-1] != "." or not (stem in ABBREVIATIONS or DOTTED.fullmatch(stem))
