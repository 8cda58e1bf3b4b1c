"""The reasonings that a note and CMS's rules bear out, line by line: what a model may choose from when its reasoning is guided.

    following(stay, lines) -> list[Line]       # the lines that may come next; none when the reasoning is whole

The choices are what the grounded prompt shows: each diagnosis as the principal one, then the procedures, the CCs and MCCs and the denials. What
is chosen stands for the stay, and levels, verdicts and the severity line are the grouper's for it. A line may come next if with it
every line so far stays as it is, and all are true (`claims.check`); so the order is that of `claims.lines_for`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sapphire.drg.claim import ClaimError
from sapphire.drg.claims import Context, Evidence, check, claim_of, lines_for
from sapphire.drg.digest import denied, done, named
from sapphire.drg.grounding import Grounding
from sapphire.drg.grouper import group
from sapphire.drg.lines import DENIED, PRINCIPAL, PROCEDURE, SECONDARY, SEVERITY, Line

LINES = 8  # from here on only the severity may follow; a reasoning by hand has seldom more


@dataclass(frozen=True)
class Stay:
    """What a reasoning can be made of: a note, and the finds in it that its prompt shows."""

    text: str
    version: str
    context: Context
    diagnoses: tuple[Evidence, ...]
    procedures: tuple[Evidence, ...]
    denials: tuple[Line, ...]


def stay(grounding: Grounding, text: str, version: str) -> Stay:
    who = grounding.patient
    return Stay(
        text=text,
        version=version,
        context=Context(who.age, who.sex, who.discharge_status),
        diagnoses=tuple(named(grounding, version)),
        procedures=tuple(done(grounding)),
        denials=tuple(denied(grounding, text)),
    )


def following(stay: Stay, lines: Sequence[Line]) -> list[Line]:
    """The lines that may follow these, which were chosen so; none at first when no diagnosis can be the principal one."""
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
