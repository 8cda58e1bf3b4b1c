"""What the grouper needs of a patient beside the codes: age, sex and discharge status, given or read from the note."""

import re
from dataclasses import dataclass

AGE, SEX, HOME = 60, "U", 1  # assumed where nothing tells
_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()  # noqa: SIM905
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()  # noqa: SIM905
_SPOKEN = {**{word: i for i, word in enumerate(_ONES)}, **{word: 10 * i for i, word in enumerate(_TENS, 2)}}
_YEARS = re.compile(
    r"\b(\d{1,3})[\s-]*(?:years?[\s-]+(?:old|of age)|yrs?[\s-]old|yo|y/o|y\.o\.?)\b|\b(\d{1,3})[\s-]?(?:M|F|y|yF|yM)\b(?![/%])"
    r"|\b(\d{1,3})[,\s-]+(?:M|F|male|female|man|woman|years old)\b|\baged? (\d{1,3})\b(?! (?:was|had))|___,? \(?(\d{2})\b(?=[,).])"
    r"|\b[a-z]+ of (\d{2})\b(?= (?:who|with|has|had|was|from|came|tripped|noticed|slid|whose|and|fell)|, |\.)|[a-z], (\d{2}), "
    r"|\b(?:is|was) (\d{2}),"
)
_SPOKEN_YEARS = re.compile(
    rf"\b((?:{'|'.join(_TENS)})(?:[\s-](?:{'|'.join(_ONES[1:10])}))?|{'|'.join(_ONES)})[\s-]year[\s-]old"
    rf"|\b(?:is|aged?|of) ((?:{'|'.join(_TENS)})(?:[\s-](?:{'|'.join(_ONES[1:10])}))?)\b",
    re.IGNORECASE,
)
_BABY = re.compile(
    r"\b(?:newborn|neonat\w+|infant born|baby (?:boy|girl)|birth ?weight|apgars?|day of life|DOL ?\d|\d{2}(?:\+\d|[ -]\d/7)?[\s-]*(?:wk|weeks?)(?: gestation)? (?:male|female|infant|boy|girl))",
    re.IGNORECASE,
)
_MOTHER = re.compile(
    r"\bG\d+ ?P\d+|\b(?:primigravida|multigravida|gravida|postpartum|primip\w*|multip\w*)\b", re.IGNORECASE
)
_MAN = re.compile(r"\b(?:he|his|him|man|male|gentleman|mr|boy|father of|husband of)\b", re.IGNORECASE)
_WOMAN = re.compile(r"\b(?:she|her|hers|woman|female|lady|mrs|ms|girl)\b", re.IGNORECASE)
_LETTER = re.compile(r"\b\d{1,3}[\s-]*(?:yo|y/o|y\.o\.?|years?[\s-]old)?[\s,-]*([MF])\b")
# Medicare's discharge status; the first that fits.
_DISPOSITIONS = [
    (20, r"\b(?:expired|died|passed away|pronounced (?:dead|at)|time of death|death (?:was )?pronounced|asystole .{0,30}pronounced|declared dead|ceased to breathe|care was withdrawn|withdrawal of care)\b"),
    (7, r"\b(?:AMA|against (?:medical )?advice|eloped)\b"),
    (50, r"\bhome (?:with|on|under) hospice\b|\bhome hospice\b"),
    (51, r"\binpatient hospice\b|\bhospice (?:house|facility|unit)\b"),
    (62, r"\b(?:acute|inpatient) rehab\w*|\brehab(?:ilitation)? (?:hospital|facility|unit|center)\b|\bIRF\b"),
    (63, r"\bLTACH?\b|\blong[- ]term acute"),
    (65, r"\b(?:inpatient )?psychiatric (?:hospital|facility|unit)\b"),
    (3, r"\b(?:SNF|skilled nursing|nursing (?:home|facility)|subacute rehab\w*|skilled (?:rehab\w*|facility)|extended care|short[- ]term rehab|rehab)\b"),
    (2, r"\btransfer(?:red)? to (?:\w+ ){0,4}(?:hospital|center|centre)\b"),
    (6, r"\b(?:home (?:health|care|nursing|with (?:services|VNA|PT|nursing))|VNA|visiting nurse)\b"),
]  # fmt: skip
_DISPOSITIONS_READ = [(status, re.compile(words, re.IGNORECASE)) for status, words in _DISPOSITIONS]
_NOT_HIM = re.compile(
    r"(?:father|mother|brother|sister|wife|husband|parent|uncle|aunt|twin|cousin|son|daughter|who|friend)[^.\n]{0,60}$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Patient:
    """Age in years, sex "M", "F" or "U", Medicare's discharge status; `assumed` names what neither caller nor note told."""

    age: int
    sex: str
    discharge_status: int
    assumed: tuple[str, ...] = ()


def patient(text: str, age: int | None = None, sex: str | None = None, discharge_status: int | None = None) -> Patient:
    """What is given; else what the note says; else the defaults above."""
    read = {
        "age": age if age is not None else age_in(text),
        "sex": sex or sex_in(text),
        "discharge status": discharge_status if discharge_status is not None else disposition_in(text),
    }
    defaults = {"age": AGE, "sex": SEX, "discharge status": HOME}
    assumed = tuple(name for name, value in read.items() if value is None)
    values = [defaults[name] if value is None else value for name, value in read.items()]
    return Patient(int(values[0]), str(values[1]), int(values[2]), assumed)


def age_in(text: str) -> int | None:
    """The first age in years that the note gives; 0 for a newborn."""
    head = text[:1500]
    baby = _BABY.search(head)
    if baby and not _MOTHER.search(head[: baby.start()]):
        return 0
    if re.search(r"\b\d{1,2}[\s-](?:day|week|month|mo)s?[\s-]old\b", head[:400], re.IGNORECASE):
        return 0
    for found in _YEARS.finditer(head):
        if (age := int(next(filter(None, found.groups())))) <= 110:
            return age
    if found := _SPOKEN_YEARS.search(head):
        return sum(_SPOKEN[word] for word in re.split(r"[\s-]", (found[1] or found[2]).lower()))
    return None


def sex_in(text: str) -> str | None:
    """By the letter after the age, else by the commoner pronoun."""
    if found := _LETTER.search(text):
        return found[1]
    men, women = len(_MAN.findall(text)), len(_WOMAN.findall(text))
    return None if men == women else "M" if men > women else "F"


def disposition_in(text: str) -> int | None:
    """Medicare's discharge status by the note's last third; death anywhere after its first quarter."""
    tail = text[len(text) * 2 // 3 :]
    for status, words in _DISPOSITIONS_READ:
        where = text[len(text) // 4 :] if status == 20 else tail
        for found in words.finditer(where):
            if not _NOT_HIM.search(where[max(0, found.start() - 80) : found.start()]):
                return status
    return HOME if re.search(r"\bhome\b", tail, re.IGNORECASE) else None
