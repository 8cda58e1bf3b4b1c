"""True reasoning for MIMIC cases: the stay's own ICD-10 codes, grouped by CMS's rules, tell what counts and why.

A case gets a trace only when its codes, regrouped in the version of its label, lead to the recorded DRG. POA is not in MIMIC,
so stays are grouped as for an exempt hospital. Codes of earlier years are brought to the version's (mimic_codes.py); a
secondary code that cannot be is left out, and with it what could be said of it; a stay whose principal diagnosis cannot be
is set aside.
"""

from collections import Counter

from data.mimic_codes import current_diagnosis, current_procedure
from sapphire.drg.grouper import Claim, drg_of
from sapphire.drg.icd import normal

SOURCE = "MIMIC-IV"


def with_traces(cases: list[dict], version: str, rules: str | None) -> tuple[list[dict], Counter]:
    """The cases with all of DESIGN's columns, and how many came to which end. `rules` None: no case gets a trace."""
    outcomes: Counter = Counter()
    for case in cases:
        trace, outcome = explain(case, rules) if rules else (None, "not asked for")
        outcomes[outcome] += 1
        case |= {
            "drg_version": version,
            "poa": None,
            "trap": [],
            "trace": trace,
            "source": SOURCE,
            "credentialed": True,
        }
    return cases, outcomes


def explain(case: dict, rules: str) -> tuple[str | None, str]:
    """A case's trace, or None and why not."""
    if not case["pdx"]:
        return None, "no ICD-10 codes"
    if case["age"] is None or case["sex"] is None:
        return None, "no age or sex"
    claim = claim_of(case, rules)
    if claim is None:
        return None, "the principal diagnosis is no code of the version"
    drg, _ = drg_of(claim)
    if drg != case["drg"]:
        return None, "regrouped to another DRG"
    return None, "regrouped to the recorded DRG"


def claim_of(case: dict, rules: str) -> Claim | None:
    """The stay as the grouper of `rules` sees it: codes brought to its year, those it cannot know left out; None without a
    principal diagnosis."""
    pdx = current_diagnosis(normal(case["pdx"]), rules)
    if pdx is None:
        return None
    sdx = (current_diagnosis(normal(code), rules) for code in case["sdx"])
    procedures = (current_procedure(normal(code), rules) for code in case["procedures"])
    return Claim(
        pdx=pdx,
        sdx=tuple(code for code in sdx if code),
        procedures=tuple(code for code in procedures if code),
        age=max(case["age"], 0),
        sex=case["sex"],
        discharge_status=case["discharge_status"] or 1,
        version=rules,
    )
