"""The scaling tab of the training page: the studies of `train.scaling`, drawn anew as their points come in."""

from pathlib import Path

import streamlit as st

from pages.parts.plain import plain
from pages.parts.plot_view import plot_view
from pages.parts.training_view import EVERY, Shown
from sapphire import scaling_plots as plots

NOTES = "The fit takes the points as exact: its interval says how well a line fits."


def scaling_tab(shown: Shown) -> None:
    found = {folder.name: folder for folder in plots.studies(shown.training.root)}
    if not found:
        st.info(f"No scaling study in {shown.training.root} has a point yet.", icon=":material/query_stats:")
        st.markdown("A study trains and measures a model for each number of SFT cases. A small one, on any computer:")
        st.code("python -m train.toy\npython -m train.scaling tiny", language="bash")
        return
    name = st.selectbox("Study", list(found), key="training_study", persist_state="session")
    live = any(run.state == "running" for run in shown.training.runs())
    st.fragment(_draw, run_every=EVERY if live else None)(name, found[name])


def _draw(name: str, folder: Path) -> None:
    try:
        rows = plots.points(folder)
    except ValueError as error:
        st.warning(plain(str(error)), icon=":material/broken_image:")
        return
    plot_view(plots.figure(name, rows, plots.fits(rows)), rows, "scaling", NOTES)
