"""Calibrated confidence: the fit, what becomes of it in model.json, in answers, in rows and on pages, and what it refuses."""

import json
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyarrow.parquet as pq
import pytest

from pages.parts.confidence import meaning
from sapphire.calibration import LEAST, Calibration, CalibrationError, fit, leave_one_out, log_odds
from sapphire.completions import compose
from sapphire.drg.codebook import codebook
from sapphire.engines import Completion, EngineError, ModelCard, Sampling, load
from sapphire.engines.model_folder import find
from sapphire.evaluation_tables import sureness
from sapphire.metrics import auroc, bootstrap, bootstrap_statistic
from sapphire.notes import Note
from sapphire.prediction_files import Part
from sapphire.scoring import Scored, row, sample_rows
from train.calibrate import main
from train.evaluation_rows import SCHEMA, rows

BOOK = codebook()
MADE = Calibration(0.5, -0.3, "natural-dev", 50)
CARD = ModelCard("model-a", "llama.cpp", "nowhere")
RECORD = {
    "name": "model-a",
    "kind": "llama.cpp",
    "training": {"identity": "now", "data": [{"path": "corpus/train.parquet", "sha256": "t" * 64}]},
}
ABOUT = {
    "n": 1, "temperature": 0.0, "constrained": True, "model": {"name": "model-a", "kind": "llama.cpp"},
    "data": {"file": "natural-dev.parquet", "sha256": "d" * 64},
}  # fmt: skip


