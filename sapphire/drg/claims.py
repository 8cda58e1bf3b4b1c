"""The claims of a reasoning: the true lines of a grouped stay, and whether the lines of any reasoning are true.

The grammar is in `lines.py`. A line is true when its codes are in force, its words fit them, the quote stands in the note, and
CMS's level, what counts, why, the severity and the DRG are what the grouper says of the stay that the lines state together.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sapphire.drg import lines as grammar
from sapphire.drg.claim import Claim
from sapphire.drg.codebook import DEFAULT_VERSION, codebook, fold
from sapphire.drg.grouper import UNGROUPABLE, Diagnosis, Grouping, drg_of, group
from sapphire.drg.lines import (
    DENIED,
    MAIN_PROCEDURE,
    PRINCIPAL,
    PROCEDURE,
    SECONDARY,
    SEVERITY,
    TABLE_LEVELS,
    Line,
    parse,
    write,
)
from sapphire.drg.rules import is_valid
from sapphire.drg.wording import fits
from sapphire.quotes import locate

__all__ = [
    "Context",
    "Evidence",
    "Line",
    "Verdict",
    "check",
    "claim_of",
    "lines_for",
    "parse",
    "reason_of",
    "severity",
    "share_true",
    "write",
]

# A sentence of reasons.py → the reason that a line gives; "" is the plain case.
SENTENCES = {
    r"It decides the base DRG|codes that lead to this base DRG": "decides the base DRG",
    r"The definition of this DRG asks for it": "the definition asks for it",
    r"leads to this DRG together with another code": "together with another code",
    r"excluded by the principal diagnosis": "excluded by the principal diagnosis",
    r"only when the patient is discharged alive": "the patient died",
    r"A hospital-acquired condition not present on admission": "hospital-acquired",
    r"not split by severity": "the base DRG is not split",
    r"split only by MCC": "the base DRG is split only by MCC",
    r"lead to this DRG without it": "the DRG is reached without it",
    r"an MCC already decides the severity": "an MCC already decides",
    r"the logic of this DRG leaves it out": "the DRG's logic leaves it out",
    r"The only|that support this DRG|Not a CC or MCC": "",
}
# The quote of what is not coded must itself say so.
CUES = {
    "ruled out": r"no|not|non|never|nothing|none|without|negative|neg|normal|unremarkable|clean|clear|r/o|rule[ds]? out|exclud\w+"
    r"|unlikely|against|den(?:y|ies|ied)|absent|absence|lack\w*|free of|wasn't|didn't|isn't|doubted|discarded|disproved",
    "history": r"history|hx|h/o|pmhx?|prior|previous|previously|past|remote|old|former|formerly|ago|s/p|earlier|back|in \d{4}|since \d{4}",
    "family history": r"family|fhx?|mother|father|brother|sister|parents?|siblings?|aunt|uncle|grand\w+|son|daughter|relatives?|cousin"
    r"|maternal|paternal",
    "resolved": r"resolved|cleared|healed|recovered|subsided|treated|completed|gone|previous|prior|last|earlier|recent|before this",
}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where the note shows one or more codes that belong together: the words quoted, and what the reasoning calls it."""

    codes: tuple[str, ...]
    quote: str
    condition: str


