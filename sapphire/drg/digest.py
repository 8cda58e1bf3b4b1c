"""What the grounded prompt says of a note: the conditions found, nearly in the line grammar of a reasoning, and candidate DRGs.

Short, since a small model on two cores reads some 300 tokens a second: what could be the principal diagnosis, what decides a base DRG
or a severity, and what is named without being so. All of it comes from the note's words and the patient's age, sex and disposition.
"""

import re

from sapphire.drg import lines as grammar
from sapphire.drg.claims import CUES, Evidence
from sapphire.drg.conditions import level, name
from sapphire.drg.grounding import Grounding
from sapphire.drg.lines import Line, dotted
from sapphire.drg.ranking import Condition
from sapphire.drg.status import PRESENT, UNCERTAIN

DIAGNOSES, PROCEDURES, DENIED = 7, 3, 2  # lines at most
SHOWN = 0.15  # chance of being reported from which a CC or MCC is shown
DONE = 0.3  # the same of a procedure
QUOTE = 70  # characters


def digest(grounding: Grounding, text: str, version: str) -> tuple[list[str], list[str]]:
    """The lines of the finds and those of the candidates, best first, without list markers."""
    diagnoses = [f"{_said(each)}, {level(each.codes, version)}" for each in named(grounding, version)]
    procedures = [f"{grammar.PROCEDURE} {_said(each)}" for each in done(grounding)]
    finds = [*diagnoses, *procedures, *(grammar.render(each) for each in denied(grounding, text))]
    candidates = [
        f"{each.title.upper()} ({'' if each.found else 'often '}{dotted(each.code)})" for each in grounding.candidates
    ]
    return finds, candidates


def named(grounding: Grounding, version: str) -> list[Evidence]:
    """The diagnoses shown: the likely principal ones first, then MCCs and CCs by their chance; the likeliest principal one always."""
    order = {each.code: i for i, each in reversed(list(enumerate(grounding.candidates))) if each.found}
    for lead in grounding.coded[:1]:
        order.setdefault(lead.code, len(grounding.candidates))
    by_source: dict[int, list[str]] = {}
    for each in grounding.coded:
        by_source.setdefault(int(each.source), []).append(each.code)
    ranked = []
    for i, each in enumerate(grounding.conditions):
        if each.kind != "diagnosis" or each.status not in (PRESENT, UNCERTAIN):
            continue
        codes = tuple(by_source.get(i, each.codes))
        groups = [codes] if set(codes) == set(each.codes) else [(code,) for code in codes]
        for group in groups:
            weight = level(group, version)
            principal = min((order.get(code, 99) for code in group), default=99)
            if principal < 99 or (weight != "none" and each.chance >= SHOWN):
                rank = (principal, grammar.TABLE_LEVELS.index(weight), -each.chance, each.best.start)
                ranked.append((rank, each, group))
    shown: dict[tuple[str, ...], Evidence] = {}
    for _, each, group in sorted(ranked, key=lambda item: item[0]):
        if len(shown) < DIAGNOSES:
            shown.setdefault(group, _evidence(each, group))
    return list(shown.values())


def done(grounding: Grounding) -> list[Evidence]:
    """The procedures shown, the likeliest to be reported first."""
    procedures = [each for each in grounding.conditions if each.kind == "procedure" and each.chance >= DONE]
    procedures.sort(key=lambda each: -each.chance)
    return [_evidence(each, each.codes) for each in procedures[:PROCEDURES]]


def denied(grounding: Grounding, text: str) -> list[Line]:
    """What would matter and is named only as ruled out, past or of the family; the quote holds the words that say so."""
    lines: list[Line] = []
    for each in sorted(grounding.conditions, key=lambda each: -each.best.weight):
        reason = each.status
        if each.kind != "diagnosis" or reason not in grammar.DENIALS or each.level not in ("CC", "MCC"):
            continue
        quote = denial(each, text)
        if quote and re.search(rf"(?<!\w)(?:{CUES[reason]})(?!\w)", quote, re.IGNORECASE):
            lines.append(Line(grammar.DENIED, quote, each.name, each.codes, reason=reason))
    return lines[:DENIED]


def denial(condition: Condition, text: str) -> str:
    """The mention together with the words that deny it."""
    best = condition.best
    start, end = min(best.start, best.said[0]), max(best.end, best.said[1])
    return quotable(text[start:end])


def quotable(words: str) -> str:
    """The words on one line, as a reasoning can quote them; empty when they are too long or hold a quotation mark."""
    one_line = " ".join(words.split())
    return one_line if len(one_line) <= QUOTE and not re.search(r'["“”]', one_line) else ""


def _evidence(each: Condition, group: tuple[str, ...]) -> Evidence:
    quote = quotable(each.best.quote) or " ".join(each.best.quote.replace('"', " ").split())[:QUOTE]
    return Evidence(group, quote, name(group))


def _said(each: Evidence) -> str:
    return f'"{each.quote}": {each.condition} ({" + ".join(map(dotted, each.codes))})'
