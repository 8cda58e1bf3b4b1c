"""The rule-based rewards of arXiv 2505.21908, as training optimises them and the review page explains them.

Base DRG and severity come from the code book's checked table and titles are compared whole, so WITH CC never counts inside
WITH CC/MCC, WITH MV >96 HOURS is no severity, and a title that holds another title is not that title.
"""

import re
import string
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from sapphire.completions import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE, THINK_OPEN, Parsed
from sapphire.drg.codebook import CodeBook, Drg


class Outcome(StrEnum):
    """What a predicted DRG has in common with the gold one."""

    FULL = "full"
    BASE = "base"
    SEVERITY = "severity"
    NOTHING = "nothing"
    INVALID = "invalid"


def _values(full: float, base: float, severity: float, nothing: float, invalid: float) -> Mapping[Outcome, float]:
    return dict(zip(Outcome, (full, base, severity, nothing, invalid), strict=True))


# The paper's accuracy rewards, by outcome.
DENSE = _values(full=2.0, base=1.5, severity=0.5, nothing=-0.5, invalid=-1.5)
BALANCED = _values(full=2.0, base=1.0, severity=1.0, nothing=-0.5, invalid=-1.5)
STRICT = _values(full=2.0, base=0.0, severity=0.0, nothing=0.0, invalid=-1.5)
SCHEMES = {"dense": DENSE, "balanced": BALANCED, "strict": STRICT}

FORMAT_PENALTY = -2.0
COT_FIRST_PENALTY = -0.5
HEAD = 50  # tokens at the beginning of the reasoning in which no DRG title may stand
FIRST_WORDS = re.compile(rf"(?:\s*\S+){{0,{HEAD}}}")

# What a decoder can be made to write, and which of it are tags.
FORCED_TAGS = {
    "think_open": THINK_OPEN,
    "think_close": THINK_CLOSE,
    "answer_open": ANSWER_OPEN,
    "answer_close": ANSWER_CLOSE,
}
FORCED = (*FORCED_TAGS, "title", "lines")  # "lines": a guided reasoning, of which the model chose each line

LEVEL_NAMES = {
    "MCC": "with MCC",
    "CC": "with CC",
    "none": "without CC/MCC",
    "CC/MCC": "with CC/MCC",
    "without MCC": "without MCC",
    "unsplit": "no severity split",
}

# An unsplit title of fewer words can be plain clinical language ("pulmonary edema and respiratory failure" is DRG 189).
DISTINCT_WORDS = 6
# Around and inside words, all marks part words but the signs of comparison. Letters stand for themselves, as a character that the table
# lacks costs more than one that it has.
MARKS = str.maketrans(
    {chr(i): chr(i) for i in range(128)}
    | dict.fromkeys(set(string.punctuation) - set("<>=") | set("‐‑‒–—“”‘’…•·"), " ")
)


@dataclass(frozen=True, slots=True)
class Term:
    """One part of the reward; `value` is None while the right DRG is not known, `why` one sentence or two for a reader."""

    name: str
    value: float | None
    why: str


def outcome(predicted: Drg | None, gold: Drg) -> Outcome:
    """Compare two DRGs of one version. ValueError when the versions differ: their numbers need not mean the same.

    Equal severity counts only between families that are split: two unsplit DRGs ("unsplit" is the absence of a severity
    part) share nothing by it, else every wrong guess of an unsplit title would earn credit.
    """
    if predicted is None:
        return Outcome.INVALID
    if predicted.version != gold.version:
        raise ValueError(
            f"The prediction is of MS-DRG version {predicted.version} and the right DRG of version {gold.version}; "
            "only DRGs of one version can be compared."
        )
    if predicted.drg == gold.drg:
        return Outcome.FULL
    if predicted.base_id == gold.base_id:
        return Outcome.BASE
    if predicted.level == gold.level != "unsplit":
        return Outcome.SEVERITY
    return Outcome.NOTHING


def format_reward(parsed: Parsed, forced: Collection[str] = ()) -> float:
    """0 for a well formed completion whose tags the model wrote itself, else -2.

    `forced` names what the decoder was made to write (FORCED; ValueError for any other name). A title that was merely
    constrained to the code book leaves the format the model's own.
    """
    tags = _forced_tags(forced)
    return 0.0 if parsed.well_formed and not tags else FORMAT_PENALTY


def _forced_tags(forced: Collection[str]) -> list[str]:
    for part in forced:
        if part not in FORCED:
            raise ValueError(f"{part!r} is not a part a decoder can be made to write; those are {', '.join(FORCED)}.")
    return [FORCED_TAGS[part] for part in forced if part in FORCED_TAGS]


def first_words(think: str) -> str:
    """A reasoning up to its 50th word, as it stands there: where its tokens are not known, what is never less than the first 50 tokens."""
    return FIRST_WORDS.match(think)[0]


def cot_first_penalty(head: str, book: CodeBook) -> float:
    """-0.5 when a DRG title stands in `head`, the text of the reasoning's first 50 tokens, else 0."""
    return COT_FIRST_PENALTY if title_in(head, book) else 0.0


def title_in(text: str, book: CodeBook) -> Drg | None:
    """A DRG whose full title stands in the text, the longest where several begin at one word; None if there is none.

    Titles are found word by word after folding, so never inside a longer word, and a title that ends in CC is not found in
    CC/MCC. A title without severity and of fewer than six words may be plain clinical language (chest pain, syncope and
    collapse, pulmonary edema and respiratory failure); it counts only in capitals, as an answer is written.
    """
    plain: dict[str, Drg] = {}
    for drg in _matches(_words(text), _titles(book)):
        if not _plain_language(drg):
            return drg
        plain[drg.drg] = drg
    return next((drg for drg in plain.values() if _in_capitals(drg.title, text)), None)


