"""Why a secondary diagnosis does or does not count, in one sentence and in CMS's terms."""

from dataclasses import dataclass

from sapphire.drg.codebook import Drg
from sapphire.drg.rules import Fact

# The codes that a severity level asks for; the other levels ask for none.
NEEDED = {"MCC": "MCC", "CC": "CC", "CC/MCC": "CC or MCC"}
A = {"MCC": "An MCC", "CC": "A CC"}


@dataclass(frozen=True, slots=True)
class Support:
    """What regrouping tells of one code: the DRG without it, whether it is the sole support, whether it counts at all.

    `paired`: it counts, but only together with another code that is not sole support either.
    """

    drg_without: str
    sole: bool
    counts: bool
    paired: bool = False


@dataclass(frozen=True, slots=True)
class Setting:
    """What the sentences of one claim share.

    `shared`: the table levels of the codes of which any one is enough; `without_shared`: the DRG with only sole support;
    `bare`: the DRG without any secondary diagnosis; `family`: the DRGs of the same base.
    """

    drg: Drg
    pdx: str
    return_code: str
    family: frozenset[str]
    shared: tuple[str, ...]
    without_shared: str
    bare: str


def why(fact: Fact, support: Support, setting: Setting) -> str:
    if setting.drg.drg in ("998", "999"):
        if fact.lacks_poa:
            return "A hospital-acquired condition without a POA indicator makes the claim ungroupable."
        return f"The claim cannot be grouped ({setting.return_code}), so no code counts."
    if support.sole:
        return _why_sole(fact, support.drg_without, setting)
    if support.paired:
        return "It leads to this DRG together with another code; other codes could take its place."
    return _why_shared(setting) if support.counts else _why_not(fact, setting)


def _why_sole(fact: Fact, drg_without: str, setting: Setting) -> str:
    if drg_without not in setting.family:
        return f"It decides the base DRG; without it the DRG is {drg_without}."
    if fact.level == "none" or setting.drg.level not in NEEDED:
        return f"The definition of this DRG asks for it; without it the DRG is {drg_without}."
    return f"The only {NEEDED[setting.drg.level]} that supports this DRG; without it the DRG is {drg_without}."


def _why_shared(setting: Setting) -> str:
    number = len(setting.shared)
    if setting.without_shared not in setting.family:
        return f"One of {number} codes that lead to this base DRG; any one of them is enough."
    kinds = set(setting.shared)
    codes = f"{kinds.pop()}s" if len(kinds) == 1 and "none" not in kinds else "codes"
    return f"One of {number} {codes} that support this DRG; any one of them is enough."


def _why_not(fact: Fact, setting: Setting) -> str:
    level, split = fact.level, setting.drg.level
    if level == "none":
        return "Not a CC or MCC."
    if fact.excluded_by_pdx:
        return f"{A[level]} by the table, but excluded by the principal diagnosis {setting.pdx} (CMS PDX exclusion)."
    if fact.excluded_by_death:
        return f"{A[level]} only when the patient is discharged alive; this patient died."
    if fact.hac:
        return (
            f"A hospital-acquired condition not present on admission ({fact.hac}): CMS leaves it out of the final DRG."
        )
    if split == "unsplit":
        return f"{A[level]}, but this base DRG is not split by severity."
    if level == "CC" and split == "without MCC":
        return "A CC, but this base DRG is split only by MCC."
    if setting.bare == setting.drg.drg and split in NEEDED:
        return f"{A[level]}, but the principal diagnosis and the procedures lead to this DRG without it."
    if level == "CC" and split == "MCC":
        return "A CC, but an MCC already decides the severity."
    return f"{A[level]} by the table, but the logic of this DRG leaves it out."
