"""The training page by Streamlit's test driver, over run folders written as `train` writes them."""

import shutil

import pytest

from sapphire.run_folders import run_id
from tests.run_folders import NOTE, record, write_run
from tests.test_pages import app, button, fill, home, words  # noqa: F401


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SAPPHIRE_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def training(home, tab: str = ""):  # noqa: F811
    fill(home)
    at = app("training")
    if tab:
        at.session_state["training_tab"] = tab
        at.run()
    assert not at.exception
    return at


def test_without_a_run_it_says_how_to_make_one(home, runs):  # noqa: F811
    at = training(home)
    assert "There is no training run in" in words(at)
    assert "python -m train.sft tiny-sft" in at.code[0].value
    write_run(runs, "one", steps=3)
    button(at, "Look again").click().run()
    assert list(at.dataframe[0].value["Run"]) == ["one"]


def test_the_list_says_how_each_run_stands(home, runs):  # noqa: F811
    write_run(runs, "one", steps=24, done=6, state="running", credentialed=True)
    write_run(
        runs,
        "two",
        steps=24,
        kind="sft",
        state="failed",
        error="The disk of runs/two is full.",
        started="2026-11-29T04:00:00+00:00",
    )
    at = training(home)
    table = at.dataframe[0].value
    assert list(table["Run"]) == ["two", "one"]
    assert list(table["State"]) == ["✕ Failed", "‖ Interrupted"]
    assert list(table["Steps"]) == ["24 / 24", "6 / 24"]
    assert list(table["Credentialed"]) == ["", "🔒 yes"]
    assert "The disk of runs/two is full" in words(at)


def test_curves_of_two_runs_and_all_their_metrics(home, runs):  # noqa: F811
    write_run(runs, "one", steps=12)
    write_run(runs, "two", steps=12, kind="sft", started="2026-11-29T01:00:00+00:00")
    at = training(home)
    at.session_state["training_runs"] = [
        run_id(record("one")),
        run_id(record("two", started="2026-11-29T01:00:00+00:00")),
    ]
    at.session_state["training_sections"] = [
        "Overview",
        "Reward",
        "Learning",
        "Signal",
        "Policy",
        "Time",
        "Everything else",
    ]
    at.run()
    assert not at.exception
    assert len(at.get("plotly_chart")) == 8  # a section each, and the time of a step in its parts
    at.session_state["training_axis"] = "hours"
    at.slider[0].set_value(10).run()
    assert not at.exception
    assert "Strong: mean of 10 steps" in words(at)


def test_a_scaling_study_is_drawn_with_its_fit_and_a_broken_one_told(home, runs):  # noqa: F811
    write_run(runs, "one", steps=3)
    at = training(home, "Scaling study")
    assert "python -m train.scaling tiny" in at.code[0].value
    rows = [f"size,{size},{stage},t.parquet,40,2,{accuracy},{accuracy - 5},{accuracy + 5}" for size, accuracy in ((8, 10), (32, 20), (128, 30)) for stage in ("SFT", "GRPO")]  # fmt: skip
    (runs / "scaling-tiny").mkdir()
    table = runs / "scaling-tiny" / "points.csv"
    table.write_text("\n".join(["kind,amount,stage,test,test_cases,k,pass_1,pass_1_low,pass_1_high", *rows]))
    at.run()
    assert not at.exception
    drawn = at.get("plotly_chart")[0].proto.spec
    assert "after GRPO: +5.0 points a doubling" in drawn and "t.parquet, 40 cases, 2 samples each" in drawn
    table.write_text("kind,amount\nsize,8")
    at.run()
    assert not at.exception
    assert "points.csv is no table of train.scaling" in words(at).replace("\\", "")


def test_completions_are_shown_as_text_with_their_terms(home, runs):  # noqa: F811
    write_run(runs, "one", steps=3, rollouts=3)
    at = training(home, "Completions")
    shown = words(at)
    assert at.select_slider[0].value == 3
    assert "right: **291**" in shown
    assert "First the note of stay-a." in [each.value for each in at.text]
    assert f"{NOTE} stay-a" in [each.value for each in at.text]
    assert NOTE not in "".join(
        str(each.value) for kind in ("markdown", "caption", "subheader") for each in getattr(at, kind)
    )
    assert "**Reward** · dense scheme" in shown
    assert "**+2.0**" in shown
    button_before = next(each for each in at.button if each.key == "rollout_before")
    button_before.click().run()
    assert at.select_slider[0].value == 2
    at.get("button_group")
    at.session_state["rollout_order"] = "worst"
    at.run()
    assert "right: **470**" in words(at)
    at.session_state["rollout_order"] = "dead"
    at.run()
    assert "dead" in list(next(table.value for table in at.dataframe if "Spread" in table.value)[""])


def test_completions_of_a_run_whose_folder_is_gone_are_said_to_be_gone(home, runs):  # noqa: F811
    folder = write_run(runs, "one", steps=3, rollouts=3)
    at = training(home)
    shutil.rmtree(folder)
    at.session_state["training_tab"] = "Completions"
    at.run()
    assert "they stay in the run's folder" in words(at)
    at.session_state["training_tab"] = "Cases"
    at.run()
    assert not at.exception
    assert {metric.label: metric.value for metric in at.metric} == {
        "Easy cases": "1",
        "Medium cases": "1",
        "Hard cases": "1",
    }


def test_the_recipe_is_a_file_that_trains_again(home, runs, tmp_path):  # noqa: F811
    from train.recipe import read_recipe

    folder = write_run(runs, "one", steps=3)
    at = training(home, "Recipe and commands")
    path = tmp_path / "one.yaml"
    path.write_text(next(each.value for each in at.code if each.value.startswith("kind:")))
    assert (read_recipe(path).name, read_recipe(path).trl["beta"]) == ("one", 0.04)
    assert [each.value for each in at.code if each.value.startswith("tensorboard")] == [
        f"tensorboard --logdir {folder.parent}"
    ]
