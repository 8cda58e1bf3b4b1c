"""Training rows of an export round, in the shapes TRL takes: what a saved review or agreeing blind votes teach.

All functions take rows of the store that hold the note with its prediction, so that each row has the prompt of its own model.
"""

from collections.abc import Sequence

from sapphire.completions import compose, parse
from sapphire.drg.codebook import codebook
from sapphire.prompts import PROMPTS, Case, messages

# What a verdict on a step is as a label of a process reward: "not in the note" is a step that must not be learnt either.
STEP_LABELS = {"right": 1, "wrong": -1, "not in the note": -1, "": 0}


def prompt(row: dict) -> list[dict]:
    """The chat messages that the row's model was given; the plain ones where it had a prompt that is none of ours, as a baseline's."""
    text = row["text"][row["course_start"] : row["course_end"]] if row["course_end"] else row["text"]
    case = Case(text, row["age"], row["sex"], row["discharge_status"])
    return messages(case, row["prompt"] if row["prompt"] in PROMPTS else "plain", row["drg_version"])


def best_reasoning(reviews: Sequence[dict]) -> str:
    """The newest corrected reasoning; else the model's own where a reviewer found its DRG right and no step wrong."""
    for review in reversed(reviews):
        if review["reasoning"].strip():
            return review["reasoning"].strip()
    for review in reversed(reviews):
        if review["drg_right"] and set(review["step_verdicts"]) <= {"", "right"} and review["completion"]:
            return parse(review["completion"], codebook(review["drg_version"])).think.strip()
    return ""


def sft_row(review: dict, reasoning: str) -> dict:
    """For SFTTrainer: the prompt, and the reasoning with the right DRG."""
    title = codebook(review["drg_version"]).drgs[review["drg"]].title.upper()
    return {"prompt": prompt(review), "completion": _says(compose(reasoning, title)), "case_id": review["note_id"]}


def grpo_row(review: dict) -> dict:
    """For GRPOTrainer: the prompt, and what its reward needs."""
    return {
        "prompt": prompt(review),
        "case_id": review["note_id"],
        "drg": review["drg"],
        "drg_version": review["drg_version"],
    }


def step_row(review: dict) -> dict | None:
    """For process rewards: the steps of the reasoning with the reviewer's verdicts as labels 1, -1 and 0 (not judged); None when no
    step was judged."""
    if not any(review["step_verdicts"]) or not review["completion"]:
        return None
    steps = parse(review["completion"], codebook(review["drg_version"])).steps
    verdicts = (list(review["step_verdicts"]) + [""] * len(steps))[: len(steps)]
    return {
        "prompt": prompt(review),
        "steps": list(steps),
        "labels": [STEP_LABELS[verdict] for verdict in verdicts],
        "verdicts": verdicts,
        "case_id": review["note_id"],
        "reviewer": review["reviewer"],
    }


def preferences(votes: Sequence[dict]) -> tuple[list[dict], dict[str, int]]:
    """For DPOTrainer: a row for every two answers on which all votes agree, and how many were left out and why.

    A pair shown twice, or to several readers, makes one row; when its votes differ, none. A preferred answer that breaks the form
    would teach that, so it makes none either.
    """
    groups: dict[tuple, list[dict]] = {}
    for vote in votes:
        both = frozenset((vote["left"]["prediction_id"], vote["right"]["prediction_id"]))
        groups.setdefault((vote["note_id"], both), []).append(vote)
    left_out = dict.fromkeys(_LEFT_OUT, 0)
    rows = []
    for group in groups.values():
        row = _preference(group)
        if isinstance(row, str):
            left_out[row] += 1
        else:
            rows.append(row)
    return rows, left_out


_LEFT_OUT = (
    "pairs left out, ties or both bad",
    "pairs left out, votes differ",
    "pairs left out, the answers had different prompts",
    "pairs left out, the preferred answer is not well formed",
)


def _preference(votes: Sequence[dict]) -> dict | str:
    undecided, differ, prompts, form = _LEFT_OUT
    winners = {winner(vote) for vote in votes}
    if len(winners) > 1:
        return differ
    if winners == {None}:
        return undecided
    vote = votes[-1]
    chosen, rejected = (vote["left"], vote["right"]) if vote["verdict"] == "left" else (vote["right"], vote["left"])
    if chosen["prompt"] != rejected["prompt"]:
        return prompts
    if not parse(chosen["completion"], codebook(chosen["drg_version"])).well_formed:
        return form
    return {
        "prompt": prompt(vote | {name: chosen[name] for name in ("prompt", "drg_version")}),
        "chosen": _says(chosen["completion"].strip()),
        "rejected": _says(rejected["completion"].strip()),
        "case_id": vote["note_id"],
    }


def winner(vote: dict) -> str | None:
    """The prediction_id that a vote prefers; None for a tie or both bad."""
    return vote[vote["verdict"]]["prediction_id"] if vote["verdict"] in ("left", "right") else None


def _says(text: str) -> list[dict]:
    return [{"role": "assistant", "content": text}]
