"""Plans: which principal condition, with which procedures, at which severity, with which disposition, and the DRG that this gives.

A plan is drawn before a stay. Its DRG is found by grouping the principal with stand-in codes (an MCC or CC that counts), so that
rare DRGs can be given a floor; the stay's own label is always the grouper's word on its own codes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

from data.corpus_tables import DISPOSITIONS, Coding, Condition, Tables
from sapphire.drg.coding import Coded, code_as_a_coder
from sapphire.drg.grouper import Claim, drg_of

# Stand-ins for any counting code of a level; several, because a principal diagnosis may exclude one.
PROBES = {
    "adult": {"MCC": ("E43", "G9341", "J9601"), "CC": ("E440", "R64", "J90", "E871"), "none": ()},
    "obstetric": {"MCC": ("O8812", "O152", "I2699"), "CC": ("O1414", "D62", "N390"), "none": ()},
    "newborn": {"MCC": ("P220", "P369"), "CC": ("P229", "P590"), "none": ()},
}  # fmt: skip
LEVELS = ("MCC", "CC", "none")


@dataclass(frozen=True, slots=True)
class Plan:
    """`weight` is the share among all stays (unnormalised); `procedures` ids; `drg` what the stand-ins group to."""

    condition: str
    procedures: tuple[str, ...]
    severity: str
    disposition: str
    weight: float
    drg: str


def procedure_ids(key: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in key.split("+") if part.strip() != "none")


def fits(coding: Coding, slots: dict[str, str]) -> bool:
    """Whether an option contradicts no slot drawn before (a left hip gets a left prosthesis)."""
    return all(slots.get(name, value) == value for name, value in coding.slots.items())


def plans(tables: Tables, condition: Condition) -> Iterator[Plan]:
    """All plans of a condition: procedures × severity × disposition; unknown procedure ids are left out."""
    choices = {
        key: share for key, share in condition.procedures.items() if set(procedure_ids(key)) <= set(tables.procedures)
    }
    rest = max(0.0, 1 - sum(share for key, share in choices.items() if procedure_ids(key)))
    bundles = {procedure_ids(key): share for key, share in choices.items() if procedure_ids(key)} | {(): rest}
    severity = condition.severity or {level: float(share) for level, share in tables.style["severity"].items()}
    dispositions = {"home": 1 - condition.dies, "died": condition.dies}
    for name, share in condition.goes.items():
        dispositions[name] = share
        dispositions["home"] -= share
    for (bundle, p), (level, s), (where, d) in product(bundles.items(), severity.items(), dispositions.items()):
        if p > 0.0005 and s > 0 and d > 0:
            drg = _drg(tables, condition, bundle, level, where)
            yield Plan(condition.id, bundle, level, where, condition.weight * p * s * d, drg)


def _drg(tables: Tables, condition: Condition, bundle: tuple[str, ...], level: str, disposition: str) -> str:
    coding = condition.codings[0]
    slots = dict(coding.slots)
    procedures: list[str] = []
    for name in bundle:
        option = next(
            (c for c in tables.procedures[name].codings if fits(c, slots)), tables.procedures[name].codings[0]
        )
        slots |= option.slots
        procedures += option.codes
    always = [
        c
        for name, share in condition.with_.items()
        if share >= 1 and name in tables.conditions
        for c in tables.conditions[name].codings[0].codes
    ]
    age = (condition.age[0] + min(condition.age[1], 100)) // 2
    found = ""
    for probe in PROBES.get(condition.pool[0], PROBES["adult"])[level] or ("",):
        plain = [Coded(code, "") for code in (*coding.codes, *always, *([probe] if probe else []))]
        codes = [item.code for item in code_as_a_coder(tables.rules, plain)]
        claim = Claim(
            codes[0],
            tuple(codes[1:]),
            tuple(procedures),
            age,
            "M" if condition.men >= 0.5 else "F",
            DISPOSITIONS[disposition],
        )
        found = found or drg_of(claim)[0]
        if level != "none" and drg_of(claim)[0] != _without(claim, probe):
            return drg_of(claim)[0]
    return found


def _without(claim: Claim, probe: str) -> str:
    return drg_of(replace(claim, sdx=tuple(code for code in claim.sdx if code != probe)))[0]
