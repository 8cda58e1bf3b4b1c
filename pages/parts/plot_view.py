"""A plot as every page shows it: readable in light and dark, kept as a picture from its toolbar, its rows as CSV below it."""

from collections.abc import Iterable

import streamlit as st

from sapphire.exporting import csv_table

_TOOLS = {
    "displaylogo": False,
    "displayModeBar": "hover",
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "zoomIn2d", "zoomOut2d"],
}


def plot_view(figure, rows: Iterable[dict], name: str, notes: str = "") -> None:
    """Draw a figure and below it what to know about it and the rows behind it.

    Args:
        name: what files are called, and the key of the widgets; one name a plot on a page.
        notes: one line on how the figure was made.
    """
    picture = {"format": "png", "scale": 2, "filename": name}
    st.plotly_chart(figure, key=f"plot_{name}", config=_TOOLS | {"toImageButtonOptions": picture})
    rows_view(rows, name, notes)


def rows_view(rows: Iterable[dict], name: str, notes: str = "") -> None:
    """What to know of a plot or table, and its rows to download."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(notes or " ")
        st.download_button(
            "Rows", lambda: csv_table(list(rows)), file_name=f"{name}.csv", mime="text/csv", key=f"rows_{name}", icon=":material/table:",
            type="tertiary", on_click="ignore", help="The figures behind this plot as CSV. The plot itself is kept as a picture by the camera of its toolbar.",
        )  # fmt: skip
