"""The true reasoning of a written stay, in one of the paper's forms, every line by the grammar of `sapphire.drg.claims`.

CoT-First: the lines, then the answer. Answer-First: the DRG's title, then the lines. Differential: the lines, then three candidate
DRGs, each the grouper's answer to one change of the codes, then the choice.
"""

from collections.abc import Iterator
from dataclasses import replace
from random import Random

from data.corpus_drawing import Mention
from data.corpus_stay import Stay
from data.corpus_tables import Condition, Tables
from data.corpus_write import Note
from sapphire.drg import lines as grammar
from sapphire.drg.claims import Evidence, Line, alternative, lines_for
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import UNGROUPABLE, drg_of
from sapphire.drg.icd import diagnosis_title, normal, procedure_title

CANDIDATES = 3  # the paper's Differential Thinking weighs three


class Reasoner:
    """Writes traces; `names` are short names of codes whose official title is long."""

    def __init__(self, tables: Tables):
        self.tables = tables
        self.names = {normal(code): name for code, name in tables.style["names"].items()}
        self.forms = {form: float(share) for form, share in tables.style["forms"].items()}

    def trace(self, stay: Stay, note: Note, rng: Random) -> tuple[str, list[Line]]:
        """The form and its lines. A Differential without three different DRGs becomes CoT-First."""
        form = rng.choices(list(self.forms), list(self.forms.values()))[0]
        shown, denied = self.evidence(stay, note, rng)
        lines = lines_for(stay.grouping, shown, denied, stay.claim)
        answer = Line(grammar.DRG, title=stay.grouping.title.upper())
        if form == "answer_first":
            return form, [answer, *lines]
        if form == "differential":
            candidates = self._candidates(stay, lines, rng)
            if len(candidates) == CANDIDATES:
                return form, [*lines, *candidates, answer]
        return "cot_first", lines

    # ------------------------------------------------------------ what the note shows
    def evidence(self, stay: Stay, note: Note, rng: Random) -> tuple[list[Evidence], list[tuple[Evidence, str]]]:
        """What shows each code, the principal first; and what is named without being coded, with the reason."""
        by_key: dict[str, list[str]] = {}
        for item in stay.coded:
            by_key.setdefault(item.source, []).append(item.code)
        pdx = stay.claim.pdx
        shown, denied = [], []
        for mention in stay.mentions:
            quote = rng.choice(note.evidence[mention.key])
            if mention.role == "procedure":
                name = mention.record.name.render(rng, dict(mention.coding.slots))
                shown.append(Evidence(mention.coding.codes, quote, name))
                continue
            codes = by_key.get(mention.key, [])
            shown += self._shown(mention, codes, pdx, quote, rng)
            if not codes and mention.role in grammar.DENIALS:
                name = mention.record.name.render(rng, dict(mention.coding.slots))
                denied.append((Evidence(mention.coding.codes, quote, name), mention.role))
        shown.sort(key=lambda item: item.codes[0] != pdx)
        if pdx not in {code for mention in stay.mentions for code in mention.coding.codes}:
            # A combination code, found under the condition that completes it: hypertension with the heart failure treated here.
            shown[0] = replace(shown[0], quote=rng.choice(note.evidence[stay.principal.key]))
        return shown, denied

    def _shown(self, mention: Mention, codes: list[str], pdx: str, quote: str, rng: Random) -> Iterator[Evidence]:
        """The record's own codes under its name (the principal diagnosis on a line of its own), others under theirs."""
        own = [code for code in mention.coding.codes if code in codes and code != pdx]
        name = mention.record.name.render(rng, dict(mention.coding.slots))
        if pdx in codes:
            yield Evidence((pdx,), quote, name if pdx in mention.coding.codes else self._name(pdx))
            yield from (Evidence((code,), quote, self._name(code)) for code in own)
        elif own:
            yield Evidence(tuple(own), quote, name)
        for code in codes:
            if code not in own and code != pdx:
                yield Evidence((code,), quote, self._name(code))

    def _name(self, code: str) -> str:
        title = self.names.get(code) or diagnosis_title(code) or procedure_title(code)
        return title[0].lower() + title[1:] if title[1:2].islower() else title

    # ------------------------------------------------------------ other DRGs
    def _candidates(self, stay: Stay, lines: list[Line], rng: Random) -> list[Line]:
        """The stay as coded and two changes of it that lead to two other DRGs, in any order."""
        drgs = codebook(stay.claim.version).drgs
        found = {stay.grouping.drg: Line(grammar.CANDIDATE, reason="so coded", title=stay.grouping.title.upper())}
        changes = [*self._changes(stay, lines)]
        rng.shuffle(changes)
        for line in changes:
            changed = alternative(stay.claim, line.reason, line.codes, line.replaced)
            drg = drg_of(changed)[0]
            if drg not in found and drg not in UNGROUPABLE:
                found[drg] = replace(line, title=drgs[drg].title.upper())
            if len(found) == CANDIDATES:
                break
        candidates = list(found.values())
        rng.shuffle(candidates)
        return candidates

    def _changes(self, stay: Stay, lines: list[Line]) -> Iterator[Line]:
        for line in lines:
            if line.kind == grammar.SECONDARY and line.level != "none":
                yield _change(line, "were the principal diagnosis")
            if line.kind in (grammar.SECONDARY, grammar.PROCEDURE, grammar.MAIN_PROCEDURE) and line.counts:
                yield _change(line, "were not coded")
        for mention in stay.mentions:
            if mention.role in ("principal", "rival", "secondary"):
                yield from self._neighbours(stay, mention)

    def _neighbours(self, stay: Stay, mention: Mention) -> Iterator[Line]:
        """What the case would be if a condition were its neighbour by one word."""
        code = mention.coding.codes[0]
        if len(mention.coding.codes) > 1 or code not in (stay.claim.pdx, *stay.claim.sdx):
            return
        for sibling in (self.tables.conditions[name] for name in mention.record.siblings):
            new, name = sibling.codings[0], _plain_name(sibling)
            if len(new.codes) == 1 and new.codes[0] not in (stay.claim.pdx, *stay.claim.sdx):
                yield Line(grammar.CANDIDATE, condition=name, codes=new.codes, reason="replaced", replaced=code)


def _change(line: Line, reason: str) -> Line:
    return Line(grammar.CANDIDATE, condition=line.condition, codes=line.codes, reason=reason)


def _plain_name(condition: Condition) -> str:
    return condition.name.render(Random(0), dict(condition.codings[0].slots))


def context_codes(stay: Stay) -> frozenset[str]:
    """All codes of the stay, for checking lines against the truth."""
    return frozenset((stay.claim.pdx, *stay.claim.sdx, *stay.claim.procedures))
