"""Group a claim, and say of every code whether the DRG needs it: by grouping again without it, never by parsing rules.

The rules come from CMS's grouper (`rules.py`); codes that CMS's own output leaves unexplained (excluded by a DRG's logic, for
one) show themselves here by making no difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sapphire.drg import icd
from sapphire.drg.claims import Claim, ClaimError, checked, claim_from
from sapphire.drg.codebook import MDC_TITLES, Drg, codebook
from sapphire.drg.reasons import Setting, Support, why
from sapphire.drg.rules import EXACT, Answer, answer, converted, facts, hospital_status, indicators, is_valid

__all__ = ["Claim", "ClaimError", "Diagnosis", "Grouping", "Procedure", "claim_from", "drg_of", "group", "problems"]

UNGROUPABLE = ("998", "999")
PRINCIPAL = "The principal diagnosis; it leads to the MDC and, with the procedures, to the base DRG."
RETURN_CODES = {
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


def drg_of(claim: Claim) -> tuple[str, str]:
    """(DRG, return code) and nothing else. ClaimError if the claim lacks what grouping needs."""
    answered = answer(converted(checked(claim)))
    return answered.drg, answered.return_code


def problems(claim: Claim) -> list[str]:
    """One sentence for each code that is not in force in the claim's version; the grouper ignores such a code."""
    year = "MS-DRG v" + claim.version
    found = []
    if not is_valid(claim.pdx, "diagnosis", claim.version):
        found.append(f"{claim.pdx} is no ICD-10-CM diagnosis code in {year}.")
    for code in dict.fromkeys(claim.sdx):
        if not is_valid(code, "diagnosis", claim.version):
            found.append(f"{code} is no ICD-10-CM diagnosis code in {year}; it was ignored.")
    for code in dict.fromkeys(claim.procedures):
        if not is_valid(code, "procedure", claim.version):
            found.append(f"{code} is no ICD-10-PCS procedure code in {year}; it was ignored.")
    return found


def group(claim: Claim) -> Grouping:
    """Group a claim and explain every code. ClaimError if the claim lacks what grouping needs.

    The DRG without a code comes from grouping again without it. For `counts`, all secondary diagnoses that are not sole
    support are set aside; a code counts if it alone then brings back the DRG that is lost without them.
    """
    claim = converted(checked(claim))
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
        hospital_status=hospital_status(claim),
        principal=principal,
        diagnoses=diagnoses,
        procedures=_procedures(claim, answered.drg),
        remarks=tuple(_remarks(claim, answered)),
    )


def _support(full: str, codes: int, regroup: Callable[[Sequence[int]], str]) -> list[Support]:
    """What each of so many codes does for the DRG `full`; `regroup` gives the DRG with only the codes at these positions."""
    everything = range(codes)
    without = [regroup([j for j in everything if j != i]) for i in everything]
    sole = [i for i in everything if without[i] != full]
    shared = full not in UNGROUPABLE and regroup(sole) != full
    found = []
    for i in everything:
        counts = full not in UNGROUPABLE and (i in sole or (shared and regroup(sorted([*sole, i])) == full))
        found.append(Support(without[i], counts and i in sole, counts))
    return found


def _diagnoses(claim: Claim, answered: Answer, drg: Drg) -> tuple[Diagnosis, tuple[Diagnosis, ...]]:
    poa = indicators(claim)

    def regroup(kept: Sequence[int]) -> str:
        sdx = tuple(claim.sdx[i] for i in kept)
        return answer(replace(claim, sdx=sdx, poa=claim.poa and (poa[0], *(poa[i + 1] for i in kept)))).drg

    supports = _support(drg.drg, len(claim.sdx), regroup)
    setting = Setting(
        drg=drg,
        pdx=claim.pdx,
        counting=sum(support.counts for support in supports),
        bare=regroup(()),
        family=frozenset(member.drg for member in codebook(claim.version).family(drg.drg)),
        return_code=answered.return_code,
    )
    first, *rest = facts(claim, answered)
    principal = Diagnosis(claim.pdx, icd.diagnosis_title(claim.pdx), first.level, True, True, PRINCIPAL, None, poa[0])
    secondary = []
    for i, (code, fact, support) in enumerate(zip(claim.sdx, rest, supports, strict=True)):
        reason = _unused(claim, i) or why(fact, support, setting)
        secondary.append(
            Diagnosis(
                code,
                icd.diagnosis_title(code),
                fact.level,
                support.counts,
                support.sole,
                reason,
                support.drg_without,
                poa[i + 1],
            )
        )
    return principal, tuple(secondary)


def _unused(claim: Claim, position: int) -> str | None:
    """Why the grouper does not look at this secondary diagnosis at all, or None."""
    code = claim.sdx[position]
    if not is_valid(code, "diagnosis", claim.version):
        return f"Not an ICD-10-CM code in v{claim.version}; the grouper ignores it."
    if code == claim.pdx:
        return "Repeats the principal diagnosis; the grouper ignores it."
    if code in claim.sdx[:position]:
        return "Listed before; a code is used once."
    return None


def _procedures(claim: Claim, full: str) -> tuple[Procedure, ...]:
    def regroup(kept: Sequence[int]) -> str:
        return answer(replace(claim, procedures=tuple(claim.procedures[i] for i in kept))).drg

    supports = _support(full, len(claim.procedures), regroup)
    return tuple(
        Procedure(
            code,
            icd.procedure_title(code),
            icd.is_operating_room(code, claim.version),
            support.counts,
            support.sole,
            support.drg_without,
        )
        for code, support in zip(claim.procedures, supports, strict=True)
    )


def _remarks(claim: Claim, answered: Answer) -> list[str]:
    found = problems(claim)
    if answered.return_code != "OK":
        found.append(RETURN_CODES.get(answered.return_code, f"The grouper returned {answered.return_code}."))
    if claim.version not in EXACT:
        found.append(f"Version {claim.version} is grouped by drgpy's rules, which are approximate.")
    if claim.poa is None and claim.hospital_status is None and claim.sdx:
        found.append(
            "Present on admission is unknown, so the claim is grouped as for a hospital exempt from POA reporting."
        )
    if answered.return_code == "OK" and answered.initial_drg != answered.drg:
        found.append(f"Without hospital-acquired conditions set aside the DRG would be {answered.initial_drg}.")
    return found
