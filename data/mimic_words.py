"""What a DRG title says, whatever abbreviations it is written in.

HCFA descriptions in MIMIC-IV come from thirteen years of groupers and are cut to about 75 characters: `W/O`, `&`, `CATH`,
`MALIG,CIRR,ALC HEPA`. `phrase` turns a description or a title into words of CMS's titles, each with its polarity (what
follows WITHOUT or EXCEPT is the opposite of what follows WITH or FOR), and a severity level.
"""

import re
from dataclasses import dataclass
from functools import cache

from rapidfuzz import fuzz, process

from sapphire.drg.codebook import VERSIONS, codebook

# Abbreviation → words of the titles. A word that merely breaks off (DEFIB, MUSCULOSKELET) needs no entry: it is matched
# as the beginning of a word. Entries are for letters left out inside a word, acronyms and words that CMS replaced.
ABBREVIATIONS = {
    "ABD": "ABDOMINAL",
    "ALC": "ALCOHOLIC",
    "AMI": "ACUTE MYOCARDIAL INFARCTION",
    "ANUERYSM": "ANEURYSM",
    "APPEND": "APPENDECTOMY",
    "ARTERY": "VESSEL",
    "BMT": "BONE MARROW TRANSPLANT",
    "BPH": "BENIGN PROSTATIC HYPERTROPHY",
    "CABG": "CORONARY BYPASS",
    "CARD": "CARDIAC",
    "CATETERIZATION": "CATHETERIZATION",
    "CATH": "CATHETERIZATION",
    "CDE": "C.D.E.",
    "CHF": "HEART FAILURE",
    "COPD": "CHRONIC OBSTRUCTIVE PULMONARY DISEASE",
    "CRANIO": "CRANIOTOMY",
    "DEBRID": "DEBRIDEMENT",
    "DIAG": "DIAGNOSIS",
    "DIAGNOSES": "DIAGNOSIS",
    "DISL": "DISLOCATION",
    "DVT": "DEEP VEIN THROMBOPHLEBITIS",
    "DX": "DIAGNOSIS",
    "DXS": "DIAGNOSIS",
    "ECMO": "EXTRACORPOREAL MEMBRANE OXYGENATION",
    "EXC": "EXCEPT",
    "FUS": "FUSION",
    "FX": "FRACTURE",
    "GI": "G.I.",
    "GASTROINTESTINAL": "G.I.",
    "GRFT": "GRAFT",
    "HEM": "HEMORRHAGE",
    "HF": "HEART FAILURE",
    "HR": "HOUR",
    "HRS": "HOUR",
    "HTN": "HYPERTENSION",
    "IMPL": "IMPLANT",
    "INFARCT": "INFARCTION",
    "INJ": "INJURY",
    "INT": "INTERNAL",
    "MAJ": "MAJOR",
    "MENTALRETARDATION": "INTELLECTUAL DISABILITY",
    "MI": "MYOCARDIAL INFARCTION",
    "MISC": "MISCELLANEOUS",
    "NEOPL": "NEOPLASM",
    "OB": "OBSTETRIC",
    "OR.": "O.R.",
    "OTH": "OTHER",
    "PDX": "PRINCIPAL DIAGNOSIS",
    "PERC": "PERCUTANEOUS",
    "PROC": "PROCEDURE",
    "PROCS": "PROCEDURE",
    "PSYCH": "PSYCHIATRIC",
    "RAD": "RADICAL",
    "RESP": "RESPIRATORY",
    "SDX": "SECONDARY DIAGNOSIS",
    "SKN": "SKIN",
    "SPRN": "SPRAIN",
    "STRN": "STRAIN",
    "SUBQ": "SUBCUTANEOUS",
    "SYMP": "SYMPTOM",
    "SYS": "SYSTEM",
    "SYST": "SYSTEM",
    "TISS": "TISSUE",
    "TRACH": "TRACHEOSTOMY",
    "TX": "TREATMENT",
    "UTI": "URINARY TRACT INFECTION",
    "VES": "VESSEL",
    "WND": "WOUND",
}

