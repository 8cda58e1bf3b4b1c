"""Plots of an evaluation, from the rows of `measuring`: the same figure on a page and in a saved report."""

from collections.abc import Mapping, Sequence

from sapphire.phrases import counted
from sapphire.plot_parts import (
    GREY,
    GRID,
    PALETTE,
    error_bars,
    lane,
    layout,
    new_figure,
    percent_axis,
    plain_name,
    rows_axis,
)
from sapphire.rewards import LEVEL_NAMES

HATCHES = ("/", "x", ".")  # published series, which are all grey
CROSSES = ("x-thin", "cross-thin", "y-up", "asterisk")
# Shades that carry their own words, dark on light and white on dark, whatever lies behind them; an empty cell is not drawn.
SCALE = [[0.0, "#c3d6f2"], [1.0, "#1b56b0"]]


def measures(rows: Sequence[dict], names: Mapping[str, str], published: Sequence[dict] = ()):
    """`measuring.measures`: one panel a target, one dot with its interval a run; published figures as crosses without interval."""
    from plotly.subplots import make_subplots

    targets = list(dict.fromkeys(row["target"] for row in rows))
    kinds = list(dict.fromkeys(row["measure"] for row in rows))
    lanes = [*names, *dict.fromkeys(row["run_id"] for row in published)]
    figure = make_subplots(1, len(targets), shared_yaxes=True, subplot_titles=targets, horizontal_spacing=0.05)
    figure.update_layout(layout("Notes that are right, with 95% intervals", (16 + 18 * len(lanes)) * len(kinds)))
    figure.update_annotations(font_size=13)
    for place, run in enumerate(lanes):
        for panel, target in enumerate(targets, start=1):
            mine = [
                row
                for row in (*rows, *published)
                if row["run_id"] == run and row["target"] == target and row["measure"] in kinds
            ]
            colour = PALETTE[place % len(PALETTE)] if run in names else GREY
            figure.add_scatter(
                x=[100 * row["estimate"] for row in mine], y=[kinds.index(row["measure"]) + lane(place, lanes) for row in mine], mode="markers",
                name=plain_name(names.get(run, run)), legendgroup=run, showlegend=panel == 1, customdata=[[row["measure"], row.get("notes")] for row in mine],
                marker={"size": 9, "color": colour} if run in names else {"symbol": CROSSES[(place - len(names)) % len(CROSSES)], "size": 8, "line": {"width": 2, "color": GREY}},
                error_x=error_bars(mine, "estimate", colour) if run in names else None, hovertemplate=_hover(run in names), row=1, col=panel,
            )  # fmt: skip
    figure.update_xaxes(
        title="percent of notes", gridcolor=GRID, zeroline=False, range=[-2, 102], tickvals=[0, 25, 50, 75, 100]
    )
    figure.update_yaxes(**rows_axis(kinds))
    return figure


def _hover(measured: bool) -> str:
    last = "notes: %{customdata[1]:,}" if measured else "on MIMIC-IV, not comparable"
    return f"%{{customdata[0]}}: %{{x:.1f}}%<br>{last}<extra>%{{fullData.name}}</extra>"


