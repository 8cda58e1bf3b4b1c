"""The condition index: finds stand where they say, traps are seen, nothing of the test split is in the tables."""

from pathlib import Path

import pytest

from data.corpus_phrase import fold
from data.corpus_tables import load_tables
from data.natural import records
from data.wordings import FILE, RULES, lines
from sapphire.drg.conditions import find
from sapphire.drg.grounding import baseline, ground
from sapphire.drg.index import index
from sapphire.drg.patient import age_in, disposition_in, sex_in
from sapphire.drg.status import FAMILY, HISTORY, PRESENT, RESOLVED, RULED_OUT, UNCERTAIN

NOTES = [record["text"] for record in records(Path("data/natural/train"))][::12]


def code_of(text: str, words: str):
    """The find whose quote holds these words."""
    return next(each for each in find(text) if words.lower() in each.quote.lower())


def test_quotes_stand_at_their_spans_in_order_without_overlap():
    for text in NOTES:
        finds = find(text)
        assert finds
        for each in finds:
            assert text[each.start : each.end] == each.quote
            assert each.codes and 0 < each.score <= 1 and each.kind in ("diagnosis", "procedure")
        assert [each.start for each in finds] == sorted(each.start for each in finds)


@pytest.mark.parametrize(
    ("text", "code", "level"),
    [
        ("Admitted with acute on chronic systolic heart failure.", "I5023", "MCC"),
        ("AKI on CKD stage 3b, Cr 2.4.", "N179", "CC"),
        ("Treated for an NSTEMI.", "I214", "MCC"),
        ("Acute exacerbaton of COPD with wheeze.", "J441", "CC"),  # a slip of the pen
        ("Sodium of 121 on arrival, hyponatremia.", "E871", "CC"),
        ("Fracture of the neck of the left femur.", "S72002A", "MCC"),
        ("Cancer of the right upper lobe of the lung.", "C3411", "CC"),  # by its official title, in other words
    ],
)
def test_conditions_are_named_by_words_abbreviations_titles_and_with_slips(text, code, level):
    assert (code, level) in {(each.codes[0], each.level) for each in find(text)}


@pytest.mark.parametrize(
    ("text", "words", "status"),
    [
        ("CTA showed no evidence of pulmonary embolism.", "pulmonary embolism", RULED_OUT),
        ("PE was ruled out by CTA.", "PE", RULED_OUT),
        ("Pneumonia was considered but excluded.", "pneumonia", RULED_OUT),
        ("No fever, chills or pneumonia.", "pneumonia", RULED_OUT),
        ("Never had a stroke.", "stroke", RULED_OUT),
        ("Troponins negative, NSTEMI unlikely.", "NSTEMI", RULED_OUT),
        ("C diff neg, stool culture negative.", "C diff", RULED_OUT),
        ("History of pulmonary embolism in 2015.", "pulmonary embolism", HISTORY),
        ("Appendicitis four years ago.", "appendicitis", HISTORY),
        ("Sickle cell disease, one acute chest syndrome at 15.", "acute chest syndrome", HISTORY),
        ("Pneumonia at 3 days of oseltamivir.", "pneumonia", PRESENT),
        ("Dad had pancreatitis at 71.", "pancreatitis", FAMILY),
        ("Mother with appendicitis.", "appendicitis", FAMILY),
        ("Family history of gout.", "gout", FAMILY),
        ("FHx: gout, stroke.", "gout", FAMILY),
        ("Family: gout, stroke.", "gout", FAMILY),
        ("Family meeting on day 3: he has pneumonia and may not recover.", "pneumonia", PRESENT),
        ("Asked by the family: when can he go?\n\nHe was admitted with pneumonia.", "pneumonia", PRESENT),
        ("Recent pneumonia, fully resolved before this stay.", "pneumonia", RESOLVED),
        ("Probable aspiration pneumonia, treated for 7 days.", "aspiration pneumonia", UNCERTAIN),
        ("No PE, but pneumonia was found.", "pneumonia", PRESENT),
        ("Admitted with pneumonia.", "pneumonia", PRESENT),
        ("Not only pneumonia: two liters of pus.", "pneumonia", PRESENT),
    ],
)
def test_a_mention_has_the_status_that_its_sentence_gives_it(text, words, status):
    assert code_of(text, words).status == status


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Family history of colon cancer.", "Z800"),
        ("Mother with breast cancer.", "Z803"),
        ("Stroke four years ago.", "Z8673"),
    ],
)
def test_what_has_a_code_as_history_is_found_by_it(text, code):
    assert [(each.codes, each.status) for each in find(text)] == [((code,), PRESENT)]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("respiratory failure", "J9690"),
        ("acute respiratory failure", "J9600"),
        ("respiratory distress", "R0603"),  # a newborn's syndrome only in a newborn
        ("renal insufficiency", "N289"),  # no kidney failure by the ICD-10-CM index, acute or not
        ("hepatitis C", "B1920"),  # acute only where it says so
        ("pulmonary edema", "J811"),
        ("DVT", "I82409"),
        ("DKA", "E1110"),
        ("C. difficile colitis", "A0472"),
        ("E. coli sepsis", "A4151"),
        ("cardiomyopathy", "I429"),
        ("leukemia", "C9590"),
        ("myocardial infarction", "I219"),
    ],
)
def test_what_is_named_without_more_has_the_code_for_it_unspecified(said, code):
    assert [each.codes for each in find(f"He has {said}.")] == [(code,)]


