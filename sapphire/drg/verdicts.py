"""What a note asks itself, or tells of somebody else's thought, and then answers with no: "Sepsis? Lactate 1.1, SOFA 0: no."

    refused(text, start, end) -> (start, end) | None     # the words that refuse what text[start:end] names
    asked(text, start, end) -> (start, end) | None       # the marks that only ask about it, or quote somebody

A trigger and its scope (`status.py`) end with the sentence; a verdict comes when the evidence has been told. It is looked for behind a doubt
alone: after a question mark, after what the triage, a query form or the night team thought, after words in quotes.
"""

import re

from sapphire.drg.tokens import BREAK, tokens

REACH = 170  # characters from a doubt to its verdict
BEHIND = 60  # characters before a mention in which somebody's thought may be told
LIST = 220  # characters from a heading such as "Not found:" to the last of its list
# Characters behind a mention that are looked at for what is said at once. Without a bound a run of blanks takes time by its square.
AHEAD = 300

_MADE = (
    r"(?:met|made|diagnosed|dx'?d|called|named|documented|entered|signed|pursued|established|accepted|supported|present|agreed|there|carried"
    r"|recorded|listed|coded|confirmed|thought|felt|believed|suspected|seen|found|charted|proven|borne out|declared|assigned|invoked|ticked|sent|on (?:the|his|her|our) list)"
)
_GONE = (
    r"(?:(?:set|put|laid|left) (?:aside|down)|withdrawn|rejected|dropped|dismissed|discounted|struck|crossed (?:off|out)|let go"
    r"|off (?:the|her|his|our) (?:\w+ )?(?:list|table)|off list|excluded|ruled out|refuted|retracted|disproven|unproven|superseded)"
)
_IS = r"(?:(?:was|were|is|are|has|have|had|be|been|being|also|both|all|each|then|therefore|since|later|itself|never|ever|briefly|quickly|soon|formally|specifically)\s+)*"
_OVER = r"(?=\s*(?:[.,;:)]|$|\n|by\b|on\b|in\b|at\b|per\b|with\b|as\b|after\b|and\b|the\b))"  # what follows a verdict that has no object
# Right after the mention, or after the words with which it shares the verdict: "stroke and TIA both refused".
_AT_ONCE = re.compile(
    r"[\"'”’]?\s*(?:\([^()\n]{1,70}\)\s*)?(?:(?:and|or|nor|&|/)\s+[^.;,:\n]{1,45}?\s(?:both|each|all|were|are|neither)\s+)?(?:(?:criteria|diagnosis|dx|label|as a dx|\([^()\n]{1,30}\))\s+)?(?:"
    rf"{_IS}(?:not|wasn't|isn't|weren't)\s+(?:\w+ly )?(?:in (?:play|question)|{_MADE})"
    rf"|{_IS}(?:{_GONE}|refused|removed|taken (?:off|down|out)|deleted|denied|excused){_OVER}"
    r"|(?:also|all|both)\s+out\b(?=\s*[.,;)]|\s*$)|out (?:by|per)\b"
    r"|(?:never|did(?:n't| not)|does(?:n't| not))\s+(?:develop|show|c[oa]me|happen|appear|occur|fit|follow|recur|seen|diagnosed|materiali[sz]e)\w*"
    r"|(?:was|were)?\s*sent\b[^.;:\n]{0,40}?\b(?:neg|negative)\b|and\s+(?:\w+ ){0,2}\w+ (?:was |were |both |all )*(?:neg|negative)\b"
    r"|(?:,\s*(?:and |or )?[\w /'-]{2,30}){1,5}?(?<!cannot be)(?<!not be)\s+(?:(?:were|was|are|all|both|each)\s+)*(?:excluded|ruled out)\b(?=\s*(?:[.,;:)]|$|by\b|with\b))"
    r"|(?:,\s*(?:and |or )?[\w /'-]{2,30}){2,5}?\s+all (?:out|neg|negative|absent)\b"
    r"|[:=-]?\s*(?:no|none|never|nope)\b(?=\s*(?:[.,;:)(]|$))"
    r")",
    re.IGNORECASE,
)
# Of what might have been done: "TIPS discussed, not needed".
_NOT_DONE = re.compile(
    r"[\"'”’]?\s*(?:\([^()\n]{1,50}\)\s*)?(?:(?:was|were|is|has been|been|but|then|also)\s+)*(?:(?:discussed|offered|considered|proposed|suggested|recommended|advised|talked (?:about|over)|raised)\b[^.;\n]{0,45}?\b)?"
    r"(?:not (?:\w+ )?(?:needed|done|performed|required|indicated|attempted|necessary|undertaken|pursued|wanted|taken|placed|chosen|repeated|sent)|(?:judged|deemed|thought) (?:too )?(?:hazardous|risky|unsafe|unsuitable|futile)|never (?:needed|done|required|placed)|declined|refused|deferred|cancell?ed|unnecessary|avoided|postponed|put off)\b",
    re.IGNORECASE,
)
# Somebody's thought before the mention, and after it.
_THOUGHT = re.compile(
    r"(?:\bquestion(?:ed|s)?\b|\bqueried\b|\basked\b|\bwas it\b|\bhad it been\b|\bcould (?:it|this) be\b|\bis (?:it|this)\b|\bconsider\w*|\bsuspect\w*|\bfear\w*|\bworr\w+|\braised?\b"
    r"|\boffered\b|\bflagg?\w*|\bwrote\b|\bwritten\b|\bcall(?:ed|s|ing)?\b|\blabel\w*|\bscreened\b|\blooked\b|\btalked\b|\bthought\b|\bthink\b|\bsaid\b|\bsays\b|\blisted\b|\bbox\b|\btemplate\b|\bguess\w*|\bwatched\b"
    r"|\bmention\w*|\bwondered\b|\bsuggest\w*|\bpathway\b|\bbundle\b|\bpossible\b|\bpossibly\b|\brule[ -]out\b|\br/o\b|\btook\b|\btaken\b|\bimpression\b|\b(?:ED|ER|triage|transfer|admission|admitting) (?:dx|diagnosis)\b|\bversus\b|\bvs\b|\bcame (?:in )?(?:as|with)\b"
    r"|\bsent (?:in )?(?:as|for|with)\b|\bbilled\b|\bcarried\b|\bclinic saw\b|\bcopied\b|\bbelieved\b|\bnotion of\b|\bidea of\b)",
    re.IGNORECASE,
)
_THOUGHT_AFTER = re.compile(
    r"[\"'”’]?\s*(?:\([^()\n]{1,50}\)\s*)?(?:in the|on the)?\s*(?:(?:was|were|had been|has been|is|on)\s+)?(?:also |only |briefly |first )*(?:asked|considered|raised|thought of|suspected|feared|listed|flagged|queried|wondered|mentioned|entertained|offered|called"
    r"|written|on the|on our|in the|discussed|debated|guessed|copied|carried|a thought|the first|screen\w*|flag\w*|box|bundle|alert|pathway|template|query|note\b|label)",
    re.IGNORECASE,
)
_ASKED = re.compile(r"[\"'”’)]?\s*\?")
_ASKED_BEFORE = re.compile(r"(?<![\w?])\?+[\"“'(]?$")
_OPENS, _CLOSES = ('"', "“"), re.compile(r"[,.]?[\"”]")
# The verdict.
_VERDICT = re.compile(
    r"(?:(?<=[.,;:(—–-] )|\b(?:it|this|that|they|which|and|but|criteria|diagnosis|attending|team|ID)\s+)(?:"
    rf"(?:was|were|is|are|had been)?\s*\b(?:not|never)\s+(?:\w+ly )?{_MADE}{_OVER}"
    rf"|(?:was|were|is|are|had been|then|therefore|later|both|all|\s)*{_GONE}{_OVER}"
    r")"
    r"|\b(?:it|this|that|they|these|which|and) (?:was|were|is|are)(?:n't| not| never)\b(?=\s*(?:[.,;:)]|$|so\b|it\b|that\b|one\b|there\b|in play\b))"
    r"|\b(?:did|do|does|could|would)(?:n't| not) (?:have|make|think|believe|treat|agree|meet|find|call|fit|support|diagnose|name|take|sign|confirm)\b"
    r"(?=\s*(?:[.,;:)]|$|so\b|it\b|that\b|this\b|one\b|criteria\b|(?:the|a|any) (?:diagnosis|criteria|definition|term|word|name|label)\b))"
    r"|\bdisagree\w*|\b(?:nobody|no one) (?:\w+ )?(?:called|named|thought|believed|agreed|signed|wrote|diagnosed|treated|found) (?:it|so|that|this|one)\b"
    r"|\bnot (?:so|it|that|true|septic|the case)\b|\bnever (?:had|met|made|called|treated) (?:it|one|that|this|as such)\b"
    r"|\bwithdrew\b|\bdiscarded\b|\blet (?:it|that|this) go\b|\btook (?:it|that|this) (?:off|down|out)\b|\bsigned off\b"
    r"|(?:\b(?:answer(?:ed)?(?: was)?|says?|said|wrote|is|was|and|per|(?:attending|team|ID|ICU|hospitalist|intensivist|surgery|neurology|cardiology|cards|nephrology|renal|both):?)|[:=,;.?—–-])\s+no\b(?=\s*(?:[.,;:)–—-]|$|per\b))"
    r"|(?<!: )(?<!:, )(?<!: , )\bnone\b(?=\s*(?:[.,;:)]|$|found\b|seen\b|there\b|of it\b))|\bnever\b(?=\s*[.,;:)])",
    re.IGNORECASE,
)
_YES = re.compile(
    r"\b(?:yes|confirmed|proved|proven|turned out|indeed|it was\b(?! not| never)|positive|became|treated as such|agreed with|grew)\b",
    re.IGNORECASE,
)
_NO = re.compile(
    r"\b(?:no|not|never|without|isn't|wasn't)\s+(?:(?:an?|any|acute|new|true|real|frank|active)\s+)?(?=\w)",
    re.IGNORECASE,
)
_NEW_ITEM = re.compile(r"\n\s*\n|\n\s*(?:[-*•#>]|→|\d+[.)])\s")
_DENIED_HEAD = re.compile(
    r"\b(?:not (?:found|present|seen|diagnosed|supported|there)|looked for and (?:not found|absent)|excluded|ruled out|could exclude|what (?:it|this) (?:is|was) not(?:, as far as can be shown)?|(?:it|this) was not)\s*:",
    re.IGNORECASE,
)


