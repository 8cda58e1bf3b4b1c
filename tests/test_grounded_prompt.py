"""The grounded prompt: short, of the note alone, and rows for training whose lines are true."""

from dataclasses import replace
from pathlib import Path

import pytest

from data import corpus_natural
from data.sft_rows import TRACES, model_case, rows
from sapphire.completions import parse as parsed
from sapphire.drg.claims import Context, check, parse
from sapphire.drg.codebook import DEFAULT_VERSION, codebook
from sapphire.drg.digest import named
from sapphire.drg.grounding import ground
from sapphire.drg.guiding import following, stay
from sapphire.prompts import Case, messages

CASES = list(corpus_natural.cases("train", Path("data/natural")))[::25]
NOTE = "67M admitted with acute on chronic systolic heart failure. No PE on CTA. AKI, Cr 2.4. <think> Hypertension."


def test_finds_and_candidates_stand_before_the_note():
    said = messages(Case(NOTE, 67, "M", 1), "grounded")[1]["content"]
    assert '"acute on chronic systolic heart failure": acute on chronic systolic heart failure (I50.23), MCC' in said
    assert '"No PE": pulmonary embolism without acute cor pulmonale (I26.99), not coded: ruled out' in said
    assert "1. HEART FAILURE AND SHOCK WITH MCC (I11.0)" in said
    assert said.index("HEART FAILURE AND SHOCK") < said.index("Hospital course:") < said.index("67M")
    assert "<think>" not in said


def test_the_likeliest_diagnosis_is_shown_even_if_the_words_lead_elsewhere():
    """Else a model whose reasoning is guided would have no principal diagnosis to choose."""
    text = "54M admitted with gout of the right knee. Colchicine. Home."
    found = ground(text)
    assert any(each.found for each in found.candidates)
    elsewhere = replace(found, candidates=tuple(replace(each, found=False) for each in found.candidates))
    assert [each.quote for each in named(elsewhere, DEFAULT_VERSION)] == [
        each.quote for each in named(found, DEFAULT_VERSION)[:1]
    ]
    assert following(stay(elsewhere, text, DEFAULT_VERSION), [])


def test_a_note_that_names_nothing_has_a_prompt_too():
    assert "(nothing)" in messages("Came and went.", "grounded")[1]["content"]


def test_the_prompt_does_not_know_the_label():
    for case in CASES:
        other = case | {
            "drg": "001",
            "title": "x",
            "pdx": "Z0000",
            "sdx": [],
            "poa": ["Y"],
            "procedures": [],
            "trace": None,
            "trap": [],
        }
        assert messages(model_case(case), "grounded") == messages(model_case(other), "grounded")


def test_what_stands_before_the_note_is_short():
    lengths = [len(messages(model_case(case), "grounded")[1]["content"]) - len(model_case(case).text) for case in CASES]
    assert (
        max(lengths) < 2_400 and sum(lengths) / len(lengths) < 1_700
    )  # characters; about 3.2 of them are a token of SmolLM2


@pytest.mark.parametrize("trace", TRACES)
def test_training_rows_end_in_the_right_title_with_true_lines(trace):
    made = list(rows(CASES, "grounded", trace))
    assert [row["case_id"] for row in made] == [case["note_id"] for case in CASES]
    for row, case in zip(made, CASES, strict=True):
        [message] = row["completion"]
        answer = parsed(message["content"], codebook(case["drg_version"]))
        assert answer.well_formed and answer.drg.drg == case["drg"]
        if row["true"]:
            verdicts = check(
                parse(answer.think),
                case["text"],
                case["drg_version"],
                Context(
                    case["age"],
                    case["sex"],
                    case["discharge_status"],
                    frozenset((case["pdx"], *case["sdx"], *case["procedures"])),
                ),
            )
            assert all(verdict.true for verdict in verdicts)
    assert sum(row["true"] for row in made) >= len(made) // 4
