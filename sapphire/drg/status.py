"""Whether a note says of a mention that it is so: present, uncertain, ruled out, resolved, history, or of the family.

The method is ConText (Harkema et al., J Biomed Inform 2009, 42:839): a trigger governs the mentions of its sentence on one side,
up to a word that ends its scope. The triggers are our own. medspaCy, which implements it, needs NumPy 1 and spaCy 3.7.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

from sapphire.drg.verdicts import AHEAD, asked, refused

PRESENT, UNCERTAIN, RULED_OUT, RESOLVED, HISTORY, FAMILY = (
    "present",
    "uncertain",
    "ruled out",
    "resolved",
    "history",
    "family history",
)
STATUSES = (PRESENT, UNCERTAIN, RULED_OUT, RESOLVED, HISTORY, FAMILY)

# Before the mention. The order matters where triggers begin at one place: the longer ones stand first.
BEFORE = {
    "": r"no (?:further|longer|new|change|increase|significant change|other)|not only|no doubt|without difficulty|cannot rule out"
    r"|not (?:certain|sure) (?:if|whether)|gram[- ]negative|history of present illness|if|should|in case of|return (?:for|with)"
    r"|(?:risk|risks|signs|prevention|prophylaxis|precautions) (?:of|for|against)|prophylaxis|screen(?:ing|ed) for|concern for",
    UNCERTAIN: r"probable|probably|possible|possibly|suspected|suspicion of|suspicious for|likely|presumed|presumptive|presumably"
    r"|consistent with|compatible with|in keeping with|thought to be|felt to be|favou?red|working diagnosis(?: of)?|questionable"
    r"|cannot (?:rule out|exclude)|concern for|concerning for|concerned about|worried about|\?|query|vs\.?|versus|rule out|r/o|to rule out"
    r"|evaluat(?:e|ed|ion) for|work(?:ed)?[- ]?up for|differential(?: diagnosis)?(?: included| includes| of)?|initially (?:thought|felt|treated as|called|labell?ed)(?: to be| as)?"
    r"|considered",
    RULED_OUT: r"no (?:\w+ ){0,2}?(?:evidence|sign|signs|suggestion|indication|features|findings|history|hint|trace|suspicion) (?:of|for)"
    r"|not felt to (?:be|have)|did not (?:have|show|meet|develop)|does(?:n't| not) (?:have|meet|show|support|suggest)|nobody|no one"
    r"|no|not|non|never(?: had| has been)?|without(?: any)?|denie[sd]|denying|negative(?: for)?|neg(?: for)?|free of|absence of|absent"
    r"|rul(?:ed|es|ing) out(?: for)?|exclud(?:ed|es|ing)|unlikely(?: to be)?|against|nothing (?:to suggest|suggesting|like|for)|neither|nor|lacks?|lacking"
    r"|wasn't|isn't|didn't|doubt(?:ed)?|(?:chose|chosen|preferred) (?:\w+ ){0,3}over|rather than|instead of|argu(?:ed|es|ing) against"
    r"|low (?:suspicion|concern|probability) (?:of|for)|spoke against|to exclude|discarded|disproved|mimick(?:ed|ing)|looked for|sought",
    HISTORY: r"(?:past |remote |prior |known |previous |distant |personal )?(?:medical |surgical )?(?:history|hx|h/o|hist)(?: is| was)?(?: notable| significant| remarkable)?(?: of| for)?|pmhx?|psh"
    r"|prior|previous|previously|past|remote|old|former|formerly|s/p|status post|survived|years? ago|treated for|since|cured of|in (?:19|20)\d\d,? (?:s?he|they|you|the patient|pt) (?:also )?(?:had|got|suffered)",
    RESOLVED: r"resolved|recovered from|resolution of|healed|cleared|previously resolved|recent|last (?:year|month|week|spring|summer|fall|winter|autumn)(?:'s)?|earlier this year",
    FAMILY: r"family (?:history|hx)(?: is)?(?: notable| significant| positive| remarkable)?(?: of| for)?|fhx?|fh|mother|father|brothers?|sisters?|siblings?|parents?|aunts?|uncles?|grand\w+|maternal|paternal"
    r"|cousins?|relatives?|dad|mom|(?:his|her) (?:son|daughter|wife|husband|children|family)|husband|wife|son|daughter|twin brother|twin sister|roommate|neighbou?r",
}
# After the mention.
AFTER = {
    RULED_OUT: r"(?:\w+ ){0,3}(?:considered|suspected|feared|entertained|raised|thought of)[^.;\n]{0,30}?\b(?:but|and|then)\b[^.;\n]{0,30}?(?:excluded|ruled out|\bnot\b|unlikely|negative|absent|never|\bno\b)"
    r"|(?:was|were|is|has been|been|being|were all|all)? ?(?:ruled out|excluded|unlikely|negative|neg\b|absent|not (?:found|seen|present|identified|confirmed|thought|felt|supported|demonstrated|detected|considered)|discarded|doubted|disproved|refuted)"
    r"|ruled out|is negative|was negative|not found|: (?:no|none|negative|neg|absent)\b|looked for|never (?:proven|confirmed|found|shown)|none seen|did not (?:occur|develop|recur)",
    UNCERTAIN: r"(?:is|was)? ?(?:possible|suspected|considered|likely|questioned|thought likely|entertained|in question|a concern|feared)",
    HISTORY: r"(?:\w+ ){0,2}(?:years?|months?|decades?|yrs?) (?:ago|earlier|before|back)|in (?:19|20)\d\d|in \d{4}|in (?:(?:early|mid|late)[ -])?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,? (?:of )?(?:19|20)\d\d|in (?:childhood|youth|adolescence)|as a (?:child|teenager|boy|girl|young)|\((?:19|20)\d\d\)|,? ?(?:19|20)\d\d\b|s/p|long ago|at age \d+|at \d{1,2}(?=[,.;:)]|\s+(?:and|years?|yrs?)\b|$)|removed",
    RESOLVED: r"(?:,? ?(?:now|has|have|had|since|long since|fully|completely|which)? ?(?:resolved|cleared (?:before|last|long)|healed (?:before|last|long)|recovered))|in remission last|last (?:year|month|spring|summer|fall|winter|autumn)",
    FAMILY: r"in (?:his|her|a|the) (?:mother|father|brother|sister|parent|family|aunt|uncle|grand\w+)|runs in the family",
}
# After a procedure; what a diagnosis was some weeks ago it may be still.
_WEEKS_AGO = re.compile(r"\s*,?\s*(?:\w+ ){0,2}weeks? (?:ago|earlier|before)\b", re.IGNORECASE)
# Where the scope of a trigger ends.
STOPS = re.compile(
    r"\b(?:but|however|although|though|except|apart from|other than|yet|still|which|who|because|since|due to|secondary to|caused by|from|after|treated with|presented|presents|admitted|admission|was found|is found|found to have|developed|showed|shows|revealed|underwent|now|then|so|with|to)\b"
    r"|[;:]|\s[-–—>]+\s|->|→",
    re.IGNORECASE,
)
HARD = re.compile(
    r"\b(?:but|however|although|though|except|apart from|other than|yet|presented|presents|admitted|found to have|developed|showed|shows|revealed|underwent)\b|;|->|→",
    re.IGNORECASE,
)
REACH = {UNCERTAIN: 60, RULED_OUT: 90, HISTORY: 110, RESOLVED: 50, FAMILY: 70}  # characters
_SENTENCE = re.compile(r"[.!?](?=\s|$)|\n\s*(?=\n|[-*•#]|\d+[.)]\s)|\n(?=[A-Z][^\n]{0,40}:)")


def _compiled(triggers: dict[str, str]) -> re.Pattern:
    groups = "|".join(f"(?P<t{i}>{words})" for i, words in enumerate(triggers.values()))
    return re.compile(rf"(?<![\w-])(?:{groups})(?![\w])", re.IGNORECASE)


_BEFORE, _BEFORE_NAMES = _compiled(BEFORE), list(BEFORE)
_AFTER, _AFTER_NAMES = (
    re.compile("|".join(f"(?P<t{i}>{words})" for i, words in enumerate(AFTER.values())), re.IGNORECASE),
    list(AFTER),
)


@dataclass(frozen=True, slots=True)
class Said:
    """The status of a mention and the span of the words that say so (empty for what is simply present)."""

    status: str
    start: int
    end: int


def sentence(text: str, start: int, end: int) -> tuple[int, int]:
    """The span of the sentence or list item around a mention."""
    first = max(
        (found.end() for found in _SENTENCE.finditer(text, max(0, start - 400), start)), default=max(0, start - 400)
    )
    after = _SENTENCE.search(text, end)
    return first, after.start() if after else len(text)


def status(text: str, start: int, end: int, procedure: bool = False) -> Said:
    """What the text says of text[start:end]. Family, ruled out, resolved, history and uncertain go in this order; of what its sentence leaves
    stated or uncertain, the verdict may come later (`verdicts.py`)."""
    first, last = sentence(text, start, end)
    found = [*_before(text, first, start), *_after(text, end, last)]
    order = (FAMILY, RULED_OUT, RESOLVED, HISTORY, UNCERTAIN)
    hit = next((said for name in order for said in found if said.status == name), None)
    if hit and hit.status != UNCERTAIN:
        return hit
    if span := refused(text, start, end):
        return Said(RULED_OUT, *span)
    if hit:
        return hit
    if procedure and (weeks := _WEEKS_AGO.match(text, end, end + AHEAD)):
        return Said(HISTORY, *weeks.span())
    if span := asked(text, start, end):
        return Said(UNCERTAIN, *span)
    return Said(PRESENT, start, start)


def _before(text: str, first: int, start: int) -> list[Said]:
    out = []
    for found in _BEFORE.finditer(text, first, start):
        name = _BEFORE_NAMES[int(found.lastgroup[1:])]
        if not name or start - found.end() > REACH[name]:
            continue
        between = text[found.end() : start]
        stops = HARD if name in (HISTORY, FAMILY) else STOPS
        if (
            name == RULED_OUT
            and between.count(",")
            and not re.fullmatch(r"[\s\w/'-]{0,40}(?:,\s*(?:or |and |nor )?[\w\s/'-]{0,35})*", between)
        ):
            continue
        if not stops.search(between):
            out.append(Said(name, found.start(), found.end()))
    return out


def _after(text: str, end: int, last: int) -> list[Said]:
    out = []
    stretch = text[end : min(last, end + 60)]
    stop = re.search(r"[,;]|\b(?:but|with|and|who|which)\b", stretch)
    limit = stop.start() if stop else len(stretch)
    for found in _AFTER.finditer(stretch):
        if found.start() <= min(limit, 30):
            out.append(Said(_AFTER_NAMES[int(found.lastgroup[1:])], end + found.start(), end + found.end()))
    return out


# What kind of section a heading opens; the first that fits.
SECTIONS = [
    ("family", r"^family$|\bfamily (?:medical )?(?:history|hx)\b|\bfhx?\b"),  # no "family meeting"
    ("social", r"social|habits"),
    ("allergies", r"allerg"),
    (
        "history",
        r"past|pmhx?\b|psh\b|background|comorbid|chronic|other problems|medical history|known before|co-?existing|medical problems|baseline",
    ),
    (
        "final",
        r"diagnos|impression|\bdx\b|assessment|problem|final|conclusion|active issues|hospital issues|summary of",
    ),
    ("procedures", r"procedure|operation|surgery|\bor\b|operative|interventions"),
    ("medications", r"medic|\bmeds\b|drugs|prescri"),
    ("exam", r"exam|physical|vitals|\bpe\b|objective"),
    ("studies", r"lab|imaging|studies|radiolog|micro|path|result|\bct\b|\bmri\b|echo|ekg|ecg|cxr|x-?ray|data"),
    ("reason", r"reason|chief|complaint|\bcc\b|admi|present|hpi|history of present"),
    ("plan", r"plan|follow|instruct|dispo|discharge|condition|pending|recommend|return"),
    ("course", r"course|hospital|events|stay|progress|narrative|summary|icu|neuro|cv|resp|gi|renal|id|heme"),
]
_SECTIONS = [(kind, re.compile(pattern, re.IGNORECASE)) for kind, pattern in SECTIONS]
_HEADING = re.compile(r"^[ \t#*]*(?P<head>[A-Z][A-Za-z0-9 /&'(),-]{1,45}?)[ \t]*(?::|$)", re.MULTILINE)


@lru_cache(maxsize=64)
def sections(text: str) -> tuple[tuple[int, str], ...]:
    """Where sections begin and of which kind each is, in order; the text before the first heading is of kind "course"."""
    out = [(0, "opening")]
    for found in _HEADING.finditer(text):
        head = found["head"]
        line_end = text.find("\n", found.end())
        alone = (line_end == -1 and found.end() == len(text)) or text[found.end() - 1] != ":"
        if alone and not (head.isupper() or head.istitle()):
            continue
        kind = next((kind for kind, pattern in _SECTIONS if pattern.search(head)), None)
        if kind:
            out.append((found.end(), kind))
    return tuple(out)


def section_at(text: str, place: int) -> str:
    return next(kind for start, kind in reversed(sections(text)) if start <= place)