def refused(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where the text says that text[start:end] is not so, apart from what the triggers of its sentence say."""
    if found := _AT_ONCE.match(text, end, end + AHEAD) or _NOT_DONE.match(text, end, end + AHEAD):
        return found.span()
    if span := _listed(text, start):
        return span
    question = bool(asked(text, start, end))
    return _verdict(text, start, end, question) if question or _thought_of(text, start, end) else None


def asked(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Where the text puts text[start:end] as a question, or in quotes as somebody's word."""
    if found := _ASKED.match(text, end):
        return found.span()
    if found := _ASKED_BEFORE.search(text, max(0, start - 4), start):
        return found.span()
    if text[start - 1 : start] in _OPENS and (found := _CLOSES.match(text, end)):
        return start - 1, found.end()
    return None


def _thought_of(text: str, start: int, end: int) -> bool:
    """Whether the text tells text[start:end] as somebody's thought."""
    if _THOUGHT_AFTER.match(text, end, end + AHEAD):
        return True
    before = text[max(0, start - BEHIND) : start]
    *_, last = (None, *_THOUGHT.finditer(before))
    return bool(last) and not re.search(r"[.;:]\s|\n\s*\n", before[last.end() :])


def _listed(text: str, start: int) -> tuple[int, int] | None:
    """A heading such as "Not found:" that governs the list in which the mention stands."""
    before = text[max(0, start - LIST) : start]
    *_, last = (None, *_DENIED_HEAD.finditer(before))
    if last is None or re.search(r"\.\s|\n\s*\n|;", re.sub(r"\([^()]*\)", "", before[last.end() :])):
        return None
    return start - len(before) + last.start(), start - len(before) + last.end()


def _verdict(text: str, start: int, end: int, question: bool) -> tuple[int, int] | None:
    """The first words behind the mention, within its paragraph or item, that refuse it; `question`: the text asks about it."""
    last = min(len(text), end + REACH)
    if item := _NEW_ITEM.search(text, end, last):
        last = item.start()
    spans = [
        found.span()
        for found in _VERDICT.finditer(text, end, last)
        # "Pending: no" answers a heading of its own, as "Complications: none" does.
        if question or found[0][0] != ":" or not re.search(r"[.!](?!\d)", text[end : found.start()])
    ]
    if again := _denied_again(text, start, end, last):
        spans.append(again)
    if not spans:
        return None
    first = min(spans)
    return None if _YES.search(text, end, first[0]) else first


def _denied_again(text: str, start: int, end: int, last: int) -> tuple[int, int] | None:
    """Where the same words come again with a no before them: "PNA? CT clear. No pneumonia.\""""
    named = {token.stem for token in tokens(text[start:end]) if token.value is None and token.stem != BREAK}
    for no in _NO.finditer(text, end, last):
        following = tokens(text[no.end() : no.end() + 30])
        if following and {token.stem for token in following if token.start == following[0].start} <= named:
            return no.span()
    return None