def groups(rows: Sequence[dict], names: Mapping[str, str], title: str, axis: str):
    """`measuring.slices`: a dot with its interval for each group and run; a group's name ends in its number of notes."""
    order = list(dict.fromkeys(row["group"] for row in rows))
    most = {group: max(row["notes"] for row in rows if row["group"] == group) for group in order}
    labels = {group: f"{plain_name(group, 76)} ({most[group]:,})" for group in order}
    figure = new_figure(title, (18 + 15 * len(names)) * len(order))
    for place, (run, name) in enumerate(names.items()):
        mine = [row for row in rows if row["run_id"] == run]
        colour = PALETTE[place % len(PALETTE)]
        figure.add_scatter(
            x=[100 * row["estimate"] for row in mine], y=[order.index(row["group"]) + lane(place, names) for row in mine], mode="markers", name=plain_name(name),
            error_x=error_bars(mine, "estimate", colour), marker={"size": 8, "color": colour},
            customdata=[[labels[row["group"]], row["notes"], row["patients"]] for row in mine],
            hovertemplate="%{customdata[0]}<br>%{x:.1f}%<br>notes: %{customdata[1]:,}, patients: %{customdata[2]:,}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(**percent_axis(axis, range=[-1, 101]))
    figure.update_yaxes(**rows_axis([labels[group] for group in order]))
    return figure


def differences(rows: Sequence[dict], names: Mapping[str, str], first: str):
    """`measuring.paired`: each run minus the first with its interval, around a line of no difference."""
    kinds = list(dict.fromkeys(f"{row['target']}, {row['measure']}" for row in rows))
    runs = list(dict.fromkeys(row["run_id"] for row in rows))
    figure = new_figure(
        f"Difference from {plain_name(first, 60)} on the same notes, with 95% intervals",
        (14 + 16 * len(runs)) * len(kinds),
    )
    places = list(names)
    for place, run in enumerate(runs):
        mine = [row for row in rows if row["run_id"] == run]
        colour = PALETTE[places.index(run) % len(PALETTE)]
        figure.add_scatter(
            x=[100 * row["difference"] for row in mine],
            y=[kinds.index(f"{row['target']}, {row['measure']}") + lane(place, runs) for row in mine], mode="markers",
            name=plain_name(names[run]), marker={"size": 9, "color": colour}, error_x=error_bars(mine, "difference", colour),
            customdata=[[row["notes"], row["p_holm"]] for row in mine],
            hovertemplate="%{x:+.1f} percentage points<br>notes: %{customdata[0]:,}<br>corrected p %{customdata[1]:.4f}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(title="percentage points; above 0: better than the first", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(**rows_axis(kinds))
    figure.update_layout(showlegend=True)
    return figure


def severity(cells: Mapping[tuple[str, str], int], name: str):
    """`measuring.severity_cells` as a heat map: rows the right level, shaded by the share of the row, numbers are notes."""
    gold = [level for level in LEVEL_NAMES if any(right == level for right, _ in cells)]
    said = [level for level in (*LEVEL_NAMES, "") if any(predicted == level for _, predicted in cells)]
    counts = [[cells.get((right, predicted), 0) for predicted in said] for right in gold]
    shares = [[n / max(sum(row), 1) for n in row] for row in counts]
    figure = new_figure(f"Severity: {plain_name(name, 70)}", 44 * len(gold), legend=False)
    figure.add_heatmap(
        z=[[share or None for share in row] for row in shares],
        x=[LEVEL_NAMES.get(level, "no DRG") for level in said],
        y=[f"{LEVEL_NAMES[level]} ({sum(row):,})" for level, row in zip(gold, counts, strict=True)],
        customdata=counts, colorscale=SCALE, zmin=0, zmax=1, showscale=False, xgap=3, ygap=3,
        hovertemplate="right: %{y}<br>answered: %{x}<br>notes: %{customdata:,}, %{z:.0%} of the row<extra></extra>",
    )  # fmt: skip
    for i, row in enumerate(counts):
        for j, n in enumerate(row):
            if n:
                figure.add_annotation(
                    x=j,
                    y=i,
                    text=f"{n:,}",
                    showarrow=False,
                    font={"color": "#ffffff" if shares[i][j] > 0.5 else "#0b1220"},
                )
    figure.update_xaxes(title="severity of the answer", side="bottom", showgrid=False)
    figure.update_yaxes(
        title="severity of the right DRG (notes)", autorange="reversed", showgrid=False, automargin=True
    )
    return figure


def reliability(found: Mapping[str, dict], names: Mapping[str, str]):
    """`measuring.calibration` of each run: share that is right against confidence, above how many notes each bin holds."""
    from plotly.subplots import make_subplots

    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.74, 0.26], vertical_spacing=0.06)
    figure.update_layout(layout("Reliability: is it right as often as it is sure?", 330))
    figure.add_scatter(
        x=[0, 100],
        y=[0, 100],
        mode="lines",
        name="perfectly calibrated",
        line={"color": GREY, "dash": "dot"},
        hoverinfo="skip",
        row=1,
        col=1,
    )
    for run, each in found.items():
        colour = PALETTE[list(names).index(run) % len(PALETTE)]
        bins = [one for one in each["bins"] if one.n]
        figure.add_scatter(
            x=[100 * one.confidence for one in bins], y=[100 * one.right for one in bins], mode="lines+markers",
            name=f"{plain_name(names[run])} · ECE {100 * each['error']:.1f} points", legendgroup=run, line={"color": colour}, marker={"color": colour, "size": 8},
            customdata=[one.n for one in bins], hovertemplate="confidence %{x:.0f}%, right %{y:.0f}%<br>notes: %{customdata:,}<extra></extra>", row=1, col=1,
        )  # fmt: skip
        figure.add_bar(
            x=[50 * (one.low + one.high) for one in each["bins"]], y=[one.n for one in each["bins"]], marker={"color": colour}, legendgroup=run,
            showlegend=False, name=plain_name(names[run]), hovertemplate="notes: %{y:,}<extra>%{fullData.name}</extra>", row=2, col=1,
        )  # fmt: skip
    figure.update_xaxes(range=[0, 100], gridcolor=GRID, zeroline=False)
    figure.update_xaxes(title="confidence of the answer", ticksuffix="%", row=2, col=1)
    figure.update_yaxes(title="right", ticksuffix="%", range=[-4, 104], gridcolor=GRID, zeroline=False, row=1, col=1)
    figure.update_yaxes(title="notes", gridcolor=GRID, row=2, col=1)
    return figure


