import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapphire.completions import ANSWER_CLOSE, ANSWER_OPEN, FORM, MAX_STEPS, THINK_CLOSE, THINK_OPEN, compose, parse
from sapphire.drg.codebook import VERSIONS, codebook

BOOK = codebook()
FUZZ = settings(deadline=None, derandomize=True)
TITLE = "HEART FAILURE AND SHOCK WITH MCC"

# Text with many tags, brackets, list markers and abbreviations, as a model in training may write it.
PIECES = [
    *FORM,
    TITLE,
    "<",
    ">",
    "</",
    "<think",
    " ",
    "\n",
    "\n\n",
    "- ",
    "1. ",
    "(2) ",
    "a) ",
    "---",
    "Dr. ",
    "E. coli. ",
]
MESSY = st.lists(
    st.sampled_from([*PIECES, "Na 2.1", "b.i.d. The", "ok: ", "it, ", "\t", "\x1f"]) | st.text(max_size=8)
).map("".join)
WITHOUT_TAGS = MESSY.map(lambda text: re.sub("</?(think|answer)>", "", text)).filter(
    lambda text: not any(tag in text for tag in FORM)
)


def steps(think: str) -> tuple[str, ...]:
    return parse(compose(think, TITLE), BOOK).steps


def test_a_well_formed_completion():
    parsed = parse(
        "<think>\nBNP was 1,840. An MCC is present.\n</think>\n<answer>Heart failure and shock with MCC</answer>\n",
        BOOK,
    )
    assert parsed.well_formed
    assert parsed.think == "BNP was 1,840. An MCC is present."
    assert parsed.answer == "Heart failure and shock with MCC"
    assert parsed.drg == BOOK.drgs["291"]
    assert parsed.steps == ("BNP was 1,840.", "An MCC is present.")


@pytest.mark.parametrize(
    ("text", "think", "answer"),
    [
        ("", "", ""),
        ("It is heart failure.", "", ""),
        (f"<answer>{TITLE}</answer>", "", TITLE),
        (f"No tags before.<answer>{TITLE}</answer>", "", TITLE),
        ("<think>never closed", "never closed", ""),
        (f"<think>not closed <answer>{TITLE}</answer>", "not closed", TITLE),
        (f"opened in the prompt</think><answer>{TITLE}</answer>", "opened in the prompt", TITLE),
        (f"<think>a</think><answer>{TITLE}", "a", TITLE),
        (f"<think>a</think><answer>{TITLE}</answer> Done.", "a", TITLE),
        (f"Sure: <think>a</think><answer>{TITLE}</answer>", "a", TITLE),
        (f"<think>a</think> so <answer>{TITLE}</answer>", "a", TITLE),
        (f"<answer>{TITLE}</answer><think>a</think>", "a", TITLE),
        (f"<think>a<think>b</think></think><answer>{TITLE}</answer>", "", TITLE),
        (f"<think>a</think><think>b</think><answer>{TITLE}</answer>", "", TITLE),
        (f"<think>a</think><answer>{TITLE}</answer><answer>{TITLE}</answer>", "a", ""),
        (f"<think>a</think><answer><answer>{TITLE}</answer></answer>", "a", ""),
        (f"<think>a</think><answer>{TITLE}</answer></answer>", "a", TITLE),
        (f"<think>I must write <answer> now</think><answer>{TITLE}</answer>", "I must write", ""),
        (f"<THINK>a</THINK><answer>{TITLE}</answer>", "", TITLE),
    ],
)
def test_malformed_completions_show_what_is_unambiguous(text, think, answer):
    parsed = parse(text, BOOK)
    assert not parsed.well_formed
    assert (parsed.think, parsed.answer) == (think, answer)
    assert parsed.drg == (BOOK.drgs["291"] if answer == TITLE else None)


@pytest.mark.parametrize(
    "answer", ["291", f"291 - {TITLE}", f"MS-DRG 291: {TITLE}", f"{TITLE} (291)", "HEART FAILURE", ""]
)
def test_an_answer_is_a_title_and_nothing_else(answer):
    parsed = parse(compose("Reasoning.", answer), BOOK)
    assert parsed.well_formed and parsed.drg is None


@pytest.mark.parametrize("version", VERSIONS)
def test_every_title_is_read_as_itself_in_its_version(version):
    book = codebook(version)
    for drg in book.drgs.values():
        assert parse(compose("Reasoning.", drg.title.upper()), book).drg is drg


def test_compose_refuses_tags_inside_a_part():
    with pytest.raises(ValueError, match="The reasoning contains the tag <answer>"):
        compose("I write <answer>", TITLE)
    with pytest.raises(ValueError, match="The answer contains the tag </think>"):
        compose("ok", "x</think>")


@FUZZ
@given(WITHOUT_TAGS, WITHOUT_TAGS)
def test_parse_undoes_compose(think, answer):
    text = compose(think, answer)
    parsed = parse(text, BOOK)
    assert parsed.well_formed
    assert (parsed.think, parsed.answer) == (think.strip(), answer.strip())
    assert compose(parsed.think, parsed.answer) == text


