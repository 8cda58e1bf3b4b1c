"""Group a claim, and say of every code whether the DRG needs it: by grouping again without it, never by parsing rules.

The rules come from CMS's grouper (`rules.py`); codes that CMS's own output leaves unexplained (excluded by a DRG's logic, for
one) show themselves here by making no difference.
"""

import reprlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from sapphire.drg import icd
from sapphire.drg.claim import Claim, ClaimError, checked, claim_from
from sapphire.drg.codebook import MDC_TITLES, Drg, codebook
from sapphire.drg.reasons import Setting, Support, why
from sapphire.drg.rules import EXACT, Answer, Fact, answer, converted, facts, indicators, is_valid, valid_diagnoses

__all__ = ["Claim", "ClaimError", "Diagnosis", "Grouping", "Procedure", "claim_from", "drg_of", "group"]

UNGROUPABLE = ("998", "999")
PRINCIPAL = "The principal diagnosis; it leads to the MDC and, with the procedures, to the base DRG."
REMARKS = {
    "INVALID_PDX": "The principal diagnosis is not a code that the grouper knows in this version.",
    "DX_CANNOT_BE_PDX": "This code cannot be a principal diagnosis (an external cause, for one).",
    "HAC_MISSING_ONE_POA": "A hospital-acquired condition has no POA indicator, and the hospital is not exempt from reporting.",
    "UNGROUPABLE": "The rules lead to no DRG.",
}


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis of a claim. `level` is its table value; `drg_without` the DRG when it alone is denied.

    `counts`: the DRG rests on it, alone (`sole`) or together with others of which any one would do. `why` is one sentence.
    """

    code: str
    title: str | None
    level: str
    counts: bool
    sole: bool
    why: str
    drg_without: str | None
    poa: str


@dataclass(frozen=True, slots=True)
class Procedure:
    """A procedure of a claim. `is_or`: CMS designates it an O.R. procedure. The rest as for a diagnosis."""

    code: str
    title: str | None
    is_or: bool
    counts: bool
    sole: bool
    drg_without: str


@dataclass(frozen=True, slots=True)
class Grouping:
    """The DRG of a claim with the reasons. `weight` and `gmlos` (days) as in the code book; `diagnoses` are the secondary ones."""

    drg: str
    title: str
    base: str
    level: str
    mdc: str
    mdc_title: str
    type: str
    weight: float | None
    gmlos: float | None
    return_code: str
    version: str
    approximate: bool
    hospital_status: str
    principal: Diagnosis
    diagnoses: tuple[Diagnosis, ...]
    procedures: tuple[Procedure, ...]
    remarks: tuple[str, ...]


def prepared(claim: Claim) -> Claim:
    """The claim in the form in which it is grouped. ClaimError if it lacks what grouping needs."""
    return converted(checked(claim))


def drg_of(claim: Claim) -> tuple[str, str]:
    """(DRG, return code) and nothing else. ClaimError if the claim lacks what grouping needs."""
    answered = answer(prepared(claim))
    return answered.drg, answered.return_code


def problem(claim: Claim, answered: Answer) -> str | None:
    """One sentence that names the codes which the claim's version does not know, if any; the grouper ignores them."""
    known = valid_diagnoses(claim, answered)
    roles = {claim.pdx: "principal diagnosis"} if claim.pdx not in known else {}
    roles |= {code: "secondary diagnosis" for code in claim.sdx if code not in known}
    roles |= {code: "procedure" for code in claim.procedures if not is_valid(code, "procedure", claim.version)}
    unknown = ", ".join(f"{_shown(code)} ({role})" for code, role in roles.items())
    return f"Not an ICD-10 code in MS-DRG v{claim.version}: {unknown}." if unknown else None


def _shown(code: str) -> str:
    """A code as it is if it could be one, else quoted and cut short."""
    return code if code.isalnum() and len(code) <= 7 else reprlib.repr(code)


def ungroupable(return_code: str) -> str:
    """Why there is no DRG, in a sentence."""
    return REMARKS.get(return_code, f"The grouper found no DRG and returned {return_code}.")


def group(claim: Claim) -> Grouping:
    """Group a claim and explain every code. ClaimError if the claim lacks what grouping needs.

    The DRG without a code comes from grouping again without it. For `counts`, all secondary diagnoses that are not sole
    support are set aside; a code counts if it then brings back, alone or with one other, the DRG that is lost without them.
    """
    poa_unknown = not any(claim.poa or ()) and claim.hospital_status is None
    claim = prepared(claim)
    answered = answer(claim)
    book = codebook(claim.version)
    drg = book.drgs[answered.drg]
    mdc = drg.mdc or answered.mdc
    principal, diagnoses = _diagnoses(claim, answered, drg)
    return Grouping(
        **{name: getattr(drg, name) for name in ("drg", "title", "base", "level", "type", "weight", "gmlos")},
        mdc=mdc,
        mdc_title=MDC_TITLES[mdc],
        return_code=answered.return_code,
        version=claim.version,
        approximate=claim.version not in EXACT,
        hospital_status=claim.hospital_status,
        principal=principal,
        diagnoses=diagnoses,
        procedures=_procedures(claim, answered.drg),
        remarks=tuple(_remarks(claim, answered, poa_unknown)),
    )


