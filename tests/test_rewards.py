import itertools
import json
import time

import pytest

from sapphire.completions import compose, parse
from sapphire.drg.codebook import LEVELS, VERSIONS, codebook, fold
from sapphire.rewards import (
    BALANCED,
    DENSE,
    LEVEL_NAMES,
    SCHEMES,
    STRICT,
    Outcome,
    Term,
    breakdown,
    cot_first_penalty,
    first_words,
    format_reward,
    outcome,
    title_in,
    total,
)

BOOK = codebook()
GOLD = BOOK.drgs["291"]  # Heart Failure and Shock with MCC
THINK = "BNP was 1,840 and the ejection fraction 20%. ATN makes it an MCC."


def completion(drg: str, think: str = THINK):
    return parse(compose(think, BOOK.drgs[drg].title.upper()), BOOK)


def accuracy(drg: str, gold: str, scheme: str = "dense") -> float:
    return breakdown(completion(drg), BOOK.drgs[gold], head=THINK, scheme=scheme)[1].value


def test_the_papers_table():
    columns = ["full", "base", "severity", "nothing", "invalid"]
    assert list(Outcome) == columns
    assert [DENSE[column] for column in Outcome] == [2, 1.5, 0.5, -0.5, -1.5]
    assert [BALANCED[column] for column in Outcome] == [2, 1, 1, -0.5, -1.5]
    assert [STRICT[column] for column in Outcome] == [2, 0, 0, 0, -1.5]
    assert SCHEMES == {"dense": DENSE, "balanced": BALANCED, "strict": STRICT}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_title_answered_as_itself_earns_the_maximum(version):
    book = codebook(version)
    for gold in book.drgs.values():
        parsed = parse(compose(THINK, gold.title.upper()), book)
        for scheme, values in SCHEMES.items():
            terms = breakdown(parsed, gold, head=THINK, scheme=scheme)
            assert total(terms) == max(values.values()) == 2.0


@pytest.mark.parametrize("version", VERSIONS)
def test_a_title_that_contains_another_is_no_full_match(version):
    book = codebook(version)
    titles = [(fold(drg.title), drg) for drg in book.drgs.values()]
    pairs = [(a, b) for (inner, a), (outer, b) in itertools.permutations(titles, 2) if inner in outer]
    assert len(pairs) > 20
    for one, other in [*pairs, *((b, a) for a, b in pairs)]:
        parsed = parse(compose(THINK, one.title.upper()), book)
        assert parsed.drg is one
        assert outcome(parsed.drg, other) is not Outcome.FULL


@pytest.mark.parametrize("version", VERSIONS)
def test_an_outcome_is_what_the_checked_table_says(version):
    drgs = list(codebook(version).drgs.values())
    for predicted, gold in itertools.product(drgs[::7], drgs):
        result = outcome(predicted, gold)
        assert (result is Outcome.FULL) == (predicted is gold)
        assert (result in (Outcome.FULL, Outcome.BASE)) == (predicted.base_id == gold.base_id)
        if result is Outcome.SEVERITY:
            assert predicted.level == gold.level != "unsplit"


def test_outcomes_by_example():
    assert outcome(None, GOLD) is Outcome.INVALID
    assert outcome(BOOK.drgs["292"], GOLD) is Outcome.BASE
    assert outcome(BOOK.drgs["193"], GOLD) is Outcome.SEVERITY  # simple pneumonia with MCC
    assert outcome(BOOK.drgs["194"], GOLD) is Outcome.NOTHING


def test_levels_are_compared_whole():
    """The reference code finds WITH CC inside WITH CC/MCC and WITHOUT MCC inside WITHOUT CC/MCC."""
    one = {level: next(drg for drg in BOOK.drgs.values() if drg.level == level) for level in LEVELS}
    for a, b in itertools.permutations(LEVELS, 2):
        assert outcome(one[a], one[b]) in (Outcome.BASE, Outcome.NOTHING)
    assert set(LEVEL_NAMES) == set(LEVELS)


