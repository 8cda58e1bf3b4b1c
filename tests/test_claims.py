"""The reasoning's line grammar: what is written is read back, true lines pass, and each kind of falsehood is found."""

from dataclasses import replace
from itertools import product

import pytest

from sapphire.completions import compose
from sapphire.completions import parse as parse_completion
from sapphire.drg import lines as grammar
from sapphire.drg.claims import (
    SENTENCES,
    Context,
    Evidence,
    Line,
    check,
    claim_of,
    lines_for,
    parse,
    reason_of,
    share_true,
    write,
)
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import group
from sapphire.drg.reasons import Setting, Support, why
from sapphire.drg.rules import Fact
from sapphire.drg.wording import fits

NOTE = """\
# ADHF: decompensated HFrEF, EF 25%. Diuresed.
# Resp: on 4 L by NC with SpO2 84% on room air.
# Cr rose from 1.1 to 2.4 with diuresis.
# HTN on lisinopril. No PE on CTA. Mother with pulmonary embolism.
Left heart catheterization showed clean coronaries."""
TRACE = """\
- principal diagnosis "decompensated HFrEF, EF 25%": acute on chronic systolic heart failure (I50.23)
- principal procedure "Left heart catheterization": left heart catheterization with coronary angiography (4A023N7), counts
- "4 L by NC with SpO2 84%": acute hypoxic respiratory failure (J96.01), MCC, counts
- "Cr rose from 1.1 to 2.4": acute kidney failure (N17.9), CC, does not count: an MCC already decides
- "HTN": hypertension (I10), none
- "No PE on CTA": pulmonary embolism (I26.99), not coded: ruled out
- severity: MCC by J96.01
- candidate: CIRCULATORY DISORDERS EXCEPT AMI, WITH CARDIAC CATHETERIZATION WITHOUT MCC, if acute hypoxic respiratory failure (J96.01) were not coded
- DRG: CIRCULATORY DISORDERS EXCEPT AMI, WITH CARDIAC CATHETERIZATION WITH MCC"""
PATIENT = Context(age=70, sex="M")


def verdicts(trace: str, note: str = NOTE, context: Context = PATIENT):
    return check(parse(trace), note, "43.1", context)


def test_a_true_trace_is_true_line_by_line():
    found = verdicts(TRACE)
    assert [verdict.faults for verdict in found] == [()] * 9
    assert share_true(found) == 1.0


def test_what_is_read_is_written_back():
    assert write(parse(TRACE)) == TRACE
    assert [line.kind for line in parse(TRACE)] == [
        "principal diagnosis", "principal procedure", "secondary", "secondary", "secondary", "not coded", "severity", "candidate", "DRG",
    ]  # fmt: skip


def test_each_line_is_one_step_of_the_completion():
    completion = parse_completion(compose(TRACE, "HEART FAILURE AND SHOCK WITH MCC"), codebook("43.1"))
    assert list(completion.steps) == [line.text for line in parse(TRACE)]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("(N17.9), CC", "(N17.9), MCC", "CMS's level is CC"),
        ("(J96.01)", "(J96.00)", "do not fit"),
        ("kidney failure (N17.9)", "kidney failure (N17.0)", "do not fit"),
        ("(N17.9)", "(N17.99)", "no ICD-10 diagnosis code"),
        ("Cr rose from 1.1 to 2.4", "Cr rose from 1.1 to 3.4", "does not stand in the note"),
        ("does not count: an MCC already decides", "counts", "an MCC already decides"),
        ("an MCC already decides", "excluded by the principal diagnosis", "an MCC already decides"),
        ("MCC, counts", "MCC, does not count: the base DRG is not split", "The only MCC"),
        ('"No PE on CTA": pulmonary', '"lisinopril": pulmonary', "does not say ruled out"),
        ('"HTN": hypertension (I10), none', '"HTN": pulmonary embolism (I26.99), MCC, counts', "the stay has this code"),
        ("severity: MCC by J96.01", "severity: CC by J96.01", "the severity level is MCC"),
        ("severity: MCC by J96.01", "severity: MCC by N17.9", "rests on J96.01"),
        ("(4A023N7), counts", "(4A023N6), counts", "do not fit"),
        ("CATHETERIZATION WITHOUT MCC, if", "CATHETERIZATION WITH MCC, if", "that would group to"),
        ("DRG: CIRCULATORY DISORDERS EXCEPT AMI, WITH", "DRG: CIRCULATORY DISORDERS EXCEPT AMI, WITHOUT", "group to"),
    ],
)  # fmt: skip
def test_each_falsehood_is_found(old, new, fault):
    assert old in TRACE
    faults = [words for verdict in verdicts(TRACE.replace(old, new, 1)) for words in verdict.faults]
    assert any(fault in words for words in faults), faults


def test_real_codes_decide_where_they_are_known():
    known = replace(PATIENT, codes=frozenset({"I5023", "4A023N7", "J9601", "N179", "I10"}))
    assert share_true(verdicts(TRACE, context=known)) == 1.0
    faults = [v.faults for v in verdicts(TRACE, context=replace(known, codes=known.codes - {"I10"})) if v.faults]
    assert faults == [("the stay has no such code",)]


