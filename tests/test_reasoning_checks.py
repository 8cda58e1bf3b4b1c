"""The steps of a reasoning against CMS's rules and the note, as a reviewer sees them."""

import pytest

from sapphire.completions import compose, parse
from sapphire.drg.codebook import codebook
from sapphire.reasoning_checks import FAILS, HOLDS, SILENT, check_reasoning
from tests.stays import stored_note, stored_prediction
from tests.test_claims import NOTE, TRACE
from tests.test_pages import app, fill, home, words  # noqa: F401


def checked(trace: str, **patient):
    steps = parse(compose(trace, "X"), codebook()).steps
    return check_reasoning(steps, NOTE, "43.1", **({"age": 70, "sex": "M"} | patient))


def test_true_steps_hold_and_lead_to_their_drg():
    found = checked(TRACE)
    assert [each.state for each in found.steps] == [HOLDS] * 9
    assert found.drg.drg == "286"


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"4 L by NC with SpO2 84%"', '"on a ventilator"', "the quote does not stand in the note"),
        ("(J96.01), MCC, counts", "(J96.01), CC, counts", "CMS's level is MCC"),
        ("severity: MCC by J96.01", "severity: CC by N17.9", "the severity level is MCC"),
        ("(N17.9)", "(N99.99)", "N99.99 is no ICD-10 diagnosis code of version 43.1"),
    ],
)
def test_a_false_step_says_why(old, new, fault):
    found = checked(TRACE.replace(old, new))
    assert [each for each in found.steps if each.state == FAILS and fault in each.faults]


def test_words_outside_the_grammar_say_nothing_that_can_be_judged():
    found = checked("- The heart failed.\n- An MCC is present.")
    assert [each.state for each in found.steps] == [SILENT] * 2 and found.drg is None
    mixed = checked("- The heart failed.\n" + TRACE)
    assert [each.state for each in mixed.steps] == [SILENT] + [HOLDS] * 9


def test_what_nobody_told_of_the_patient_is_read_from_the_note():
    assert checked(TRACE, age=None, sex=None).drg.drg == "286"


def test_steps_in_one_paragraph_are_judged_each():
    """A step of the review page can hold several lines, and the sentences of a paragraph are steps of their own."""
    found = check_reasoning(("\n".join(TRACE.split("\n")[:3]), TRACE.split("\n")[6]), NOTE, "43.1", 70, "M")
    assert [each.state for each in found.steps] == [HOLDS, HOLDS]


def test_the_review_page_marks_steps_and_tells_where_they_lead(home):  # noqa: F811
    false = TRACE.replace("(J96.01), MCC, counts", "(J96.01), CC, counts")
    title = codebook().drgs["291"].title.upper()
    note = stored_note("n1", text=NOTE, age=70, sex="M")
    fill(home, notes=[note], predictions=[stored_prediction("n1", completion=compose(false, title), drg="291")])
    said = words(app("review"))
    assert "holds by the note and CMS's rules" in said
    assert "Does not hold: CMS\\'s level is MCC" in said or "Does not hold: CMS's level is MCC" in said
    assert "these steps lead to **286**" in said and "the answer is **291**" in said
