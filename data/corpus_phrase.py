"""Phrase pools of the knowledge tables: train and test phrases with slots in braces, drawn with a given `random.Random`."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, product
from random import Random

SLOT = re.compile(r"\{([^{}]*)\}")
NUMBER = re.compile(r"(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)")
NAME = re.compile(r"[a-z][a-z_]*")
GIVEN = frozenset({"age", "man", "he", "his", "him", "side"})
_FOLD = re.compile(r"[^a-z0-9#%<>.]+")


class PhraseError(ValueError):
    """A phrase that cannot be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One pair of braces: a choice of words, a number range, or a name alone."""

    name: str = ""
    choices: tuple[str, ...] = ()
    low: float = 0.0
    step: float = 0.0
    count: int = 0
    decimals: int = 0

    def mark(self, ranges: bool) -> str:
        """What stands for the slot when phrases are compared."""
        return f"{self.low:g} to {self.low + (self.count - 1) * self.step:g}" if ranges and self.count else "#"

    def draw(self, rng: Random) -> str:
        if self.choices:
            return self.choices[int(rng.random() * len(self.choices))]
        return f"{self.low + int(rng.random() * self.count) * self.step:.{self.decimals}f}"


def _slot(body: str, phrase: str) -> Slot:
    name, equals, value = body.partition("=")
    if not equals:
        name, value = "", body
    if "|" in value:
        return Slot(name, tuple(part.strip() for part in value.split("|")))
    if number := NUMBER.fullmatch(value):
        low, high = number.groups()
        decimals = max(len(part.partition(".")[2]) for part in (low, high))
        step = 10.0**-decimals
        count = round((float(high) - float(low)) / step) + 1
        if count < 1:
            raise PhraseError(f"{{{body}}} in {phrase!r}: the first number is larger than the second")
        return Slot(name, (), float(low), step, count, decimals)
    if not equals and NAME.fullmatch(value):
        return Slot(value)
    raise PhraseError(f"{{{body}}} in {phrase!r} is no number range, no choice with | and no slot name")


class Phrase:
    """A phrase parsed once: `parts` alternates words and slots."""

    __slots__ = ("parts", "text")

    def __init__(self, text: str):
        self.text = text
        pieces = SLOT.split(text)
        if any("{" in piece or "}" in piece for piece in pieces[::2]):
            raise PhraseError(f"unbalanced braces in {text!r}")
        self.parts = [_slot(piece, text) if i % 2 else piece for i, piece in enumerate(pieces)]

    def render(self, rng: Random, slots: dict[str, str]) -> str:
        """The phrase with its slots drawn. A named number is remembered in `slots`, so that it reads the same again."""
        out = []
        for part in self.parts:
            if isinstance(part, str):
                out.append(part)
            elif part.name and part.name in slots:
                out.append(slots[part.name])
            elif part.choices or part.count:
                value = part.draw(rng)
                if part.name:
                    slots[part.name] = value
                out.append(value)
            else:
                raise PhraseError(f"no value for the slot {{{part.name}}} in {self.text!r}")
        return "".join(out)

    def needs(self) -> set[str]:
        """Names that must be given from outside (not defined in this phrase)."""
        slots = [part for part in self.parts if isinstance(part, Slot)]
        defined = {slot.name for slot in slots if slot.choices or slot.count}
        return {slot.name for slot in slots if slot.name} - defined

    def defines(self) -> set[str]:
        return {
            part.name for part in self.parts if isinstance(part, Slot) and part.name and (part.choices or part.count)
        }

    def forms(self, limit: int = 64, ranges: bool = False) -> list[str]:
        """All folded wordings for comparing phrases; numbers and named slots written as '#', numbers by `ranges` as their range."""
        options = [(part,) if isinstance(part, str) else part.choices or (part.mark(ranges),) for part in self.parts]
        return [fold("".join(form)) for form in islice(product(*options), limit)]


def fold(text: str) -> str:
    """Lower case words separated by single spaces, with a space at both ends (so that `in` respects word borders)."""
    return f" {_FOLD.sub(' ', text.lower()).strip()} "


@dataclass(frozen=True)
class Pool:
    """Phrases for the train and for the test split; nothing stands in both."""

    train: tuple[Phrase, ...] = ()
    test: tuple[Phrase, ...] = ()

    def of(self, split: str) -> tuple[Phrase, ...]:
        return self.test if split == "test" else self.train

    def __bool__(self) -> bool:
        return bool(self.train or self.test)

    @cached_property
    def phrases(self) -> tuple[Phrase, ...]:
        return self.train + self.test


def split_phrases(text: str) -> Iterable[str]:
    return (phrase for part in re.split(r" / |\n", text) if (phrase := part.strip().strip("/").strip()))


def pool(block: str) -> Pool:
    """Read a block: one phrase a line or several separated by ' / '; lines that begin with 'test:' are the test split's."""
    train, test = [], []
    for line in block.splitlines():
        stripped = line.strip()
        if stripped.startswith("test:"):
            test += [Phrase(text) for text in split_phrases(stripped.removeprefix("test:"))]
        else:
            train += [Phrase(text) for text in split_phrases(stripped)]
    return Pool(tuple(train), tuple(test))
