"""Reasonings side by side: no step is lost, claims meet by what they claim, and differing words are marked."""

from hypothesis import given
from hypothesis import strategies as st

from sapphire.aligning import align

PRINCIPAL_HF = 'principal diagnosis "HFrEF": acute on chronic systolic heart failure (I50.23)'
PRINCIPAL_PNA = 'principal diagnosis "RLL infiltrate": pneumonia (J18.9)'
AKI = '"Cr 2.1": acute kidney injury (N17.9), CC, counts'
AKI_NOT = '"Cr 2.1": acute kidney injury (N17.9), CC, does not count: an MCC already decides'
HTN = '"HTN": hypertension (I10), none'


def numbers(rows) -> list[tuple]:
    return [tuple(cell and cell.number for cell in row.cells) for row in rows]


def marked(cell) -> str:
    return "|".join(piece.text for piece in cell.pieces if piece.differs)


def test_claims_of_the_same_code_meet_wherever_they_stand():
    rows = align([[PRINCIPAL_HF, AKI, HTN], [PRINCIPAL_HF, HTN, AKI_NOT]])
    assert numbers(rows) == [(1, 1), (2, 3), (3, 2)]
    assert [row.same for row in rows] == [True, False, True]


def test_the_words_that_differ_are_marked_and_no_others():
    row = align([[AKI], [AKI_NOT]])[0]
    assert marked(row.cells[0]) == "counts"
    assert marked(row.cells[1]) == "does not count: an MCC already decides"
    assert row.cells[1].text == AKI_NOT


def test_there_is_one_principal_diagnosis_so_two_of_them_meet():
    rows = align([[PRINCIPAL_HF, AKI], [PRINCIPAL_PNA, AKI]])
    assert numbers(rows) == [(1, 1), (2, 2)]
    assert "I50.23" in marked(rows[0].cells[0])
    assert "J18.9" in marked(rows[0].cells[1])


def test_claims_of_different_things_stay_apart_however_alike_their_words():
    one, other = '"leg pain": pain in right leg (M79.604), none', '"leg pain": pain in left leg (L03.116), none'
    assert sorted(numbers(align([[one], [other]])), key=str) == [(1, None), (None, 1)]


def test_free_sentences_meet_by_their_words():
    rows = align(
        [
            ["The patient has acute systolic heart failure.", "Potassium was low on day two."],
            ["So the DRG is heart failure.", "The patient has acute diastolic heart failure."],
        ]
    )
    assert (1, 2) in numbers(rows)
    row = next(row for row in rows if row.cells[0] and row.cells[0].number == 1)
    assert (marked(row.cells[0]), marked(row.cells[1])) == ("systolic", "diastolic")


def test_what_only_another_says_follows_its_own_predecessor():
    rows = align([[PRINCIPAL_HF, AKI], [PRINCIPAL_HF, HTN, AKI]])
    assert numbers(rows) == [(1, 1), (None, 2), (2, 3)]


def test_three_reasonings_and_one_that_is_empty():
    assert numbers(align([[], [AKI], [HTN, AKI]])) == [(None, None, 1), (None, 1, 2)]
    assert align([[], []]) == []


@given(
    st.lists(
        st.lists(st.sampled_from([PRINCIPAL_HF, AKI, AKI_NOT, HTN, "Some words.", "Other words here."]), max_size=6),
        min_size=1,
        max_size=4,
    )
)
def test_every_step_stands_in_exactly_one_row_whole(reasonings):
    rows = align(reasonings)
    for at, steps in enumerate(reasonings):
        cells = [row.cells[at] for row in rows if row.cells[at]]
        assert {cell.number: cell.text for cell in cells} == dict(enumerate(steps, start=1))
        assert len(cells) == len(steps)
    for row in rows:
        texts = {cell and " ".join(cell.text.split()).casefold() for cell in row.cells}
        assert row.same == (len(texts) == 1)
    assert [row.cells[0].number for row in rows if row.cells[0]] == list(range(1, len(reasonings[0]) + 1))