def test_vague_lines_are_not_true_and_reported_apart():
    found = verdicts(TRACE + "\nThe patient was very sick.\n- AKI is a CC.")
    assert [verdict.vague for verdict in found][-2:] == [True, True]
    assert share_true(found) == pytest.approx(9 / 11)
    assert not any(verdict.true for verdict in verdicts("The patient was very sick."))


def test_without_a_principal_diagnosis_nothing_can_be_judged():
    without = TRACE.split("\n", 1)[1]
    assert share_true(verdicts(without)) == 0.0
    assert claim_of(parse(TRACE + "\n" + TRACE), PATIENT) is None


def test_a_death_takes_the_weight_of_an_mcc_that_needs_a_survivor():
    note = "Sepsis was treated; then cardiac arrest and he died."
    trace = (
        '- principal diagnosis "Sepsis": sepsis (A41.9)\n'
        '- "cardiac arrest": cardiac arrest, cause unspecified (I46.9), MCC, {}\n- severity: {}'
    )
    died, alive = Context(60, "M", 20), Context(60, "M", 1)
    dead_words = trace.format("does not count: the patient died", "without MCC")
    alive_words = trace.format("counts", "MCC by I46.9")
    assert share_true(verdicts(dead_words, note, died)) == share_true(verdicts(alive_words, note, alive)) == 1.0
    assert share_true(verdicts(dead_words, note, alive)) < 1 > share_true(verdicts(alive_words, note, died))


def test_lines_for_a_grouping_are_true():
    claim = claim_of(parse(TRACE), PATIENT)
    shown = [
        Evidence(line.codes, line.quote, line.condition)
        for line in parse(TRACE)
        if line.kind in (grammar.PRINCIPAL, grammar.SECONDARY, grammar.PROCEDURE, grammar.MAIN_PROCEDURE)
    ]
    denied = [(Evidence(("I2699",), "Mother with pulmonary embolism", "pulmonary embolism"), "family history")]
    lines = lines_for(group(claim), reversed(shown), denied)
    assert share_true(check(lines, NOTE, "43.1", PATIENT)) == 1.0
    assert lines[0].kind == grammar.PRINCIPAL and lines[-1].kind == grammar.SEVERITY
    with pytest.raises(ValueError, match="I5023"):
        lines_for(group(claim), shown[1:])


def test_reasons_cover_every_sentence_of_the_grouper():
    """Every case of reasons.py that a groupable claim can meet has its reason, and every reason its case."""
    drgs = codebook("43.1").drgs
    diagnosis = group(claim_of(parse(TRACE), PATIENT)).diagnoses[0]
    found = set()
    facts = [
        Fact(level, **extra)
        for level in ("MCC", "CC", "none")
        for extra in ({}, {"excluded_by_pdx": True}, {"excluded_by_death": True}, {"hac": "06"})
    ]
    supports = [
        Support(without, sole, counts, paired)
        for without in ("292", "313")
        for sole, counts, paired in (
            (True, True, False),
            (False, True, False),
            (False, True, True),
            (False, False, False),
        )
    ]
    family = frozenset({"291", "292", "293"})
    for drg, bare, without_shared in product(("291", "292", "313", "322", "470"), ("291", "293"), ("292", "313")):
        setting = Setting(drgs[drg], "I5023", "OK", family, ("MCC", "CC"), without_shared, bare)
        for fact, support in product(facts, supports):
            found.add(reason_of(replace(diagnosis, why=why(fact, support, setting))))
    assert found == set(grammar.REASONS) == set(SENTENCES.values())


def test_words_fit_the_code_that_they_name_and_not_its_neighbour():
    assert fits("acute kidney injury", ("N179",)) and not fits("acute kidney injury", ("N170",))
    assert fits("Hypertensive heart disease with heart failure", ("I110",))
    assert fits("type 2 diabetes mellitus", ("E119",)) and not fits("type 1 diabetes mellitus", ("E119",))
    assert not fits("chronic systolic heart failure", ("I5023",))
    assert not fits("", ("I10",)) and not fits("condition", ("I10",))


def test_a_line_may_be_numbered_and_typeset_quotes_are_read():
    line = parse("2. “HTN”: hypertension (I10), none.")[0]
    assert (line.kind, line.quote, line.codes) == ("secondary", "HTN", ("I10",))


@pytest.mark.parametrize(
    "text",
    [
        '"HTN": hypertension (I10), CC',
        '"HTN": hypertension (I10)',
        'principal diagnosis "HTN": hypertension (I10), CC, counts',
        '"No PE": pulmonary embolism (I26.99), not coded: I think so',
        '"HTN": hypertension (I10), CC, counts: it is important',
        "severity: high",
    ],
)
def test_a_line_that_says_too_little_or_too_much_is_vague(text):
    assert parse(text)[0] == Line(grammar.VAGUE, text=text)


def test_unknown_repeated_and_ungroupable_codes_are_faults_and_no_crash():
    trace = '- principal diagnosis "HTN": {}\n- "HTN": hypertension (I10), none\n- "HTN": hypertension (I10), none'
    for principal in ("hypertension (I10)", "fall (W19.XXXA)", "nonsense (Q9Q.9Q)"):
        assert share_true(verdicts(trace.format(principal))) < 1
