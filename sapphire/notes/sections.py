"""Where the sections of a discharge summary begin and end; above all its hospital course.

A heading is told by its words, not by its looks: each word must come from the small vocabulary that headings of
discharge summaries are made of, and one must be a heading's noun ("INSTRUCTIONS GIVEN TO THE PATIENT AT THE TIME OF
DISCHARGE"). Problem headings inside a course ("# CHF:", "ACUTE ISSUES:") hold words from outside it, so they end nothing.
Headings are sought where a line begins. What stands for a lost line break counts as one: a written `\\n`, an HTML tag,
in a text with hardly any line breaks `,` directly before a capital (as in MTSamples), and, if even that is missing, any
capital letter.
"""

import re
from functools import lru_cache
from typing import NamedTuple


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Words that only join others.
_SMALL = _words("a an and as at by during for from in of on or per s so the this these to up upon with her his")
# Where a course took place: "course" beside one of these is the hospital course.
_STAY = _words("hospital hospitalization hospitalisation hosp inpatient admission stay ward")
# A course told in the history: what happened elsewhere or before.
_ELSEWHERE = _words("outside osh prior previous past ed er emergency prehospital preadmission transferring")
_TOLD = _words("summary synopsis narrative overview progress events")
# How a course is divided: said in its heading, or as a heading within it.
_DIVISION = _words(
    """
    brief concise short detailed problem problems issue issues system systems organ list date treatment patient
    postoperative postop operative post icu micu sicu nicu clinical medical surgical history physical h p
    discussion management findings procedures procedure rendered given event
    """
)
_NOUNS = _words(
    """
    diagnosis diagnoses dx history complaint complaints illness medication medications meds allergy allergies
    exam examination procedure procedures operation operations surgery surgeries lab labs laboratory
    laboratories data study studies imaging radiology tests results findings consultation consultations consult
    consults consultants condition disposition instructions instruction followup follow plan plans diet activity
    activities prognosis complications complication impression assessment recommendations summary immunizations
    vaccinations appointments appointment physician facility provider indication indications reason
    prescriptions services service medicines status treatment restrictions precautions transfusions
    """
)
_MODIFIERS = _words(
    """
    discharge discharged admission admitting admit admitted hospital hospitalization hospitalisation stay
    transfer final principal primary secondary additional other associated comorbid preliminary provisional
    differential active current home outpatient inpatient preadmission pre preoperative postoperative preop
    postop operative past present previous prior medical surgical social family personal birth gyn ob obstetric
    obstetrical gynecologic gynecological psychiatric substance allergic adverse drug food reactions reaction
    chief presenting brief short interval review systems physical mental h p hp pertinent significant relevant
    important abnormal laboratory diagnostic radiologic radiographic x ray rays microbiology pathology major
    minor invasive performed done list prescribed taken given time date day patient patients continuing care
    recommended return attending primary referring consulting requested blood initial values list
    """
)
_VOCABULARY = _NOUNS | _MODIFIERS | _SMALL
# What closes a stay; other headings ("LABS:", "PLAN:", "Discharge labs:") may also stand under a problem.
_CLOSING = _words("diagnosis diagnoses dx disposition condition instructions prognosis followup follow")
_MEDICATIONS = _words("medication medications meds medicines prescriptions")
_DOORS = _words("admission discharge discharged transfer preadmission")
_BARE = _words("hospital stay narrative clinical summary")

_MARK = r"(?P<mark>\#{1,6}[ ]{0,3}|[-•*+][ ]{1,3}|\(?(?:\d{1,2}|[IVX]{1,4}|[A-Z])[.)][ ]{0,3})?"
_NAME = r"(?P<name>[A-Za-z](?:[\w/&()'’\#*, ]{1,40}+-(?=\w)){0,2}+[\w/&()'’\#* ]{2,70}+)"
_STOP = r"(?P<stop>:|(?=[\n\t\]=]|\Z)|\.(?=\s)|[-–—]+(?=\s))"
_HEADING = r"(?=[ \t]{0,40}+" + _MARK + r"[*=~\[ \t]{0,40}+" + _NAME + _STOP + r")"
_AT_LINE = re.compile(r"\n" + _HEADING)
# "HOSPITAL COURSE The patient …": capitals whose colon was lost.
_NO_COLON = re.compile(
    r"\n(?=[ ]{0,40}+(?P<mark>)(?P<name>(?:[A-Z&/]{2,20}[ ]){1,7}[A-Z]{3,20})(?P<stop>)[ ]+[A-Z]?[a-z])"
)
# Within a line: capitals after the end of a sentence; in a text without lines, after any blank.
_AFTER_SENTENCE = re.compile(r"[.;:?!)](?P<gap>[ ]{1,3})(?=[A-Z]{3})" + _HEADING)
_ANYWHERE = re.compile(r"(?P<gap>[ ])(?=[A-Z])" + _HEADING)
_LEAD = re.compile(r"(?:[\s:,*=\]~]|[-–—](?=\s)|\\n|</?\w{1,10}\s*/?>)*")
_TAIL = re.compile(r"(?:[\s,*=\[]|\\n|</?\w{1,10}\s*/?>)+\Z")