def _support(
    full: str, codes: int, regroup: Callable[[Sequence[int]], str], base: Collection[str] = ()
) -> tuple[list[Support], str]:
    """What each of so many codes does for the DRG `full`, and the DRG with only those that are its sole support.

    `regroup` gives the DRG with only the codes at these positions; `base` holds the DRGs of the same base. Where the base
    itself is lost without the shared codes (multiple trauma), one code may bring back the base and another the severity.
    """
    everything = range(codes)
    without = [regroup([j for j in everything if j != i]) for i in everything]
    if full in UNGROUPABLE:
        return [Support(drg, sole=False, counts=False) for drg in without], full
    sole = [i for i in everything if without[i] != full]
    without_shared = regroup(sole)
    rest = [i for i in everything if i not in sole] if without_shared != full else []
    single = {i for i in rest if regroup(sorted([*sole, i])) == full}
    paired = set()
    if base and without_shared not in base:
        pairs = combinations([i for i in rest if i not in single], 2)
        paired = {i for pair in pairs if regroup(sorted([*sole, *pair])) == full for i in pair}
    counting = {*sole, *single, *paired}
    return [Support(without[i], i in sole, i in counting, i in paired) for i in everything], without_shared


def _diagnoses(claim: Claim, answered: Answer, drg: Drg) -> tuple[Diagnosis, tuple[Diagnosis, ...]]:
    poa = indicators(claim)

    def regroup(kept: Sequence[int]) -> str:
        sdx = tuple(claim.sdx[i] for i in kept)
        return answer(replace(claim, sdx=sdx, poa=claim.poa and (poa[0], *(poa[i + 1] for i in kept)))).drg

    known = valid_diagnoses(claim, answered)
    unused = [_unused(claim, i, known) for i in range(len(claim.sdx))]
    used = [i for i, reason in enumerate(unused) if reason is None]
    family = frozenset(member.drg for member in codebook(claim.version).family(drg.drg))
    found, without_shared = _support(drg.drg, len(used), lambda kept: regroup([used[i] for i in kept]), family)
    supports = [Support(drg.drg, False, False)] * len(unused)
    for i, support in zip(used, found, strict=True):
        supports[i] = support
    first, *rest = facts(claim, answered)
    shared = [
        fact.level
        for fact, support in zip(rest, supports, strict=True)
        if support.counts and not (support.sole or support.paired)
    ]
    setting = Setting(drg, claim.pdx, answered.return_code, family, tuple(shared), without_shared, regroup(()))
    reasons = [
        reason or why(fact, support, setting) for reason, fact, support in zip(unused, rest, supports, strict=True)
    ]
    grouped = drg.drg not in UNGROUPABLE
    principal = _diagnosis(
        claim.pdx, poa[0], first, Support("", grouped, grouped), PRINCIPAL if grouped else "It leads to no DRG."
    )
    return principal, tuple(map(_diagnosis, claim.sdx, poa[1:], rest, supports, reasons))


def _diagnosis(code: str, poa: str, fact: Fact, support: Support, reason: str) -> Diagnosis:
    return Diagnosis(
        code=code,
        title=icd.diagnosis_title(code),
        level=fact.level,
        counts=support.counts,
        sole=support.sole,
        why=reason,
        drg_without=support.drg_without or None,
        poa=poa,
    )


def _unused(claim: Claim, position: int, known: set[str]) -> str | None:
    """Why the grouper does not look at this secondary diagnosis at all, or None."""
    code = claim.sdx[position]
    if code not in known:
        return f"Not an ICD-10-CM code in v{claim.version}; the grouper ignores it."
    if code == claim.pdx:
        return "Repeats the principal diagnosis; the grouper ignores it."
    if code in claim.sdx[:position]:
        return "Listed before; a code is used once."
    return None


def _procedures(claim: Claim, full: str) -> tuple[Procedure, ...]:
    def regroup(kept: Sequence[int]) -> str:
        return answer(replace(claim, procedures=tuple(claim.procedures[i] for i in kept))).drg

    supports, _ = _support(full, len(claim.procedures), regroup)
    return tuple(
        Procedure(
            code=code,
            title=icd.procedure_title(code),
            is_or=icd.is_operating_room(code, claim.version),
            counts=support.counts,
            sole=support.sole,
            drg_without=support.drg_without,
        )
        for code, support in zip(claim.procedures, supports, strict=True)
    )


def _remarks(claim: Claim, answered: Answer, poa_unknown: bool) -> list[str]:
    unknown = problem(claim, answered)
    found = [unknown] if unknown else []
    if answered.return_code != "OK":
        found.append(ungroupable(answered.return_code))
    if claim.version not in EXACT:
        found.append(
            f"Version {claim.version} is grouped by drgpy, approximately; no hospital-acquired condition is left out."
        )
    if poa_unknown and claim.sdx:
        found.append(
            "Present on admission is unknown, so the claim is grouped as for a hospital exempt from POA reporting."
        )
    if answered.return_code == "OK" and answered.initial_drg != answered.drg:
        found.append(f"The DRG was {answered.initial_drg} before hospital-acquired conditions were left out.")
    return found
