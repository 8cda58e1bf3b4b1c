"""From plainly written conditions to what a coder would report: combination codes and sequencing.

The rules are ICD-10-CM's Official Guidelines as far as `tables/coding_rules.json` holds them; `python -m data.wordings` writes that file
from `data/knowledge/rules.yaml`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from importlib.resources import files


@dataclass(frozen=True)
class Rule:
    """Fits when each of `has` (code patterns, * for any ending) is met by some code and `not_` by none."""

    why: str
    has: tuple[tuple[str, ...], ...]
    not_: tuple[str, ...] = ()
    replace: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    add: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()

    @cached_property
    def letters(self) -> tuple[frozenset[str], ...]:
        """Of each of `has` the first letters: most rules are told by them not to fit."""
        return tuple(frozenset(pattern[0] for pattern in patterns) for patterns in self.has)


@dataclass(frozen=True, slots=True)
class Coded:
    """A diagnosis code with the condition whose words in the note show it, and whether it was present on admission."""

    code: str
    source: str
    poa: str = "Y"


@cache
def rules() -> tuple[Rule, ...]:
    """The checked-in rules, from top to bottom."""
    listed = json.loads(files("sapphire.drg").joinpath("tables", "coding_rules.json").read_text(encoding="utf-8"))
    return tuple(
        Rule(
            why=each["why"],
            has=tuple(map(tuple, each["has"])),
            not_=tuple(each["not"]),
            replace=each["replace"],
            before=tuple(each["before"]),
            add=each["add"],
            drop=tuple(each["drop"]),
        )
        for each in listed
    )


@lru_cache(maxsize=500_000)
def matches(code: str, patterns: tuple[str, ...]) -> bool:
    return any(code.startswith(p[:-1]) if p.endswith("*") else code == p for p in patterns)


def _find(coded: list[Coded], patterns: tuple[str, ...]) -> Coded | None:
    for item in coded:  # a plain loop: this is asked some thousands of times a note
        if matches(item.code, patterns):
            return item
    return None


def apply_rule(rule: Rule, coded: list[Coded]) -> list[Coded]:
    """The codes (principal first) after one rule; the same list when the rule does not fit."""
    lead = _find(coded, rule.has[0])
    if lead is None or not all(_find(coded, patterns) for patterns in rule.has[1:]) or _find(coded, rule.not_):
        return coded
    new = replace(lead, code=rule.replace.get(lead.code, lead.code))
    out = [replace(item, code=rule.replace[item.code]) if item.code in rule.replace else item for item in coded]
    present = {item.code for item in out}
    for code, evidence in rule.add.items():
        if code not in present and (shown := _find(out, (evidence,))):
            out.append(replace(shown, code=code))
    if rule.before and matches(out[0].code, rule.before) and new.poa == "Y" and new in out[1:]:
        out.remove(new)
        out.insert(0, new)
    return [out[0], *(item for item in out[1:] if not matches(item.code, rule.drop))]


def code_as_a_coder(rules: Iterable[Rule], coded: list[Coded]) -> list[Coded]:
    """All rules from top to bottom, then every code once (the first stays). The principal diagnosis is the first code."""
    named = {item.code[0] for item in coded}
    for rule in rules:
        if any(letters.isdisjoint(named) for letters in rule.letters):
            continue
        before, coded = coded, apply_rule(rule, coded)
        if coded is not before:
            named = {item.code[0] for item in coded}
    seen: dict[str, Coded] = {}
    for item in coded:
        seen.setdefault(item.code, item)
    return list(seen.values())
