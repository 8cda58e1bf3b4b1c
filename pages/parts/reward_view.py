"""The reward of a prediction: a small waterfall of its terms and why each has its value."""

import streamlit as st

from pages.parts.plain import plain
from sapphire.rewards import SCHEMES, Outcome, Term, total

NAMES = {"format": "Format", "accuracy": "Accuracy", "cot_first": "CoT-First", "grounded": "Grounded"}


def reward_view(terms: list[Term], gold_words: str, key: str, scheme: str = "dense") -> None:
    """Draw the terms; while the right DRG is not known, say what is pending."""
    whole = total(terms)
    head = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    head.markdown(f"**Reward** · {scheme} scheme")
    head.markdown(f"**{whole:+.1f}**" if whole is not None else ":gray[pending]", width="content")
    if whole is not None:
        st.plotly_chart(_waterfall(terms, whole), key=key, config={"displayModeBar": False}, height=190)
    for term in terms:
        value = f"{term.value:+.1f}" if term.value is not None else "pending"
        st.markdown(f"**{NAMES[term.name]}** `{value}`", help=_help(term.name, scheme))
        if term.why:
            st.caption(plain(term.why))
    if gold_words:
        st.caption(plain(gold_words))


_HELP = {
    "format": "0 when the completion is exactly one think block and one answer block, written by the model; else -2.",
    "cot_first": "-0.5 when a DRG title stands in the first 50 tokens of the reasoning.",
    "grounded": "The share of the reasoning's lines that the note and CMS's rules bear out, times the recipe's weight.",
}


def _help(name: str, scheme: str) -> str:
    if name != "accuracy":
        return _HELP[name]
    words = dict(
        zip(Outcome, ("right DRG", "right base only", "right severity only", "neither", "no DRG title"), strict=True)
    )
    values = ", ".join(f"{words[result]} {value:g}" for result, value in SCHEMES[scheme].items())
    return f"{scheme.capitalize()}: {values}. It counts only when the format holds."


def _waterfall(terms: list[Term], whole: float):
    import plotly.graph_objects as go

    figure = go.Figure(
        go.Waterfall(
            x=[NAMES[term.name] for term in terms] + ["Reward"],
            y=[term.value for term in terms] + [whole],
            measure=["relative"] * len(terms) + ["total"],
            text=[f"{term.value:+.1f}" for term in terms] + [f"{whole:+.1f}"],
            textposition="outside",
            cliponaxis=False,
            increasing={"marker": {"color": "#0f9d8a"}},
            decreasing={"marker": {"color": "#c2571a"}},
            totals={"marker": {"color": "#1f5fbf"}},
            connector={"line": {"width": 1, "color": "rgba(128,128,128,.5)"}},
            hovertemplate="%{x}: %{text}<extra></extra>",
        )
    )
    figure.update_layout(
        margin={"l": 30, "r": 10, "t": 14, "b": 24},
        yaxis={"range": [-4.2, 2.6], "dtick": 2, "title": None, "zeroline": True},
        showlegend=False,
    )
    return figure
