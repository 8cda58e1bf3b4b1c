"""Where the words of a condition mean something else: a vital sign, a part of the note, a capsule, or what is guarded or tested for.

    misread(text, start, end) -> bool     # text[start:end] is another word, or the same letters with another meaning
    guarded(text, start, end) -> bool     # the patient is protected from it, told to come back with it, or tested for it without finding it
    talked_of(text, end) -> bool          # a procedure that is only spoken of

A coder passes over "DVT prophylaxis", "SBP 120s" and "98% on RA" without noticing; an index of words does not.
"""

import re

from sapphire.drg.status import STOPS, sentence

REACH = 70  # characters from what is guarded against back to the word that says so

# Words that, but in capitals, are never meant as the condition whose stem or abbreviation they share.
_NEVER = frozenset(
    "abrupt acid acidic acids aid aids alkali bolt cap caps ceiling coil dress hrs lymphocytes mash mat mats men oasis pint pints scab scabs strobe stroked".split()  # noqa: SIM905
)
# A quote, and what stands around it where it means something else. Letters count as written where both cases occur.
_NUMBER = r"[<>≤≥~=]*\s*(?:[4-9]\d|1\d\d|2[0-5]\d)(?!\d)"
_SENSES = [
    tuple(map(re.compile, sense))
    for sense in [
    # Systolic blood pressure, not spontaneous bacterial peritonitis.
    (r"(?i:SBPs?)", r"(?i:goal|keep|target|hold(?: for| if)?|for|low|labile|soft|stable|if)\s*$", ""),
    (
        r"(?i:SBPs?)",
        "",
        rf"(?i:(?:'s)?,?\s*(?:(?:goals?|was|were|is|of|to|in|at|the|never|down|up|around|low|high|nadir|fell|dropped|rose|improved|consistently"
        rf"|mid|upper|lower|about|remained|stayed|running|between|under|over|below|above)\s*)*{_NUMBER})",
    ),
    (
        r"(?i:SBPs?)",
        "",
        r"(?i:(?:'s)?\s*(?:goals?|remained|stayed|dropped|fell|parameters|control\w*|(?:was|were|is)?\s*(?:low|high|labile|soft|stable|elevated|controlled))\b)",
    ),
    # Room air, right atrium, not rheumatoid arthritis.
    (r"RA", r"(?i:%\s*(?:on|in|at)?|\b(?:9\d|8\d)\s*(?:on|in)?|\b(?:to|sats?|saturations?|O2|breathing|stable on)|(?<!not )\bon|\bLA (?:and|/))\s*$", ""),
    (r"RA", "", r"(?i:\s*(?:pressures?|mean|sats?|O2|enlarge\w*|dilat\w*|(?:and|/|&|,)\s*LA\b|(?:and|/|,)\s*RV\b|thromb\w+|appendage))"),
    # Physical examination, not pulmonary embolism.
    (
        r"PE",
        "",
        r"(?i:\s*(?:on|at) (?:admission|discharge|arrival|exam)|\s*[:-]\s*(?:gen\w*|vs|vitals?|vss|afebrile|t\b|t ?\d|tm|bp|hr|p ?\d|heent|lungs?|abd\w*"
        r"|awake|alert|nad|exam|wd\w*|chest|cor|cv|ext\w*|neuro\w*|skin|ill|thin|pleasant|well|comfortable|in no|no acute|unremarkable|normal|notable)\b)",
    ),
    # Mental status, morphine, magnesium sulfate, not multiple sclerosis.
    (r"MS", r"(?i:\b(?:altered|change in|changes in|decreased|depressed|clear|baseline|improved|improving))\s*$", ""),
    (
        r"MS",
        "",
        r"(?i:\s*contin\b|\s*\d+ ?mg|\s*[:-]?\s*(?:a&o|alert|orient\w*|intact|changes?\b|improv\w+|wax\w*|clear\w*|at baseline|back to baseline|normal|exam))",
    ),
    # A kind of insulin, not normal pressure hydrocephalus.
    (r"NPH", r"(?i:insulin|units?|\d|lispro|regular|on|of|home)\s*$", r""),
    (r"NPH", "", r"(?i:\s*(?:insulin|\d|units?|bid|qam|qpm|qhs|and (?:lispro|regular|aspart)|at (?:bed|night)|dose|twice|in the|sliding|with))"),
    # The word, or the allergies, not acute lymphoblastic leukemia.
    (r"ALL", "", r"(?i:\s*:|\s+(?:other|of|the|questions|labs|meds|medications|systems|extremities|four|home|patients|available|discharge)\b)"),
    # The angle between rib and spine, not a stroke.
    (r"(?i:CVA)", "", r"(?i:\s*(?:tender\w*|ttp|angle|pain|percuss\w*))"),
    # Afebrile, not atrial fibrillation.
    (r"AF", "", r",?\s*(?:VSS|vss|VS\b)"),
    # The word, not aortic stenosis.
    (r"AS", "", r"(?i:\s+(?:above|needed|directed|well|per|below|tolerated|follows|noted|instructed|outpatient|an?|the)\b)"),
    # Magnetic resonance, Mister, not mitral regurgitation.
    (r"MR", "", r"(?i:\.?\s*_|\s*#|\s*(?:angio\w*|brain|head|spine|abdomen|pelvis|cholangio\w*|enterograph\w*|imaging|venogra\w*)\b)"),
    # Milligrams, not magnesium.
    (r"mg\b.*", r"\d\s*$", ""),
    # The day of the stay, not hemodialysis.
    (r"HD", "", r"\s*#?\d{1,2}\b(?!\s*(?:h\b|hrs?\b|hours?\b|[./:]\d))"),
    # A test, a dose, an ulcer, not stress as a problem.
    (
        r"(?i:stress)",
        "",
        r"(?i:[\s-]*(?:test\w*|echo\w*|MIBI|imaging|perfusion|EKG|ECG|nuclear|thallium|view|ulcers?|dos(?:e|es|ed|ing)|steroids?|hydrocort\w*|MRI|CMR|gastritis|incontinence))",
    ),
    # Of a defibrillator or a team, not a state of the circulation.
    (r"(?i:shock(?:s|ed))", "", ""),
    (r"(?i:shock)", r"(?i:\b(?:synchroni[sz]ed|appropriate|inappropriate|ICD|AED|single|one|biphasic|electric|first|second)\s*)$", ""),
    (r"(?i:shock)", "", r"(?i:\s*(?:x ?\d|(?:at )?\d+ ?J\b|team|lead|coil|therap\w+|wave|delivered|room))"),
    # The vein in which a catheter ends, the artery's territory, not their syndromes.
    (
        r"(?i:SVC|superior vena cava|MCA)",
        r"(?is:^(?!.*\b(?:flatten|squeez|compress|obstruct|narrow|occlu|invad|encas)\w*\s+(?:the\s+)?$))",
        r"(?!\s*(?::|syndrome|obstruct\w*|thromb\w*|occlu\w*|compress\w*))",
    ),
    # Who is called for it.
    (r"(?i:stroke)", "", r"(?i:\s*(?:team|page|group|neurolog\w+)\b)"),
    # The vaccine, not lockjaw.
    (r"(?i:tetanus)", "", ""),
    # Toe-brachial index, not an injury of the brain.
    (r"TBI", "", r"\s*(?:[LR]\s*)?[<>~=]?\s*[01]?\.\d"),
    (r"TBI", r"(?i:ABI[^.\n]{0,25}|pressures?[^.\n]{0,20}|toe)$", ""),
    # Group B streptococcus, not Guillain-Barré.
    (r"GBS", "", r"(?i:\s*(?:[+-]|pos\w*|neg\w*|unk\w*|status|not in|screen|swab|carrier|coloni\w*|proph\w*|bacteriuria|\(|:))"),
    # Wound round an artery elsewhere, not in an aneurysm.
    (r"(?i:coils)", r"(?is:^(?!.*(?:platinum|aneurysm|packed)))", ""),
    # What stands ready, or is worn; not the operation.
    (r"(?i:trach)", r"(?i:\bthrough (?:the )?)$", ""),
    (r"(?i:trach(?:eostomy)?)", "", r"(?i:\s*(?:trays?|kits?|sets?|collar|mask|care|site|change|journey)\b)"),
    (r"(?i:trach(?:eostomy)? (?:tray|kit|set)\b.*)", "", ""),
    # The laxative, and a tube that was there.
    (r"PEG", r"(?i:(?:senna|docusate|bisacodyl|lactulose|colace)\W{1,4}|constipat\w*[^.\n]{0,30}|\b(?:by|via|through) (?:the )?)$", ""),
    (r"PEG", "", r"(?i:\s*(?:\d+ ?(?:g|L)\b|3350|daily|bid\b|prep|packets?|[+/,] ?(?:senna|bisacodyl|docusate|lactulose)|-fed|feeds?\b|boluses|site|cracked))"),
    # Where the lead of a pacemaker lies, not what closes it.
    (r"(?is:.*\b(?:leads?|wires?)\b.*\bappendage\b.*|left atrial appendage)", "", ""),
    # When it came off, not how long it was on.
    (r"(?is:ventilator\s+(?:at|after|the next|three|two)\s.*)", "", ""),
    # Clean, dry, intact; the specialist for documentation.
    (r"CDI", r"(?i:(?:wounds?|incisions?|dressings?|sites?|staples|skin)\W{1,3}|/)$", ""),
    # The groups of muscles, not what may befall them.
    (r"(?i:.*\b(?:calf|thigh|leg|forearm)\b.*\bcompartments\b.*|.*\bcompartments\b.*\b(?:calf|thigh|leg|forearm)\b.*)", "", ""),
    # A grade of swelling, not of an ulcer.
    (r"(?i:[1-4]\+ .*\bedema.*)", "", ""),
    # Given or tested, not had.
    (r"(?i:hep(?:atitis)?\.? B)", "", r"(?i:\s*(?:#\s*\d|given|shot|dose|series|vaccin\w*|immun\w*|IM\b|surface|s?ag\b|core|neg\w*|non\w*))"),
    (r"(?i:hep(?:atitis)?\.? A\b.*\bB\b.*)", "", ""),
    # The state of whom an organ came from.
    (r"(?i:brain[- ]dea(?:d|th))", "", r"(?i:\s*,?\s*(?:donor|\d))"),
    (r"(?i:brain[- ]dea(?:d|th))", r"(?i:donor[^.\n]{0,25})$", ""),
    # Taking fluid or cells by needle, not inhaling what was swallowed.
    (
        r"(?i:aspirat(?:ion|ed|ions))",
        r"(?i:(?:marrow|needle|guided|joint|knee|hip|elbow|shoulder|cyst|abscess|bursal?|fluid|percutaneous|ultrasound|US|CT|IR|was|were|thrombus|mechanical|catheter|suction))\s*$",
        r"",
    ),
    (r"(?i:aspirat(?:ion|ed))", r"(?i:\b(?:simple|under|I|we)\s+)$", ""),
    (r"(?i:aspirat(?:ion|ed|ions))", "", r"(?i:\s*(?:grew|nothing|\d+ ?(?:mL|cc)|of (?:the|a|an|his|her|right|left|\d|fluid|pus|blood|marrow|cyst|abscess|bone)\b|and biopsy|thrombectomy|cytology))"),
]]  # fmt: skip
# What is guarded against: prophylaxis, precautions, vaccines, risks. Before the words a list may stand between. (`status` passes over the same
# words, so that none of them counts as part of another trigger.)
_GUARD_BEFORE = re.compile(
    r"(?<![\w-])(?:(?:prophyla\w+|ppx|precautions?|prevent(?:ion|ative|ive)?|vaccin\w+|immuni[sz]\w+|screen(?:ed|ing)?|risks?|education|counsel\w+)\s+(?:of|for|against|about|on)"
    r"|prevent(?:s|ing)?|code)(?=\s)",
    re.IGNORECASE,
)
_NEXT = r"(?:[- \t]|\n(?!(?-i:[A-Z])))*"  # a line that wraps, not the heading of the next
_GUARD_AFTER = re.compile(
    _NEXT
    + r"(?:prophyla\w+|ppx\b|px\b|preventi\w+|precautions?|vaccin\w+|immuni[sz]\w+|screen(?:s|ing)?\b|risks?\b(?! of)|protocols?\b|code\b|alert\b|pathway\b|bundles?\b|box\b|flag\b|template\b|quer(?:y|ies)\b|page\b|calculator\b|checklist\b|conference\b"
    r"|(?:intensive care )?unit\b|ward\b|scale\b|suppression|rule[- ]?out)",
    re.IGNORECASE,
)
# What ends the reach of such a word, besides what ends that of any trigger.
_GIVEN = re.compile(r"[=(]|\b(?:given|despite|in the setting|on|by|was|were|is|are|has|had)\b", re.IGNORECASE)
# An operation that is only spoken of or planned.
_TALKED = re.compile(
    r"\s+(?:talk|discussion|look|work-?up|eval(?:uation)?|candidacy|planning|referral|clinic)\b", re.IGNORECASE
)
# Come back if: told to the patient, not found.
_COME_BACK = re.compile(
    r"\b(?:return|call|come back|seek|go to the (?:ED|ER|emergency)|notify|instructed to|told to)\b[^.\n]{0,80}\b(?:for|if|with|should|any)\b[^.\n]{0,90}$",
    re.IGNORECASE,
)
_TEST = re.compile(
    _NEXT
    + r"(?:PCR|toxins?|swabs?|antibod(?:y|ies)|ab\b|titers?|serolog\w+|stud(?:y|ies)\b|stains?\b|cultures?\b|antigens?|assay|panels?\b|labs?\b|smears?\b|scans?\b|work-?up\b|testing\b)",
    re.IGNORECASE,
)
_TOLD = re.compile(r"positiv|\bpos\b|\+|(?<!not )detected|confirm|grew|high|elevated|\d:\d|>\s*\d", re.IGNORECASE)
# A number of a wording that is a drug's dose and not a value.
_DOSE = re.compile(r"\s*(?:mg|mcg|mEq|units?|tabs?|tablets?|caps?|capsules?)\b(?!\s*/\s*d?L\b)", re.IGNORECASE)


