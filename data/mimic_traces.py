"""True reasoning for MIMIC cases: what the stay's own ICD-10 codes, grouped by CMS's rules, say of the note's words.

A case gets a trace only when its codes, regrouped in the version of its label, lead to the recorded DRG, when those of them
that the note shows still do, and when every line passes `sapphire.drg.claims.check`. POA is not in MIMIC, so stays are
grouped as for an exempt hospital. Codes of earlier years are brought to the version's (mimic_codes.py); a secondary code that
cannot be is left out, and a stay whose principal diagnosis cannot be is set aside. As in the open corpus's CoT-First form
the DRG stands in the answer and not in the trace.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from data.mapping import DECIDED, Matcher
from data.mimic_codes import current_diagnosis, current_procedure
from data.mimic_evidence import apart, evidence
from sapphire.drg.claims import Context, check, lines_for, write
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import UNGROUPABLE, Claim, drg_of, group
from sapphire.drg.icd import normal

SOURCE = "MIMIC-IV"
TRACED = "traced"
# For a title list of a version without a grouper: the last version of the years whose stays MIMIC-IV 2 holds.
NEAREST_RULES = "37"


@dataclass(frozen=True)
class Rules:
    """The rules that explain the cases of a label version: `version`, the grouper's; `same`, DRG of that version → DRG of the
    labels' list, None where the two are one version."""

    labels: str
    version: str
    same: Mapping[str, str] | None = None

    def label(self, drg: str) -> str | None:
        """The label of a grouped DRG; None when the list has none that surely means the same."""
        return drg if self.same is None else self.same.get(drg)


def rules_for(labels: str, version: str, matcher: Matcher) -> Rules:
    """The rules of `version` for cases labelled by the matcher's titles, which are those of version `labels`."""
    if labels == version:
        return Rules(labels, version)
    matches = {drg.drg: matcher.match(drg.title, drg.drg) for drg in codebook(version).drgs.values()}
    return Rules(labels, version, {drg: match.drg for drg, match in matches.items() if match.status in DECIDED})


def with_traces(cases: list[dict], rules: Rules) -> tuple[list[dict], Counter]:
    """The cases with all of DESIGN's columns, and how many came to which end."""
    outcomes: Counter = Counter()
    for case in cases:
        trace, outcome = explain(case, rules)
        outcomes[outcome] += 1
        made = {"drg_version": rules.labels, "poa": None, "trap": [], "source": SOURCE, "credentialed": True}
        case |= made | {"trace": trace}
    return cases, outcomes


def explain(case: dict, rules: Rules) -> tuple[str | None, str]:
    """A case's trace, or None and why not."""
    if case["drg"] in UNGROUPABLE:
        return None, "recorded as ungroupable (998, 999)"
    if not case["pdx"]:
        return None, "no ICD-10 codes"
    if case["age"] is None or case["sex"] is None:
        return None, "no age or sex"
    claim = claim_of(case, rules.version)
    if claim is None:
        return None, "principal diagnosis unknown to the version"
    drg, _ = drg_of(claim)
    if rules.label(drg) != case["drg"]:
        return None, "regrouped to another DRG"
    shown = evidence((claim.pdx, *claim.procedures, *claim.sdx), case["text"])
    told = {code for item in shown for code in item.codes}
    if not shown or shown[0].codes[0] != claim.pdx:
        return None, "regrouped alike, but the note does not name the principal diagnosis in known words"
    # What the principal diagnosis is named with has a level of its own (COVID-19 pneumonia).
    shown[:1] = apart(shown[0])
    claim = _only(claim, told)
    if drg_of(claim)[0] != drg:
        return None, "regrouped alike, but the note does not name all that decides in known words"
    context = Context(claim.age, claim.sex, claim.discharge_status, frozenset(told))
    try:
        lines = lines_for(group(claim), shown, claim=claim)
        verdicts = check(lines, case["text"], rules.version, context)
    except KeyError:  # claims.reason_of: a reason of the grouper that the line grammar has no words for
        return None, "regrouped alike, but the line grammar cannot say why a code counts"
    if not all(verdict.true for verdict in verdicts):
        return None, "regrouped alike, but a line cannot be shown to be true"
    return write(lines), TRACED


def claim_of(case: dict, version: str) -> Claim | None:
    """The stay as the grouper of a version sees it: codes brought to its year, those it cannot know left out; None without a
    principal diagnosis."""
    pdx = current_diagnosis(normal(case["pdx"]), version)
    if pdx is None:
        return None
    sdx = (current_diagnosis(normal(code), version) for code in case["sdx"])
    procedures = (current_procedure(normal(code), version) for code in case["procedures"])
    return Claim(
        pdx=pdx,
        sdx=tuple(dict.fromkeys(code for code in sdx if code and code != pdx)),
        procedures=tuple(dict.fromkeys(code for code in procedures if code)),
        age=max(case["age"], 0),
        sex=case["sex"],
        discharge_status=case["discharge_status"] or 1,
        version=version,
    )


def _only(claim: Claim, codes: set[str]) -> Claim:
    return replace(
        claim,
        sdx=tuple(code for code in claim.sdx if code in codes),
        procedures=tuple(code for code in claim.procedures if code in codes),
    )