WEAK = {"PROCEDURE", "DISORDER", "DIAGNOSIS", "DISEASE", "SYSTEM", "O.R.", "AGENT", "USE"}  # said of half of all DRGs
SILENT = {"AND", "OR", "OF", "THE", "IN", "AS", "BY", "A", "TO", "ONLY", "ANOTHER"}
POLARITY = {"WITH": "+", "FOR": "+", "WITHOUT": "-", "EXCEPT": "x", "WITH-OR-WITHOUT": "?"}
LEVEL_WORDS = {
    ("WITH", "MCC"): "MCC",
    ("AND", "MCC"): "MCC",
    ("WITH", "CC"): "CC",
    ("WITH", "CC/MCC"): "CC/MCC",
    ("WITHOUT", "CC/MCC"): "none",
    ("WITHOUT", "CC"): "none",
    ("WITHOUT", "MCC"): "without MCC",
    # Obstetrics had levels of its own up to v35 (COMPLICATING DIAGNOSES, MEDICAL COMPLICATIONS): near to CC, not the same.
    ("WITH", "OBCC"): "complicated",
    ("WITHOUT", "OBCC"): "uncomplicated",
}

_SUBSTITUTIONS = (
    (r"\(ECMO\)", " "),
    (r"≤", "<="),
    (r"\bD\s*&\s*C\b|\bDANDC\b|\bD AND C\b", " D&C "),
    (r"&/OR|\bAND/OR\b", " OR "),
    (r"\bCC\s*/\s*MCC\b", " CC/MCC "),
    (r"\bW\s*/\s*O\b|\bWO\b", " WITHOUT "),
    (r"\bW/|\bW\b", " WITH "),
    (r"\bWITH\s+OR\s+WITHOUT\b", " WITH-OR-WITHOUT "),
    (r"(?<!D)&(?!C)", " AND "),
    (r"\bCOMPLICATING DIAGNOSES\b|\bMEDICAL COMPLICATIONS\b", " OBCC "),
    (r"\bMENTAL RETARDATION\b", " MENTALRETARDATION "),
    (r"\bESW LITHOTRIPSY\b", " LITHOTRIPSY "),
    (r"\bO\.\s*R\.?|\bOR\s+(?=PROC\b|PROCEDURE)", " O.R. "),
    (r"\bNON-([A-Z]+)/([A-Z]+)", r" NON-\1 NON-\2 "),
    (r"\b9\+\s*FUS\w*", " EXTENSIVE FUSION "),
    (r"\bEXT FUS\b", " EXTENSIVE FUSION "),
    (r"\b96\s*\+|>\s*96\b", " >96 "),
    (r"<=?\s*96\b", " <96 "),
    (r"([<>])\s*1\b", r" \g<1>1 "),
    (r"\b(NON|POST)-", r"\1"),
)
_TOKEN = re.compile(r"WITH-OR-WITHOUT|CC/MCC|[<>]?\d+\+?|[A-Z][A-Z0-9.&]*")


@dataclass(frozen=True)
class Phrase:
    """What a title says: `words` with their polarity, without its severity; `level` (one of the code book's levels,
    "complicated", "uncomplicated" or None where none is said); `extra`, the words after "WITH MCC OR"."""

    words: tuple[tuple[str, str], ...]
    level: str | None
    extra: frozenset[str]


@cache
def phrase(text: str) -> Phrase:
    """A title or description in CMS's words. Empty words where the text says nothing of a DRG."""
    tokens = [word for token in _tokens(text) for word in _canonical(token)]
    level, tokens, extra = _take_level(tokens)
    words, polarity, since = [], "+", 0
    for token in tokens:
        # EXCEPT FOR is one connective; a later FOR ends what EXCEPT governs.
        if token in POLARITY and not (token == "FOR" and polarity == "x" and since == 0):
            polarity, since = POLARITY[token], 0
        elif token not in SILENT and token not in POLARITY:
            words.append((token, polarity))
            since += 1
    return Phrase(tuple(words), level, frozenset(extra) - SILENT - set(POLARITY))


def _tokens(text: str) -> list[str]:
    text = text.upper()
    for pattern, replacement in _SUBSTITUTIONS:
        text = re.sub(pattern, replacement, text)
    return [token.rstrip(".") if token.count(".") == 1 else token for token in _TOKEN.findall(text)]