_WITHIN_BRACKETS = re.compile(r"\([^()]{20,}\)?")
_BLOCK_TAGS = re.compile(
    r"(?:\s{0,9}</?(?:br|p|div|li|ul|ol|tr|td|th|table|h[1-6])\b[^<>\n]{0,80}>)+\s{0,9}", re.IGNORECASE
)
_TAG = re.compile(r"</?[a-zA-Z][^<>\n]{0,80}>")
_COMMA_FOR_BREAK = re.compile(r",(?=[A-Z])|(?<=[A-Z.:]),(?=\d{1,2}\.)")
_LINE_LENGTH = 400  # characters; a text with fewer breaks than one in so many has lost them


# Of a note with so many words or fewer a model reads everything: it has room for it, and a diagnosis often stands under another heading than the course's.
WHOLE = 600


class Section(NamedTuple):
    """A heading as written and the span of its body, `text[start:end]`."""

    heading: str
    start: int
    end: int


class _Heading(NamedTuple):
    name: str
    at: int
    body: int
    mark: str
    kind: str  # "course"; "end" closes a stay, "main" opens another section; "last" and "word" are these in one word
    rank: int  # of courses: 0 names the hospital course, 1 sums up the stay, 2 is some course
    alone: bool  # nothing else on its line
    apart: bool  # a blank line before it


def hospital_course(text: str) -> tuple[int, int] | None:
    """Span `(start, end)` of the brief hospital course's text, without its heading; None when no heading tells it.

    The course begins at the heading that names it best, the longest of equals, and ends at the next main heading
    (medications on admission, discharge diagnosis, disposition, …); headings by problem, system or unit stay inside.
    """
    headings = _main(_headings(text))
    spans, end = [], len(text)
    for heading in reversed(headings):
        if heading.kind != "course":
            end = heading.at
        else:
            start, stop = _body(text, heading.body, end)
            spans.append((heading.rank, start - stop, start, stop))
    spans = [span for span in spans if span[1]]
    return min(spans)[2:] if spans else None


def passage(text: str) -> tuple[int, int] | None:
    """Span of what a model reads of a note: its brief hospital course, as in the paper. None for all of it: of a note of at most
    WHOLE words, and where no heading tells the course."""
    return hospital_course(text) if len(text.split()) > WHOLE else None


def sections(text: str) -> list[Section]:
    """The main sections in the order of the text; a body may be empty. What precedes the first heading belongs to none."""
    headings = _main(_headings(text))
    ends = [later.at for later in headings[1:]] + [len(text)]
    return [
        Section(heading.name, *_body(text, heading.body, end)) for heading, end in zip(headings, ends, strict=False)
    ]


def _body(text: str, start: int, end: int) -> tuple[int, int]:
    start = min(_LEAD.match(text, start).end(), end)
    tail = _TAIL.search(text, max(start, end - 50), end)
    return start, max(start, tail.start() if tail else end)


def _with_lines(text: str) -> tuple[str, bool]:
    """A line break and the text at its own length, where what stands for a break is one; whether its breaks were lost.

    Every line so begins with a break, which makes headings quick to find; places in it are one more than in the text.
    """
    lines = "\n" + text.replace("\\n", "\n ").replace("\r\n", " \n").replace("\r", "\n")
    if "<" in lines:
        lines = _BLOCK_TAGS.sub(lambda tags: "\n".ljust(len(tags[0])), lines)
        lines = _TAG.sub(lambda tag: " " * len(tag[0]), lines)
    lost = _few_lines(lines)
    return (_COMMA_FOR_BREAK.sub("\n", lines) if lost else lines), lost