def overconfident(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences whose log-odds are twice what the answers deserve."""
    draw = np.random.default_rng(seed)
    deserved = draw.normal(0.3, 1.2, n)
    return 1 / (1 + np.exp(-2 * deserved)), draw.random(n) < 1 / (1 + np.exp(-deserved))


def evaluated(path, confidences, right, about=ABOUT, raw=None, name="natural-dev-{}"):
    """A file of an evaluation of model-a with these confidences."""
    title, wrong = BOOK.drgs["291"].title.upper(), BOOK.drgs["470"].title.upper()
    with Part(path, "run", SCHEMA, about) as part:
        for i, (sure, hit) in enumerate(zip(confidences, right, strict=True)):
            before = None if raw is None else raw[i]
            done = Completion(compose("Fluid overload.", title if hit else wrong), ("title",), "", 9, 1.0, sure, before)
            note = Note(name.format(i), "Some words.", drg="291", drg_version="43.1")
            part.append(rows(Scored(note, (done,)), CARD, BOOK.drgs["291"], "run"))
        part.finish()
    return path


def model(path, **more):
    path.mkdir(exist_ok=True)
    (path / "model.json").write_text(json.dumps(RECORD | more))
    return path


def test_a_calibration_rises_and_keeps_to_what_single_precision_tells():
    some = np.linspace(0.001, 0.999, 999)
    made = [MADE(each) for each in some]
    assert made == sorted(set(made))
    assert 0 < MADE(0) < made[0] and made[-1] < MADE(1) < 1
    assert Calibration(1, 0, "", 0)(0.37) == pytest.approx(0.37)
    assert log_odds(1) == -log_odds(0) == pytest.approx(np.log(1 / LEAST), abs=1e-6)
    for slope in (0, -0.2, float("nan"), float("inf")):
        with pytest.raises(CalibrationError, match="slope must be above 0"):
            Calibration(slope, 0, "", 0)


def test_the_fit_is_that_of_the_largest_likelihood():
    from sklearn.linear_model import LogisticRegression

    raw, right = overconfident(4000)
    slope, intercept = fit(raw, right)
    x = np.array([log_odds(each) for each in raw])[:, None]
    plain = LogisticRegression(C=np.inf, tol=1e-8).fit(
        x, right
    )  # with so many cases Platt's targets are nearly 0 and 1
    assert (slope, intercept) == pytest.approx((plain.coef_[0, 0], plain.intercept_[0]), abs=0.01)
    assert slope == pytest.approx(0.5, abs=0.05)


def test_a_few_cases_do_not_claim_certainty():
    slope, intercept = fit([0.2, 0.9], [False, True])  # told apart without fault
    low, high = (Calibration(slope, intercept, "", 2)(each) for each in (0.2, 0.9))
    assert (low, high) == pytest.approx((1 / 3, 2 / 3), abs=1e-4)  # Platt's targets of one case each
    with pytest.raises(CalibrationError, match="right and answers that are wrong"):
        fit([0.2, 0.9], [True, True])


def test_each_case_is_left_out_of_its_own_fit():
    raw, right = (each.tolist() for each in overconfident(12))
    made = leave_one_out(raw, right)
    assert made[3] == Calibration(*fit(raw[:3] + raw[4:], right[:3] + right[4:]), "", 11)(raw[3])


def test_the_area_is_that_of_the_roc_curve():
    from sklearn.metrics import roc_auc_score

    raw, right = overconfident(80)
    raw = raw.round(1)  # with ties
    assert auroc(raw, right) == pytest.approx(roc_auc_score(right, raw))
    assert np.isnan(auroc(raw, right | True))


def test_the_bootstrap_of_any_statistic_is_that_of_a_mean():
    values, patients = np.random.default_rng(1).random(60), [i // 2 for i in range(60)]
    (one,) = bootstrap_statistic(lambda at: [values[at].mean()], patients)
    other = bootstrap(values, patients)
    assert (one.estimate, one.low, one.high) == pytest.approx((other.estimate, other.low, other.high), abs=0.01)


def test_rows_of_a_dev_set_make_the_calibration_and_doing_it_again_changes_nothing(tmp_path, capsys):
    raw, right = overconfident(60)
    folder, dev = model(tmp_path / "model"), evaluated(tmp_path / "dev.parquet", raw, right)
    assert main([str(dev), "--model", str(folder)]) == 0
    made = json.loads((folder / "model.json").read_text())
    assert made["calibration"] | {"slope": 0, "intercept": 0} == {
        "slope": 0, "intercept": 0, "data": "natural-dev", "cases": 60, "sha256": "d" * 64,
    }  # fmt: skip
    assert {key: made[key] for key in RECORD} == RECORD
    card = find(folder).card
    assert card.calibration.slope < 1
    # The calibrated model's own rows hold both numbers; the fit is to the raw one.
    again = evaluated(tmp_path / "again.parquet", [card.calibration(each) for each in raw], right, raw=raw)
    assert main([str(again), "--model", str(folder)]) == 0
    assert json.loads((folder / "model.json").read_text()) == made
    assert "calibrated, leave one out" in capsys.readouterr().out


def test_a_check_measures_other_cases_and_writes_nothing_but_the_plot(tmp_path, capsys):
    raw, right = overconfident(200, seed=1)
    folder = model(tmp_path / "model", calibration={"slope": 0.5, "intercept": 0.0, "data": "natural-dev", "cases": 50})
    before = (folder / "model.json").read_text()
    about = ABOUT | {"data": {"file": "natural-test.parquet", "sha256": "e" * 64}}
    test = evaluated(tmp_path / "test.parquet", raw, right, about, name="natural-test-{}")
    plot = tmp_path / "plots" / "reliability.svg"
    assert main([str(test), "--model", str(folder), "--check", "--plot", str(plot)]) == 0
    printed = capsys.readouterr().out
    error = {line.split()[0]: float(line.split()[1]) for line in printed.splitlines() if line[:3] in ("raw", "cal")}
    assert error["calibrated"] < 0.7 * error["raw"]
    assert (folder / "model.json").read_text() == before
    svg = ElementTree.fromstring(plot.read_text())
    dots = svg.findall(".//{*}circle/{*}title")
    assert sum(int(dot.text.split()[0]) for dot in dots) == 2 * 200
    assert any("calibrated: error" in (text.text or "") for text in svg.findall(".//{*}text"))


@pytest.mark.parametrize(
    ("about", "name", "said"),
    [
        ({"data": {"file": "natural-test.parquet", "sha256": ""}}, "x{}", "is a test set"),
        ({"data": {"file": "some.parquet", "sha256": ""}}, "natural-test-{}", "is a test set"),
        ({"data": {"file": "train.parquet", "sha256": "t" * 64}}, "x{}", "was trained on train.parquet"),
        ({"constrained": False}, "x{}", "as the app asks it"),
        ({"temperature": 0.6}, "x{}", "as the app asks it"),
        ({"model": {"name": "model-a", "kind": "vLLM"}}, "x{}", "not of model-a"),
        (
            {"model": {"name": "model-a", "kind": "llama.cpp", "identity": "before"}},
            "x{}",
            "as another training made it",
        ),
    ],
)
def test_rows_that_are_unfit_are_refused(tmp_path, capsys, about, name, said):
    folder = model(tmp_path / "model")
    before = (folder / "model.json").read_text()
    file = evaluated(tmp_path / "rows.parquet", *overconfident(30), ABOUT | about, name=name)
    assert main([str(file), "--model", str(folder)]) == 2
    assert said in capsys.readouterr().err
    assert (folder / "model.json").read_text() == before


def test_a_confidence_that_tells_nothing_is_refused(tmp_path, capsys):
    raw, right = overconfident(60)
    file = evaluated(tmp_path / "rows.parquet", raw, ~right)
    assert main([str(file), "--model", str(model(tmp_path / "model"))]) == 2
    assert "slope must be above 0" in capsys.readouterr().err
    unfit = model(tmp_path / "unfit", calibration={"slope": -1, "intercept": 0, "data": "x", "cases": 9})
    with pytest.raises(EngineError, match=r"slope must be above 0.*fit it anew"):
        find(unfit)


def test_only_a_single_answer_keeps_what_it_was_before(tmp_path):
    note, text = Note("n", "Some words."), compose("Fluid overload.", BOOK.drgs["291"].title.upper())
    done = Completion(text, ("title",), "", 9, 1.0, 0.6, 0.8)
    assert (row(note, [done], CARD)["confidence"], row(note, [done], CARD)["raw_confidence"]) == (0.6, 0.8)
    several = row(note, [done, replace(done, text="no form")], CARD)
    assert (several["confidence"], several["raw_confidence"]) == (0.5, None)  # a share of the answers
    assert [each["raw_confidence"] for each in sample_rows(note, [done, done], CARD)] == [None, 0.8]


def test_what_is_said_of_a_confidence():
    card = replace(CARD, calibration=MADE)
    said = meaning({"raw_confidence": 0.83}, card)
    assert "Calibrated on 50 cases of natural\\-dev" in said and "was 83%" in said
    assert meaning({"raw_confidence": 0.83}).startswith("Calibrated: of answers")
    assert meaning({"raw_confidence": None}, card).startswith("Not calibrated")  # an answer of before the calibration
    runs = [{"run_id": str(i), "calibrated": c, "samples": n} for i, (c, n) in enumerate([(9, 1), (0, 1), (0, 8)])]
    assert sureness(runs, {"0": "A", "1": "B", "2": "C"}).endswith(
        "Calibrated: A. Not calibrated: B. The share of the answers that agree, not calibrated: C."
    )


def test_the_embedded_model_answers_by_its_calibration(engine, smollm2, tmp_path):
    record = json.loads((smollm2 / "model.json").read_text())
    weights = next(smollm2.glob("*.gguf"))
    (tmp_path / weights.name).symlink_to(weights)
    calibration = {"slope": 0.4, "intercept": -0.5, "data": "natural-dev", "cases": 50, "sha256": ""}
    (tmp_path / "model.json").write_text(json.dumps(record | {"calibration": calibration}))
    asked = "Elective right total knee arthroplasty for osteoarthritis.", Sampling(max_thinking=0)
    [[plain]] = engine.score([asked[0]], asked[1])
    calibrated = load(tmp_path)
    try:
        [[done]] = calibrated.score([asked[0]], asked[1])
    finally:
        calibrated.close()
    assert plain.raw_confidence is None
    assert done.raw_confidence == pytest.approx(plain.confidence, rel=1e-3)
    assert done.confidence == calibrated.card.calibration(done.raw_confidence) != done.raw_confidence
    kept = evaluated(tmp_path / "rows.parquet", [done.confidence], [True], raw=[done.raw_confidence])
    assert pq.read_table(kept)["raw_confidence"].to_pylist() == [done.raw_confidence]