def rewards(found: Mapping[str, Mapping[float, int]], names: Mapping[str, str], scheme: str):
    """Share of answers with each reward, by run; numbers on hover are answers."""
    values = sorted({value for counts in found.values() for value in counts})
    figure = new_figure(f"Rewards of all answers, {scheme} scheme", 220, barmode="group")
    for run, counts in found.items():
        total = sum(counts.values()) or 1
        figure.add_bar(
            x=[_signed(value) for value in values], y=[100 * counts.get(value, 0) / total for value in values], name=f"{plain_name(names[run])} ({counted(total, 'answer')})",
            marker={"color": PALETTE[list(names).index(run) % len(PALETTE)]}, customdata=[counts.get(value, 0) for value in values],
            hovertemplate="reward %{x}: %{y:.1f}%<br>answers: %{customdata:,}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_xaxes(title="reward", type="category")
    figure.update_yaxes(**percent_axis("share of the run's answers"))
    return figure


def _signed(value: float) -> str:
    return f"{value:+g}".replace("-", "−") if value else "0"


def hard(rows: Sequence[dict], names: Mapping[str, str], notes: int):
    """The paper's Table 3: rows of `evaluation_tables.hard`."""
    colours = dict(zip(names.values(), PALETTE, strict=False))
    which = "all chosen runs get" if len(names) > 1 else "the run gets"
    return shares(rows, f"Of {counted(notes, 'note')} that {which} wrong", "share of these notes", colours)


def shares(rows: Sequence[dict], title: str, axis: str, colours: Mapping[str, str]):
    """Grouped bars: rows of {category, series, share, n}; a series without a colour is a published one, in grey."""
    categories = list(dict.fromkeys(row["category"] for row in rows))
    figure = new_figure(title, 230, barmode="group")
    series = list(dict.fromkeys(row["series"] for row in rows))
    published = [name for name in series if name not in colours]
    for name in series:
        hatch = HATCHES[published.index(name) % len(HATCHES)] if name in published else ""
        mine = {row["category"]: row for row in rows if row["series"] == name}
        figure.add_bar(
            x=categories, y=[100 * mine[category]["share"] if category in mine else None for category in categories], name=plain_name(name),
            marker={"color": colours.get(name, GREY), "pattern": {"shape": hatch}},
            customdata=[mine[category]["n"] if category in mine else 0 for category in categories],
            hovertemplate="%{x}: %{y:.1f}%, %{customdata:,}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.update_yaxes(**percent_axis(axis))
    return figure


def case_mix(rows: Sequence[dict]):
    """Mean error of the relative weight of each run with its interval, around a line of no error."""
    figure = new_figure(
        "Case-mix error: mean weight as answered minus as right, with 95% intervals", 44 * len(rows), legend=False
    )
    for i, row in enumerate(rows):
        colour = PALETTE[i % len(PALETTE)]
        error = {"type": "data", "symmetric": False, "array": [row["95% high"] - row["Error"]], "arrayminus": [row["Error"] - row["95% low"]], "color": colour, "thickness": 1.6, "width": 4}  # fmt: skip
        figure.add_scatter(
            x=[row["Error"]], y=[i], mode="markers", marker={"size": 10, "color": colour}, error_x=error, showlegend=False, name=plain_name(row["Run"]),
            customdata=[row["Notes"]], hovertemplate="%{x:+.4f}<br>notes: %{customdata:,}<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(
        title="relative weight; above 0: too heavy",
        gridcolor=GRID,
        zeroline=False,
    )
    figure.update_yaxes(**rows_axis([f"{plain_name(row['Run'], 76)} ({row['Notes']:,})" for row in rows]))
    return figure