def test_the_point_of_a_shortened_genus_ends_no_sentence_and_that_of_a_letter_does():
    assert [(each.codes[0], each.status) for each in find("No C. difficile.")] == [("A0472", RULED_OUT)]
    assert [each.codes[0] for each in find("Hepatitis C. Cirrhosis.")] == ["B1920", "K7460"]
    assert [each.codes for each in find("Treated here: E. coli UTI.")] == [("N390", "B9620")]
    assert [each.codes for each in find("C. difficile colitis.")] == [("A0472",)]


def test_ketoacidosis_is_of_the_diabetes_named_and_pulmonary_edema_part_of_heart_failure():
    assert [each.code for each in ground("Type 1 diabetes. Admitted with DKA.").coded] == ["E1010"]
    told = ground("Admitted with acute on chronic systolic heart failure and flash pulmonary edema.").coded
    assert [each.code for each in told] == ["I5023"]


def test_numbers_decide_where_a_wording_needs_them():
    ranged = next(each for each in index().wordings if each.ranges and each.stems[-1] == "#" and len(each.ranges) == 1)
    assert index()._within(ranged, [_token(ranged.ranges[0][0])])
    assert not index()._within(ranged, [_token(ranged.ranges[0][1] + 1000)])


def _token(value: float):
    from sapphire.drg.tokens import Token

    return Token(f"{value:g}", 0, 1, value)


def test_no_wording_of_the_test_split_is_in_the_index_and_the_tables_are_fresh():
    import gzip

    tables = load_tables()
    written = gzip.decompress(FILE.read_bytes()).decode().splitlines()
    assert written == lines(tables), "run python -m data.wordings"
    withheld = {
        form
        for record in (*tables.conditions.values(), *tables.procedures.values())
        for phrase in record.words.test
        for form in phrase.forms(10_000)
    }
    assert withheld and not withheld & {fold(line.split("\t")[3]) for line in written}
    assert RULES.is_file()


def test_the_runtime_rules_are_the_coders_rules():
    from data import wordings
    from sapphire.drg.coding import rules

    assert list(rules()) == wordings.rules(load_tables())


def test_age_sex_and_disposition_are_read_from_the_note():
    text = (
        "Mrs. ___ is a 71-year-old woman admitted with sepsis. She improved. Discharged to a skilled nursing facility."
    )
    assert (age_in(text), sex_in(text), disposition_in(text)) == (71, "F", 3)
    assert disposition_in("Admitted with sepsis and shock. Pressors were raised. The patient expired on day 3.") == 20
    assert age_in("Term newborn boy, birth weight 3400 g, Apgars 8 and 9.") == 0


def test_index_and_grouper_give_a_drg_without_a_model():
    text = "67M admitted with acute on chronic systolic heart failure, diuresed. AKI, Cr 2.4. Hypertension."
    drg, candidates = baseline(text, age=67, sex="M", discharge_status=1)
    assert drg == "291" and candidates[0].drg == "291"
    assert ground(text).coded[0].code == "I110"  # hypertension with heart failure goes first, by the guideline
    assert baseline("Nothing to see here.") == (None, ())
