"""The MS-DRG code book: every DRG of a version with its title, base DRG, severity level, MDC, type and weight.

Base and severity come from a checked table, never from the wording of a title: many titles hold a WITH or WITHOUT that is
no severity (MV >96 HOURS, CARDIAC CATHETERIZATION), and some have the severity in the middle. The tables are built by
`python -m data.codebook` from CMS's definitions manuals and Table 5, read, and checked in.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

VERSIONS = ("36", "37", "38", "39", "40", "40.1", "41", "41.1", "42", "42.1", "43", "43.1")
DEFAULT_VERSION = "43.1"
LEVELS = ("MCC", "CC", "none", "CC/MCC", "without MCC", "unsplit")

MDC_TITLES = {
    "": "",
    "PRE": "Pre-MDC",
    "01": "Diseases and Disorders of the Nervous System",
    "02": "Diseases and Disorders of the Eye",
    "03": "Diseases and Disorders of the Ear, Nose, Mouth and Throat",
    "04": "Diseases and Disorders of the Respiratory System",
    "05": "Diseases and Disorders of the Circulatory System",
    "06": "Diseases and Disorders of the Digestive System",
    "07": "Diseases and Disorders of the Hepatobiliary System and Pancreas",
    "08": "Diseases and Disorders of the Musculoskeletal System and Connective Tissue",
    "09": "Diseases and Disorders of the Skin, Subcutaneous Tissue and Breast",
    "10": "Endocrine, Nutritional and Metabolic Diseases and Disorders",
    "11": "Diseases and Disorders of the Kidney and Urinary Tract",
    "12": "Diseases and Disorders of the Male Reproductive System",
    "13": "Diseases and Disorders of the Female Reproductive System",
    "14": "Pregnancy, Childbirth and the Puerperium",
    "15": "Newborns and Other Neonates with Conditions Originating in Perinatal Period",
    "16": "Diseases and Disorders of Blood, Blood Forming Organs and Immunologic Disorders",
    "17": "Myeloproliferative Diseases and Disorders, Poorly Differentiated Neoplasms",
    "18": "Infectious and Parasitic Diseases, Systemic or Unspecified Sites",
    "19": "Mental Diseases and Disorders",
    "20": "Alcohol/Drug Use and Alcohol/Drug Induced Organic Mental Disorders",
    "21": "Injuries, Poisonings and Toxic Effects of Drugs",
    "22": "Burns",
    "23": "Factors Influencing Health Status and Other Contacts with Health Services",
    "24": "Multiple Significant Trauma",
    "25": "Human Immunodeficiency Virus Infections",
}

# What clinicians type, and the beginnings of title words that it stands for; the most usual of several first.
ABBREVIATIONS = {
    "acs": ("acute myocardial infarction", "angina"),
    "afib": ("cardiac arrhythmia",),
    "aki": ("renal failure",),
    "ards": ("pulmonary edema respiratory failure",),
    "arf": ("renal failure", "respiratory failure"),
    "bleed": ("hemorrhage", "bleed"),
    "bmt": ("bone marrow transplant",),
    "bph": ("benign prostatic hypertrophy",),
    "ca": ("malignan", "neoplasm"),
    "cabg": ("coronary bypass",),
    "cad": ("atherosclerosis", "coronary"),
    "cancer": ("malignan", "neoplasm"),
    "cap": ("simple pneumonia",),
    "chf": ("heart failure",),
    "ckd": ("renal failure",),
    "copd": ("chronic obstructive pulmonary disease",),
    "csection": ("cesarean",),
    "cva": ("cerebral infarction", "cerebrovascular"),
    "dka": ("diabetes",),
    "dm": ("diabetes",),
    "dvt": ("peripheral vascular disorders", "deep vein thrombophlebitis"),
    "esrd": ("renal failure",),
    "etoh": ("alcohol",),
    "evar": ("aort endovascular",),
    "fx": ("fracture",),
    "gerd": ("esophagitis",),
    "gi": ("digestive", "gastrointestinal"),
    "gib": ("gi hemorrhage", "gastrointestinal hemorrhage"),
    "hf": ("heart failure",),
    "htn": ("hypertension",),
    "icd": ("defibrillator",),
    "ich": ("intracranial hemorrhage",),
    "mi": ("myocardial infarction",),
    "ms": ("multiple sclerosis",),
    "nsvd": ("vaginal delivery",),
    "nstemi": ("myocardial infarction",),
    "pancreatitis": ("disorders pancreas",),
    "pci": ("percutaneous cardiovascular", "percutaneous coronary"),
    "pe": ("pulmonary embolism",),
    "pna": ("pneumonia",),
    "ppm": ("pacemaker",),
    "sah": ("intracranial hemorrhage",),
    "sbo": ("gi obstruction", "gastrointestinal obstruction"),
    "sepsis": ("septicemia",),
    "stemi": ("myocardial infarction",),
    "stroke": ("cerebral infarction",),
    "tavr": ("endovascular cardiac valve",),
    "tbi": ("traumatic stupor", "concussion"),
    "tha": ("hip joint replacement", "hip replacement"),
    "thr": ("hip joint replacement", "hip replacement"),
    "tia": ("transient ischemia",),
    "tka": ("knee joint replacement",),
    "tkr": ("knee joint replacement",),
    "uti": ("urinary tract infection",),
    "vent": ("ventilator", "mv"),
}


@dataclass(frozen=True, slots=True)
class Drg:
    """One MS-DRG of one version.

    `drg` and `base_id` (the lowest DRG of the family) are three digits; `base` is the family's title without severity;
    `level` one of LEVELS; `mdc` two digits, "PRE" (pre-MDC) or "" (any MDC); `type` "medical", "surgical" or "".
    `weight` is the relative weight Medicare pays by in FY 2026 (CMS Table 5, after the 10% cap on decreases); `gmlos` and
    `amlos` are days. The three are None where CMS gives none and for versions before 43.
    """

    version: str
    drg: str
    title: str
    base_id: str
    base: str
    level: str
    mdc: str
    mdc_title: str
    type: str
    weight: float | None
    gmlos: float | None
    amlos: float | None


# What `fold` makes of each sign, in this order. Plain replacements take a third of a regular expression's time, and
# rewards fold every answer. <= waits as a control character while < is set apart.
_SIGNS = (("≤", "<="), ("<=", " \0 "), ("<", " < "), (">", " > "), ("\0", "<="), ("&", " and "))
_SIGNS += tuple((sign, " ") for sign in ",/-‐‑‒–—")


def fold(title: str) -> str:
    """What two equal titles share: lower case words, with spaces, commas, slashes and hyphens folded and & as "and".

    `<`, `>` and `<=` stay, as words: without them DRG 082 equals 085 and 207 equals 208.
    """
    folded = title.casefold()
    for sign, words in _SIGNS:
        folded = folded.replace(sign, words)
    return " ".join(folded.split())


class CodeBook:
    """All DRGs of one version: `drgs` in DRG order, by three-digit number."""

    def __init__(self, version: str, drgs: dict[str, Drg]):
        self.version = version
        self.drgs = drgs
        self._by_title = {fold(drg.title): drg for drg in drgs.values()}
        self._in_capitals = {drg.title.upper(): drg for drg in drgs.values()}  # as models answer, without folding
        self._families: dict[str, list[Drg]] = {}
        for drg in drgs.values():
            self._families.setdefault(drg.base_id, []).append(drg)
        # Nobody types the dots of G.I. and O.R.
        self._words = {drg.drg: fold(drg.title.replace(".", "")).split() for drg in drgs.values()}

    def by_title(self, title: str) -> Drg | None:
        """The DRG whose whole title equals this one after `fold`; never a part of a title."""
        return self._in_capitals.get(title) or self._by_title.get(fold(title))

    def family(self, drg: str) -> list[Drg]:
        """The DRGs that share this one's base, in DRG order. KeyError if the version has no such DRG."""
        return self._families[self.drgs[drg].base_id]

    def search(self, words: str, limit: int = 20) -> list[Drg]:
        """DRGs that match every word: by number, by title words in any order or their beginnings, or by abbreviation."""
        asked = fold(words.replace(".", "")).split()
        if not asked:
            return []
        scored = [(score, drg.drg) for drg in self.drgs.values() if (score := self._score(drg, asked)) > 0]
        return [self.drgs[drg] for _, drg in sorted(scored, key=lambda hit: (-hit[0], hit[1]))[:limit]]

    def _score(self, drg: Drg, asked: list[str]) -> float:
        hits = [_match(word, drg.drg, self._words[drg.drg]) for word in asked]
        # Of equal hits the shorter base is the nearer one; the base, so that a family stays together.
        return sum(hits) - len(drg.base) / 1000 if all(hits) else 0.0