def _take_level(tokens: list[str]) -> tuple[str | None, list[str], list[str]]:
    """The severity level, the other words, and those that follow the level after an OR (4+ VESSELS, TPA IN 24 HOURS)."""
    for at in range(len(tokens) - 1):
        level = LEVEL_WORDS.get((tokens[at], tokens[at + 1]))
        if level:
            rest = tokens[at + 2 :]
            extra, rest = (rest, []) if rest[:1] == ["OR"] else ([], rest)
            return level, tokens[:at] + rest, extra
    return None, tokens, []


@cache
def _canonical(token: str) -> tuple[str, ...]:
    """The title words that one written word stands for: itself, an expansion, its corrected spelling, or several that
    lost the comma between them (MALIGCIRRALC, ENDOCRINENUTRITAND)."""
    expansion = ABBREVIATIONS.get(token) or ABBREVIATIONS.get(singular(token))
    if expansion:
        return tuple(expansion.split())
    if token in POLARITY or token in SILENT or not token.isalpha():
        return (token,)
    broken_off = any(word.startswith(token) for word in vocabulary())
    if singular(token) in vocabulary() or len(token) < 7 or broken_off:
        return (singular(token),)
    nearest = process.extractOne(token, sorted(vocabulary()), scorer=fuzz.ratio, score_cutoff=83)
    if nearest and not _negates(token, nearest[0]):
        return (nearest[0],)
    pieces = _split_glued(token)
    return tuple(word for piece in pieces for word in _canonical(piece)) if pieces else (singular(token),)


def _negates(a: str, b: str) -> bool:
    """COMPLICATED and UNCOMPLICATED are one letter pair apart and opposites."""
    return any(a == prefix + b or b == prefix + a for prefix in ("UN", "NON", "IN", "DIS"))


def _split_glued(token: str) -> list[str] | None:
    """The fewest words or beginnings of words (three letters or more) that the token is made of; None if it is not."""
    known = vocabulary() | ABBREVIATIONS.keys() | {"AND", "OR"}
    best: list[tuple[float, list[str]] | None] = [(0.0, [])] + [None] * len(token)
    for end in range(2, len(token) + 1):
        for start in range(max(0, end - 20), end - 1):
            piece, before = token[start:end], best[start]
            if before is None:
                continue
            if piece in known or singular(piece) in known:
                cost = 1.0
            elif len(piece) >= 3 and any(word.startswith(piece) for word in vocabulary()):
                cost = 1.5
            else:
                continue
            if best[end] is None or before[0] + cost < best[end][0]:
                best[end] = (before[0] + cost, [*before[1], piece])
    return best[-1][1] if best[-1] and len(best[-1][1]) > 1 else None


def singular(word: str) -> str:
    """INJURIES → INJURY, STENTS → STENT; DIABETES, PELVIS and ABSCESS stay."""
    if word in ("DIABETES", "PELVIS", "PENIS", "STATUS", "SINUS", "HUMERUS"):
        return word
    if word.endswith("IES") and len(word) > 5:
        return word[:-3] + "Y"
    if word.endswith(("SS", "US", "IS", "OSES")) or len(word) < 4:
        return word
    return word.removesuffix("S")


@cache
def vocabulary() -> frozenset[str]:
    """Every word of every known version's titles, in the singular."""
    words = {
        singular(word)
        for version in VERSIONS
        for drg in codebook(version).drgs.values()
        for word in _tokens(drg.title)
        if len(word) > 2 and word.isalpha()
    }
    return frozenset(words - set(POLARITY) - SILENT)


@cache
def alike(a: str, b: str) -> float:
    """How surely two words mean the same, 0 to 1: equal, one the beginning of the other, letters left out, inflected."""
    if a == b:
        return 1.0
    short, long = sorted((a, b), key=len)
    if not (short.isalpha() and long.isalpha()) or len(short) < 3:
        return 0.0
    if short not in vocabulary():
        if long.startswith(short):
            return 0.95
        letters = iter(long)
        if len(short) <= 6 and short[0] == long[0] and short[-1] in long[-2:] and all(c in letters for c in short):
            return 0.85
    shared = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    if len(short) >= 5 and shared >= len(short) - 1 and len(long) - len(short) <= 2:
        return 0.85
    return 0.0