def test_a_with_that_is_no_severity_earns_no_severity():
    """207 WITH VENTILATOR SUPPORT >96 HOURS, 870 WITH MV >96 HOURS: no family is split, nothing is shared."""
    assert BOOK.drgs["207"].level == BOOK.drgs["870"].level == "unsplit"
    assert outcome(BOOK.drgs["870"], BOOK.drgs["207"]) is Outcome.NOTHING
    assert outcome(BOOK.drgs["207"], BOOK.drgs["208"]) is Outcome.NOTHING  # >96 and <=96 hours
    assert outcome(BOOK.drgs["872"], BOOK.drgs["871"]) is Outcome.BASE  # WITHOUT MV >96 HOURS WITH(OUT) MCC
    assert outcome(BOOK.drgs["870"], BOOK.drgs["871"]) is not Outcome.FULL


def test_versions_are_not_mixed():
    with pytest.raises(ValueError, match=r"version 40 and the right DRG of version 43\.1"):
        outcome(codebook("40").drgs["291"], GOLD)


def test_format_is_all_or_nothing():
    good = compose(THINK, GOLD.title)
    assert format_reward(parse(good, BOOK)) == 0
    assert format_reward(parse(f"\n {good} \n", BOOK)) == 0
    for bad in (good[1:], f"{good}.", good + good, good.replace("</think>", ""), f"<answer>{GOLD.title}</answer>", ""):
        assert format_reward(parse(bad, BOOK)) == -2


@pytest.mark.parametrize("tag", ["think_open", "think_close", "answer_open", "answer_close"])
def test_a_forced_tag_is_not_the_models_format(tag):
    assert format_reward(completion("291"), forced=["title", tag]) == -2
    assert format_reward(completion("291"), forced=("title",)) == 0


def test_an_unknown_forced_part_is_refused():
    with pytest.raises(ValueError, match="'think' is not a part"):
        format_reward(completion("291"), forced=("think",))
    with pytest.raises(ValueError, match="not a part"):
        breakdown(completion("291"), GOLD, forced="title")


def test_accuracy_by_scheme():
    for scheme, expected in {"dense": [2, 1.5, 0.5, -0.5], "balanced": [2, 1, 1, -0.5], "strict": [2, 0, 0, 0]}.items():
        assert [accuracy(drg, "291", scheme) for drg in ("291", "292", "193", "194")] == expected
    with pytest.raises(ValueError, match="choose one of: dense, balanced, strict"):
        accuracy("291", "291", "lenient")


def test_accuracy_is_not_counted_when_the_format_failed_but_says_what_it_would_have_been():
    terms = breakdown(parse(f"<answer>{BOOK.drgs['292'].title}</answer>", BOOK), GOLD)
    assert [term.value for term in terms] == [-2, 0, 0] and total(terms) == -2
    assert "Not counted" in terms[1].why and "+1.5" in terms[1].why and "291 Heart Failure" in terms[1].why
    forced = breakdown(completion("291"), GOLD, forced=("think_close", "answer_open", "title", "answer_close"))
    assert [term.value for term in forced] == [-2, 0, 0]
    assert "</think>, <answer>, </answer>" in forced[0].why and "+2" in forced[1].why


def test_without_a_gold_drg_only_what_can_still_change_is_pending():
    pending = breakdown(completion("291"), None)
    assert [term.value for term in pending] == [0, None, 0] and total(pending) is None
    invalid = breakdown(parse(compose(THINK, "DROPSY"), BOOK), None)
    assert [term.value for term in invalid] == [0, -1.5, 0]
    malformed = breakdown(parse(f"<answer>{GOLD.title}</answer>", BOOK), None)
    assert [term.value for term in malformed] == [-2, 0, 0]


def test_every_why_is_a_sentence_that_names_what_matched():
    whys = {drg: breakdown(completion(drg), GOLD)[1].why for drg in ("291", "292", "193", "194")}
    assert whys["291"] == "Full match: 291 Heart Failure and Shock with MCC is the right DRG."
    assert "base DRG is right (Heart Failure and Shock)" in whys["292"] and "with CC instead of with MCC" in whys["292"]
    assert "Only the severity is right (with MCC)" in whys["193"]
    assert "Neither" in whys["194"]
    missing = breakdown(parse("<think>a</think><answer></answer>", BOOK), GOLD)[1]
    assert missing.value == -1.5 and "missing" in missing.why
    assert "not the full title" in breakdown(parse(compose(THINK, "HEART FAILURE"), BOOK), GOLD)[1].why