@FUZZ
@given(MESSY)
def test_any_text_is_parsed_and_well_formed_means_exactly_the_form(text):
    parsed = parse(text, BOOK)
    inside = "(?:(?!</?(?:think|answer)>).)*"
    form = rf"\s*{THINK_OPEN}{inside}{THINK_CLOSE}\s*{ANSWER_OPEN}{inside}{ANSWER_CLOSE}\s*"
    assert parsed.well_formed == bool(re.fullmatch(form, text, re.DOTALL))
    assert text[parsed.start :].startswith(parsed.think)
    assert parsed.steps == tuple(text[start:end] for start, end in parsed.step_spans)


@FUZZ
@given(WITHOUT_TAGS)
def test_every_character_belongs_to_one_step_but_white_space_and_markers(think):
    text = compose(think, TITLE)
    parsed = parse(text, BOOK)
    assert len(parsed.steps) <= MAX_STEPS
    assert all(step and step == step.strip() for step in parsed.steps)
    at, rest = parsed.start, []
    for start, end in parsed.step_spans:
        assert at <= start < end
        rest.append(text[at:start])
        at = end
    rest.append(text[at : parsed.start + len(parsed.think)])
    for gap in rest:
        for word in gap.split():
            assert re.fullmatch(r"[-*•·‣▪◦–—]|#{1,6}|\(?\d{1,2}[.)]|\(?[a-z]\)|[-*_=]{3,}", word), gap
    assert parse(compose(parsed.think, parsed.answer), BOOK).steps == parsed.steps


def test_list_items_are_steps_whatever_their_marker():
    for markers in ("1. 2. 3.", "1) 2) 3)", "(1) (2) (3)", "- - -", "* * *", "• • •", "a) b) c)", "# # #"):
        text = "\n".join(f"{marker} Finding {n}. More of it." for n, marker in enumerate(markers.split()))
        assert steps(text) == tuple(f"Finding {n}. More of it." for n in range(3))


def test_an_item_keeps_its_continuation_lines():
    text = "Secondary conditions:\n- AKI: creatinine 2.4,\n  a CC\n  Not excluded.\n- Anemia\n\nSo the level is CC."
    assert steps(text) == (
        "Secondary conditions:",
        "AKI: creatinine 2.4,\n  a CC\n  Not excluded.",
        "Anemia",
        "So the level is CC.",
    )


def test_paragraphs_are_steps():
    assert steps("He had a fever. It was sepsis.\n\nAKI is a CC. ATN is an MCC.\nThe DRG follows.") == (
        "He had a fever. It was sepsis.",
        "AKI is a CC. ATN is an MCC.",
        "The DRG follows.",
    )


def test_a_wrapped_line_and_a_line_after_a_colon_go_on():
    assert steps("The principal diagnosis is heart\nfailure, acute.\nSecondary:\n\nAKI") == (
        "The principal diagnosis is heart\nfailure, acute.",
        "Secondary:\n\nAKI",
    )


def test_one_paragraph_becomes_sentences_that_keep_abbreviations_and_numbers_whole():
    sentences = (
        "Dr. Smith saw the pt. Thursday vs. Friday.",
        "Lactate was 2.1 and K 3.0.",
        "Furosemide i.v. Then b.i.d. Orally, e.g. 40 mg.",
        "Cultures grew E. Coli!",
        "Was it sepsis (N17.0)?",
        '"It was."',
        "(So it counts.)",
        "Codes are A41.51 and N17.9.",
        "The DRG is 871.",
    )
    assert steps(" ".join(sentences)) == sentences


def test_numbers_that_open_a_sentence_are_its_marker():
    assert steps("1. Sepsis is principal. 2. AKI is a CC. 3. The level was 2. Then it fell.") == (
        "Sepsis is principal.",
        "AKI is a CC.",
        "The level was 2.",
        "Then it fell.",
    )


def test_steps_beyond_the_limit_form_the_last():
    items = [f"- Item {n}" for n in range(200)]
    split = steps("\n".join(items))
    assert len(split) == MAX_STEPS
    assert split[:2] == ("Item 0", "Item 1")
    assert split[-1].startswith(f"Item {MAX_STEPS - 1}\n") and split[-1].endswith("Item 199")


@pytest.mark.parametrize(
    "piece", ["<", "<think>", "</think><answer>", "<think", "</", ". A", "a.", "\n- a", "- ", " \t", "1. 2. "]
)
def test_a_megabyte_of_anything_is_read_in_linear_time(piece):
    text = f"<think>{piece * (1_000_000 // len(piece))}</think><answer>{TITLE}</answer>"
    start = time.perf_counter()
    parsed = parse(text, BOOK)
    assert time.perf_counter() - start < 5
    assert len(parsed.steps) <= MAX_STEPS
    assert time.perf_counter() - start < 5  # a quadratic splitter would take minutes