def _matches(words: list[str], titles: dict[str | None, Any]) -> Iterator[Drg]:
    """The longest title that begins at each word; WITH CC is none where /MCC follows."""
    for at in [at for at, word in enumerate(words) if word in titles]:
        node, found = titles[words[at]], None
        while node:
            if None in node and words[at : at + 2] != ["cc", "mcc"]:
                found = node[None]
            at += 1
            node = node.get(words[at]) if at < len(words) else None
        if found:
            yield found


def _words(text: str) -> list[str]:
    """Words as `fold` makes them equal, without any mark around or inside them ("O.R." is two words)."""
    text = text.casefold().replace("&", " and ").replace("<=", "≤")
    for sign in "<≤>":
        text = text.replace(sign, f" {sign} ")
    return text.translate(MARKS).split()


@cache
def _titles(book: CodeBook) -> dict[str | None, Any]:
    """All titles as a tree of words; the key None holds the DRG whose title ends there."""
    tree: dict[str | None, Any] = {}
    for drg in book.drgs.values():
        node = tree
        for word in _words(drg.title):
            node = node.setdefault(word, {})
        node[None] = drg
    return tree


def _plain_language(drg: Drg) -> bool:
    return drg.level == "unsplit" and len(_words(drg.title)) < DISTINCT_WORDS


def _in_capitals(title: str, text: str) -> bool:
    # What is not in capitals becomes a word of no title, so that nothing joins across it.
    capitals = " ".join(word if word == word.upper() else "≠" for word in text.split())
    return f" {' '.join(_words(title))} " in f" {' '.join(_words(capitals))} "


def breakdown(
    parsed: Parsed,
    gold: Drg | None,
    forced: Collection[str] = (),
    head: str | None = None,
    scheme: str = "dense",
) -> list[Term]:
    """The reward as its terms: format, accuracy, cot_first.

    `head` is the decoded text of the reasoning's first 50 tokens. Where the tokens are not known (None) its first 50 words
    are taken: a token is seldom longer than a word, so this looks at least as far, and the term says so. Without a gold
    DRG the accuracy is None, unless nothing could change it. ValueError names the schemes when there is no such one.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"There is no reward scheme {scheme!r}; choose one of: {', '.join(SCHEMES)}.")
    form = _format_term(parsed, forced)
    return [form, _accuracy_term(parsed, gold, SCHEMES[scheme], form.value == 0), _cot_first_term(parsed, head)]


def total(terms: Iterable[Term]) -> float | None:
    """The reward: the sum of its terms, None while one is pending."""
    values = [term.value for term in terms]
    return None if None in values else sum(values)


def _format_term(parsed: Parsed, forced: Collection[str]) -> Term:
    if not parsed.well_formed:
        why = "The completion is not exactly one think block followed by one answer block."
    elif tags := _forced_tags(forced):
        why = f"The decoder was made to write {', '.join(tags)}: a forced format is not the model's own."
    else:
        why = "One think block, then one answer block, written by the model itself."
    return Term("format", format_reward(parsed, forced), why)


def _accuracy_term(parsed: Parsed, gold: Drg | None, values: Mapping[Outcome, float], format_holds: bool) -> Term:
    if gold is None and parsed.drg is not None:
        if format_holds:
            return Term("accuracy", None, "Pending: it is known as soon as the right DRG is given.")
        return Term("accuracy", 0.0, "Not counted because the format failed, whatever the right DRG is.")
    result = Outcome.INVALID if gold is None else outcome(parsed.drg, gold)
    why = _why(result, parsed, gold)
    if format_holds:
        return Term("accuracy", values[result], why)
    return Term(
        "accuracy", 0.0, f"Not counted because the format failed; it would have been {values[result]:+g}. {why}"
    )


def _why(result: Outcome, parsed: Parsed, gold: Drg | None) -> str:
    predicted = parsed.drg
    if predicted is None or gold is None:
        fault = "is not the full title of an" if parsed.answer else "is missing, so there is no"
        return f"The answer {fault} MS-DRG of version {parsed.book.version}" + (
            f"; right is {_named(gold)}." if gold else "."
        )
    match result:
        case Outcome.FULL:
            return f"Full match: {_named(gold)} is the right DRG."
        case Outcome.BASE if predicted.level != gold.level:
            levels = f"{LEVEL_NAMES[predicted.level]} instead of {LEVEL_NAMES[gold.level]}"
            return f"The base DRG is right ({gold.base}), the severity is not: {levels}; right is {_named(gold)}."
        case Outcome.BASE:
            return f"The base DRG is right ({gold.base}), the DRG is not; right is {_named(gold)}."
        case Outcome.SEVERITY:
            return (
                f"Only the severity is right ({LEVEL_NAMES[gold.level]}), the base DRG is not; right is {_named(gold)}."
            )
        case _:
            return f"Neither the base DRG nor the severity is right; right is {_named(gold)}."


def _named(drg: Drg) -> str:
    return f"{drg.drg} {drg.title}"


def _cot_first_term(parsed: Parsed, head: str | None) -> Term:
    where = f"the first {HEAD} tokens of the reasoning"
    if head is None:
        head = first_words(parsed.think)
        where = f"the first {HEAD} words of the reasoning (its tokens are not known)"
    found = title_in(head, parsed.book)
    if found:
        return Term(
            "cot_first", COT_FIRST_PENALTY, f"A DRG title, {found.title}, stands in {where}: answer before reasoning."
        )
    return Term("cot_first", 0.0, f"No DRG title stands in {where}.")
