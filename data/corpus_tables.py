"""The knowledge tables as objects: load them, and from the command line check them (`python -m data.corpus_tables`).

The schema is `data/knowledge/README.md`. Every value is read as text (YAML's own guesses would turn the procedure code 0210344
into a number and `no` into false) and converted here.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path

import yaml

from data.corpus_phrase import Phrase, PhraseError, Pool, pool
from sapphire.drg.coding import Rule
from sapphire.drg.icd import normal

KNOWLEDGE = Path(__file__).parent / "knowledge"
DISPOSITIONS = {  # names in the tables → CMS discharge status codes
    "home": 1, "transfer": 2, "snf": 3, "home_health": 6, "ama": 7, "died": 20,
    "hospice": 51, "rehab": 62, "psych": 65,
}  # fmt: skip
SETTINGS = ("adult", "child", "newborn", "obstetric", "psychiatric", "none")


EMPTY = Pool()


class TablesError(ValueError):
    """The tables cannot be used; the message names file, record and remedy, one problem a line."""


@dataclass(frozen=True, slots=True)
class Coding:
    """One way to code a record: codes that stand together, and the slots they set (side, wall …)."""

    codes: tuple[str, ...]
    weight: float = 1.0
    slots: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Condition:
    id: str
    name: Phrase
    codings: tuple[Coding, ...]
    words: Pool
    file: str
    kind: str  # "principal" | "secondary"
    mdc: str = ""
    level: str = ""
    weight: float = 0.0
    age: tuple[int, int] = (18, 95)
    men: float = 0.5
    story: Pool = EMPTY
    booked: Pool = EMPTY
    findings: Pool = EMPTY
    care: Pool = EMPTY
    ruled_out_by: Pool = EMPTY
    procedures: Mapping[str, float] = field(default_factory=dict)
    extras: Mapping[str, float] = field(default_factory=dict)
    with_: Mapping[str, float] = field(default_factory=dict)
    chance: tuple[tuple[int, int, float], ...] = ()
    differential: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    siblings: tuple[str, ...] = ()
    severity: Mapping[str, float] = field(default_factory=dict)
    los: tuple[int, int] = (2, 6)
    dies: float = 0.01
    goes: Mapping[str, float] = field(default_factory=dict)
    pool: tuple[str, ...] = ("adult",)
    uncertain: bool = True
    resolved: bool = False
    history: str = ""
    family: str = ""
    onset: float = 0.0

    def chance_at(self, age: int) -> float:
        return next((chance for low, high, chance in self.chance if low <= age <= high), 0.0)


@dataclass(frozen=True)
class Procedure:
    id: str
    name: Phrase
    codings: tuple[Coding, ...]
    words: Pool
    file: str


@dataclass(frozen=True)
class Tables:
    conditions: Mapping[str, Condition]
    procedures: Mapping[str, Procedure]
    rules: tuple[Rule, ...]
    style: Mapping

    @property
    def principals(self) -> list[Condition]:
        return [c for c in self.conditions.values() if c.kind == "principal"]


def _numbers(text: str, cast=int) -> tuple:
    low, _, high = text.partition("-")
    return cast(low), cast(high or low)


def _ages(text: str) -> tuple[int, int]:
    return (int(text[:-1]), 120) if text.endswith("+") else _numbers(text)


def _chances(value) -> tuple[tuple[int, int, float], ...]:
    if isinstance(value, str):
        return ((0, 120, float(value)),)
    return tuple((*_ages(ages), float(chance)) for ages, chance in value.items())


def _shares(value: Mapping) -> dict[str, float]:
    return {key: float(share) for key, share in value.items()}


def _list(value) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _truth(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("write yes or no")
    return text == "yes"


def _codings(value) -> tuple[Coding, ...]:
    if isinstance(value, str):
        return (Coding((normal(value),)),)
    out = []
    for option in value:
        if isinstance(option, Mapping):
            rest = {key: text for key, text in option.items() if key not in ("code", "weight")}
            codes = tuple(normal(code) for code in _list(option["code"]))
            out.append(Coding(codes, float(option.get("weight", 1)), rest))
        else:
            out.append(Coding(tuple(normal(code) for code in _list(option))))
    return tuple(out)


def _history(text: str) -> str:
    return text if text == "none" else normal(text)


_READ: dict[str, Callable] = {
    "name": Phrase, "words": pool, "story": pool, "booked": pool, "findings": pool, "care": pool, "ruled_out_by": pool,
    "weight": float, "age": _ages, "men": float, "procedures": _shares, "extras": _shares, "with": _shares,
    "chance": _chances, "differential": _list, "rivals": _list, "siblings": _list, "severity": _shares,
    "los": _numbers, "dies": float, "goes": _shares, "pool": _list, "uncertain": _truth, "resolved": _truth,
    "history": _history, "family": _history, "onset": float, "level": str, "mdc": str, "id": str,
}  # fmt: skip
_RULE: dict[str, Callable] = {
    "why": str, "has": lambda v: tuple(_pattern(item) for item in v), "not": lambda v: _pattern(v),
    "replace": lambda v: {normal(k): normal(c) for k, c in v.items()}, "before": lambda v: _pattern(v),
    "add": lambda v: {normal(k): normal(c) for k, c in v.items()}, "drop": lambda v: _pattern(v),
}  # fmt: skip


def _pattern(value) -> tuple[str, ...]:
    return tuple(normal(code) for code in _list(value))


def _field(key: str) -> str:
    return {"with": "with_", "not": "not_", "code": "codings"}.get(key, key)


def _record(raw: Mapping, allowed: set[str], readers: Mapping[str, Callable], required: tuple[str, ...]) -> dict:
    """Raw text values of one record → typed values. Raises ValueError with one sentence."""
    if unknown := sorted(set(raw) - allowed):
        raise ValueError(f"unknown field {', '.join(unknown)}; the schema knows {', '.join(sorted(allowed))}")
    if missing := [key for key in required if not raw.get(key)]:
        raise ValueError(f"lacks {', '.join(missing)}")
    out = {}
    for key, value in raw.items():
        try:
            out[_field(key)] = _codings(value) if key == "code" else readers[key](value)
        except PhraseError as error:
            raise ValueError(f"{key}: {error}") from None
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"{key}: cannot read {value!r} ({error}); see data/knowledge/README.md") from None
    return out


_CONDITION = {f.name.rstrip("_") for f in fields(Condition)} - {"codings", "file", "kind"} | {"code"}
_NEEDS = {
    "principal": ("id", "name", "code", "weight", "words", "story"),
    "secondary": ("id", "name", "code", "level", "words"),
}


def _read_yaml(path: Path) -> object:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CBaseLoader", yaml.BaseLoader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TablesError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None


def _records(folder: Path, key: str) -> Iterator[tuple[Path, Mapping, Mapping]]:
    for path in sorted(folder.glob("*.yaml")):
        document = _read_yaml(path)
        if not isinstance(document, Mapping) or not isinstance(document.get(key), list):
            raise TablesError(f"{path}: needs a list under `{key}:`")
        for record in document[key]:
            yield path, document, record


def read_tables(root: Path = KNOWLEDGE) -> tuple[Tables, list[str]]:
    """All tables and the problems met while reading, one sentence each (the records concerned are left out)."""
    conditions: dict[str, Condition] = {}
    procedures: dict[str, Procedure] = {}
    problems: list[str] = []

    def take(into: dict, path: Path, raw: Mapping, build: Callable) -> None:
        name = raw.get("id", "a record without id")
        try:
            if name in conditions or name in procedures:
                raise ValueError(f"the id stands already in {(conditions.get(name) or procedures[name]).file}")
            into[name] = build()
        except ValueError as error:
            problems.append(f"{path.relative_to(root)}: {name}: {error}")

    for kind in ("principal", "secondary"):
        for path, document, raw in _records(root / kind, "conditions"):

            def condition(raw=raw, document=document, path=path, kind=kind) -> Condition:
                values = _record(raw, _CONDITION, _READ, _NEEDS[kind])
                mdc = values.pop("mdc", document.get("mdc", "")).zfill(2)
                return Condition(**values, mdc=mdc, kind=kind, file=str(path.relative_to(root)))

            take(conditions, path, raw, condition)
    for path, _, raw in _records(root / "procedures", "procedures"):

        def procedure(raw=raw, path=path) -> Procedure:
            values = _record(raw, {"id", "name", "code", "words"}, _READ, ("id", "name", "code", "words"))
            return Procedure(**values, file=str(path.relative_to(root)))

        take(procedures, path, raw, procedure)
    rules = read_rules(root / "rules.yaml", problems)
    return Tables(conditions, procedures, rules, _read_yaml(root / "style.yaml")), problems


def read_rules(path: Path, problems: list[str]) -> tuple[Rule, ...]:
    out = []
    for number, raw in enumerate(_read_yaml(path)["rules"], 1):
        try:
            out.append(Rule(**_record(raw, set(_RULE), _RULE, ("why", "has"))))
        except ValueError as error:
            problems.append(f"{path.name}: rule {number}: {error}")
    return tuple(out)


@cache
def load_tables(root: Path = KNOWLEDGE) -> Tables:
    """The tables, or TablesError with every problem met while reading."""
    tables, problems = read_tables(root)
    if problems:
        raise TablesError("\n".join(problems))
    return tables


if __name__ == "__main__":
    from data.corpus_check import main

    raise SystemExit(main())
