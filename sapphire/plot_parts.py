"""What plots of all pages share: their layout, axes, and colours that read on light and on dark."""

import html
import textwrap
from collections.abc import Sequence

# Colours of runs that read on white and on dark blue alike (contrast at least 3:1 with both).
PALETTE = ("#3f86e0", "#17a589", "#d9702e", "#9a6fd6", "#d0587a", "#97973a")
# A published figure or a guide line: never one of the runs' colours.
GREY = "rgba(128,140,158,0.9)"
GRID = "rgba(128,140,158,0.25)"
# A saved picture has no fonts of the page: with one of these, what was measured on the page fits in the picture too.
FONT = "Arial, Helvetica, sans-serif"


def layout(title: str, height: int, legend: bool = True, **more: object) -> dict:
    """Title above, legend below: neither meets the plot, however many runs or panels it has. `height` is that of the plot itself."""
    below = 96 if legend else 56
    title = wrapped(title, 62)
    top = 8 + 10 * title.count("<br>")  # Plotly hangs a title by the middle of its lines
    return {
        "title": {"text": title, "x": 0, "xref": "container", "y": 1, "yref": "container", "yanchor": "top", "pad": {"t": top, "l": 2}, "font": {"size": 15}},
        "font": {"family": FONT},
        "margin": {"l": 10, "r": 16, "t": 62, "b": below},
        "height": height + 62 + below,
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom", "x": 0, "xanchor": "left", "title": None, "traceorder": "normal"},
    } | more  # fmt: skip


def new_figure(title: str, height: int, legend: bool = True, **more: object):
    import plotly.graph_objects as go

    return go.Figure(layout=layout(title, height, legend, **more))


def percent_axis(title: str, **more: object) -> dict:
    return {"title": title, "ticksuffix": "%", "gridcolor": GRID, "zeroline": False} | more


def rows_axis(names: Sequence[str]) -> dict:
    """A vertical axis of named rows, the first on top, at 0, 1, 2, …"""
    return {
        "range": [len(names) - 0.5, -0.5], "tickvals": list(range(len(names))), "ticktext": [wrapped(name, 44) for name in names], "gridcolor": GRID, "zeroline": False,
        "automargin": True,
    }  # fmt: skip


def wrapped(words: str, width: int) -> str:
    """Words in lines of this many characters, for Plotly, which breaks none by itself."""
    return "<br>".join(
        line for part in words.split("<br>") for line in textwrap.wrap(part, width, break_long_words=False) or [""]
    )


def lane(place: int, lanes: Sequence) -> float:
    """Where one of several runs lies within a row of height 1."""
    return (place - (len(lanes) - 1) / 2) * 0.72 / max(len(lanes), 1)


def error_bars(rows: Sequence[dict], value: str, colour: str, scale: float = 100) -> dict:
    """The interval of each row, `low` to `high`, around `value`."""
    up, down = ([scale * abs(row[end] - row[value]) for row in rows] for end in ("high", "low"))
    return {
        "type": "data",
        "symmetric": False,
        "array": up,
        "arrayminus": down,
        "thickness": 1.6,
        "width": 4,
        "color": colour,
    }


def plain_name(words: str, most: int = 200) -> str:
    """Words of a user as Plotly shows them, which would read a tag in them; long ones cut."""
    return html.escape(words if len(words) <= most else words[: most - 1].rstrip() + "…", quote=False)
