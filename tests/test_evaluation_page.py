"""The evaluation page by Streamlit's test driver: its figures, and what it says when there is nothing to measure."""

import json

import pytest

from sapphire.profiles import Profile
from tests.stays import stored_note, stored_prediction
from tests.test_pages import app, fill, home, words  # noqa: F401

TABS = ("Measures", "Groups", "Between runs", "Errors", "Calibration and rewards", "Case mix")


def answers(run: str, notes: str, drg: str = "292", n: int = 1, **more) -> list[dict]:
    return [
        stored_prediction(note, prediction_id=f"{run}-{note}-{i}", run_id=run, model=f"model {run}", sample=i, chosen=i == 0, drg=drg, format=0.0, cot_first=0.0, **more)
        for note in notes for i in range(n)
    ]  # fmt: skip


def notes(names: str, **more) -> list[dict]:
    return [stored_note(name, **{"drg": "292", "drg_version": "43.1"} | more) for name in names]


def evaluation(tab: str = "", runs: tuple[str, ...] = ()):
    at = app("evaluation")
    if runs:
        at.multiselect(key="evaluation_runs").set_value(list(runs)).run()
    if tab:
        at.session_state["evaluation_tab"] = tab
        at.run()
    assert not at.exception
    return at


def test_without_an_answer_it_leads_to_the_worklist(home):  # noqa: F811
    fill(home, notes=notes("a"))
    assert "No model has answered a note yet." in words(evaluation())


def test_measures_stand_with_their_intervals_beside_published_figures(home):  # noqa: F811
    fill(home, notes=notes("abcd"), predictions=answers("x", "abc", n=2) + answers("x", "d", "293", n=2))
    at = evaluation()
    shown = words(at)
    assert "**4 labelled notes** of **4 patients**" in shown
    table = at.dataframe[0].value
    assert table["DRG Pass@1"][0].startswith("75.0% (")
    assert table["Base DRG Maj@2"][0].startswith("100.0% (")
    assert list(table["Run"])[1:] == [
        "DRG-Sapphire, full data, best run, not comparable",
        "DRG-LLaMA-7B, not comparable",
    ]
    at.toggle(key="evaluation_published").set_value(False).run()
    assert len(at.dataframe[0].value) == 1


@pytest.mark.parametrize("tab", TABS)
def test_every_tab_draws_two_runs_on_their_common_notes(home, tab):  # noqa: F811
    fill(
        home, notes=notes("abcde", trap=["history_of"]), predictions=answers("x", "abcde", "193") + answers("y", "abc")
    )
    at = evaluation(tab, ("x", "y"))
    shown = words(at)
    assert "**3 labelled notes**" in shown
    assert "2 of 5 notes of the set not answered by every chosen run" in shown
    assert at.get("plotly_chart")


def test_labels_that_are_missing_or_of_another_version_are_explained(home):  # noqa: F811
    fill(home, notes=[*notes("ab", drg_version="36"), stored_note("c")], predictions=answers("x", "abc"))
    shown = words(evaluation())
    assert "No right DRG is known of 3 answered notes" in shown
    assert "2 answered notes with a label of another MS-DRG version than v43.1" in shown
    assert "1 answered note with no label" in shown


def test_one_run_has_nothing_to_be_tested_against(home):  # noqa: F811
    fill(home, notes=notes("ab"), predictions=answers("x", "ab"))
    assert "One run is chosen." in words(evaluation("Between runs"))


def test_runs_of_different_versions_say_so(home):  # noqa: F811
    fill(home, notes=notes("ab"), predictions=answers("x", "ab") + answers("y", "ab", drg_version="41"))
    assert "only runs of one version can be compared" in words(evaluation(runs=("x", "y")))


def test_equal_runs_say_that_there_is_nothing_to_test(home):  # noqa: F811
    fill(home, notes=notes("ab"), predictions=answers("x", "ab") + answers("y", "ab"))
    shown = words(evaluation("Between runs", ("x", "y")))
    assert "right and wrong on exactly the same notes" in shown
    assert "None of the 3 differences stands" in shown


@pytest.mark.parametrize(("role", "sees"), [("coder", True), ("advisor", True), ("cdi", True), ("physician", False)])
def test_the_case_mix_is_for_roles_that_may_see_weights(home, role, sees):  # noqa: F811
    fill(home, reader=Profile("Ana", role), notes=notes("ab"), predictions=answers("x", "ab", "291"))
    at = evaluation("Case mix")
    assert bool(at.get("plotly_chart")) == sees
    assert ("withheld from treating physicians" in words(at)) != sees


def test_predictions_are_taken_in_from_a_path_with_problems_by_row(home):  # noqa: F811
    fill(home, notes=notes("ab"))
    rows = [
        {"note_id": note, "model": "model z", "completion": stored_prediction()["completion"]}
        for note in ("a", "b", "lost")
    ]
    path = home / "answers.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    at = evaluation()
    at.text_input(key="intake_path").set_value(str(path)).run()
    at.button(key="intake_go").click().run()
    assert "**2 answers** to **2 notes** added from answers" in words(at).replace("\\", "")
    assert list(at.dataframe[0].value["Note"]) == ["lost"]
    assert "**2 labelled notes**" in words(at)
    at.text_input(key="intake_path").set_value(str(home / "none.parquet")).run()
    at.button(key="intake_go").click().run()
    assert "cannot be read" in words(at)
