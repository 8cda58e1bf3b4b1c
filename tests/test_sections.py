"""The hospital course in the ways that discharge summaries are written and exported."""

import random
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sapphire.notes.sections import hospital_course, sections

MIMIC = """
Name:  ___                     Unit No:   ___
 
Service: MEDICINE
 
Allergies: 
No Known Allergies / Adverse Drug Reactions
 
Chief Complaint:
Dyspnea
 
Major Surgical or Invasive Procedure:
None
 
History of Present Illness:
___ yo F with HFrEF sent in by her PCP.
ED Course: furosemide 40 mg IV.
Outside hospital course: two days of diuresis.
 
Past Medical History:
HFrEF
 
Physical Exam:
DISCHARGE PHYSICAL EXAM:
GENERAL: NAD
 
Pertinent Results:
ADMISSION LABS:
WBC 5
 
Brief Hospital Course:
___ was admitted with volume overload.

TRANSITIONAL ISSUES:
====================
- Discharge weight: 80 kg
Discharge labs: Cr 1.2
New medications: torsemide

ACUTE ISSUES:
# Acute on chronic HFrEF: diuresed.
Plan: continue torsemide
# Pneumonia, ruled out
Labs: no leukocytosis

CHRONIC ISSUES:
1. Medications: unchanged
# CODE: Full
# CONTACT: ___
 
Medications on Admission:
The Preadmission Medication list is accurate and complete.
1. Furosemide 40 mg PO DAILY
 
Discharge Disposition:
Home
 
Discharge Diagnosis:
Heart failure
 
Discharge Instructions:
Dear Ms. ___, you were in hospital.
"""
START, END = "___ was admitted with", "# CONTACT: ___"


def course(text: str) -> str | None:
    span = hospital_course(text)
    return None if span is None else text[slice(*span)]


@pytest.mark.parametrize(
    "exported",
    [
        MIMIC,
        MIMIC.replace("\n", "\r\n"),
        MIMIC.replace("\n", "\r"),
        MIMIC.replace("\n", "\\n"),
        MIMIC.replace("\n", "<br/>"),
        "<html><p>" + MIMIC.replace("\n", "</p>\n<p>") + "</p></html>",
        " ".join(MIMIC.split()),
    ],
    ids=["as it is", "crlf", "cr", "written \\n", "br", "paragraphs", "no lines"],
)
def test_the_course_ends_at_the_next_main_heading_however_lines_are_kept(exported):
    found = course(exported)
    assert found.startswith(START) and found.endswith(END)


def test_the_outline_of_a_note():
    assert [section.heading for section in sections(MIMIC)] == [
        "Service",
        "Allergies",
        "Chief Complaint",
        "Major Surgical or Invasive Procedure",
        "History of Present Illness",
        "Past Medical History",
        "Physical Exam",
        "DISCHARGE PHYSICAL EXAM",
        "Pertinent Results",
        "ADMISSION LABS",
        "Brief Hospital Course",
        "Medications on Admission",
        "Discharge Disposition",
        "Discharge Diagnosis",
        "Discharge Instructions",
    ]
    bodies = {section.heading: MIMIC[section.start : section.end] for section in sections(MIMIC)}
    assert bodies["Discharge Disposition"] == "Home" and bodies["Chief Complaint"] == "Dyspnea"


@pytest.mark.parametrize(
    "heading",
    [
        "Brief Hospital Course:",
        "HOSPITAL COURSE:",
        "Hospital course:",
        "Hospital Course by Problem:",
        "HOSPITAL COURSE BY SYSTEMS:",
        "HOSPITAL COURSE PER PROBLEM LIST:",
        "CONCISE SUMMARY OF HOSPITAL COURSE BY ISSUE/SYSTEM:",
        "COURSE IN HOSPITAL:",
        "COURSE IN THE HOSPITAL & DISCUSSION :",
        "Course During Hospitalization:",
        "HOSPITAL COURSE AND TREATMENT:",
        "BRIEF H&P AND HOSPITAL COURSE:",
        "HISTORY AND HOSPITAL COURSE:",
        "Hospital Course (by problem):",
        "Hospital Course - Medicine Service",
        "Hosp Course:",
        "Summary of hospital stay:",
        "SUMMARY OF HOSPITALIZATION",
        "HOSPITAL SUMMARY:",
        "Clinical Course:",
        "COURSE:",
        "Clinical Summary",
        "**Hospital Course:**",
        "== HOSPITAL COURSE ==",
        "[HOSPITAL COURSE]",
        "7. HOSPITAL COURSE:",
        "## Hospital Course",
        "HOSPITAL COURSE.",
    ],
)
def test_ways_to_name_the_course(heading):
    mark = heading.split()[0] + " " if heading[0] in "#7" else ""
    text = f"History: none.\n\n{heading}\nAdmitted with sepsis.\n\n{mark}Discharge Diagnosis:\nSepsis\n"
    assert course(text).endswith("Admitted with sepsis.") and "Discharge" not in course(text)


