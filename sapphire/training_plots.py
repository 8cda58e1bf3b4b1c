"""Plots of training runs: the curves of several over each other, where the time of each goes, how hard its cases are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sapphire.plot_parts import GRID, PALETTE, layout, new_figure, plain_name


@dataclass(frozen=True)
class Panel:
    """One curve of a section: its metric in metrics.jsonl, what it is called, and its unit; "%" draws a share as percent."""

    metric: str
    title: str
    unit: str = ""


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Reward": (
        Panel("reward", "Reward, all terms"),
        Panel("rewards/accuracy/mean", "Accuracy"),
        Panel("rewards/format/mean", "Format"),
        Panel("rewards/cot_first/mean", "CoT-First"),
        Panel("rewards/right/mean", "Right DRG", "%"),
        Panel("rewards/base_right/mean", "Right base DRG", "%"),
        Panel("rewards/severity_right/mean", "Right severity", "%"),
        Panel("rewards/grounded/mean", "True lines (grounded)", "%"),
    ),
    "Learning": (
        Panel("loss", "Loss"),
        Panel("mean_token_accuracy", "Token accuracy", "%"),
        Panel("grad_norm", "Gradient norm"),
        Panel("learning_rate", "Learning rate"),
    ),
    "Signal within groups": (
        Panel("reward_spread", "Reward spread within groups", "standard deviation"),
        Panel("frac_reward_zero_std", "Dead groups", "%"),
        Panel("resampled/groups", "Groups sampled again", "%"),
        Panel("resampled/completions", "Drawings beyond the first", "a completion"),
    ),
    "Policy": (
        Panel("kl", "KL from the reference", "nats a token"),
        Panel("beta", "Beta"),
        Panel("entropy", "Entropy", "nats a token"),
        Panel("completions/mean_length", "Completion length", "tokens"),
        Panel("completions/clipped_ratio", "Cut at the limit", "%"),
        Panel("seconds/step", "Time of a step", "seconds"),
    ),
}
TIMES = {"seconds/generation": "generation", "seconds/reward": "reward", "seconds/training": "training"}
TIME_COLOURS = ("#6f9fd8", "#e0a15c", "#9a86c9")
DIFFICULTY_COLOURS = {"easy": "#17a589", "medium": "#a9b2c0", "hard": "#d9702e"}
AXES = {"step": "optimizer step", "hours": "hours of training"}


def curves(
    panels: Sequence[Panel],
    runs: Mapping[str, Mapping[str, list[dict]]],
    names: Mapping[str, str],
    axis: str,
    smooth: bool,
):
    """Two panels a row, zoomed together, a line a run.

    Args:
        runs: run → metric → rows of `TrainingLog.curves`; a run without a metric is not in its panel.
        axis: "step" or "hours".
        smooth: draw `mean`, with `reading` faint behind it.
    """
    from plotly.subplots import make_subplots

    columns = min(2, len(panels))
    lines = -(-len(panels) // columns)
    high = 190 * lines + 60 * (lines - 1)
    titles = [f"{panel.title}{f' ({panel.unit})' if panel.unit not in ('', '%') else ''}" for panel in panels]
    figure = make_subplots(
        lines, columns, subplot_titles=titles, horizontal_spacing=0.085, vertical_spacing=60 / high if lines > 1 else 0,
    )  # fmt: skip
    figure.update_layout(
        layout("", high) | {"uirevision": axis, "hovermode": "x unified", "hoverlabel": {"namelength": -1}}
    )
    figure.update_layout(title=None, margin={"l": 10, "r": 16, "t": 30, "b": 96}, height=high + 126)
    figure.update_annotations(font_size=13)
    shown: set[str] = set()
    for at, panel in enumerate(panels):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        scale = 100 if panel.unit == "%" else 1
        for number, (run, name) in enumerate(names.items()):
            rows = runs[run].get(panel.metric)
            if not rows:
                continue
            x = [_short(row[axis]) for row in rows]
            colour = PALETTE[number % len(PALETTE)]
            if smooth:
                figure.add_scatter(
                    x=x, y=[_short(scale * row["reading"]) for row in rows], mode="lines", legendgroup=run, showlegend=False, hoverinfo="skip",
                    line={"color": colour, "width": 1}, opacity=0.28, **place,
                )  # fmt: skip
            figure.add_scatter(
                x=x, y=[_short(scale * row["mean" if smooth else "reading"]) for row in rows], mode="lines+markers" if len(rows) <= 40 else "lines",
                name=plain_name(name), legendgroup=run, showlegend=run not in shown, line={"color": colour, "width": 2}, marker={"size": 4},
                hovertemplate="%{y:.4g}%" if scale == 100 else "%{y:.4g}", **place,
            )  # fmt: skip
            shown.add(run)
        figure.update_yaxes(
            ticksuffix="%" if scale == 100 else "", gridcolor=GRID, zeroline=False, automargin=True, nticks=5, **place
        )
    figure.update_xaxes(gridcolor=GRID, zeroline=False, matches="x", hoverformat=",d" if axis == "step" else ".2f")
    for column in range(1, columns + 1):
        last = max(at for at in range(len(panels)) if at % columns == column - 1) // columns + 1
        figure.update_xaxes(title={"text": AXES[axis], "standoff": 6}, row=last, col=column)
    return figure


def _short(value: float) -> float:
    return float(f"{value:.5g}") if isinstance(value, float) else value


def times(runs: Mapping[str, Mapping[str, list[dict]]], names: Mapping[str, str]):
    """Seconds of a step, stacked by what they went into: one panel a run, three a row."""
    from plotly.subplots import make_subplots

    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    high = 190 * lines + 60 * (lines - 1)
    figure = make_subplots(
        lines, columns, subplot_titles=[plain_name(name) for name in names.values()], shared_yaxes=True, horizontal_spacing=0.04,
        vertical_spacing=60 / high if lines > 1 else 0,
    )  # fmt: skip
    figure.update_layout(layout("", high) | {"uirevision": "times", "hovermode": "x unified"})
    figure.update_layout(title=None, margin={"l": 10, "r": 16, "t": 30, "b": 96}, height=high + 126)
    figure.update_annotations(font_size=13)
    for at, run in enumerate(names):
        place = {"row": at // columns + 1, "col": at % columns + 1}
        for (metric, name), colour in zip(TIMES.items(), TIME_COLOURS, strict=True):
            rows = runs[run].get(metric, [])
            figure.add_scatter(
                x=[row["step"] for row in rows], y=[_short(row["mean"]) for row in rows], mode="lines", stackgroup="time", name=name, legendgroup=name,
                showlegend=at == 0, line={"width": 0.5, "color": colour}, fillcolor=colour, hovertemplate="%{y:.3g} s", **place,
            )  # fmt: skip
    figure.update_yaxes(gridcolor=GRID, zeroline=False, rangemode="tozero")
    figure.update_yaxes(title="seconds a step", col=1)
    figure.update_xaxes(gridcolor=GRID, zeroline=False, title={"text": AXES["step"], "standoff": 6}, hoverformat=",d")
    return figure


def difficulty(rows: Sequence[dict], name: str):
    """Share of case groups that were easy, medium and hard at each step, and of dead ones as a line: `TrainingLog.group_steps`."""
    figure = new_figure(
        f"How hard the cases were: {plain_name(name)}", 230, hovermode="x unified", uirevision="difficulty"
    )
    x = [row["step"] for row in rows]
    for level, colour in DIFFICULTY_COLOURS.items():
        figure.add_scatter(
            x=x, y=[_short(100 * row[level] / row["groups"]) for row in rows], mode="lines", stackgroup="difficulty", name=level,
            line={"width": 0.5, "color": colour}, fillcolor=colour, hovertemplate="%{y:.0f}%",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=[_short(100 * row["dead"] / row["groups"]) for row in rows], mode="lines", name="dead groups (all rewards equal)",
        line={"width": 2, "dash": "dot", "color": "#d0587a"}, hovertemplate="%{y:.0f}%",
    )  # fmt: skip
    figure.update_yaxes(
        title="share of the step's groups", ticksuffix="%", range=[0, 100], gridcolor=GRID, zeroline=False
    )
    figure.update_xaxes(title={"text": AXES["step"], "standoff": 6}, gridcolor=GRID, zeroline=False, hoverformat=",d")
    return figure
