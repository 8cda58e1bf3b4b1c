"""Whether the steps of a reasoning hold by CMS's rules and the note, and the DRG to which they lead; whatever model wrote them.

Only steps in the line grammar (`drg/lines.py`) say something that rules can judge. The stay's own codes are not asked: a step can be right
by the note and the rules, and still not be what was coded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sapphire.drg.claims import Context, check, claim_of, parse
from sapphire.drg.codebook import Drg, codebook
from sapphire.drg.grouper import UNGROUPABLE, drg_of
from sapphire.drg.lines import VAGUE
from sapphire.drg.patient import patient

HOLDS, FAILS, SILENT = "holds", "fails", "says nothing that rules can judge"


@dataclass(frozen=True, slots=True)
class StepCheck:
    """`state` is HOLDS, FAILS or SILENT; `faults` say in words what is wrong with a step that fails."""

    state: str
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReasoningCheck:
    """One StepCheck a step; `drg` is what the grouper gives for the codes that the steps state, None where they name no principal
    diagnosis or cannot be grouped."""

    steps: tuple[StepCheck, ...]
    drg: Drg | None


def check_reasoning(
    steps: Sequence[str],
    note: str,
    version: str,
    age: int | None = None,
    sex: str | None = None,
    discharge_status: int | None = None,
) -> ReasoningCheck:
    """Judge all steps together: what counts depends on what the others state. What is not known of the patient is read from the note."""
    return _check(tuple(steps), note, version, age, sex, discharge_status)


@lru_cache(maxsize=256)
def _check(steps, note, version, age, sex, discharge_status) -> ReasoningCheck:
    lines = [(i, line) for i, step in enumerate(steps) for line in parse(step)]
    who = patient(note, age, sex, discharge_status)
    context = Context(who.age, who.sex, who.discharge_status)
    claim = claim_of([line for _, line in lines], context, version)
    try:
        verdicts = check([line for _, line in lines], note, version, context)
        number = drg_of(claim)[0] if claim else ""
    except (ValueError, KeyError):  # codes that do not group, or that count for a reason outside the grammar
        return ReasoningCheck((StepCheck(SILENT),) * len(steps), None)
    said: list[list] = [[] for _ in steps]
    for (i, line), verdict in zip(lines, verdicts, strict=True):
        if line.kind != VAGUE:
            said[i].append(verdict)
    drg = None if number in UNGROUPABLE else codebook(version).drgs.get(number)
    return ReasoningCheck(tuple(map(_of_step, said)), drg)


def _of_step(verdicts: Sequence) -> StepCheck:
    faults = tuple(dict.fromkeys(fault for verdict in verdicts for fault in verdict.faults))
    return StepCheck(FAILS if faults else HOLDS if verdicts else SILENT, faults)
