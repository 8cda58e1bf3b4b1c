"""What a note's words as a whole speak for, and what becomes of it among the candidates."""

import pytest

from data.fit_leanings import Labelled, fit, out_of_fold
from sapphire.drg import leanings
from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS, codebook
from sapphire.drg.digest import digest
from sapphire.drg.grounding import _families, ground

# No wording of the index: only what is usual in such stays.
WITHOUT_A_NAME = (
    "58-year-old man admitted for his sixth cycle of chemotherapy. Premedicated with ondansetron and dexamethasone, hydrated, infusion "
    "over three days through the port without reaction. Counts stable. Discharged home with antiemetics. Hypertension."
)


def notes():
    sick = [
        "cough fever sputum opacity",
        "fever sputum opacity cough oxygen",
        "cough fever opacity sputum",
        "fever cough opacity",
    ]
    hip = ["fell hip rotated nail", "hip nail rotated fell walker", "rotated hip nail fell", "nail hip fell"]
    worse = ["sepsis lactate pressors", "lactate pressors sepsis", "sepsis pressors lactate fever", "lactate sepsis"]
    three = {
        "SIMPLE PNEUMONIA AND PLEURISY": ("04", "CC", False, "J189", sick),
        "HIP AND FEMUR": ("08", "none", True, "S72141A", hip),
        "SEPTICEMIA": ("18", "MCC", False, "A419", worse),
    }
    return [
        Labelled(text, base, mdc, level, surgical, code, 1.0, i % 2)
        for base, (mdc, level, surgical, code, some) in three.items()
        for i, text in enumerate(some)
    ]


def test_words_of_a_base_speak_for_it_and_a_saved_classifier_says_the_same(tmp_path, monkeypatch):
    known = fit(notes())
    said = known.leanings("Fever and cough, fever again, lobar opacity; given ceftriaxone.")
    best = max(said.bases, key=lambda base: said.bases[base].score)
    assert best == "SIMPLE PNEUMONIA AND PLEURISY" and said.bases[best].code == "J189" and said.bases[best].score > 0
    assert (
        max(said.mdcs, key=said.mdcs.get) == "04"
        and max(said.levels, key=said.levels.get) == "CC"
        and said.surgical < 0
    )
    (tmp_path / "tables").mkdir()
    known.save(tmp_path / "tables" / "leanings.npz")
    monkeypatch.setattr(leanings, "files", lambda package: tmp_path)
    again = leanings.classifier.__wrapped__().leanings(
        "Fever and cough, fever again, lobar opacity; given ceftriaxone."
    )
    assert scores(again) == pytest.approx(scores(said), abs=0.03)


def scores(said):
    return {
        **{base: each.score for base, each in said.bases.items()},
        **said.mdcs,
        **said.levels,
        "surgical": said.surgical,
    }


def test_an_operation_speaks_for_a_surgical_drg_of_its_mdc():
    said = fit(notes()).leanings("Fell on the hip; nail.")
    assert said.surgical > 0 and max(said.mdcs, key=said.mdcs.get) == "08"


def test_scores_are_those_of_scikit_learn():
    import numpy as np
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    some = notes()
    counted = TfidfVectorizer(analyzer=leanings.words, sublinear_tf=True, min_df=2)
    machine = LinearSVC(random_state=0).fit(
        counted.fit_transform([each.text for each in some]), [each.base for each in some]
    )
    known = fit(some)
    for text in ("fever fever lactate hip", "nail", "nothing that it knows"):
        ours = known.leanings(text).bases
        theirs = machine.decision_function(counted.transform([text]))[0]
        np.testing.assert_allclose([ours[base].score for base in machine.classes_], theirs, atol=1e-4)


def test_a_note_is_scored_by_what_never_saw_it():
    some = notes()
    unseen = out_of_fold(some, {some[0].text})
    assert list(unseen) == [some[0].text]
    assert unseen[some[0].text] == fit([each for each in some if each.fold != some[0].fold]).leanings(some[0].text)


def test_words_alone_lead_to_a_candidate_that_no_find_names():
    grounding = ground(WITHOUT_A_NAME)
    led = [each for each in grounding.candidates if not each.found]
    assert any("CHEMOTHERAPY" in each.title.upper() for each in led)
    _, lines = digest(grounding, WITHOUT_A_NAME, DEFAULT_VERSION)
    place = grounding.candidates.index(led[0])
    assert lines[place].startswith(led[0].title.upper()) and "(often " in lines[place]


def test_words_alone_lead_where_no_diagnosis_is_named():
    found = ground(
        "Right total hip arthroplasty through the posterior approach. Walked with therapy on the first day. Home with a walker."
    )
    assert {each.kind for each in found.conditions} == {"procedure"} and found.coded == ()
    assert found.candidates and not any(each.found for each in found.candidates)


def test_a_text_that_names_nothing_has_no_candidates():
    assert ground("Came and went.").candidates == ()


def test_the_words_weigh_in_with_the_severity():
    """Kidney injury is a CC; words that speak for no CC at all take chance from the DRG with one, and give it to that without."""
    text = "71F admitted with pneumonia and acute kidney injury. Antibiotics. Home."
    said = leanings.leanings(text)

    def chances(level):
        weighed = said._replace(levels=dict.fromkeys(said.levels, 0.0) | {level: 3.0})
        return {each.drg: each.probability for each in ground(text, leaning=weighed).candidates}

    with_cc, none = chances("CC"), chances("none")
    assert with_cc["194"] > none["194"] and none["195"] > with_cc.get("195", 0.0)


@pytest.mark.parametrize("version", VERSIONS)
def test_families_give_drgs_of_their_own(version):
    drgs = codebook(version).drgs
    for base, members in _families(version).items():
        assert {drgs[drg].base for drg in members} == {base}
        levels = [drgs[drg].level for drg in members]
        assert levels[0] != "MCC" or {drgs[drg].level for drg in members} == {"MCC"}
        assert levels[2] in ("MCC", "CC/MCC", "CC", "unsplit"), (base, levels)


def test_training_prompts_do_not_show_what_the_classifier_learnt_from_the_note():
    """With the shipped classifier a note by hand of the training split seems easier than any that a user has."""
    from pathlib import Path

    from data import corpus_natural, held_out
    from data.fit_ranking import KNOWN
    from data.sft_rows import model_case
    from sapphire.prompts import grounded

    # Of the first writers the index's wordings know what the classifier no longer does.
    notes = corpus_natural.cases("train", Path("data/natural"))
    cases = [case for case in notes if case["note_id"].split("-")[2] not in KNOWN][::6]
    known = codebook(DEFAULT_VERSION).drgs

    def first_is_right(case, found):
        return bool(found.candidates) and known[found.candidates[0].drg].base_id == known[case["drg"]].base_id

    by_others = [first_is_right(case, grounded(model_case(case), DEFAULT_VERSION)) for case in cases]
    by_itself = [first_is_right(case, ground(model_case(case).text)) for case in cases]
    assert sum(by_others) <= 0.8 * sum(by_itself)
    assert held_out.leanings("natural-dev-heart-failure-diet-001") is None and held_out.leanings("mine") is None


def test_what_was_held_out_is_stored_by_label(tmp_path):
    from data import held_out

    some = notes()
    known, scored = fit(some), out_of_fold(some, {some[0].text})[some[0].text]
    held_out.save([("n-1", scored)], known.labels, tmp_path / "held_out.npz")
    stored, labels = held_out._table(tmp_path / "held_out.npz")
    assert labels == known.labels
    assert scores(labels.leanings(stored["n-1"].tolist())) == pytest.approx(scores(scored), abs=0.01)
