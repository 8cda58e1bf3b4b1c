"""Scaling studies as `train.scaling` writes them: accuracy by SFT size with its log-linear fit (the paper's Fig. 1B) and by SFT share (its
Fig. 5)."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sapphire import paper
from sapphire.plot_parts import GREY, GRID, PALETTE, layout, plain_name

LEVEL = 0.95
COLOURS = {"SFT": PALETTE[0], "GRPO": PALETTE[2]}
MEASURE = "pass_1"
POINTS = "points.csv"
WORDS = ("kind", "stage", "test", "run")  # columns of points.csv that are no numbers
HEIGHT = 340  # pixels of a panel


def studies(root: Path) -> list[Path]:
    """The folders of studies with at least one point, the one that grew last first."""
    found = {path.parent: path.stat().st_mtime_ns for path in root.glob(f"*/{POINTS}")}
    return sorted(found, key=found.get, reverse=True)


def points(folder: Path) -> list[dict[str, Any]]:
    """The rows of a study's points.csv, one an evaluation. ValueError names the file when it is none."""
    path = folder / POINTS
    try:
        with path.open(encoding="utf-8", newline="") as table:
            rows = [
                {name: value if name in WORDS else float(value) for name, value in row.items()}
                for row in csv.DictReader(table)
            ]
        for row in rows:
            row |= {name: int(row[name]) for name in ("amount", "test_cases", "k")}
            if row["stage"] not in COLOURS or any(f"{MEASURE}{end}" not in row for end in ("", "_low", "_high")):
                raise KeyError(row["stage"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no table of train.scaling; run the study's command again, which writes it anew."
        ) from error
    return rows


class Fit(NamedTuple):
    """Accuracy in points = intercept + slope * log2(SFT cases), by least squares over `points` evaluations. Intervals are Student's 95%
    of the coefficients and treat the points as exact: they tell how well a line fits, not how sure each point is."""

    slope: float
    slope_low: float
    slope_high: float
    intercept: float
    r_squared: float
    points: int


def fit(sizes: Sequence[float], accuracies: Sequence[float]) -> Fit | None:
    """The log-linear fit; None with fewer than three sizes, which leave no degree of freedom for an interval."""
    from scipy import stats

    if len(set(sizes)) < 3:
        return None
    line = stats.linregress(np.log2(sizes), accuracies)
    half = stats.t.ppf(0.5 + LEVEL / 2, len(sizes) - 2) * line.stderr
    return Fit(
        *map(float, (line.slope, line.slope - half, line.slope + half, line.intercept, line.rvalue**2)), len(sizes)
    )


def band(sizes: Sequence[float], accuracies: Sequence[float], at: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper 95% bound of the fitted line at the sizes `at` (of the mean, not of a new point)."""
    from scipy import stats

    x, y, new = np.log2(sizes), np.asarray(accuracies, dtype=float), np.log2(at)
    line = stats.linregress(x, y)
    spread = ((x - x.mean()) ** 2).sum()
    noise = ((y - line.intercept - line.slope * x) ** 2).sum() / (len(x) - 2)
    half = stats.t.ppf(0.5 + LEVEL / 2, len(x) - 2) * np.sqrt(noise * (1 / len(x) + (new - x.mean()) ** 2 / spread))
    middle = line.intercept + line.slope * new
    return middle - half, middle + half


def fits(rows: Sequence[dict[str, Any]]) -> dict[str, Fit | None]:
    """The fit of each stage over a study's sizes."""
    return {stage: fit(*_curve(rows, stage)[:2]) for stage in COLOURS}


def figure(name: str, rows: Sequence[dict[str, Any]], fits: dict[str, Fit | None]):
    """A Plotly figure with one panel for sizes, one for ratios, or both."""
    from plotly.subplots import make_subplots

    kinds = [kind for kind in ("size", "ratio") if any(row["kind"] == kind for row in rows)]
    titles = {"size": "by SFT cases", "ratio": "by share of the cases for SFT, the rest for GRPO"}
    made = make_subplots(
        rows=len(kinds), cols=1, subplot_titles=[f"DRG Pass@1 {titles[kind]}" for kind in kinds], vertical_spacing=0.2
    )
    test = rows[0]
    about = f"{plain_name(test['test'])}, {test['test_cases']:,} cases, {test['k']} samples each; bars and bands are 95% intervals"
    made.update_layout(layout(f"{plain_name(name)}: {about}", HEIGHT * len(kinds), hovermode="x unified"))
    made.update_xaxes(gridcolor=GRID, zeroline=False)
    for place, kind in enumerate(kinds, start=1):
        (_sizes if kind == "size" else _ratios)(made, place, rows, fits)
        made.update_yaxes(
            title_text="DRG Pass@1",
            ticksuffix="%",
            rangemode="tozero",
            gridcolor=GRID,
            zeroline=False,
            row=place,
            col=1,
        )
    return made


def _curve(rows: Sequence[dict[str, Any]], stage: str, kind: str = "size") -> tuple[list, list, dict]:
    mine = sorted((row for row in rows if row["stage"] == stage and row["kind"] == kind), key=lambda row: row["amount"])
    y = [row[MEASURE] for row in mine]
    bars = {
        "type": "data",
        "symmetric": False,
        "array": [row[f"{MEASURE}_high"] - row[MEASURE] for row in mine],
        "arrayminus": [row[MEASURE] - row[f"{MEASURE}_low"] for row in mine],
    }
    return [row["amount"] for row in mine], y, bars


def _sizes(made, place: int, rows: Sequence[dict[str, Any]], fits: dict[str, Fit | None]) -> None:
    import plotly.graph_objects as go

    for stage, colour in COLOURS.items():
        x, y, bars = _curve(rows, stage)
        label = "after SFT" if stage == "SFT" else "after GRPO"
        made.add_trace(
            go.Scatter(
                x=x,
                y=y,
                error_y=bars,
                name=label,
                legendgroup=stage,
                mode="markers",
                marker={"color": colour, "size": 9},
            ),
            place,
            1,
        )
        if found := fits[stage]:
            at = np.geomspace(min(x), max(x), 60)
            low, high = (np.clip(bound, 0, 100) for bound in band(x, y, at))
            line = found.intercept + found.slope * np.log2(at)
            name = f"{label}: {found.slope:+.1f} points a doubling ({found.slope_low:+.1f} to {found.slope_high:+.1f}), R² {found.r_squared:.2f}"
            made.add_trace(
                go.Scatter(x=at, y=line, name=name, legendgroup=stage, line={"color": colour}, hoverinfo="skip"),
                place,
                1,
            )
            edge = {
                "x": [*at, *at[::-1]],
                "y": [*high, *low[::-1]],
                "fill": "toself",
                "fillcolor": colour,
                "opacity": 0.15,
            }
            made.add_trace(
                go.Scatter(**edge, line={"width": 0}, legendgroup=stage, showlegend=False, hoverinfo="skip"), place, 1
            )
    every = sorted({row["amount"] for row in rows if row["kind"] == "size"})
    made.update_xaxes(
        type="log",
        title_text="SFT cases (log scale)",
        tickvals=every,
        ticktext=[f"{n:,}" for n in every],
        row=place,
        col=1,
    )


def _ratios(made, place: int, rows: Sequence[dict[str, Any]], fits: dict[str, Fit | None]) -> None:
    import plotly.graph_objects as go

    for stage, colour in COLOURS.items():
        x, y, bars = _curve(rows, stage, "ratio")
        label = "after SFT" if stage == "SFT" else "after GRPO on the rest"
        made.add_trace(
            go.Scatter(
                x=x, y=y, error_y=bars, name=label, mode="lines+markers", line={"color": colour}, marker={"size": 9}
            ),
            place,
            1,
        )
        published = {"SFT": "SFT", "GRPO": "vanilla GRPO"}[stage]
        shares = list(paper.TABLE_2)
        theirs = [paper.TABLE_2[share][published][0] for share in shares]
        name = f"published {published}, {paper.REMARK}"
        dotted = {"color": GREY, "dash": "dot" if stage == "SFT" else "dash"}
        made.add_trace(
            go.Scatter(x=shares, y=theirs, name=name, mode="lines+markers", line=dotted, visible="legendonly"), place, 1
        )
    made.update_xaxes(title_text="percent of the cases for SFT", row=place, col=1)