@dataclass(frozen=True, slots=True)
class Context:
    """What the grouper needs beside the lines: age in years, sex "M", "F" or "U", Medicare's discharge status.

    `codes` are the stay's real codes where they are known (diagnoses and procedures without dots); then a line that codes
    something else, or denies one of them, is not true.
    """

    age: int
    sex: str
    discharge_status: int = 1
    codes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`faults` says in words what is wrong with a line; a line of kind VAGUE follows no grammar and is never true."""

    line: Line
    faults: tuple[str, ...]

    @property
    def true(self) -> bool:
        return not self.faults

    @property
    def vague(self) -> bool:
        return self.line.kind == grammar.VAGUE


def share_true(verdicts: Sequence[Verdict]) -> float | None:
    """The share of true lines among all, vague ones included; None without lines."""
    return sum(verdict.true for verdict in verdicts) / len(verdicts) if verdicts else None


def lines_for(
    grouping: Grouping,
    shown: Iterable[Evidence],
    denied: Iterable[tuple[Evidence, str]] = (),
    claim: Claim | None = None,
) -> list[Line]:
    """The true lines of a grouped stay: principal diagnosis, procedures, secondary diagnoses (MCC first), denials, severity.

    `shown` says for each code where the note shows it; codes that it leaves out get no line. `denied` holds what the note
    names and the coder leaves out, each with one of DENIALS. With the `claim` that was grouped, several procedure codes on one
    line are also judged together. ValueError when nothing shows the principal diagnosis.
    """
    shown = list(shown)
    first = next((item for item in shown if item.codes[0] == grouping.principal.code), None)
    if first is None:
        raise ValueError(
            f"Nothing in the note shows the principal diagnosis {grouping.principal.code}; give its words."
        )
    procedures = {procedure.code: procedure for procedure in grouping.procedures}
    diagnoses = {diagnosis.code: diagnosis for diagnosis in reversed(grouping.diagnoses)}
    rest = [item for item in shown if item is not first]
    done = [_done(item, grouping, claim) for item in rest if set(item.codes) <= set(procedures)]
    done.sort(key=lambda line: not line.counts)
    if done and done[0].counts:
        done[0] = replace(done[0], kind=MAIN_PROCEDURE)
    secondary = [_judged(item, diagnoses) for item in rest if set(item.codes) <= set(diagnoses)]
    secondary.sort(key=lambda line: TABLE_LEVELS.index(line.level))
    left_out = [Line(DENIED, item.quote, item.condition, item.codes, reason=reason) for item, reason in denied]
    lines = [Line(PRINCIPAL, first.quote, first.condition, first.codes), *done, *secondary, *left_out]
    return [*lines, severity(grouping.level, secondary)]


def severity(level: str, lines: Iterable[Line]) -> Line:
    """The severity line of a DRG of that level, with the codes of the lines that say plainly that they count."""
    plain = [line for line in lines if line.kind == SECONDARY and line.counts and not line.reason]
    return Line(SEVERITY, level=level, codes=tuple(code for line in plain for code in line.codes))


def _done(item: Evidence, grouping: Grouping, claim: Claim | None) -> Line:
    return Line(PROCEDURE, item.quote, item.condition, item.codes, counts=_decide(item.codes, grouping, claim))


def _decide(codes: tuple[str, ...], grouping: Grouping, claim: Claim | None) -> bool:
    """Whether the DRG rests on one of the procedures, or on what they are together (catheterization and two grafts)."""
    if any(procedure.counts for procedure in grouping.procedures if procedure.code in codes):
        return True
    if claim is None or len(codes) == 1:
        return False
    return drg_of(alternative(claim, "were not coded", codes))[0] != grouping.drg


def _judged(item: Evidence, diagnoses: dict[str, Diagnosis]) -> Line:
    best = _leading([diagnoses[code] for code in item.codes])
    return Line(SECONDARY, item.quote, item.condition, item.codes, best.level, best.counts, reason_of(best))


def _leading(diagnoses: Iterable[Diagnosis]) -> Diagnosis:
    """Of codes that belong together the one that counts, else that of the highest level."""
    return min(diagnoses, key=lambda diagnosis: (not diagnosis.counts, TABLE_LEVELS.index(diagnosis.level)))


def reason_of(diagnosis: Diagnosis) -> str:
    """The reason of the grouper's sentence for a secondary diagnosis. KeyError for a sentence that no reason stands for."""
    for sentence, reason in SENTENCES.items():
        if re.search(sentence, diagnosis.why):
            return reason
    raise KeyError(diagnosis.why)


def claim_of(lines: Iterable[Line], context: Context, version: str = DEFAULT_VERSION) -> Claim | None:
    """The claim that the lines state together; None when they name no principal diagnosis or more than one.

    Everything is taken as present on admission but what a line calls hospital-acquired.
    """
    lines = list(lines)
    principal = [line for line in lines if line.kind == PRINCIPAL]
    if len(principal) != 1:
        return None
    secondary = [(code, "Y") for code in principal[0].codes[1:]]
    for line in (line for line in lines if line.kind == SECONDARY):
        secondary += [(code, "N" if line.reason == "hospital-acquired" else "Y") for code in line.codes]
    return Claim(
        pdx=principal[0].codes[0],
        sdx=tuple(code for code, _ in secondary),
        poa=("Y", *(poa for _, poa in secondary)),
        procedures=tuple(c for line in lines if line.kind in (PROCEDURE, MAIN_PROCEDURE) for c in line.codes),
        age=context.age,
        sex=context.sex,
        discharge_status=context.discharge_status,
        hospital_status="NOT_EXEMPT",
        version=version,
    )


def check(lines: Sequence[Line], note: str, version: str, context: Context) -> list[Verdict]:
    """One verdict a line, in order. The lines are checked together: what counts depends on what the others state."""
    claim = claim_of(lines, context, version)
    grouping = group(claim) if claim else None
    stated = Counter(code for line in lines if line.kind in (PRINCIPAL, SECONDARY) for code in line.codes)
    return [Verdict(line, tuple(_faults(line, note, version, context, claim, grouping, stated))) for line in lines]


def _faults(line, note, version, context, claim, grouping, stated: Counter) -> Iterator[str]:
    if line.kind == grammar.VAGUE:
        yield "follows no form of a checkable line"
        return
    if claim is None:
        yield "the reasoning must name one principal diagnosis"
        return
    if line.kind not in (SEVERITY, grammar.DRG):
        yield from _code_faults(line, version)
    if line.kind in (PRINCIPAL, SECONDARY, DENIED, PROCEDURE, MAIN_PROCEDURE):
        yield from _note_faults(line, note, context, stated)
    yield from _RULES[line.kind](line, claim, grouping)


