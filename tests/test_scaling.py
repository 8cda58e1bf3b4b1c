"""The scaling study: who is in which size, the fit against statsmodels, what is drawn, and resume. Trainings are those of other tests."""

import csv
import json
from pathlib import Path

import numpy as np
import plotly.io
import pytest
from statsmodels.api import OLS, add_constant

pytest.importorskip("trl")

from sapphire import scaling_plots
from sapphire.engines import ModelCard
from sapphire.prediction_files import Part
from tests.test_evaluate import ABOUT, random_run
from train import scaling, toy
from train.evaluation_rows import SCHEMA, rows
from train.recipe import RecipeError, read_recipe
from train.rows import load_rows
from train.run import Run
from train.scaling import lay_out, read_study, run

pytestmark = pytest.mark.torch
CARD = ModelCard("m", "transformers", "x")
SKILL = {"sft": 0.15, "grpo": 0.3}


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("runs/toy").mkdir(parents=True)
    for split, count in (("train", 200), ("test", 40)):
        Path(f"runs/toy/{split}.jsonl").write_text(
            "".join(json.dumps(case) + "\n" for case in toy.cases(count, split, 1))
        )
    return read_study("tiny", ["sizes=[8,32,128]", "ratios=[50]"])


class Trainer:
    """Stands where processes would: marks a run as finished, and writes an evaluation whose accuracy grows with the recipe's size."""

    def __init__(self, stop_at=None):
        self.done, self.stop_at = [], stop_at

    def __call__(self, module, arguments):
        self.done.append((module, list(arguments)))
        if len(self.done) == self.stop_at:
            raise KeyboardInterrupt
        if module == "train.evaluate":
            out = Path(arguments[arguments.index("--out") + 1])
            amount, stage = out.stem.split("-")[-2:]
            skill = SKILL[stage] + 0.04 * np.log2(int(amount))
            with Part(out, "run", SCHEMA, ABOUT) as part:
                for scored, gold in random_run(int(amount), skill, cases=60):
                    part.append(rows(scored, CARD, gold, "run"))
                part.finish()
            return
        recipe = read_recipe(arguments[0])
        with Run(recipe) as started:
            started.begin(data=[], rows=len(load_rows(recipe).rows))
            started.finish()


def points_of(folder: Path) -> list[dict]:
    with (folder / "points.csv").open() as table:
        return list(csv.DictReader(table))


def test_a_size_is_part_of_every_larger_one_and_grpo_never_sees_what_sft_learnt(study):
    points = lay_out(study)
    assert [(point.kind, point.amount, point.sft_cases) for point in points] == [
        ("size", 8, 8),
        ("size", 32, 32),
        ("size", 128, 128),
        ("ratio", 50, 100),
    ]
    members = [{row["case_id"] for row in load_rows(point.sft).rows} for point in points]
    rewarded = [{row["case_id"] for row in load_rows(point.grpo).rows} for point in points]
    assert members[0] < members[1] < members[2] and [len(each) for each in members] == [8, 32, 128, 100]
    assert rewarded[0] == rewarded[1] == rewarded[2] and len(rewarded[0]) == 64 and not rewarded[0] & members[2]
    assert (
        rewarded[3] | members[3] == {case["note_id"] for case in toy.cases(200, "train", 1)}
        and not rewarded[3] & members[3]
    )
    assert points[0].grpo.model == "runs/scaling-tiny-size-8-sft/model" and points[0].grpo.kind == "grpo"


