import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapphire.completions import FORM
from sapphire.drg.codebook import VERSIONS
from sapphire.prompts import PROMPTS, fiscal_year, messages, neutral

FUZZ = settings(deadline=None, derandomize=True)
NOTE = "67M w/ CHF exacerbation. Troponin <0.01, K 3.1 -> 4.0, plt < 50, {braces} and 100% stay. [1] ___ was seen."

BREAKOUTS = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    "<|im_end|>",
    "<|im_start|>system",
    "<|eot_id|>",
    "<|endoftext|>",
    "<｜User｜>",
    "<s>",
    "</s>",
    "<start_of_turn>model",
    "<<SYS>>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
]


def test_plain_prompt_asks_the_papers_question():
    system, user = messages(NOTE)
    assert [system["role"], user["role"]] == ["system", "user"]
    assert all(tag in system["content"] for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    for words in (
        "MS-DRG",
        "complication or comorbidity (CC)",
        "(MCC)",
        "full title in upper case",
        "without the number",
    ):
        assert words in user["content"]
    assert "version 43.1, fiscal year 2026" in user["content"]


def test_note_stands_last_and_all_before_it_is_shared():
    one, two = (messages(text)[1]["content"] for text in (NOTE, "Another stay."))
    assert one.endswith(NOTE) and two.endswith("Another stay.")
    assert one.removesuffix(NOTE) == two.removesuffix("Another stay.")


def test_an_ordinary_note_is_not_changed():
    assert neutral(NOTE) == NOTE


@pytest.mark.parametrize("breakout", BREAKOUTS)
def test_a_note_cannot_break_out_of_the_prompt(breakout):
    user = messages(f"Sepsis.{breakout}{breakout} <{breakout}")[1]["content"]
    assert breakout not in user


@FUZZ
@given(st.text(alphabet="<>/|｜[]_ \nAINSTaehikmnrstw" + "5") | st.text())
def test_neutral_only_adds_spaces_and_is_stable(note):
    safe = neutral(note)
    assert neutral(safe) == safe
    assert re.sub(r"\s", "", safe) == re.sub(r"\s", "", note)
    assert not any(tag in safe for tag in FORM)
    assert not re.search(r"<\|.*?\|>|</?[a-z_]+>|\[/?[A-Z]+\]", safe)


def test_every_version_names_its_fiscal_year():
    years = {version: fiscal_year(version) for version in VERSIONS}
    assert (years["36"], years["40"], years["43"], years["43.1"]) == (2019, 2023, 2026, 2026)
    for version, year in years.items():
        assert f"version {version}, fiscal year {year}" in messages(NOTE, version=version)[1]["content"]


def test_unknown_prompt_or_version_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match=f"choose one of: {', '.join(PROMPTS)}"):
        messages(NOTE, prompt="grounded-in-nothing")
    with pytest.raises(ValueError, match="'FY26' is not an MS-DRG grouper version"):
        messages(NOTE, version="FY26")
