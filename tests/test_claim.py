"""Claims: from the columns of a case or as msdrg takes them, versions however written, and what is wrong with an unfit one."""

import pytest

from sapphire.drg.claim import version_of
from sapphire.drg.grouper import Claim, ClaimError, claim_from, drg_of, group


def test_codes_of_another_year_are_brought_over():
    old = {"pdx": "I5023", "age": 67, "sex": "M", "version": 431, "source_icd_version": 2025}
    assert drg_of(claim_from(old))[0] == "293"
    sclerosis = {**old, "pdx": "G35"}  # split into G35A and others in FY 2026
    assert drg_of(claim_from({**sclerosis, "source_icd_version": None})) == ("999", "INVALID_PDX")
    assert drg_of(claim_from(sclerosis))[1] == "OK"
    assert drg_of(claim_from({**old, "pdx": "\ud800"})) == ("999", "INVALID_PDX")
    with pytest.raises(ClaimError, match="2023 to 2027"):
        drg_of(claim_from({**old, "source_icd_version": 2019}))


def test_a_claim_as_msdrg_takes_it():
    record = {
        "version": 431,
        "age": 67,
        "sex": 1,
        "discharge_status": 3,
        "hospital_status": "NOT_EXEMPT",
        "pdx": {"code": "I50.23", "poa": "Y"},
        "sdx": [{"code": "n17.9", "poa": "N"}, {"code": "E876"}],
        "procedures": [{"code": "02703DZ"}],
        "admit_dx": {"code": "R0602"},
        "note": "ignored",
    }
    assert claim_from(record) == Claim(
        pdx="I5023",
        sdx=("N179", "E876"),
        procedures=("02703DZ",),
        age=67,
        sex="F",
        discharge_status=3,
        poa=("Y", "N", ""),
        hospital_status="NOT_EXEMPT",
    )


def test_a_claim_from_the_columns_of_a_case():
    nan = float("nan")
    record = {
        "note_id": "n1",
        "pdx": "I5023",
        "sdx": ("N179",),
        "poa": ["Y", "Y"],
        "procedures": [],
        "age": 67.0,
        "sex": "f",
        "discharge_status": nan,
        "drg_version": "42.1",
    }
    assert claim_from(record) == Claim("I5023", ("N179",), age=67, sex="F", poa=("Y", "Y"), version="42.1")
    assert claim_from({**record, "poa": None, "sdx": None, "age": nan}) == Claim("I5023", sex="F", version="42.1")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pdx": None}, "principal diagnosis (pdx) is missing"),
        ({"pdx": ""}, "principal diagnosis (pdx) is missing"),
        ({"pdx": {}}, "principal diagnosis (pdx) is missing"),
        ({"pdx": 5}, "pdx must hold codes"),
        ({"age": None}, "age is missing"),
        ({"age": "67"}, "age must be a whole number"),
        ({"age": 67.5}, "age must be a whole number"),
        ({"age": True}, "age must be a whole number"),
        ({"age": float("inf")}, "age must be a whole number"),
        ({"age": -1}, "age must be from 0 to 124"),
        ({"age": 125}, "age must be from 0 to 124"),
        ({"sex": None}, "sex is missing"),
        ({"sex": "X"}, "sex must be M, F or U"),
        ({"sex": 3}, "sex must be M, F or U"),
        ({"sex": True}, "sex must be M, F or U"),
        ({"sex": []}, "sex must be M, F or U"),
        ({"sdx": "N179"}, "sdx must be a list, not text"),
        ({"sdx": {"code": "N179"}}, "sdx must be a list, not an object"),
        ({"sdx": [None]}, "sdx must hold codes"),
        ({"procedures": [7]}, "procedures must hold codes"),
        ({"poa": ["Y"]}, "one indicator a diagnosis, the principal's first: 2, not 1"),
        ({"poa": ["Y", "Q"]}, "must be Y, N, U or W, not 'Q'"),
        ({"discharge_status": "home"}, "discharge_status must be a whole number"),
        ({"discharge_status": 100}, "discharge_status must be from 0 to 99"),
        ({"hospital_status": "MAYBE"}, "hospital_status must be one of EXEMPT"),
        ({"version": "34"}, "version '34' is not supported; choose one of 36"),
        ({"version": 440}, "version 440 is not supported"),
        ({"version": [43]}, "is not supported"),
    ],
)
def test_an_unfit_claim_says_what_is_wrong(change, message):
    with pytest.raises(ClaimError) as caught:
        drg_of(claim_from({"pdx": "I5023", "sdx": ["N179"], "age": 67, "sex": "M"} | change))
    assert message in str(caught.value) and str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "unfit",
    [
        Claim("I5023"),
        Claim("I5023", age=67),
        Claim("", age=6, sex="M"),
        Claim("I5023", ("N179",), age=6, sex="M", poa=("Y",)),
    ],
)
def test_an_unfit_claim_built_by_hand_is_refused_too(unfit):
    with pytest.raises(ClaimError):
        group(unfit)


@pytest.mark.parametrize(
    ("written", "version"),
    [
        ("43.1", "43.1"),
        (431, "43.1"),
        (43.1, "43.1"),
        ("v43.1", "43.1"),
        ("430", "43"),
        (43, "43"),
        ("43.0", "43"),
        ("401", "40.1"),
        ("36", "36"),
        (37.0, "37"),
    ],
)
def test_versions_however_written(written, version):
    assert version_of(written) == version
