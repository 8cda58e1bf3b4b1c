"""The rewards of `sapphire.rewards` as TRL's reward functions: one column a term, all worked out in one pass over a batch.

A term of weight 0 is a metric: it is logged for each completion and moves nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sapphire.completions import THINK_OPEN, Parsed, parse
from sapphire.drg.claims import Context, check, share_true
from sapphire.drg.claims import parse as lines_of
from sapphire.drg.codebook import codebook
from sapphire.rewards import HEAD, Outcome, breakdown, outcome
from train.recipe import Recipe

# What is right in a prediction, as metrics of weight 0.
RIGHT = {
    "right": (Outcome.FULL,),
    "base_right": (Outcome.FULL, Outcome.BASE),
    "severity_right": (Outcome.FULL, Outcome.SEVERITY),
}


@dataclass
class Rewards:
    """`decode` turns token ids into text without special tokens; `weights` name → weight, in the order of the columns."""

    decode: Callable[[Sequence[int]], str]
    scheme: str
    weights: dict[str, float]

    def terms(self, completion_ids: Sequence[Sequence[int]], rows: dict[str, list]) -> dict[str, list[float | None]]:
        """Name → one value a completion. `rows` holds the columns of the data, one entry a completion: drg, drg_version, and
        for the grounded term text, age, sex, discharge_status, pdx, sdx, procedures."""
        each = [self._terms(ids, {name: rows[name][i] for name in rows}) for i, ids in enumerate(completion_ids)]
        return {name: [terms[name] for terms in each] for name in self.weights}

    def totals(self, completion_ids: Sequence[Sequence[int]], rows: dict[str, list]) -> list[float]:
        """The reward of each completion as GRPO sums it: a term that is not known counts nothing."""
        terms = self.terms(completion_ids, rows)
        return [
            sum(weight * (terms[name][i] or 0.0) for name, weight in self.weights.items())
            for i in range(len(completion_ids))
        ]

    def _terms(self, ids: Sequence[int], row: dict[str, Any]) -> dict[str, float | None]:
        book = codebook(row["drg_version"])
        gold = book.drgs[row["drg"]]
        parsed = parse(self.decode(ids), book)
        terms = {term.name: term.value for term in breakdown(parsed, gold, head=self._head(ids), scheme=self.scheme)}
        result = outcome(parsed.drg, gold)
        terms |= {name: float(result in outcomes) for name, outcomes in RIGHT.items()}
        if "grounded" in self.weights:
            terms["grounded"] = _grounded(parsed, row)
        return terms

    def _head(self, ids: Sequence[int]) -> str:
        """The text of the reasoning's first 50 tokens: those after the one that completes <think>, as the engines count."""
        begins = next((n for n in range(1, min(len(ids), 16) + 1) if THINK_OPEN in self.decode(ids[:n])), 0)
        return self.decode(ids[: begins + HEAD]).partition("</think>")[0].removeprefix(THINK_OPEN)


def _grounded(parsed: Parsed, row: dict[str, Any]) -> float | None:
    """The share of the reasoning's lines that are true by CMS's rules and the note (`drg.claims.check`), 0 without reasoning.

    None where the row does not say the note, age and sex: then nothing can be judged.
    """
    if not row.get("text") or row.get("age") is None or not row.get("sex"):
        return None
    codes = frozenset(filter(None, (row["pdx"], *(row["sdx"] or ()), *(row["procedures"] or ()))))
    stay = Context(row["age"], row["sex"], row["discharge_status"] or 1, codes or None)
    return share_true(check(lines_of(parsed.think), row["text"], parsed.book.version, stay)) or 0.0


def rewards_of(recipe: Recipe, decode: Callable[[Sequence[int]], str]) -> Rewards:
    """The terms a recipe asks for and their weights."""
    weights = {"format": 1.0, "accuracy": 1.0, "cot_first": float(recipe.cot_first)}
    weights |= dict.fromkeys(RIGHT, 0.0)
    if recipe.grounded is not None:
        weights["grounded"] = float(recipe.grounded)
    return Rewards(decode, recipe.reward, weights)


def functions(rewards: Rewards) -> list[Callable[..., list[float | None]]]:
    """TRL's reward functions, one a term. The first that is called with a batch works all of them out."""
    last: dict[str, Any] = {"batch": None}

    def column(name: str) -> Callable[..., list[float | None]]:
        def term(prompts, completions, completion_ids, log_extra, **rows):
            if last["batch"] is not completion_ids:
                rows = {key: values for key, values in rows.items() if isinstance(values, list)}
                last.update(batch=completion_ids, terms=rewards.terms(completion_ids, rows))
                for kept in ("case_id", "drg", "drg_version"):
                    log_extra(kept, rows[kept])
                log_extra("text", [rewards.decode(ids) for ids in completion_ids])
                log_extra("tokens", [len(ids) for ids in completion_ids])
            return last["terms"][name]

        term.__name__ = name
        return term

    return [column(name) for name in rewards.weights]
