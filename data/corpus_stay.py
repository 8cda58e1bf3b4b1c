"""A stay, drawn before anything is written: who, which conditions and procedures, what is only mentioned, codes and label."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from data.corpus_drawing import Drawing, Mention, Pools
from data.corpus_levels import changes_drg
from data.corpus_plan import Plan
from data.corpus_tables import TablesError
from sapphire.drg.claims import reason_of
from sapphire.drg.coding import Coded
from sapphire.drg.grouper import UNGROUPABLE, Claim, Grouping, drg_of, group

ATTEMPTS = 12  # draws of one plan before its record is called unusable
EXACT = 5  # draws that must give the planned DRG; then any DRG will do
TRAP_OF_ROLE = {
    "history": "history_of",
    "family history": "family_history",
    "resolved": "resolved",
    "rival": "two_principals",
}
TRAP_OF_REASON = {
    "excluded by the principal diagnosis": "excluded_cc",
    "the patient died": "died_mcc",
    "hospital-acquired": "hac_poa",
}


@dataclass(frozen=True, slots=True)
class Stay:
    """`coded` are all diagnosis codes, the principal first, each with the key of the mention whose words show it."""

    plan: Plan
    age: int
    sex: str
    disposition: str
    days: int
    mentions: tuple[Mention, ...]
    coded: tuple[Coded, ...]
    claim: Claim
    grouping: Grouping
    traps: tuple[str, ...]

    @property
    def setting(self) -> str:
        return self.principal.record.pool[0]

    @property
    def principal(self) -> Mention:
        return self.mentions[0]


def draw(pools: Pools, plan: Plan, rng: Random) -> Stay:
    """A stay of this plan. TablesError when the plan's record gives no claim that can be grouped."""
    for attempt in range(ATTEMPTS):
        drawing = Drawing(pools, plan, rng)
        claim, coded = drawing.claim()
        drg = drg_of(claim)[0]
        if drg in UNGROUPABLE or (drg != plan.drg and attempt < EXACT and not drawing.extras):
            continue
        grouping = group(claim)
        mentions = tuple(drawing.mentions)
        return Stay(
            plan=plan,
            age=drawing.age,
            sex=drawing.sex,
            disposition=drawing.disposition,
            days=drawing.days,
            mentions=mentions,
            coded=tuple(coded),
            claim=claim,
            grouping=grouping,
            traps=tuple(_traps(mentions, coded, claim, grouping, drawing.sibling_denied)),
        )
    record = pools.tables.conditions[plan.condition]
    raise TablesError(
        f"{record.file}: {record.id}: {ATTEMPTS} draws gave no claim that can be grouped; check age and sex."
    )


def _traps(mentions, coded: list[Coded], claim: Claim, grouping: Grouping, sibling_denied: bool) -> Iterator[str]:
    roles = {mention.role for mention in mentions}
    yield from (trap for role, trap in TRAP_OF_ROLE.items() if role in roles)
    if any(mention.role == "ruled out" and changes_drg(claim, mention.coding.codes) for mention in mentions):
        yield "ruled_out"
    if any(mention.uncertain for mention in mentions):
        yield "probable_at_discharge"
    if sibling_denied:
        yield "one_word_apart"
    reasons = {reason_of(diagnosis) for diagnosis in grouping.diagnoses if not diagnosis.counts}
    yield from (trap for reason, trap in TRAP_OF_REASON.items() if reason in reasons)
    if any(procedure.counts for procedure in grouping.procedures):
        yield "procedure_decides"
    if any(procedure.code in ("5A1945Z", "5A1955Z") for procedure in grouping.procedures):
        yield "ventilation_96h"
    plain = {code for mention in mentions for code in mention.coding.codes}
    if any(item.code not in plain and item.source.startswith(("principal", "rival", "secondary")) for item in coded):
        yield "combination_code"
