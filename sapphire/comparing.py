"""Models side by side on one note: whose answer, how far apart by the rules, where the reasonings part.

What is compared is a run: one model with one way of sampling over some notes. So two runs of one model are compared like
those of two models.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sapphire.aligning import Row, align
from sapphire.completions import Parsed, parse
from sapphire.drg.codebook import CodeBook, Drg, codebook
from sapphire.importing import stored_note
from sapphire.profiles import SEES_WEIGHTS
from sapphire.rewards import LEVEL_NAMES, Term, breakdown, total
from sapphire.scoring import gold_drg
from sapphire.store.comparisons import MAX_RUNS, Comparisons

SIDES = "ABCD"


@dataclass(frozen=True)
class Run:
    """A run that answered notes. `name` tells it from every other run; `notes` is the number it answered."""

    run_id: str
    name: str
    model: str
    prompt: str
    drg_version: str
    sampling: dict
    notes: int
    failed: int
    began: datetime
    author: str

    @property
    def short_id(self) -> str:
        """What a link names it by."""
        return self.run_id[:8]


@dataclass(frozen=True)
class Relation:
    """How two DRGs of one version relate: `kind` is one of KINDS, `words` say it, `weight` is second minus first or None."""

    kind: str
    words: str
    weight: float | None = None


KINDS = ("same DRG", "same base DRG", "same MDC", "different MDC", "no DRG")


@dataclass(frozen=True)
class Answer:
    """What one run said of the note; without a prediction it did not answer, and `error` may say why."""

    run: Run
    prediction: dict | None
    parsed: Parsed | None
    drg: Drg | None
    terms: list[Term]
    to_gold: Relation | None
    to_first: Relation | None
    error: str | None

    @property
    def reward(self) -> float | None:
        return total(self.terms) if self.terms else None


@dataclass(frozen=True)
class Comparison:
    """One note as several runs answered it. `gold` is its recorded DRG where that is of the runs' version; `rows` are their
    reasonings, aligned over those that answered (`answered`, indexes of `answers`)."""

    note: dict
    gold: Drg | None
    answers: list[Answer]
    answered: tuple[int, ...]
    rows: list[Row]


def runs(rows: Sequence[dict]) -> list[Run]:
    """The rows of `Comparisons.runs` as runs with names, the newest first."""
    plain = [_plain_name(row) for row in rows]
    named: list[Run] = []
    for row, name in zip(rows, plain, strict=True):
        if plain.count(name) > 1:
            name = f"{name} · {row['began']:%d %b %H:%M}"
        taken = sum(run.name.split(" #")[0] == name for run in named)
        named.append(
            Run(
                run_id=row["run_id"], name=f"{name} #{taken + 1}" if taken else name, model=row["model"], prompt=row["prompt"],
                drg_version=row["drg_version"], sampling=_sampling(row), notes=row["notes"], failed=row["failed"], began=row["began"],
                author=row["author"] or "",
            )
        )  # fmt: skip
    return named


def comparable(comparisons: Comparisons, note_id: str, run_id: str) -> list[Run]:
    """The runs that a note as `run_id` answered it can be compared with, that run first, at most MAX_RUNS; empty when there is no
    other of its MS-DRG version."""
    answered = comparisons.runs_of(note_id)
    every = runs(comparisons.runs())
    mine = next((run for run in every if run.run_id == run_id), None)
    if mine is None or run_id not in answered:
        return []
    others = [r for r in every if r.run_id in answered - {run_id} and r.drg_version == mine.drg_version]
    return [mine, *others][:MAX_RUNS] if others else []


def sampling_words(sampling: dict) -> str:
    """How a run decoded, in a few words; "" when it is not known."""
    if not sampling:
        return ""
    samples, temperature = sampling.get("n", 1), sampling.get("temperature", 0)
    words = ["greedy" if not temperature else f"temperature {temperature:g}"]
    words += [f"{samples} answers"] if samples > 1 else []
    words += [f"seed {sampling['seed']}"] if sampling.get("seed") else []
    words += ["unconstrained"] if not sampling.get("constrained", True) else []
    return ", ".join(words)


def _sampling(row: dict) -> dict:
    return json.loads(row["sampling"]) if row["sampling"] else {}


def _plain_name(row: dict) -> str:
    prompt = f"{row['prompt']} prompt" if row["prompt"] not in ("plain", "none") else ""
    return " · ".join(filter(None, [row["model"], prompt, sampling_words(_sampling(row))]))


def open_comparison(comparisons: Comparisons, note: dict, compared: Sequence[Run], role: str) -> Comparison:
    """One note as `compared` answered it, for a reader of that role: weights only where the role may see them.

    Raises:
        ValueError: when the runs are of different MS-DRG versions.
    """
    if len(versions := {run.drg_version for run in compared}) > 1:
        raise ValueError(f"Runs of different MS-DRG versions ({', '.join(sorted(versions))}) cannot be compared.")
    found = comparisons.answers(note["note_id"], [run.run_id for run in compared])
    book = codebook(compared[0].drg_version)
    gold = gold_drg(stored_note(note), book)
    first = _drg(found.get(compared[0].run_id), book)
    weights = role in SEES_WEIGHTS
    answers = [
        _answer(run, found.get(run.run_id), book, gold, first if i else None, weights) for i, run in enumerate(compared)
    ]
    answered = tuple(i for i, answer in enumerate(answers) if answer.prediction)
    return Comparison(note, gold, answers, answered, align([answers[i].parsed.steps for i in answered]))


def _answer(run: Run, row: dict | None, book: CodeBook, gold: Drg | None, first: Drg | None, weights: bool) -> Answer:
    if row is None or row["error"]:
        return Answer(run, None, None, None, [], None, None, row and row["error"])
    drg = _drg(row, book)
    parsed = parse(row["completion"], book)
    terms = breakdown(parsed, gold, forced=tuple(row["forced"]), head=row["head"])
    to_gold = relation(gold, drg, weights) if gold else None
    return Answer(run, row, parsed, drg, terms, to_gold, relation(first, drg, weights) if first else None, None)


def _drg(row: dict | None, book: CodeBook) -> Drg | None:
    return book.drgs.get(row["drg"] or "") if row and not row["error"] else None


def relation(one: Drg | None, other: Drg | None, weights: bool = False) -> Relation:
    """How `other` relates to `one` in the hierarchy DRG, base DRG, MDC. ValueError when their versions differ."""
    if one is None or other is None:
        return Relation("no DRG", "no DRG to compare")
    if one.version != other.version:
        raise ValueError(f"A DRG of version {one.version} and one of {other.version} cannot be compared.")
    if one.drg == other.drg:
        return Relation("same DRG", "same DRG", 0.0 if weights and one.weight is not None else None)
    known = weights and one.weight is not None and other.weight is not None
    difference = round(other.weight - one.weight, 4) if known else None
    if one.base_id == other.base_id:
        words = f"same base DRG, {LEVEL_NAMES[other.level]} instead of {LEVEL_NAMES[one.level]}"
        return Relation("same base DRG", words, difference)
    if one.mdc == other.mdc:
        return Relation("same MDC", "same MDC, other base DRG", difference)
    return Relation("different MDC", "different MDC", difference)


def right_words(right: Sequence[bool]) -> str:
    """A combination of right and wrong in words: "both right", "only A right", "A and C right", "none right"."""
    sides = [side for side, each in zip(SIDES, right, strict=False) if each]
    if len(sides) == len(right):
        return "both right" if len(right) == 2 else "all right"
    if len(sides) == 1:
        return f"only {sides[0]} right"
    return f"{', '.join(sides[:-1])} and {sides[-1]} right" if sides else "none right"


def tokens_a_second(prediction: dict) -> float | None:
    """Speed of one answer; None when it was not measured, or its reasoning was guided: most of that is read, not decoded."""
    seconds, tokens = prediction["seconds"], prediction["tokens"]
    return tokens / seconds if seconds and tokens and "lines" not in prediction["forced"] else None