def test_each_step_is_done_once_and_the_figure_grows(study):
    stopped = Trainer(stop_at=6)
    with pytest.raises(KeyboardInterrupt):
        run(study, stopped)
    assert len(points_of(Path("runs/scaling-tiny"))) == 2  # the first size, SFT and GRPO
    again = Trainer()
    folder = run(study, again)
    assert len(again.done) == 4 * 4 - 5
    asked = next(arguments for module, arguments in again.done if module == "train.evaluate")
    assert (
        asked[asked.index("--samples") + 1] == str(study.samples)
        and asked[asked.index("--cases") + 1] == str(study.test_cases)
        and "--constrained" not in asked
    )
    found = points_of(folder)
    assert len(found) == 8
    assert all(float(row["pass_1_low"]) < float(row["pass_1"]) < float(row["pass_1_high"]) for row in found)
    fit = json.loads((folder / "fit.json").read_text())
    assert fit["GRPO"]["points"] == 3 and 1 < fit["GRPO"]["slope"] < 7
    assert "MIMIC-IV, other data" in (folder / "scaling.html").read_text()
    last = Trainer()
    run(study, last)
    assert not last.done
    with pytest.raises(RecipeError, match="other settings"):
        run(read_study("tiny", ["sizes=[8]"]), last)


def test_the_fit_as_statsmodels():
    random = np.random.default_rng(1)
    sizes = [16, 32, 64, 256, 1024]
    accuracies = (5 + 4 * np.log2(sizes) + random.normal(0, 2, 5)).tolist()
    found = scaling_plots.fit(sizes, accuracies)
    theirs = OLS(accuracies, add_constant(np.log2(sizes))).fit()
    assert (found.intercept, found.slope, found.r_squared) == pytest.approx((*theirs.params, theirs.rsquared))
    assert (found.slope_low, found.slope_high) == pytest.approx(tuple(theirs.conf_int()[1]))
    low, high = scaling_plots.band(sizes, accuracies, [16, 100])
    expected = theirs.get_prediction(add_constant(np.log2([16, 100]))).conf_int()
    assert np.column_stack([low, high]) == pytest.approx(expected)
    assert scaling_plots.fit([16, 32], [1, 2]) is None


def test_the_figure_says_what_it_shows():
    common = {
        "test": "test.parquet",
        "test_cases": 200,
        "k": 4,
        "pass_1": 20.0,
        "pass_1_low": 15.0,
        "pass_1_high": 25.0,
    }
    table = [
        common | {"kind": "size", "amount": size, "stage": stage} for size in (8, 32, 128) for stage in ("SFT", "GRPO")
    ]
    curve = scaling_plots.fit([8, 32, 128], [10, 20, 30])
    made = scaling_plots.figure("study", table, {"SFT": curve, "GRPO": None})
    assert "200 cases, 4 samples each" in made.layout.title.text and "95% intervals" in made.layout.title.text
    names = [trace.name for trace in made.data if trace.name]
    assert "after SFT: +5.0 points a doubling (+5.0 to +5.0), R² 1.00" in names
    assert plotly.io.from_json(made.to_json()).layout.xaxis.title.text == "SFT cases (log scale)"


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["sizes=[500]"], "as many cases with reasoning"),
        (["grpo_cases=1000"], "GRPO needs"),
        (["ratios=[120]"], "percent, 1 to 99"),
        (["size=[1]"], "no study has"),
        (["data=gone.jsonl"], "no cases at gone.jsonl"),
    ],
)
def test_a_study_that_cannot_be_is_one_sentence(study, capsys, changes, says):
    assert scaling.main(["tiny", *changes]) == 1
    assert says in capsys.readouterr().err


def test_every_study_names_recipes_that_are_there():
    for path in scaling.STUDIES.glob("*.yaml"):
        made = read_study(path)
        assert [read_recipe(each["recipe"], each.get("changes", ())).kind for each in (made.sft, made.grpo)] == [
            "sft",
            "grpo",
        ]


def test_the_toy_stays_are_told_apart_by_their_words():
    train, test = toy.cases(200, "train", 1), toy.cases(50, "test", 1)
    assert len({case["drg"] for case in train}) == 5 and train == toy.cases(200, "train", 1)
    for case in test:
        said = [word for words in toy.WORDS.values() for word in words.split("|") if word in case["text"]]
        assert len(said) == 3 and set(said) <= set(toy.WORDS[case["drg"]].split("|"))
