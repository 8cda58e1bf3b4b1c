"""What a code weighs: by CMS's table, beside a principal diagnosis, after a death, hospital-acquired, and in the DRG of a stay."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from data.corpus_lookup import level
from data.corpus_tables import Condition
from sapphire.drg.grouper import UNGROUPABLE, Claim, drg_of
from sapphire.drg.rules import DIED, answer, facts

HOME = 1
LEVELS = ("none", "CC", "MCC")  # their positions are used as ranks
SYMPTOMS = (
    "R",
    "Z03",
    "Z04",
    "Z05",
)  # principal diagnoses whose place a condition takes when it is found: symptoms, observation


def table_level(condition: Condition) -> int:
    return max(LEVELS.index(level(code)) for code in condition.codings[0].codes)


def is_hac(code: str) -> bool:
    """Whether CMS leaves the code out of the DRG when it was not present on admission, whatever else was done."""
    claim = Claim("R5381", (code,), age=50, sex="U", poa=("Y", "N"), hospital_status="NOT_EXEMPT")
    return bool(facts(claim, answer(claim))[1].hac)


@lru_cache(maxsize=500_000)
def rank_beside(pdx: str, codes: tuple[str, ...], died: bool) -> int:
    """The highest rank among codes that stand together, as they count beside this principal diagnosis."""
    return max(LEVELS.index(effective(pdx, code, died)) if level(code) != "none" else 0 for code in codes)


def effective(pdx: str, code: str, died: bool) -> str:
    """CMS's level of a secondary code beside a principal diagnosis, "none" where excluded by it or by the patient's death."""
    status = DIED if died else HOME
    claim = Claim(pdx, (code,), age=50, sex="U", discharge_status=status, poa=("Y", "Y"), hospital_status="NOT_EXEMPT")
    fact = facts(claim, answer(claim))[1]
    return "none" if fact.excluded_by_pdx or fact.excluded_by_death else fact.level


def changes_drg(stay: Claim, codes: Sequence[str]) -> bool:
    """Whether a stay would have another DRG if these codes were coded too: beside the others, or in the place of a symptom."""
    beside = replace(stay, sdx=(*stay.sdx, *codes), poa=(*stay.poa, *("Y" for _ in codes)))
    claims = [beside]
    if stay.pdx.startswith(SYMPTOMS):
        claims.append(replace(beside, pdx=codes[0], sdx=(*stay.sdx, *codes[1:]), poa=beside.poa[:-1]))
    return bool({drg_of(claim)[0] for claim in claims} - {drg_of(stay)[0], *UNGROUPABLE})
