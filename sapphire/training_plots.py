"""Plots of training runs: the curves of several over each other, where the time of each goes, how hard its cases are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sapphire.plot_parts import GRID, PALETTE, layout, new_figure, percent_axis, plain_name
from sapphire.training_runs import Curve


@dataclass(frozen=True)
class Panel:
    """One curve of a section: its metric in metrics.jsonl, what it is called, and its unit; "%" draws a share as percent."""

    metric: str
    title: str
    unit: str = ""


SECTIONS: dict[str, tuple[Panel, ...]] = {
    "Overview": (
        Panel("reward", "Reward, all terms"),
        Panel("rewards/right/mean", "Right DRG", "%"),
        Panel("loss", "Loss"),
        Panel("mean_token_accuracy", "Token accuracy", "%"),
        Panel("frac_reward_zero_std", "Dead groups", "%"),
        Panel("kl", "KL from the reference", "nats a token"),
        Panel("completions/mean_length", "Completion length", "tokens"),
        Panel("entropy", "Entropy", "nats a token"),
    ),
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
    "Signal": (
        Panel("reward_spread", "Reward spread within groups", "standard deviation"),
        Panel("frac_reward_zero_std", "Dead groups", "%"),
        Panel("resampled/groups", "Groups sampled again", "%"),
        Panel("resampled/completions", "Attempts beyond the first", "a completion"),
    ),
    "Policy": (
        Panel("kl", "KL from the reference", "nats a token"),
        Panel("beta", "Beta"),
        Panel("entropy", "Entropy", "nats a token"),
        Panel("completions/mean_length", "Completion length", "tokens"),
        Panel("completions/clipped_ratio", "Cut at the limit", "%"),
    ),
    "Time": (
        Panel("seconds/step", "Time of a step", "seconds"),
        Panel("num_tokens", "Tokens since this process began"),
    ),
}
TIMES = {"seconds/generation": "generation", "seconds/reward": "reward", "seconds/training": "training"}
TIME_COLOURS = ("#6f9fd8", "#e0a15c", "#9a86c9")
DIFFICULTY_COLOURS = {"easy": "#17a589", "medium": "#a9b2c0", "hard": "#d9702e"}
PANEL, GAP = 190, 62  # pixels: height of a panel, and between rows of them
FEW = 40  # points up to which each is marked
SHORT = 10  # steps, up to which each has a tick of its own
AXES = {"step": "optimizer step", "hours": "hours of training"}


def curves(
    panels: Sequence[Panel], runs: Mapping[str, Mapping[str, Curve]], names: Mapping[str, str], axis: str, smooth: bool
):
    """Two panels a row, zoomed together, a line a run.

    Args:
        runs: run → metric → its curve; a run without a metric is not in its panel.
        axis: "step" or "hours".
        smooth: draw the moving average, with what was measured faint behind it.
    """
    titles = [f"{panel.title}{f' ({panel.unit})' if panel.unit not in ('', '%') else ''}" for panel in panels]
    figure = _grid(titles, min(2, len(panels)), axis, horizontal_spacing=0.085)
    figure.update_xaxes(matches="x", hoverformat=",d" if axis == "step" else ".2f")
    steps = [curve.step[-1] for run in names for curve in runs[run].values() if len(curve.step)]
    if axis == "step" and max(steps, default=0) <= SHORT:
        figure.update_xaxes(dtick=1)  # there is no half a step
    named: set[str] = set()
    traces = []
    for at, panel in enumerate(panels):
        percent = panel.unit == "%"
        for number, (run, name) in enumerate(names.items()):
            if not (curve := runs[run].get(panel.metric)):
                continue
            line = {"x": getattr(curve, axis), "legendgroup": run} | _axes(at)
            colour, scale = PALETTE[number % len(PALETTE)], 100 if percent else 1
            if smooth:
                traces.append(
                    line | {"y": scale * curve.reading, "mode": "lines", "showlegend": False, "hoverinfo": "skip", "line": {"color": colour, "width": 1}, "opacity": 0.28}
                )  # fmt: skip
            traces.append(
                line | {
                    "y": scale * (curve.mean if smooth else curve.reading), "mode": "lines+markers" if len(curve.step) <= FEW else "lines",
                    "name": plain_name(name), "showlegend": run not in named, "line": {"color": colour, "width": 2}, "marker": {"size": 4},
                    "hovertemplate": "%{y:.4g}%" if percent else "%{y:.4g}",
                }
            )  # fmt: skip
            named.add(run)
        # A share that stays 0 would otherwise stand in the middle of an axis from -1%.
        shape = {"ticksuffix": "%", "rangemode": "nonnegative"} if percent else {}
        figure.layout[f"yaxis{at + 1 if at else ''}"].update(nticks=5, **shape)
    figure.add_traces(traces)
    return figure


def _axes(at: int) -> dict:
    """The axes of a panel by its place, as `make_subplots` counts them."""
    number = at + 1 if at else ""
    return {"type": "scatter", "xaxis": f"x{number}", "yaxis": f"y{number}"}


def _grid(titles: Sequence[str], columns: int, axis: str, **more: object):
    """Empty panels in rows, titles above each on the left, one legend below all."""
    from plotly.subplots import make_subplots

    lines = -(-len(titles) // columns)
    high = PANEL * lines + GAP * (lines - 1)
    figure = make_subplots(
        lines, columns, subplot_titles=titles, vertical_spacing=GAP / high if lines > 1 else 0, **more
    )
    figure.update_layout(
        layout("", high)
        | {"title": None, "margin": {"l": 10, "r": 16, "t": 28, "b": 84}, "height": high + 112, "uirevision": axis, "hovermode": "x unified"}
    )  # fmt: skip
    for at, title in enumerate(figure.layout.annotations):
        title.update(font_size=13, xanchor="left", x=figure.layout[f"xaxis{at + 1 if at else ''}"].domain[0])
    figure.update_yaxes(gridcolor=GRID, zeroline=False, automargin=True)
    figure.update_xaxes(gridcolor=GRID, zeroline=False)
    for at in range(max(len(titles) - columns, 0), len(titles)):
        figure.layout[f"xaxis{at + 1 if at else ''}"].title = {"text": AXES[axis], "standoff": 6}
    return figure


def times(runs: Mapping[str, Mapping[str, Curve]], names: Mapping[str, str]):
    """Seconds of a step, stacked by what they went into: one panel a run, three a row."""
    figure = _grid(
        [plain_name(name) for name in names.values()], min(3, len(names)), "step", shared_yaxes=True, horizontal_spacing=0.04
    )  # fmt: skip
    traces = []
    for at, run in enumerate(names):
        for (metric, name), colour in zip(TIMES.items(), TIME_COLOURS, strict=True):
            if curve := runs[run].get(metric):
                traces.append(
                    _axes(at) | {
                        "x": curve.step, "y": curve.mean, "mode": "lines", "stackgroup": f"time {at}", "name": name, "legendgroup": name, "showlegend": at == 0,
                        "line": {"width": 0.5, "color": colour}, "fillcolor": colour, "hovertemplate": "%{y:.3g} s",
                    }
                )  # fmt: skip
    figure.add_traces(traces)
    figure.update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="seconds a step", col=1)
    return figure


def difficulty(rows: Sequence[dict], name: str):
    """Share of case groups that were easy, medium and hard at each step, and of dead ones as a line: `TrainingLog.group_steps`."""
    figure = new_figure(
        f"How hard the cases were: {plain_name(name)}", 230, hovermode="x unified", uirevision="difficulty"
    )
    x = [row["step"] for row in rows]
    for level, colour in DIFFICULTY_COLOURS.items():
        figure.add_scatter(
            x=x, y=[100 * row[level] / row["groups"] for row in rows], mode="lines", stackgroup="difficulty", name=level,
            line={"width": 0.5, "color": colour}, fillcolor=colour, hovertemplate="%{y:.0f}%",
        )  # fmt: skip
    figure.add_scatter(
        x=x, y=[100 * row["dead"] / row["groups"] for row in rows], mode="lines", name="dead groups (all rewards equal)",
        line={"width": 2, "dash": "dot", "color": "#d0587a"}, hovertemplate="%{y:.0f}%",
    )  # fmt: skip
    figure.update_yaxes(**percent_axis("share of the step's groups", range=[0, 100]))
    figure.update_xaxes(title={"text": AXES["step"], "standoff": 6}, gridcolor=GRID, zeroline=False, hoverformat=",d")
    return figure
