"""The reasoning's line grammar: one checkable claim a line, as it is written and read.

A trace is a list of lines, each one step of `sapphire.completions`. A quote comes first, so that a small model copies the
words of the note before it names and judges them:

    - principal diagnosis "decompensated HFrEF": acute on chronic systolic heart failure (I50.23)
    - principal procedure "DES to the LAD": PCI with one drug-eluting stent (027034Z), counts
    - "on 4 L by NC, SpO2 84%": acute hypoxic respiratory failure (J96.01), MCC, counts
    - "Cr rose from 1.1 to 2.4": acute kidney injury (N17.9), CC, does not count: an MCC already decides
    - "HTN": hypertension (I10), none
    - "no PE on CTA": pulmonary embolism (I26.99), not coded: ruled out
    - severity: MCC by J96.01
    - DRG: HEART FAILURE AND SHOCK WITH MCC

    line        = ["- "] (diagnosis | procedure | denial | severity | drg | candidate)
    diagnosis   = ["principal diagnosis "] quote ": " condition codes [", " level [", " verdict]]
    procedure   = ("principal procedure " | "procedure ") quote ": " condition codes ", " verdict
    denial      = quote ": " condition codes ", not coded: " ("ruled out" | "history" | "family history" | "resolved")
    severity    = "severity: " severity level of the DRG [" by " code {", " code}]
    drg         = "DRG: " title
    candidate   = "candidate: " title ", if " ("so coded" | condition codes " were the principal diagnosis"
                  | condition codes " were not coded" | condition codes " replaced " code)
    quote       = '"' words of the note '"'
    codes       = " (" code {" + " code} ")"      codes that are always reported together share a line
    level       = "MCC" | "CC" | "none"           CMS's table, of the highest code of the line
    verdict     = "counts" [": " reason] | "does not count" [": " reason]

`level` alone is "none" and means that the code neither is nor counts as a CC. Plain "counts" of a diagnosis means that it
supports the severity; which codes do so is said once more by the severity line, when all of them are known. The reasons are
REASONS, one for each case of `reasons.py`. Everything else in a reasoning is vague: not true, and reported apart.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from sapphire.drg.codebook import LEVELS
from sapphire.drg.icd import is_procedure, normal

PRINCIPAL, PROCEDURE, MAIN_PROCEDURE = "principal diagnosis", "procedure", "principal procedure"
SECONDARY, DENIED, SEVERITY, DRG, CANDIDATE, VAGUE = "secondary", "not coded", "severity", "DRG", "candidate", "vague"
TABLE_LEVELS = ("MCC", "CC", "none")

# Why a code counts though no CC, or does not count though one; "" is the plain case.
REASONS = (
    "decides the base DRG",
    "the definition asks for it",
    "together with another code",
    "excluded by the principal diagnosis",
    "the patient died",
    "hospital-acquired",
    "the base DRG is not split",
    "the base DRG is split only by MCC",
    "the DRG is reached without it",
    "an MCC already decides",
    "the DRG's logic leaves it out",
    "",
)
DENIALS = ("ruled out", "history", "family history", "resolved")
CHANGES = ("so coded", "were the principal diagnosis", "were not coded", "replaced")

_CODES = r"\((?P<codes>[A-Z0-9.]{3,8}(?: \+ [A-Z0-9.]{3,8})*)\)"
_COUNTING = re.compile(
    rf'(?:(?P<role>{PRINCIPAL}|{MAIN_PROCEDURE}|{PROCEDURE}) )?"(?P<quote>[^"\n]+)": (?P<condition>[^"\n]+?) {_CODES}'
    rf"(?:, (?P<level>MCC|CC|none))?(?:, (?P<counts>counts|does not count|not coded)(?:: (?P<reason>[^\n]+?))?)?"
)
_SEVERITY = re.compile(
    rf"severity: (?P<level>{'|'.join(sorted(LEVELS, key=len, reverse=True))})(?: by (?P<codes>[A-Z0-9.]+(?:, [A-Z0-9.]+)*))?"
)
_DRG = re.compile(r"DRG: (?P<title>[^\n]+)")
_CANDIDATE = re.compile(
    rf"candidate: (?P<title>[^\n]+?), if (?:so coded|(?P<condition>[^\n]+?) {_CODES}"
    r" (?:(?P<reason>were the principal diagnosis|were not coded)|replaced (?P<replaced>[A-Z0-9.]{3,8})))"
)
_MARKER = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])?\s*")
_QUOTES = str.maketrans("“”", '""')


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `kind` is one of the constants above; the other fields hold what lines of that kind say, else are empty.

    `codes` without dots. `level` CMS's table level, or for SEVERITY the DRG's. For CANDIDATE `reason` is one of CHANGES and
    `replaced` the code that another takes the place of.
    """

    kind: str
    quote: str = ""
    condition: str = ""
    codes: tuple[str, ...] = ()
    level: str = ""
    counts: bool = False
    reason: str = ""
    title: str = ""
    replaced: str = ""
    text: str = ""


