"""Sentence frames of `style.yaml`: choose one whose slots can be filled, and fill it with phrases that stay recognisable.

Text is built as segments, so that the words that show a condition are known as such until the note is finished: they are
quoted by the reasoning, and no typo or abbreviation touches them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from random import Random
from typing import NamedTuple

from data.corpus_phrase import Phrase, Slot, pool
from data.corpus_tables import Tables

HOLES = frozenset(
    "it story finding findings care list by denial labs".split()  # noqa: SIM905
)
SENTENCE_END = re.compile(r'[.!?:]["\')]?\s+$')
ARTICLE = re.compile(r"\b[Aa] $")
VOWEL = re.compile(r"8\d?$|11$|18$")  # an 80-year-old
STOP = re.compile(r"[.:;,|/-] $")
AUXILIARY = re.compile(r"^(?:was|were|had been) ")


class Segment(NamedTuple):
    """A piece of text; `key` names the mention whose words it is, None for everything else."""

    text: str
    key: str | None = None


Holes = Mapping[str, Sequence[Segment]]


class Frames:
    """The frames of one split, read once: `of(style, block)` are the style's own, else those of any style."""

    def __init__(self, tables: Tables, split: str):
        style = tables.style
        self.split = split
        self._frames = {
            (name, block): pool(text).of(split)
            for name, blocks in style["frames"].items()
            for block, text in blocks.items()
        }
        self.close = {where: pool(text).of(split) for where, text in style["close"].items()}
        self.fillers = {name: pool(text).of(split) for name, text in style["fillers"].items()}
        self.roles = {
            role: pool(style[role.replace(" ", "_").removesuffix("_history")]).of(split)
            for role in ("history", "family history", "ruled out", "resolved")
        }
        self.uncertain = pool(style["uncertain"]).of(split)
        self.headings = style["test_headings" if split == "test" else "headings"]

    def of(self, style: str, block: str) -> tuple[Phrase, ...]:
        return self._frames.get((style, block)) or self._frames[("any", block)]

    def own(self, style: str, block: str) -> bool:
        return (style, block) in self._frames


@lru_cache(maxsize=50_000)
def holes_of(phrase: Phrase) -> frozenset[str]:
    return frozenset(part.name for part in phrase.parts if isinstance(part, Slot) and part.name in HOLES)


def choose(rng: Random, frames: Iterable[Phrase], holes: Holes) -> Phrase:
    """A frame whose holes can all be filled; those that use more of what is there are preferred."""
    fitting = [frame for frame in frames if holes_of(frame) <= holes.keys()]
    if not fitting:
        raise ValueError(
            f"style.yaml has no frame for {', '.join(sorted(holes))}: {[frame.text for frame in frames][:3]}"
        )
    weights = [1 + 2 * len(holes_of(frame)) for frame in fitting]
    return rng.choices(fitting, weights)[0]


def fill(rng: Random, frame: Phrase, holes: Holes, slots: dict[str, str], clipped: bool = False) -> list[Segment]:
    """The frame as segments. `clipped` writes "diuresed" for "he was diuresed"."""
    out: list[Segment] = []
    parts = frame.parts
    for i, part in enumerate(parts):
        if isinstance(part, str):
            if part:
                out.append(Segment(part))
        elif part.name in HOLES:
            segments = list(holes[part.name])
            if clipped and part.name == "care":
                if i >= 2 and _subject(parts[i - 2], parts[i - 1]):
                    del out[-2:]
                if not out or not out[-1].text or STOP.search(out[-1].text):
                    segments[0] = Segment(AUXILIARY.sub("", segments[0].text))
            out += segments
        else:
            value = _value(rng, part, slots, frame)
            if part.name == "age" and out and VOWEL.match(value) and ARTICLE.search(out[-1].text):
                out[-1] = Segment(f"{out[-1].text[:-1]}n ")
            out.append(Segment(value))
    return out


def _subject(before: str | Slot, between: str | Slot) -> bool:
    return isinstance(before, Slot) and before.name == "he" and between in (" ", " also ", " then ")


def _value(rng: Random, slot: Slot, slots: dict[str, str], frame: Phrase) -> str:
    if slot.name in slots:
        return slots[slot.name]
    if slot.choices or slot.count:
        return slot.draw(rng)
    raise ValueError(f"style.yaml: no value for the slot {{{slot.name}}} in {frame.text!r}")


def sentences(segments: Iterable[Segment]) -> list[Segment]:
    """Capitals where a sentence begins; a doubled full stop becomes one."""
    out: list[Segment] = []
    tail = ". "  # what stands before the next segment
    for text, key in segments:
        if not text:
            continue
        if text[0] == "." and tail[-1] == ".":
            text = text[1:]
        if SENTENCE_END.search(tail) and tail[-2:] != ": " and text[:1].islower() and text[1:2].islower():
            text = text[0].upper() + text[1:]
        if text:
            out.append(Segment(text, key))
            tail = (tail + text)[-4:]
    return out


def joined(items: Sequence[Sequence[Segment]], comma: str = ", ", last: str = " and ") -> list[Segment]:
    """Several pieces as an enumeration."""
    out: list[Segment] = []
    for i, item in enumerate(items):
        if i:
            out.append(Segment(last if i == len(items) - 1 else comma))
        out += item
    return out


def text_of(segments: Iterable[Segment]) -> str:
    return "".join(segment.text for segment in segments)
