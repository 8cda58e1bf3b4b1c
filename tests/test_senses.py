"""Words that have another sense, and conditions that are only guarded against or tested for, are no finds; the same words elsewhere are."""

import pytest

from sapphire.drg.conditions import find
from sapphire.drg.status import HISTORY, RULED_OUT


def codes(text: str) -> set[str]:
    return {code for each in find(text) for code in each.codes}


@pytest.mark.parametrize(
    ("other", "meant", "code"),
    [
        ("SBP 120s on arrival.", "No SBP, then on day 4 SBP with 610 polys, ceftriaxone and albumin.", "K652"),
        ("SBP down to the 70s, fluids given.", "E. coli SBP, treated.", "K652"),
        ("Hold lisinopril for SBP <100.", "SBP -> ceftriaxone.", "K652"),
        ("SBP's in the 90s overnight.", "Cirrhosis with SBP.", "K652"),
        ("Sats 98% on RA.", "RA on methotrexate.", "M069"),
        ("SpO2 83% RA, RR 34.", "RA in both hands.", "M069"),
        ("RA and LA dilated.", "History: RA, gout.", "M069"),
        ("PE: lungs clear, abdomen soft.", "PE: bilateral, heparin started.", "I2699"),
        ("PE on admission: thin woman.", "Admitted with PE.", "I2699"),
        ("MS: alert, oriented.", "MS for ten years, on ocrelizumab.", "G35D"),
        ("NPH 10 units twice daily.", "NPH, gait better after the tap.", "G912"),
        ("ALL: penicillin.", "Treated for ALL.", "C9100"),
        ("No CVA tenderness.", "She had a CVA.", "I639"),
        ("AF, VSS.", "AF with RVR.", "I4891"),
        ("Activity AS TOLERATED.", "Severe AS.", "I350"),
        ("MR brain without contrast.", "Severe MR.", "I340"),
        ("HD 3: felt well.", "HD 3.5 h, 2 L off.", "5A1D70Z"),
        ("Cap refill 2 s. Take one cap daily.", "Treated for CAP.", "J189"),
        ("Improved over 30 hrs.", "Cirrhosis with HRS.", "K767"),
        ("Uric acid 5; folic acid 1 mg.", "Metabolic acidosis.", "E8720"),
        ("Abrupt onset of cough.", "Placental abruption.", "O4593"),
        ("Walks with aids.", "HIV/AIDS.", "B20"),
        ("Bone marrow aspiration.", "Aspiration at breakfast, then hypoxia.", "J690"),
        ("Docusate sodium 125 mg daily.", "Sodium 125 on arrival.", "E871"),
        ("Heparin for DVT prophylaxis.", "Left femoral DVT.", "I82412"),
        ("Aspirin for secondary stroke prevention.", "Acute stroke.", "I639"),
        ("At risk of bleeding, infection and stroke.", "At risk because of a stroke.", "I639"),
        ("She went to the stroke unit.", "She had a stroke.", "I639"),
        ("Aspiration precautions.", "Aspiration pneumonia.", "J690"),
        ("Pneumonia vaccine given.", "Pneumonia.", "J189"),
        ("Code sepsis called at 10:05.", "Sepsis.", "A419"),
        ("Return to the ED for fever, bleeding or signs of stroke.", "He returned with a stroke.", "I639"),
        ("Famotidine 20 mg 1 tablet.", "Mg 1 on arrival.", "E8342"),
        ("A rapid influenza swab, which was negative.", "Influenza swab positive.", "J101"),
        ("Her C. difficile toxin was ordered.", "Her C. difficile toxin and PCR positive.", "A0472"),
        ("Pertussis PCR sent.", "Pertussis PCR positive.", "A3790"),
        ("The ICD gave two shocks.", "She was in shock.", "R579"),
        ("One synchronized shock, then sinus.", "Shock, pressors started.", "R579"),
        ("PICC tip in the SVC.", "A mass compressing the SVC.", "I871"),
        ("Tetanus updated.", "Carpopedal spasm, tetany.", "R290"),
        ("ABI 0.6, TBI 0.3.", "TBI with loss of consciousness.", "S069X9A"),
        ("GBS negative, rubella immune.", "GBS with areflexia.", "G610"),
        ("Hep B vaccine given.", "Chronic hep B.", "B181"),
        ("Liver from a brain-dead donor.", "Brain death declared at 10:00.", "G9382"),
        ("3+ edema to the sacrum.", "Stage 3 pressure ulcer of the sacrum.", "L89153"),
        ("Constipated: senna, PEG daily.", "PEG placed by IR.", "0DH63UZ"),
        ("A trach kit stood at the bedside.", "Trach on day 9.", "0B113F4"),
        ("Leads in the right atrial appendage.", "Left atrial appendage closure.", "02L73DK"),
        ("TAVR work-up.", "TAVR on day 3.", "02RF38Z"),
        ("Sepsis bundle opened in triage.", "Sepsis.", "A419"),
        ("The stroke team came.", "Stroke.", "I639"),
    ],
)  # fmt: skip
def test_a_word_is_taken_for_a_condition_only_where_it_is_meant_as_one(other, meant, code):
    assert code not in codes(other)
    assert code in codes(meant)


@pytest.mark.parametrize(
    ("text", "code", "status"),
    [
        ("Group B streptococcus exposure, but no sepsis.", "A419", RULED_OUT),
        ("C diff PCR negative.", "A0472", RULED_OUT),
        ("Coronary disease with a myocardial infarct in September of 2006.", "I219", HISTORY),
    ],
)
def test_what_is_denied_tested_negative_or_dated_keeps_its_status(text, code, status):
    found = [each for each in find(text) if code in each.codes or each.codes[0].startswith(code[:3])]
    assert found and {each.status for each in found} == {status}
