"""Why a secondary diagnosis does or does not count, in one sentence and in CMS's terms."""

from dataclasses import dataclass

from sapphire.drg.codebook import Drg
from sapphire.drg.rules import Fact

# The codes that a severity level asks for.
NEEDED = {"MCC": "MCC", "CC": "CC", "CC/MCC": "CC or MCC"}


@dataclass(frozen=True, slots=True)
class Support:
    """What regrouping tells of one code: the DRG without it, whether it is the sole support, whether it counts at all."""

    drg_without: str
    sole: bool
    counts: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """What the sentences of one claim share: its DRG, how many codes count, the DRG with no secondary diagnosis at all."""

    drg: Drg
    pdx: str
    counting: int
    bare: str
    family: frozenset[str]
    return_code: str


def why(fact: Fact, support: Support, setting: Setting) -> str:
    if fact.lacks_poa and setting.drg.drg == "999":
        return "A hospital-acquired condition without a POA indicator makes the claim ungroupable."
    if setting.drg.drg in ("998", "999"):
        return f"The claim cannot be grouped ({setting.return_code}), so no code counts."
    if support.counts:
        return _why_it_counts(fact, support, setting)
    return _why_not(fact, setting)


def _why_it_counts(fact: Fact, support: Support, setting: Setting) -> str:
    needed = NEEDED.get(setting.drg.level) if fact.level != "none" else None
    if not support.sole:
        return f"One of {setting.counting} codes that support this DRG as {needed or 'its definition asks'}; any one of them is enough."
    if support.drg_without not in setting.family:
        return f"Without it the stay falls to another base DRG: {support.drg_without}."
    if needed:
        return f"The only {needed} that supports this DRG; without it the DRG is {support.drg_without}."
    return f"The definition of this DRG asks for it; without it the DRG is {support.drg_without}."


def _why_not(fact: Fact, setting: Setting) -> str:
    level, split = fact.level, setting.drg.level
    if level == "none":
        return "Not a CC or MCC."
    if fact.excluded_by_pdx:
        return f"A {level} by the table, but excluded by the principal diagnosis {setting.pdx} (CMS PDX exclusion)."
    if fact.excluded_by_death:
        return f"A {level} only when the patient is discharged alive; this patient died."
    if fact.hac:
        return (
            f"A hospital-acquired condition not present on admission ({fact.hac}): CMS leaves it out of the final DRG."
        )
    if split == "unsplit":
        return f"A {level}, but this base DRG is not split by severity."
    if level == "CC" and split == "without MCC":
        return "A CC, but this base DRG is split only by MCC."
    if setting.bare == setting.drg.drg and split in NEEDED:
        return f"A {level}, but the principal diagnosis and the procedures lead to this DRG without it."
    if level == "CC" and split == "MCC":
        return "A CC, but an MCC already decides the severity."
    return f"A {level} by the table, but the logic of this DRG leaves it out."
