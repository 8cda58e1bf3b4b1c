"""Plots of the reader study, from the rows of `reader_study`."""

from collections.abc import Sequence

from sapphire.plot_parts import GREY, GRID, PALETTE, error_bars, new_figure, percent_axis, plain_name, rows_axis

# Points 1 to 5 from poor to good, and the numbers on them.
POINT_COLOURS = ("#b4503a", "#dea27c", "#aab4c3", "#7fb3d9", "#2a69b0")
POINT_WORDS = ("#ffffff", "#1a2433", "#1a2433", "#1a2433", "#ffffff")
VERDICT_COLOURS = {"right": "#17a589", "wrong": "#c8552b", "not in the note": "#8f7bc4"}
WAYS = {
    "right_right": ("right, stays right", "#17a589"),
    "wrong_right": ("wrong, then right", "#5fa8dd"),
    "right_wrong": ("right, then wrong", "#c8552b"),
    "wrong_wrong": ("wrong, stays wrong", "#97a3b4"),
}


def ratings(rows: Sequence[dict], title: str):
    """Stacked shares of points 1 to 5: rows of {group, points, share, n, median}; a group's name ends in its median and number."""
    groups = list(dict.fromkeys(row["group"] for row in rows))
    total = {group: sum(row["n"] for row in rows if row["group"] == group) for group in groups}
    middle = {row["group"]: row["median"] for row in rows}
    labels = [f"{plain_name(group, 60)} · median {middle[group]:g} ({total[group]:,})" for group in groups]
    figure = new_figure(title, 42 * len(groups), barmode="stack")
    for points, colour, words in zip(range(1, 6), POINT_COLOURS, POINT_WORDS, strict=True):
        mine = [next(row for row in rows if row["group"] == group and row["points"] == points) for group in groups]
        figure.add_bar(
            y=list(range(len(groups))), x=[100 * row["share"] for row in mine], orientation="h", name=str(points), width=0.72,
            marker={"color": colour}, text=[row["n"] or "" for row in mine], textposition="inside", insidetextanchor="middle", textangle=0,
            textfont={"color": words}, customdata=[row["n"] for row in mine],
            hovertemplate=f"{points} points: %{{x:.0f}}%, %{{customdata:,}} reviews<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(**percent_axis("share; numbers are reviews", range=[0, 100]))
    figure.update_yaxes(**rows_axis(labels))
    return figure


def agreements(rows: Sequence[dict]):
    """Krippendorff's alpha of each judgement with its interval, beside a line at 0 (chance)."""
    figure = new_figure(
        "Agreement between readers: Krippendorff's alpha, with 95% intervals", 40 * len(rows), legend=False
    )
    known = [(place, row) for place, row in enumerate(rows) if row["alpha"] == row["alpha"]]
    figure.add_scatter(
        x=[row["alpha"] for _, row in known], y=[place for place, _ in known], mode="markers", marker={"size": 10, "color": PALETTE[0]}, showlegend=False,
        error_x=error_bars([row for _, row in known], "alpha", PALETTE[0], 1),
        customdata=[[row["pairs"], row["units"], row["judgements"]] for _, row in known],
        hovertemplate="alpha %{x:.2f}<br>%{customdata[0]:.0%} of pairs equal<br>%{customdata[1]:,} units, %{customdata[2]:,} judgements<extra></extra>",
    )  # fmt: skip
    figure.add_vline(x=0, line={"color": GREY, "dash": "dot"})
    low = min([0.0, *(row["low"] for _, row in known)])
    figure.update_xaxes(
        title="alpha: 0 is chance, 1 is perfect", range=[min(low, -0.02) - 0.03, 1.04], gridcolor=GRID, zeroline=False
    )
    figure.update_yaxes(**rows_axis([f"{row['what']} ({row['units']:,})" for row in rows]))
    return figure


def steps(rows: Sequence[dict]):
    """Stacked shares of verdicts by kind of line."""
    kinds = list(dict.fromkeys(row["kind"] for row in rows))
    total = {kind: sum(row["n"] for row in rows if row["kind"] == kind) for kind in kinds}
    figure = new_figure("Which kinds of steps are wrong", 40 * len(kinds), barmode="stack")
    for verdict, colour in VERDICT_COLOURS.items():
        mine = [next(row for row in rows if row["kind"] == kind and row["verdict"] == verdict) for kind in kinds]
        figure.add_bar(
            y=list(range(len(kinds))), x=[100 * row["share"] for row in mine], orientation="h", name=verdict, width=0.7, marker={"color": colour},
            text=[row["n"] or "" for row in mine], textposition="inside", insidetextanchor="middle", textangle=0, textfont={"color": "#ffffff"},
            customdata=[row["n"] for row in mine], hovertemplate=f"{verdict}: %{{x:.0f}}%, %{{customdata:,}} steps<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(**percent_axis("share; numbers are judged steps", range=[0, 100]))
    figure.update_yaxes(**rows_axis([f"{kind} ({total[kind]:,})" for kind in kinds]))
    return figure


def times(rows: Sequence[dict], by: str):
    """Minutes on a case: box from the first to the third quartile, line at the median, whiskers at percentiles 5 and 95."""
    figure = new_figure("Time on a case", 54 * len(rows), legend=False)
    labels = [f"{plain_name(row[by], 60)} · median {row['middle'] / 60:.1f} min ({row['n']:,})" for row in rows]
    for place, row in enumerate(rows):
        minutes = {
            name: [row[key] / 60]
            for name, key in (
                ("lowerfence", "low"),
                ("q1", "q1"),
                ("median", "middle"),
                ("q3", "q3"),
                ("upperfence", "high"),
            )
        }
        figure.add_box(
            **minutes,
            y=[place],
            orientation="h",
            name=plain_name(row[by]),
            marker={"color": PALETTE[place % len(PALETTE)]},
            width=0.5,
            showlegend=False,
        )
    figure.update_xaxes(title="minutes on a case", rangemode="tozero", gridcolor=GRID, zeroline=False)
    figure.update_yaxes(**rows_axis(labels))
    return figure


def first_answers(rows: Sequence[dict]):
    """Stacked shares of the four ways from the first to the last answer."""
    labels = [f"{plain_name(row['group'], 60)} ({row['n']:,})" for row in rows]
    figure = new_figure("The reader's DRG before and after seeing the model's", 46 * len(rows), barmode="stack")
    for way, (words, colour) in WAYS.items():
        figure.add_bar(
            y=list(range(len(rows))), x=[100 * row[way] / row["n"] for row in rows], orientation="h", name=words, width=0.66, marker={"color": colour},
            text=[row[way] or "" for row in rows], textposition="inside", insidetextanchor="middle", textangle=0, textfont={"color": "#0b1220"},
            customdata=[row[way] for row in rows], hovertemplate=f"{words}: %{{x:.0f}}%, %{{customdata:,}} cases<extra></extra>",
        )  # fmt: skip
    figure.update_xaxes(**percent_axis("share; numbers are cases", range=[0, 100]))
    figure.update_yaxes(**rows_axis(labels))
    return figure
