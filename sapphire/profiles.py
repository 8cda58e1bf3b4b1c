"""Who is working: a name and a role, standing in for sign-in, and what a role may see."""

from dataclasses import dataclass

from sapphire.drg.codebook import Drg
from sapphire.rewards import LEVEL_NAMES
from sapphire.store import Store
from sapphire.store.profiles import saved_profiles

ROLES = {
    "physician": "Physician",
    "advisor": "Physician advisor",
    "coder": "Coder",
    "cdi": "CDI specialist",
    "admin": "Administrator",
}

# Who may let notes go to a server that is not this machine.
ENTERS_SERVERS = frozenset({"admin"})

# Relative weights are withheld from treating physicians: AHIMA/ACDIS, Guidelines for Achieving a Compliant Query
# Practice (2022), keep the effect on payment out of what a physician is shown or asked.
SEES_WEIGHTS = frozenset({"advisor", "coder", "cdi", "admin"})


@dataclass(frozen=True)
class Profile:
    """`think_first`: this reader gives a DRG of their own before the model's is shown."""

    name: str
    role: str
    think_first: bool = False

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("A profile needs a name.")
        if self.role not in ROLES:
            raise ValueError(f"{self.role!r} is no role; roles are {', '.join(ROLES)}.")


def save_profile(store: Store, profile: Profile) -> None:
    store.append("profile_event", [{"name": profile.name, "role": profile.role, "think_first": profile.think_first}])


def profiles(store: Store) -> list[Profile]:
    """Every profile as last saved, the most recently used first."""
    return [Profile(**row) for row in saved_profiles(store)]


def facts(drg: Drg, role: str) -> dict[str, str]:
    """What this role is shown of a DRG, label → words, in reading order; weights only for roles that may see them."""
    shown = {
        "Base DRG": drg.base,
        "Severity": LEVEL_NAMES[drg.level],
        "MDC": f"{drg.mdc} {drg.mdc_title}" if drg.mdc else "Any",
        "Type": drg.type.capitalize(),
    }
    if drg.gmlos is not None:
        shown["GMLOS"] = f"{drg.gmlos:.1f} days"
    if role in SEES_WEIGHTS and drg.weight is not None:
        shown["Relative weight"] = f"{drg.weight:.4f}"
    return shown