def _match(asked: str, drg: str, words: list[str]) -> float:
    """How well one asked word meets one DRG: 0 not at all; the number itself before a whole word before its beginning."""
    if asked.isdigit():
        return 5.0 if drg == asked.zfill(3) else 2.0 if drg.startswith(asked) else 1.0 if asked in words else 0.0
    if asked in words:
        return 3.0
    for position, meaning in enumerate(ABBREVIATIONS.get(asked, ())):
        if all(any(word.startswith(part) for word in words) for part in meaning.split()):
            return 2.8 - position / 10  # the most usual meaning stands first
    return 2.0 if any(word.startswith(asked) for word in words) else 0.0


def codebook(version: str = DEFAULT_VERSION) -> CodeBook:
    """The code book of a version, read once. ValueError names the versions when there is none."""
    if version not in VERSIONS:
        raise ValueError(f"MS-DRG version {version!r} is not known; known are {', '.join(VERSIONS)}.")
    return _read(version)


@cache
def _read(version: str) -> CodeBook:
    text = files("sapphire.drg").joinpath(f"tables/v{version}.csv").read_text(encoding="utf-8")
    return CodeBook(version, {row["drg"]: _drg(version, row) for row in csv.DictReader(text.splitlines())})


def _drg(version: str, row: dict[str, str]) -> Drg:
    numbers = {name: float(row[name]) if row[name] else None for name in ("weight", "gmlos", "amlos")}
    return Drg(version=version, mdc_title=MDC_TITLES[row["mdc"]], **(row | numbers))
