"""Calibration of a model's confidence by an evaluation on a dev set: `python -m train.calibrate ROWS`, see docs/evaluation.md.

ROWS is a file of train.evaluate that asked as the app does (--constrained --samples 1 --temperature 0). The fit goes into the model's
model.json, from where set-up and the engines take it. It is made of the raw confidences, so it can be done again at any time; a model that
is shipped anew by train.ship has none until it is. With --check nothing is fitted or written: what the calibration does to other cases.
"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sapphire.calibration import Calibration, CalibrationError, fit, leave_one_out
from sapphire.engines import EngineError
from sapphire.engines.model_folder import read_card
from sapphire.metrics import auroc, bootstrap_statistic, reliability
from sapphire.prediction_files import OutputError
from sapphire.shipped import FOLDER
from train.measures import Results, Sure, calibration_intervals, calibration_scores, read_results, sure
from train.reliability_plot import reliability_plot
from train.tables import columns, percent, plain

TESTS = ("test.parquet", "natural-test.parquet")  # the corpus's, whose cases nothing is fitted to
FITS = 500  # fits that show how much the two numbers depend on the cases
TEST_NOTES = "natural-test-"  # how the ids of notes of natural-test begin


def calibrate(results: Results, record: dict[str, Any]) -> tuple[Calibration, np.ndarray]:
    """The calibration of the model with this `record` (its model.json) by the rows of an evaluation, and each of its confidences by a fit
    to all the other cases.

    Raises:
        CalibrationError: when the rows are not the model's as the app asks it, are of cases that it was trained or is tested on, or the
            confidence does not tell right from wrong.
    """
    data, found = results.about["data"], _rows_of(results, record)
    if data["file"] in TESTS or any(note.startswith(TEST_NOTES) for note in results.note_ids):
        raise CalibrationError(f"{data['file']} is a test set, and nothing is fitted to one; evaluate a dev set.")
    if data["sha256"] in [each["sha256"] for each in record.get("training", {}).get("data", ())]:
        raise CalibrationError(f"The model was trained on {data['file']}, where it is surer; evaluate a dev set.")
    raw, right = found.raw.tolist(), found.right.tolist()
    made = Calibration(*fit(raw, right), data=Path(data["file"]).stem, cases=len(right), sha256=data["sha256"])
    return made, np.array(leave_one_out(raw, right))


def check(results: Results, record: dict[str, Any]) -> np.ndarray:
    """The raw confidences of an evaluation by the model's calibration. Raises as `calibrate`, and where there is none."""
    if not record.get("calibration"):
        raise CalibrationError(f"{record['name']} has no calibration; fit it first.")
    made = Calibration(**record["calibration"])
    return np.array([made(each) for each in _rows_of(results, record).raw])


def _rows_of(results: Results, record: dict[str, Any]) -> Sure:
    about = results.about
    asked = about["model"]["name"], about["model"]["kind"]
    if asked != (record["name"], record["kind"]):
        raise CalibrationError(
            f"The rows are of {asked[0]} ({asked[1]}), not of {record['name']} ({record['kind']}); name its folder with --model."
        )
    if about["model"].get("identity") not in (None, record.get("training", {}).get("identity")):
        raise CalibrationError(f"The rows are of {asked[0]} as another training made it; evaluate it anew.")
    if not about["constrained"] or about["n"] > 1 or about["temperature"]:
        raise CalibrationError(
            "The rows do not say how sure the model is as the app asks it; evaluate it with --constrained --samples 1 --temperature 0."
        )
    return sure(results)


def table(found: Sure, after: np.ndarray, how: str) -> str:
    """Both scores of the raw confidences and of those `after`, and what no calibration changes, with 95% intervals."""
    names = ("raw", how, "difference")
    scores = calibration_intervals(found.raw, after, found.right, found.patients)
    rows = [["confidence", "calibration error", "Brier score"]]
    rows += [[name, *(plain(each, ".3f") for each in scores[2 * i : 2 * i + 2])] for i, name in enumerate(names)]
    (area,) = bootstrap_statistic(lambda at: [auroc(found.raw[at], found.right[at])], found.patients)
    told = f"Of a right and a wrong answer the right one is surer in {percent(area)} percent (ROC area), calibrated or not."
    return f"{columns(rows)}\n{len(found.right):,} answers; expected calibration error in ten bins; 95% by bootstrap over patients.\n{told}"


def plot(found: Sure, after: np.ndarray, title: str) -> str:
    """Both as a reliability plot (SVG)."""
    series = {
        f"{name}: error {calibration_scores(each, found.right)[0]:.3f}": reliability(each, found.right)
        for name, each in (("raw", found.raw), ("calibrated", after))
    }
    return reliability_plot(title, series)


def main(argv: list[str] | None = None) -> int:
    """0 when done, 2 when the rows cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m train.calibrate", description=__doc__.partition("\n")[0])
    parser.add_argument("rows", metavar="ROWS", type=Path, help="a file of train.evaluate --constrained")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="where its model.json is (default: models/NAME)")
    parser.add_argument("--check", action="store_true", help="measure the calibration that the model has; fit nothing")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="write a reliability plot too")
    args = parser.parse_args(argv)
    try:
        results = read_results(args.rows)
        model, file = results.about["model"]["name"], results.about["data"]["file"]
        card = (args.model or FOLDER / model) / "model.json"
        record, found = read_card(card), sure(results)
        if args.check:
            after, how = check(results, record), "calibrated"
        else:
            made, after = calibrate(results, record)
            how = "calibrated, leave one out"
            record["calibration"] = asdict(made)
    except (CalibrationError, EngineError, OutputError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{model} on {file}\n\n{table(found, after, how)}")
    if args.plot:
        args.plot.parent.mkdir(parents=True, exist_ok=True)
        title = f"{model} on {Path(file).stem}: is it right as often as it is sure?"
        args.plot.write_text(plot(found, after, title), encoding="utf-8")
    if not args.check:
        card.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"\nSlope {made.slope:.3f}, intercept {made.intercept:.3f} in {card}; set-up installs the model with it.")
        slope, intercept = bootstrap_statistic(lambda at: fit(found.raw[at], found.right[at]), found.patients, FITS)
        print(f"By other draws of as many cases: slope {plain(slope)}, intercept {plain(intercept)} (95%).")
    return 0


if __name__ == "__main__":
    sys.exit(main())
