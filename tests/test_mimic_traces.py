"""True reasoning of MIMIC cases: every line passes the checker, and nothing is told that the note does not show."""

import json

from data import mimic
from data.mimic_codes import current_diagnosis, current_procedure
from data.mimic_evidence import evidence
from data.mimic_traces import Rules, claim_of, explain
from sapphire.drg.claims import Context, check, parse
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import drg_of
from tests.mimic_source import COURSE, cases, run, small

pytest_plugins = ("tests.mimic_fixtures",)


def test_traces_are_true_and_lead_to_the_recorded_drg(prepared):
    traced = [case for case in cases(prepared, "train") + cases(prepared, "test") if case["trace"]]
    assert len(traced) > 100
    for case in traced:
        lines = parse(case["trace"])
        claim = claim_of(case, "37")
        codes = frozenset((claim.pdx, *claim.sdx, *claim.procedures))
        context = Context(case["age"], case["sex"], case["discharge_status"] or 1, codes)
        verdicts = check(lines, case["text"], "37", context)
        assert all(verdict.true for verdict in verdicts), [verdict for verdict in verdicts if not verdict.true]
        assert lines[-1].kind == "severity" and case["title"] not in case["trace"]
        assert drg_of(claim)[0] == case["drg"]
    assert any(", MCC, counts" in case["trace"] for case in traced)


def test_a_stay_gets_no_trace_when_its_codes_say_another_drg(tmp_path):
    note = COURSE.format("acute on chronic systolic heart failure and hypertension")
    drgs = [(i, "291", "HEART FAILURE & SHOCK W MCC") for i in (1, 2)] + [
        (i, "293", "HEART FAILURE & SHOCK W/O CC/MCC") for i in (3, 4)
    ]
    codes = [(i, 1, "I5023", 10) for i in (1, 2, 3)] + [(4, 1, "4280", 9)]
    small(tmp_path, [(i, f"{note} Day {i}.") for i in (1, 2, 3, 4)], drgs, codes)
    assert run(tmp_path, tmp_path / "out") == 0
    made = {case["hadm_id"]: case for case in cases(tmp_path / "out", "train") + cases(tmp_path / "out", "test")}
    assert made["1"]["trace"] is None and made["2"]["trace"] is None  # no MCC is coded
    assert (
        made["3"]["trace"].splitlines()[0].startswith('- principal diagnosis "acute on chronic systolic heart failure"')
    )
    assert made["3"]["trace"].endswith("severity: none")
    assert made["4"]["trace"] is None and made["4"]["pdx"] is None
    assert json.loads((tmp_path / "out" / "report.json").read_text())["traces"] == {
        "no ICD-10 codes": 1, "regrouped to another DRG": 2, "traced": 1,
    }  # fmt: skip


def test_what_is_named_with_the_principal_diagnosis_is_judged_for_itself():
    case = {"pdx": "U071", "sdx": ["J1282"], "procedures": [], "age": 64, "sex": "F", "discharge_status": 1}
    case |= {"text": "Admitted with COVID-19 pneumonia. Home on day 4.", "drg": "177"}
    trace, outcome = explain(case, Rules("43.1", "43.1"))
    assert outcome == "traced"
    assert [line.codes for line in parse(trace)] == [("U071",), ("J1282",), ("J1282",)]
    assert trace.endswith("severity: MCC by J12.82")


def test_a_title_list_of_a_version_without_grouper_is_explained_by_the_nearest(made_up, tmp_path):
    titles = tmp_path / "DRG_34.csv"
    rows = [f"{int(drg.drg)}\t{drg.title.replace(',', '')}" for drg in codebook("36").drgs.values()]
    titles.write_text("DRG\tDescription\n" + "\n".join(rows) + "\n")
    command = [
        "--hosp",
        str(made_up / "hosp"),
        "--notes",
        str(made_up / "discharge.csv.gz"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert mimic.main([*command, "--titles", str(titles)]) == 0
    made = cases(tmp_path / "out", "train")
    assert {case["drg_version"] for case in made} == {"34"}
    traced = [case for case in made if case["trace"]]
    assert len(traced) > 50
    assert all(drg_of(claim_of(case, "37"))[0] == case["drg"] for case in traced)


def test_codes_of_earlier_years_become_their_unspecified_part():
    assert current_diagnosis("N183", "43.1") == "N1830"
    assert current_diagnosis("T814XXA", "43.1") == "T8140XA"
    assert current_diagnosis("K5660", "43.1") == "K56609"
    assert current_diagnosis("K859", "43.1") == "K8590"
    assert current_diagnosis("N183", "37") == "N183"  # still in force then
    assert current_diagnosis("I481", "43.1") is None  # longstanding or other: no part means the same
    assert current_diagnosis("4280", "43.1") is None  # ICD-9
    assert current_procedure("5A1D60Z", "43.1") == "5A1D70Z"
    assert current_procedure("0SRC0J9", "43.1") == "0SRC0J9"  # in force: never exchanged


def test_evidence_is_what_the_note_says_and_does_not_deny():
    text = "HTN, DM2. # AKI: Cr 2.4. No evidence of pneumonia. ARF\nresolved; Acute on chronic\nsystolic heart failure treated."
    found = {item.codes: item.quote for item in evidence(["I5023", "I10", "N179", "J189"], text)}
    assert found[("I5023",)] == "Acute on chronic systolic heart failure"
    assert found[("I10",)] == "HTN"
    assert found[("N179",)] == "AKI"
    assert ("J189",) not in found


def test_evidence_takes_the_words_of_a_title_in_any_order_but_not_across_lines_or_quotes():
    assert evidence(["A401"], "Dx: Group B streptococcal sepsis, treated")[0].quote == "Group B streptococcal sepsis"
    assert evidence(["L89613"], "pressure ulcer, RIGHT HEEL, stage 3")[0].quote == "pressure ulcer, RIGHT HEEL, stage 3"
    assert evidence(["A401"], "Group B. streptococcal sepsis") == []
    assert evidence(["A401"], "Group B\nstreptococcal sepsis") == []
    assert evidence(["A401"], 'Group B "streptococcal" sepsis') == []
    assert evidence(["A401"], "no signs of group B streptococcal sepsis") == []
    assert evidence(["I110"], "HTN")[0].quote == "HTN"  # combined of I10 and heart failure