@pytest.mark.parametrize(
    "following",
    [
        "MEDICATIONS ON ADMISSION:",
        "DISCHARGE MEDICATIONS:",
        "DISCHARGE MEDS:",
        "DISPOSITION:",
        "FINAL DIAGNOSES:",
        "PRIMARY DIAGNOSIS:",
        "CONDITION ON DISCHARGE:",
        "CONDITION AND TREATMENT:",
        "DISCHARGE INSTRUCTIONS/MEDICATIONS:",
        "INSTRUCTIONS GIVEN TO THE PATIENT AT THE TIME OF DISCHARGE:",
        "FOLLOW-UP:",
        "FOLLOW UP APPOINTMENTS:",
        "PHYSICAL EXAMINATION ON DISCHARGE:",
        "LABORATORY DATA:",
        "PAST MEDICAL HISTORY:",
        "ASSESSMENT / PLAN:",
        "PLAN:",
        "DIET:",
    ],
)
@pytest.mark.parametrize("layout", ["HOSPITAL COURSE:  {}\n{}  rest", "HOSPITAL COURSE:\n{}\n\n{}\nrest"])
def test_what_ends_the_course(following, layout):
    body = "Treated for CHF.\n1.  CARDIAC:  EF 20%.\n2.  RENAL:  AKI.\nPNEUMONIA:  ruled out.\nCODE STATUS: full."
    assert course(layout.format(body, following)) == body


def test_line_breaks_lost_to_commas():
    text = (
        "ADDITIONAL DIAGNOSES,1.  Obesity.,2.  Apnea.,HOSPITAL COURSE: , Ms. A was admitted.,1.  CHF.  Better.,2.  Pancytopenia,"
        "Her count was 38,000.,PAIN CONTROL:  Good.,DISCHARGE CONDITION:,  Stable.,DIET: , Regular."
    )
    assert course(text) == (
        "Ms. A was admitted.,1.  CHF.  Better.,2.  Pancytopenia,Her count was 38,000.,PAIN CONTROL:  Good."
    )
    assert [section.heading for section in sections(text)] == [
        "ADDITIONAL DIAGNOSES",
        "HOSPITAL COURSE",
        "DISCHARGE CONDITION",
        "DIET",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", None),
        ("Hospital Course:", None),
        ("Discharge Diagnosis: CHF", None),
        ("His hospital course was uneventful.\nHospital course was complicated by: AKI", None),
        ("Prior hospital course: long.\nED COURSE: short.\n", None),
        ("HOSPITAL COURSE The patient had sepsis.\nDISCHARGE MEDICATIONS Aspirin", "The patient had sepsis."),
        ("HOSPITAL COURSE - Sepsis. AKI.\nDISCHARGE DIAGNOSIS - Sepsis", "Sepsis. AKI."),
        ("Lungs clear. HOSPITAL COURSE: Sepsis. PLAN: Home.\n\n\n", "Sepsis."),
        (
            "HOSPITAL COURSE:\nMICU COURSE:\nintubated\n\nFLOOR COURSE:\nweaned",
            "MICU COURSE:\nintubated\n\nFLOOR COURSE:\nweaned",
        ),
        ("COURSE: short word\n\nPLAN: x\n\nHOSPITAL COURSE: the one\n\nPLAN: y", "the one"),
        ("Hospital Course:\nsee below\n\nMedications:\nASA\n\nHospital Course:\nThe longer one", "The longer one"),
        ("# HOSPITAL COURSE\nSepsis\n## AKI\nbetter\n# DISCHARGE DIAGNOSIS\nSepsis", "Sepsis\n## AKI\nbetter"),
    ],
)
def test_single_cases(text, found):
    assert course(text) == found


@settings(deadline=None)
@given(st.text(st.sampled_from("HOSPITAL COURSEhospital course:.,\n\r\\n #*-_<br>1)(") | st.characters(), max_size=300))
def test_spans_lie_in_the_text_and_in_order(text):
    spans = [(section.start, section.end) for section in sections(text)]
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    span = hospital_course(text)
    assert span is None or 0 <= span[0] < span[1] <= len(text)


def long_texts() -> dict[str, str]:
    draw = random.Random(1)
    words = ["Patient", "the", "Course", "HOSPITAL", "a", "Discharge", "b.", "c,", "follow-up", "A", "history", "1."]
    return {
        "prose": " ".join(draw.choices(words, k=100_000)),
        "lines": "\n".join(draw.choices(words, k=100_000)),
        "note": MIMIC * 300,
        "blanks": " " * 600_000,
        "breaks": "\n" * 600_000,
        "stars": "*" * 600_000,
        "hyphens": "A-b-" * 150_000,
        "commas": ",A" * 300_000,
        "open bold": "Hospital Course:" + " *" * 300_000,
        "marks": "\n- " * 200_000,
        "open tags": "<p " * 200_000,
        "tags": "<p>" * 200_000,
    }


@pytest.mark.parametrize("name", long_texts())
def test_no_text_takes_long(name):
    """A pattern that backtracks would take minutes here; `bench/notes.py` measures what it really takes."""
    text = long_texts()[name]
    times = []
    for _ in range(3):
        start = time.process_time()
        hospital_course(text)
        times.append(time.process_time() - start)
    assert min(times) < 5