def write(lines: Iterable[Line]) -> str:
    """The lines as a reasoning: one list item each."""
    return "\n".join(f"- {render(line)}" for line in lines)


def render(line: Line) -> str:
    """One line without its list marker. A VAGUE line is its text."""
    match line.kind:
        case "vague":
            return line.text
        case "severity":
            by = f" by {', '.join(map(dotted, line.codes))}" if line.codes else ""
            return f"severity: {line.level}{by}"
        case "DRG":
            return f"DRG: {line.title}"
        case "candidate":
            return f"candidate: {line.title}, if {_change(line)}"
    said = f'"{line.quote}": {_named(line)}'
    if line.kind == PRINCIPAL:
        return f"{PRINCIPAL} {said}"
    reason = f": {line.reason}" if line.reason else ""
    if line.kind == DENIED:
        return f"{said}, not coded{reason}"
    verdict = f", {'counts' if line.counts else 'does not count'}{reason}"
    if line.kind in (PROCEDURE, MAIN_PROCEDURE):
        return f"{line.kind} {said}{verdict}"
    return f"{said}, {line.level}" + ("" if line.level == "none" and not line.counts else verdict)


def _change(line: Line) -> str:
    if line.reason == "so coded":
        return line.reason
    return f"{_named(line)} {line.reason}" + (f" {dotted(line.replaced)}" if line.replaced else "")


def _named(line: Line) -> str:
    return f"{line.condition} ({' + '.join(map(dotted, line.codes))})"


def dotted(code: str) -> str:
    """A diagnosis code as clinicians read it (I50.23); a procedure code, which has seven characters, stays as it is."""
    return f"{code[:3]}.{code[3:]}" if len(code) > 3 and not is_procedure(code) else code


def parse(text: str) -> list[Line]:
    """Every line of a reasoning that holds words; what does not follow the grammar is of kind VAGUE."""
    return [_read(body) for raw in text.split("\n") if (body := raw[_MARKER.match(raw).end() :].strip())]


def _read(body: str) -> Line:
    plain = body.translate(_QUOTES).rstrip(".")
    if found := _COUNTING.fullmatch(plain):
        return _counting(found, body)
    if found := _SEVERITY.fullmatch(plain):
        return Line(SEVERITY, level=found["level"], codes=_codes(found["codes"], ", "), text=body)
    if found := _DRG.fullmatch(plain):
        return Line(DRG, title=found["title"], text=body)
    if found := _CANDIDATE.fullmatch(plain):
        reason = found["reason"] or ("replaced" if found["replaced"] else "so coded")
        return Line(
            CANDIDATE,
            condition=found["condition"] or "",
            codes=_codes(found["codes"], " + "),
            reason=reason,
            title=found["title"],
            replaced=normal(found["replaced"] or ""),
            text=body,
        )
    return Line(VAGUE, text=body)


def _codes(listed: str | None, separator: str) -> tuple[str, ...]:
    return tuple(map(normal, listed.split(separator))) if listed else ()


def _counting(found: re.Match, body: str) -> Line:
    role, level, counts, reason = found["role"], found["level"], found["counts"], found["reason"] or ""
    kind = role or (DENIED if counts == "not coded" else SECONDARY)
    said = {
        PRINCIPAL: not level and not counts,
        PROCEDURE: not level and counts in ("counts", "does not count") and not reason,
        MAIN_PROCEDURE: not level and counts == "counts" and not reason,
        DENIED: not level and reason in DENIALS,
        SECONDARY: bool(level) and (counts or level == "none") and reason in REASONS,
    }
    if not said[kind]:
        return Line(VAGUE, text=body)
    return Line(
        kind=kind,
        quote=found["quote"].strip(),
        condition=found["condition"].strip(),
        codes=_codes(found["codes"], " + "),
        level=level or "",
        counts=counts == "counts",
        reason=reason,
        text=body,
    )