def _code_faults(line: Line, version: str) -> Iterator[str]:
    kind = "procedure" if line.kind in (PROCEDURE, MAIN_PROCEDURE) else "diagnosis"
    either = line.kind == grammar.CANDIDATE  # a candidate may leave out either
    for code in line.codes:
        if not (is_valid(code, kind, version) or (either and is_valid(code, "procedure", version))):
            yield f"{grammar.dotted(code)} is no ICD-10 {kind} code of version {version}"
    if line.codes and not fits(line.condition, line.codes):
        yield f"the words do not fit {grammar.dotted(line.codes[0])}"


def _note_faults(line: Line, note: str, context: Context, stated: Counter) -> Iterator[str]:
    if locate(line.quote, note) is None:
        yield "the quote does not stand in the note"
    if line.kind == DENIED:
        if not re.search(rf"(?<!\w)(?:{CUES[line.reason]})(?!\w)", line.quote, re.IGNORECASE):
            yield f"the quote does not say {line.reason}"
        if any(stated[code] or code in (context.codes or ()) for code in line.codes):
            yield "the stay has this code"
        return
    if context.codes is not None and not set(line.codes) <= context.codes:
        yield "the stay has no such code"
    if any(stated[code] > 1 for code in line.codes):
        yield "the code is stated more than once"


def _principal_rule(line: Line, claim: Claim, grouping: Grouping) -> Iterator[str]:
    if grouping.drg in UNGROUPABLE:
        yield "cannot be grouped as a principal diagnosis"


def _procedure_rule(line: Line, claim: Claim, grouping: Grouping) -> Iterator[str]:
    if _decide(line.codes, grouping, claim) != line.counts:
        yield "the DRG is the same without it" if line.counts else "the DRG depends on it"


def _secondary_rule(line: Line, claim: Claim, grouping: Grouping) -> Iterator[str]:
    found = _leading(diagnosis for diagnosis in grouping.diagnoses if diagnosis.code in line.codes)
    if found.level != line.level:
        yield f"CMS's level is {found.level}"
    try:
        right = found.counts == line.counts and reason_of(found) == line.reason
    except KeyError:  # the code is unknown, repeated, or the claim cannot be grouped
        right = False
    if not right:
        yield found.why


def _severity_rule(line: Line, claim: Claim, grouping: Grouping) -> Iterator[str]:
    if grouping.level != line.level:
        yield f"the severity level is {grouping.level}"
    by = {d.code for d in grouping.diagnoses if d.counts and not reason_of(d)}
    if not by <= set(line.codes) or (line.codes and not by):
        yield f"the severity rests on {', '.join(map(grammar.dotted, sorted(by))) or 'no secondary diagnosis'}"


def _drg_rule(line: Line, claim: Claim, grouping: Grouping) -> Iterator[str]:
    if fold(line.title) != fold(grouping.title):
        yield f"the codes group to {grouping.title.upper()}"


def _candidate_rule(line: Line, claim: Claim, grouping: Grouping) -> Iterator[str]:
    changed = alternative(claim, line.reason, line.codes, line.replaced)
    if changed is None:
        yield "the stay has no such code"
    elif fold(line.title) != fold(title := codebook(claim.version).drgs[drg_of(changed)[0]].title):
        yield f"that would group to {title.upper()}"


def alternative(claim: Claim, change: str, codes: tuple[str, ...], replaced: str = "") -> Claim | None:
    """The claim of a candidate: one of CHANGES done with these codes. None when the claim has nothing to change so."""
    poa = dict(zip((claim.pdx, *claim.sdx), claim.poa or (), strict=True)) if claim.poa else {}

    def with_codes(pdx: str, sdx: Iterable[str], procedures: Iterable[str] = claim.procedures) -> Claim:
        sdx = tuple(sdx)
        indicators = tuple(poa.get(code, "Y") for code in (pdx, *sdx))
        return replace(claim, pdx=pdx, sdx=sdx, poa=indicators, procedures=tuple(procedures))

    if change == "so coded":
        return claim
    if change == "were the principal diagnosis":
        others = (claim.pdx, *claim.sdx)
        return with_codes(codes[0], (*codes[1:], *(code for code in others if code not in codes)))
    if change == "were not coded" and set(codes) <= {*claim.sdx, *claim.procedures}:
        kept = (code for code in claim.procedures if code not in codes)
        return with_codes(claim.pdx, (code for code in claim.sdx if code not in codes), kept)
    if change == "replaced" and replaced in (claim.pdx, *claim.sdx):
        new = [codes[0] if code == replaced else code for code in (claim.pdx, *claim.sdx)]
        return with_codes(new[0], new[1:])
    return None


_RULES = {
    PRINCIPAL: _principal_rule,
    PROCEDURE: _procedure_rule,
    MAIN_PROCEDURE: _procedure_rule,
    SECONDARY: _secondary_rule,
    DENIED: lambda line, claim, grouping: iter(()),
    SEVERITY: _severity_rule,
    grammar.DRG: _drg_rule,
    grammar.CANDIDATE: _candidate_rule,
}