def test_terms_have_names_and_go_into_json():
    terms = breakdown(completion("291"), GOLD)
    assert [term.name for term in terms] == ["format", "accuracy", "cot_first"]
    assert json.loads(json.dumps([(term.name, term.value, term.why) for term in terms]))
    assert total([Term("a", 1.5, ""), Term("b", -0.5, "")]) == 1.0 and total([]) == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_every_title_is_found_in_a_head(version):
    book = codebook(version)
    for drg in book.drgs.values():
        assert title_in(f"The answer is **{drg.title.upper()}**.", book) is drg


@pytest.mark.parametrize(
    ("head", "drg"),
    [
        ("This is heart failure and shock with mcc, I think.", "291"),
        ("HEART FAILURE/SHOCK WITH MCC", None),
        ("Heart failure and shock without CC/MCC", "293"),
        ("heart failure & shock with\nCC.", "292"),
        ("Heart failure and shock with CC/MCC", None),
        ("Transurethral prostatectomy with CC/MCC", "713"),
        ("Malignant breast disorders with CC/MCC", None),
        ("Non-malignant breast disorders with CC/MCC", "600"),
        ("The transurethral procedures without CC/MCC", "670"),
        ("Septicemia or severe sepsis with MV >96 hours was ruled out", "870"),
        ("Septicemia or severe sepsis without MV >96 hours with MCC", "871"),
        ("Respiratory system diagnosis with ventilator support ≤96 hours", "208"),
        ("Respiratory system diagnosis with ventilator support <= 96 hours", "208"),
        ("Respiratory system diagnosis with ventilator support 96 hours", None),
        ("He came with chest pain, then syncope and collapse.", None),
        ("Chest Pain and Syncope and Collapse", None),
        ("Pulmonary edema and respiratory failure on arrival.", None),
        ("The DRG is CHEST PAIN.", "313"),
        ("He had chest pain: 'SYNCOPE AND COLLAPSE'", "312"),
        ("PULMONARY EDEMA AND RESPIRATORY FAILURE fits.", "189"),
        ("History of psychoses; kidney transplant in 2011; normal newborn.", None),
        ("Meurethral stricture", None),
        ("NEUROPSYCHOSES", None),
        ("chest pain; CHEST x-ray clear, PAIN gone", None),
        ("chest pain, so HEADACHES WITH MCC is wrong", "102"),
        ("The base is HEART FAILURE AND SHOCK, the level is open", None),
        ("", None),
    ],
)
def test_titles_in_a_head(head, drg):
    found = title_in(head, BOOK)
    assert (found and found.drg) == drg
    assert cot_first_penalty(head, BOOK) == (-0.5 if drg else 0)


def test_a_megabyte_without_a_title_is_searched_in_linear_time():
    start = time.perf_counter()
    assert title_in("chest-pain-other-" * 60_000, BOOK) is None
    assert time.perf_counter() - start < 5


def test_the_first_words_stand_as_they_do_in_the_reasoning():
    think = "\n- one\r\ttwo  " + "word " * 60
    assert first_words(think) == think[: think.index("two") + len("two  ") + len("word ") * 47 - 1]
    assert first_words("one\r two ") == "one\r two" and first_words("") == ""


def test_cot_first_looks_at_the_head_only():
    late = completion("291", think="word " * 60 + GOLD.title.upper())
    assert breakdown(late, GOLD)[2].value == 0
    early = completion("291", think=f"{GOLD.title.upper()} it is. " + "word " * 60)
    term = breakdown(early, GOLD)[2]
    assert term.value == -0.5 and GOLD.title in term.why and "first 50 words" in term.why
    assert breakdown(early, GOLD, head="The tokens say otherwise")[2].value == 0
    assert "first 50 tokens" in breakdown(late, GOLD, head=GOLD.title)[2].why
    assert total(breakdown(early, GOLD)) == 1.5


def test_exactly_fifty_words_are_the_head_when_tokens_are_unknown():
    words = GOLD.title.upper()  # six words
    assert breakdown(completion("291", think="word " * 44 + words), GOLD)[2].value == -0.5
    assert breakdown(completion("291", think="word " * 45 + words), GOLD)[2].value == 0
