"""Cases of the open corpus: stay, note and reasoning put together, in one process or several.

What a case becomes depends on the seed and its number alone, so neither the number of processes nor their order changes a byte.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from random import Random
from typing import TypeVar

from data.corpus_check import all_plans, open_references
from data.corpus_draw import deal
from data.corpus_drawing import Pools
from data.corpus_plan import Plan
from data.corpus_stay import Stay, draw
from data.corpus_tables import TablesError, load_tables
from data.corpus_trace import Reasoner
from data.corpus_write import Note, Writer
from sapphire.drg import lines as grammar
from sapphire.drg.claims import Line, write
from sapphire.drg.codebook import DEFAULT_VERSION
from sapphire.drg.grouper import UNGROUPABLE

DEV_SHARE = 0.04
CHUNK = 100  # cases a worker makes at a time
Result = TypeVar("Result")
PRESENT = (grammar.PRINCIPAL, grammar.MAIN_PROCEDURE, grammar.PROCEDURE, grammar.SECONDARY)


@dataclass(frozen=True)
class Recipe:
    """What decides every case: the plans with how often each comes (by case), seed and share of the test split."""

    seed: int
    test_share: float
    plans: tuple[Plan, ...]
    dealt: tuple[int, ...]

    @cached_property
    def maker(self) -> "Maker":
        return Maker(self)


def recipe(cases: int, seed: int, test_share: float) -> Recipe:
    """TablesError when the tables have faults or name records that nobody has written."""
    tables = load_tables()
    if missing := open_references(tables):
        raise TablesError(
            f"The knowledge tables name {len(missing)} records that do not exist ({', '.join(sorted(missing)[:6])}"
            f"{', …' if len(missing) > 6 else ''}): write them or drop the names; `python -m data.corpus_tables` lists who names them."
        )
    plans = tuple(plan for plan in all_plans(tables) if plan.drg not in UNGROUPABLE)
    return Recipe(seed, test_share, plans, tuple(deal(plans, cases, seed)))


class Maker:
    """Makes cases; holds what is read once a process."""

    def __init__(self, recipe: Recipe):
        tables = load_tables()
        self.recipe = recipe
        self.pools = Pools(tables)
        self.writers = {split: Writer(tables, split) for split in ("train", "test")}
        self.reasoner = Reasoner(tables)

    def made(self, number: int) -> tuple[str, Stay, Note, str, list[Line]]:
        """Split, stay, note, form of the reasoning and its lines."""
        rng = Random(f"{self.recipe.seed} {number}")
        point = rng.random()
        split = (
            "test"
            if point < self.recipe.test_share
            else "dev"
            if point < self.recipe.test_share + DEV_SHARE
            else "train"
        )
        stay = draw(self.pools, self.recipe.plans[self.recipe.dealt[number]], rng)
        note = self.writers["test" if split == "test" else "train"].write(stay, rng)
        return split, stay, note, *self.reasoner.trace(stay, note, rng)

    def case(self, number: int) -> dict:
        """One row with the columns that `data/CORPUS.md` documents."""
        split, stay, note, form, lines = self.made(number)
        name = f"open{self.recipe.seed}-{number:06d}"
        claim = stay.claim
        return {
            "note_id": name,
            "subject_id": name,
            "hadm_id": name,
            "text": note.text,
            "age": stay.age,
            "sex": stay.sex,
            "discharge_status": claim.discharge_status,
            "pdx": claim.pdx,
            "sdx": list(claim.sdx),
            "poa": list(claim.poa),
            "procedures": list(claim.procedures),
            "drg": stay.grouping.drg,
            "title": stay.grouping.title,
            "drg_version": DEFAULT_VERSION,
            "split": split,
            "trap": list(stay.traps),
            "trace": write(lines),
            "source": "open corpus",
            "credentialed": False,
            "style": note.style,
            "note_form": note.form,
            "trace_form": form,
            "evidence": evidence(lines),
        }


def evidence(lines: Sequence[Line]) -> list[dict]:
    """What the lines quote: codes, words of the note, and what these say of the codes ("present" or why they are not coded)."""
    return [
        {"codes": list(line.codes), "quote": line.quote, "says": "present" if line.kind in PRESENT else line.reason}
        for line in lines
        if line.quote
    ]


def cases(recipe: Recipe) -> Iterator[dict]:
    """All cases in the order of their numbers."""
    for made in in_chunks(recipe, _rows):
        yield from made


def in_chunks(recipe: Recipe, work: Callable[[Maker, range], Result]) -> Iterator[Result]:
    """What `work`, a function of a module, makes of the cases, CHUNK by CHUNK in order, by as many processes as there are cores."""
    numbers = range(len(recipe.dealt))
    chunks = [numbers[start : start + CHUNK] for start in numbers[::CHUNK]]
    workers = min(os.cpu_count() or 1, len(chunks))
    if workers <= 1:
        yield from (work(recipe.maker, chunk) for chunk in chunks)
        return
    # Not forked: the grouper's library runs threads of its own.
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin, (recipe,)) as pool:
        yield from pool.map(partial(_in_process, work), chunks)


def _rows(maker: Maker, numbers: range) -> list[dict]:
    return [maker.case(number) for number in numbers]


_recipe: Recipe | None = None  # of a worker process


def _begin(recipe: Recipe) -> None:
    global _recipe
    _recipe = recipe


def _in_process(work: Callable[[Maker, range], Result], numbers: range) -> Result:
    return work(_recipe.maker, numbers)
