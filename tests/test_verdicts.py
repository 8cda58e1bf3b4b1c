"""What a note asks itself and answers with no is ruled out, what it only asks is uncertain, and what it states stays stated."""

import time

import pytest

from sapphire.drg.conditions import find
from sapphire.drg.status import HISTORY, PRESENT, RULED_OUT, UNCERTAIN


def status_of(text: str, code: str) -> str:
    return next(each.status for each in find(text) if code in each.codes)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # asked, then answered
        ("Sepsis? HR 96, lactate 1.2, SOFA 0: no.", "A419"),
        ("Pneumonia? Afebrile, film clear, procalcitonin 0.05. Not pneumonia.", "J189"),
        ("# AKI? Cr 1.1, which is her baseline. No AKI.", "N179"),
        # somebody's thought, then the verdict
        ("The triage nurse flagged sepsis; two teams saw him and it was not.", "A419"),
        ("Sepsis was asked about by the query form. Lactate 0.8. ID: no.", "A419"),
        ("The night team called it pneumonia, it was not, and the film cleared with furosemide.", "J189"),
        ("The emergency physician wrote pulmonary embolism. CT angiogram clean, and that diagnosis was withdrawn.", "I2699"),
        ("We talked about sepsis and did not make the diagnosis.", "A419"),
        ("The intern listed acute kidney injury; nephrology disagreed.", "N179"),
        # at once
        ("Sepsis criteria not met.", "A419"),
        ("Urosepsis not dx'd. Sepsis not diagnosed by anybody.", "A419"),
        ("Tumor lysis syndrome did not develop.", "E883"),
        ("Delirium never showed.", "F05"),
        ("Infarct and pulmonary embolism both out.", "I2699"),
        ("Pneumonia, pulmonary embolism and dissection were set aside.", "I2699"),
        ("Ileus: none.", "K567"),
        ("Pneumonia no, antibiotics no.", "J189"),
        ("Stroke and TIA both off the list.", "I639"),
        # a heading for a list
        ("Not found: endocarditis (echo clean), osteomyelitis, sepsis (lactate 1.0).", "A419"),
        ("What it was not: diabetic ketoacidosis (bicarbonate 24).", "E1110"),
    ],
)  # fmt: skip
def test_what_is_answered_with_no_is_ruled_out(text, code):
    assert status_of(text, code) == RULED_OUT


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("?PNA on the first read.", "J189"),
        ('The ED note says "sepsis".', "A419"),
        ("Pulmonary embolism? CT angiogram booked.", "I2699"),
    ],
)
def test_what_is_only_asked_is_uncertain(text, code):
    assert status_of(text, code) == UNCERTAIN


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # the no is of something else
        ("Sepsis with a lactate of 4. No vasopressors.", "A419"),
        ("The ED called sepsis; blood cultures grew E. coli and no source but the urine was found.", "A419"),
        ("Pneumonia was suspected and confirmed by CT. PE? No.", "J189"),
        ("Worried about a stroke she came at once; MRI positive. No thrombolysis.", "I639"),
        ("Melena, source not found.", "K921"),
        ("We called it an ileus; a tube was not needed.", "K567"),
        ("Acute kidney injury was raised by nephrology and agreed with; ATN not made.", "N179"),
        ("Pneumonia, no effusion, no sepsis.", "J189"),
        ("Type 2 diabetic, glucose 700, so not DKA.", "E119"),
        ("Discharge diagnosis: possible pertussis.,COMPLICATIONS: , None.,Operations: none", "A3790"),
        ("Suspected pneumonia. Pending at discharge: no.", "J189"),
    ],
)
def test_a_no_to_something_else_leaves_it_as_it_is(text, code):
    assert status_of(text, code) in (PRESENT, UNCERTAIN)


def test_a_question_in_one_item_is_not_answered_in_the_next():
    assert status_of("- Pneumonia? On ceftriaxone.\n- Foley out: no.", "J189") == UNCERTAIN


def test_a_year_before_the_words_makes_them_past():
    assert status_of("In 2019 he had a small bowel obstruction.", "K56609") == HISTORY


@pytest.mark.parametrize(
    "text",
    [
        "Lumbar puncture not needed.",
        "Lumbar puncture was talked about and not done.",
        "Lumbar puncture offered, declined.",
        "Neck supple; lumbar puncture deferred by neurology.",
        "Lumbar puncture? No.",
    ],
)
def test_what_was_not_done_is_no_procedure(text):
    assert status_of(text, "009U3ZX") == RULED_OUT


@pytest.mark.parametrize(
    ("text", "code"), [("TAVR judged hazardous.", "02RF38Z"), ("They chose open over TAVR.", "02RF38Z")]
)
def test_what_another_operation_was_chosen_over_is_no_procedure(text, code):
    assert status_of(text, code) == RULED_OUT


def test_an_operation_of_some_weeks_ago_is_not_of_this_stay_and_a_disease_may_be():
    assert status_of("Laparoscopic cholecystectomy five weeks ago elsewhere.", "0FT44ZZ") == HISTORY
    assert status_of("Laparoscopic cholecystectomy, drain out.", "0FT44ZZ") == PRESENT
    assert status_of("NSTEMI three weeks ago.", "I214") == PRESENT


@pytest.mark.parametrize("blanks", [" ", "\t", " \n"])
def test_a_long_run_of_blanks_behind_a_mention_is_read_in_linear_time(blanks):
    find("Sepsis")  # builds the index
    start = time.perf_counter()
    assert status_of("Sepsis" + blanks * 40_000 + "no.", "A419") == PRESENT
    assert time.perf_counter() - start < 5  # by its square it would take minutes