def _few_lines(lines: str) -> bool:
    return (lines.count("\n") - 1) * _LINE_LENGTH < len(lines)


def _headings(text: str) -> list[_Heading]:
    lines, lost = _with_lines(text)
    found: dict[int, _Heading] = {}
    for pattern in (_AT_LINE, _NO_COLON):
        for match in pattern.finditer(lines):
            if heading := _at_line(lines, match, lost):
                found.setdefault(heading.body, heading)
    for match in (_ANYWHERE if _few_lines(lines) else _AFTER_SENTENCE).finditer(lines):
        if heading := _within_line(lines, match):
            found.setdefault(heading.body, heading)
    return sorted(found.values(), key=lambda heading: heading.at)


def _at_line(lines: str, match: re.Match, lost: bool) -> _Heading | None:
    name = match["name"].strip(" *#")
    kind, rank = _kind(name, _titled(name))
    if not kind or not (name[0].isupper() or match["stop"] == ":"):
        return None
    rest = lines[match.end("stop") : match.end("stop") + 40].lstrip(" *=]:")
    apart = lost or re.search(r"\n\s*\n\s*\Z", lines[max(0, match.start() - 80) : match.start() + 1])
    mark = (match["mark"] or "").strip()
    mark = mark if not mark or mark[0] == "#" else "-" if mark in "-•*+" else "1"
    return _Heading(
        name, max(0, match.start() - 1), match.end("stop") - 1, mark, kind, rank, rest[:1] in ("", "\n"), bool(apart)
    )


def _within_line(lines: str, match: re.Match) -> _Heading | None:
    """A heading inside a line: titled, with a colon, wholly of known words, and not the rest of a longer name."""
    name = match["name"].strip(" *#")
    if match["stop"] != ":" or not _titled(name):
        return None
    kind, rank = _kind(name, titled=False)
    word_before = re.search(r"(\w+)\W*\Z", lines[max(0, match.start("gap") - 20) : match.start("gap")])
    if not kind or rank > 1 or (word_before and word_before[1].lower() in _ELSEWHERE):
        return None
    return _Heading(name, match.start("gap") - 1, match.end("stop") - 1, "", kind, rank, False, False)


@lru_cache(4096)
def _titled(name: str) -> bool:
    """Whether the words that matter begin with capitals."""
    return all(not word[0].islower() or word in _SMALL for word in re.findall(r"\w+", name))


@lru_cache(4096)
def _kind(name: str, titled: bool) -> tuple[str, int]:
    """What a heading of this name opens, "" for nothing, and its rank among courses."""
    words = _words(" ".join(re.findall(r"[a-z0-9]+", _WITHIN_BRACKETS.sub(" ", name.lower()))))
    if not words & _ELSEWHERE:
        told = words & _TOLD and "discharge" not in words
        known = words <= _VOCABULARY | _STAY | _TOLD | _DIVISION | {"course"}
        if "course" in words and words & _STAY and (known or titled):
            return "course", 0
        if known and told and words & _STAY:
            return "course", 1
        if known and ("course" in words or (told and words <= _BARE)):
            return "course", 2
    if not (words <= _VOCABULARY and words & _NOUNS):
        return "", 0
    weighty = words - _SMALL
    if len(weighty) == 1:
        return ("last" if weighty & _CLOSING else "word"), 0
    return ("end" if weighty & _CLOSING or (weighty & _MEDICATIONS and weighty & _DOORS) else "main"), 0


def _main(headings: list[_Heading]) -> list[_Heading]:
    """Headings that look like the course's own: what is marked or written otherwise is a heading inside a section."""
    courses = [heading for heading in headings if heading.kind == "course"]
    if not courses:
        return [heading for heading in headings if not heading.mark]
    best = min(courses, key=lambda heading: heading.rank)
    return [heading for heading in headings if heading.mark in ("", best.mark) and _like(heading, best)]


def _like(heading: _Heading, best: _Heading) -> bool:
    alike = best.name.isupper() == heading.name.isupper()
    if heading.kind == "last":
        return alike
    if heading.kind == "word":
        return alike and (heading.alone or heading.apart or best.name.isupper())
    if heading.kind == "main":
        return heading.alone or heading.apart or not best.alone or (alike and best.name.isupper())
    return True
