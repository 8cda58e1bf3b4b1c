"""Calibration of a model's confidence by Platt scaling, so that of answers with 70% about 70 in a hundred are right.

Platt, "Probabilistic Outputs for Support Vector Machines and Comparisons to Regularized Likelihood Methods" (1999), on the log-odds of
the confidence: two numbers that a few dozen cases can settle. The map rises, so what it is sorted by stays sorted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# llama.cpp tells odds in single precision, so what is nearer to 0 or 1 cannot be told from it.
LEAST = 2.0**-24


class CalibrationError(ValueError):
    """Why a confidence cannot be calibrated; one sentence."""


@dataclass(frozen=True)
class Calibration:
    """How a model's confidence becomes a chance of being right, as `calibration` in its model.json: fitted on `cases` cases of `data`, a file
    with this `sha256`.

    Raises:
        CalibrationError: unless the slope is above 0.
    """

    slope: float
    intercept: float
    data: str
    cases: int
    sha256: str = ""

    def __post_init__(self):
        if not (self.slope > 0 and math.isfinite(self.slope) and math.isfinite(self.intercept)):
            raise CalibrationError(
                f"A calibration's slope must be above 0, not {self.slope:.3g}: else surer answers would count as less likely to be right."
            )

    def __str__(self) -> str:
        return f"calibrated on {self.data}, {self.cases:,} cases"

    def __call__(self, confidence: float) -> float:
        """The calibrated confidence (0 to 1) of a raw one (0 to 1)."""
        return 1 / (1 + math.exp(-self.slope * log_odds(confidence) - self.intercept))


def log_odds(confidence: float) -> float:
    """ln(p / (1 - p)) of a confidence from 0 to 1, which is kept LEAST away from both."""
    kept = min(max(confidence, LEAST), 1 - LEAST)
    return math.log(kept / (1 - kept))


def fit(confidence: Sequence[float], right: Sequence[bool]) -> tuple[float, float]:
    """Slope and intercept of the largest likelihood for raw confidences and whether each answer was right. In place of 1 and 0 stand Platt's
    targets, (n + 1) / (n + 2) of n right answers and 1 / (m + 2) of m wrong ones, so that a few cases do not claim certainty.

    Raises:
        CalibrationError: when all are right, or all wrong.
    """
    import numpy as np
    from scipy.optimize import minimize

    hits = np.asarray(right, dtype=bool)
    n, m = int(hits.sum()), int((~hits).sum())
    if not (n and m):
        raise CalibrationError(
            "A calibration needs answers that are right and answers that are wrong; take more cases."
        )
    x = np.array([log_odds(each) for each in confidence])
    target = np.where(hits, (n + 1) / (n + 2), 1 / (m + 2))

    def loss(numbers: np.ndarray) -> tuple[float, np.ndarray]:
        z = numbers[0] * x + numbers[1]
        gap = 1 / (1 + np.exp(-z)) - target
        return float(np.sum(np.logaddexp(0, z) - target * z)), np.array([gap @ x, gap.sum()])

    slope, intercept = minimize(loss, (1.0, 0.0), jac=True, method="BFGS").x
    return float(slope), float(intercept)


def leave_one_out(confidence: Sequence[float], right: Sequence[bool]) -> list[float]:
    """Each confidence calibrated by a fit to all the others, which shows what a fit does to cases that it has not seen. Raises as `fit`."""
    found = []
    for i, each in enumerate(confidence):
        numbers = fit([*confidence[:i], *confidence[i + 1 :]], [*right[:i], *right[i + 1 :]])
        found.append(Calibration(*numbers, data="", cases=len(right) - 1)(each))
    return found
