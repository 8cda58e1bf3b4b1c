"""The reasonings that a note and CMS's rules bear out, line by line: what a model may choose from when its reasoning is guided.

    following(stay, lines) -> list[Line]       # the lines that may come next; none when the reasoning is whole
    reachable(stay) -> frozenset[str]          # the DRGs to which such reasonings lead
    towards(stay, drg) -> Stay                 # the same, with only lines from which that DRG is reached

The choices are what the grounded prompt shows: each diagnosis as the principal one, then the procedures, the CCs and MCCs and the denials. What
is chosen stands for the stay, and levels, verdicts and the severity line are the grouper's for it. A line may come next if with it
every line so far stays as it is, and all are true (`claims.check`); so the order is that of `claims.lines_for`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, combinations

from sapphire.drg.claim import ClaimError
from sapphire.drg.claims import Context, Evidence, check, claim_of, lines_for
from sapphire.drg.conditions import level
from sapphire.drg.digest import denied, done, named
from sapphire.drg.grounding import Candidate, Grounding, drg_alone
from sapphire.drg.grouper import group
from sapphire.drg.lines import DENIED, PRINCIPAL, PROCEDURE, SECONDARY, SEVERITY, Line

LINES = 8  # from here on only the severity may follow; a reasoning by hand has seldom more


@dataclass(frozen=True)
class Stay:
    """What a reasoning can be made of: a note, and the finds in it that its prompt shows. `candidates`: the condition index's DRGs
    with its chances. `aim`: the DRG to which it shall lead, if any."""

    text: str
    version: str
    context: Context
    diagnoses: tuple[Evidence, ...]
    procedures: tuple[Evidence, ...]
    denials: tuple[Line, ...]
    candidates: tuple[Candidate, ...]
    aim: str | None = None


def stay(grounding: Grounding, text: str, version: str) -> Stay:
    who = grounding.patient
    return Stay(
        text=text,
        version=version,
        context=Context(who.age, who.sex, who.discharge_status),
        diagnoses=tuple(named(grounding, version)),
        procedures=tuple(done(grounding)),
        denials=tuple(denied(grounding, text)),
        candidates=grounding.candidates,
    )


def towards(stay: Stay, drg: str | None) -> Stay:
    """The stay whose reasoning shall lead to a DRG; to any with None."""
    return replace(stay, aim=drg)


def reachable(stay: Stay) -> frozenset[str]:
    """The DRGs to which the grouper comes by one of the diagnoses as principal, any of the procedures, and at most one CC or MCC."""
    first = (_line(PRINCIPAL, each) for each in stay.diagnoses)
    claims = (claim_of([line, *more], stay.context, stay.version) for line in first for more in _more(stay, [line]))
    return frozenset(map(drg_alone, claims))


def following(stay: Stay, lines: Sequence[Line]) -> list[Line]:
    """The lines that may follow these, which were chosen so; none at first when no diagnosis can be the principal one.

    Where the stay has an aim, only those from which it is reached; all if there are none such.
    """
    true = _true(stay, lines)
    return [line for line in true if stay.aim and _reaches(stay, [*lines, line])] or true


def leads_to(stay: Stay, lines: Sequence[Line]) -> str:
    """The DRG to which the lines lead."""
    return drg_alone(claim_of(lines, stay.context, stay.version))


def _true(stay: Stay, lines: Sequence[Line]) -> list[Line]:
    if not lines:
        first = [_line(PRINCIPAL, each) for each in stay.diagnoses]
        return [line for line in first if _told(stay, [line])]
    if lines[-1].kind == SEVERITY:
        return []
    *_, end = _told(stay, lines)
    if len(lines) >= LINES:
        return [end]
    stated = {code for line in lines for code in line.codes}
    possible = [
        *(_line(PROCEDURE, each) for each in stay.procedures),
        *(_line(SECONDARY, each) for each in stay.diagnoses),
        *stay.denials,
    ]
    more = (_next(stay, lines, line) for line in possible if stated.isdisjoint(line.codes))
    return [*filter(None, more), end]


def _reaches(stay: Stay, lines: Sequence[Line]) -> bool:
    """Whether the lines lead to the aim, or can with more that leave these as they are."""
    if lines[-1].kind == SEVERITY:
        return leads_to(stay, lines) == stay.aim
    return any(
        leads_to(stay, [*lines, *more]) == stay.aim and _told(stay, [*lines, *more])[: len(lines)] == [*lines]
        for more in _more(stay, lines)
    )


def _more(stay: Stay, lines: Sequence[Line]) -> Iterable[list[Line]]:
    """What may be added to decide a DRG: any of the procedures, and at most one CC or MCC."""
    stated = {code for line in lines for code in line.codes}
    procedures = [_line(PROCEDURE, each) for each in stay.procedures if stated.isdisjoint(each.codes)]
    weighty = [
        _line(SECONDARY, each)
        for each in stay.diagnoses
        if stated.isdisjoint(each.codes) and level(each.codes, stay.version) != "none"
    ]
    done = list(chain.from_iterable(combinations(procedures, n) for n in range(len(procedures) + 1)))
    return ([*some, *severe] for severe in [[], *([each] for each in weighty)] for some in done)


def _line(kind: str, shown: Evidence) -> Line:
    return Line(kind, shown.quote, shown.condition, shown.codes)


def _next(stay: Stay, lines: Sequence[Line], line: Line) -> Line | None:
    told = _told(stay, [*lines, line])
    at = len(lines)
    return told[at] if told and told[:at] == [*lines] and told[at].codes == line.codes else None


def _told(stay: Stay, lines: Sequence[Line]) -> list[Line]:
    """The true lines of the stay that these state, in order; none when a line would not be true."""
    claim = claim_of(lines, stay.context, stay.version)
    shown = [Evidence(line.codes, line.quote, line.condition) for line in lines if line.kind != DENIED]
    left_out = [
        (Evidence(line.codes, line.quote, line.condition), line.reason) for line in lines if line.kind == DENIED
    ]
    try:
        told = lines_for(group(claim), shown, left_out, claim)
        verdicts = check(told, stay.text, stay.version, stay.context)
    except (ClaimError, KeyError):  # cannot be grouped, or counts for a reason outside the grammar
        return []
    return told if all(verdict.true for verdict in verdicts) else []