def misread(text: str, start: int, end: int) -> bool:
    """Whether text[start:end] is no mention of the condition or procedure whose words it has."""
    quote = text[start:end]
    if (
        quote.lower() in _NEVER
        and not quote.isupper()
        and not re.search(r"HIV\W{1,3}$", text[max(0, start - 6) : start], re.IGNORECASE)
    ):
        return True
    before, after = text[max(0, start - 100) : start], text[end : end + 100]
    return any(words.fullmatch(quote) and left.search(before) and right.match(after) for words, left, right in _SENSES)


def guarded(text: str, start: int, end: int) -> bool:
    """Whether the condition text[start:end] is only guarded against or looked for by the sentence, or its number is a drug's dose."""
    if (
        _GUARD_AFTER.match(text, end)
        or _tested(text, start, end)
        or (text[end - 1].isdigit() and _DOSE.match(text, end))
    ):
        return True
    said = text[sentence(text, start, end)[0] : start]
    if _COME_BACK.search(said):
        return True
    for found in _GUARD_BEFORE.finditer(said):
        between = said[found.end() :]
        if len(between) <= REACH and not (STOPS.search(between) or _GIVEN.search(between)):
            return True
    return False


def talked_of(text: str, end: int) -> bool:
    """Whether the procedure that ends at `end` is only spoken of: "TAVR work-up"."""
    return bool(_TALKED.match(text, end))


def _tested(text: str, start: int, end: int) -> bool:
    """Whether a test's name follows and no result that would show the condition."""
    found = _TEST.match(text, end)
    if not found:
        return False
    last = min(sentence(text, start, found.end())[1], found.end() + 60)
    return not _TOLD.search(text, start, last)
