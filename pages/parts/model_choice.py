"""Which model answers: chosen once in a session, for the worklist and for single cases."""

import streamlit as st

from pages.parts.session import open_bench
from sapphire import registry
from sapphire.engines import ModelCard

MISSING = (
    "No model is installed here. Run `make setup`, or `.venv/bin/python -m sapphire.models`, which fetches the embedded one, or add one on the "
    "Models page; reviewing goes on with the predictions that are stored."
)


@st.cache_data(ttl=10, show_spinner=False)
def models() -> list[ModelCard]:
    """The models that notes may be given to, the default first; looked up again after ten seconds."""
    return registry.usable(open_bench().store)


def chosen_model() -> ModelCard | None:
    """The model this session runs: the one picked, else the default; None when there is none."""
    cards = {card.name: card for card in models()}
    for name in (st.session_state.get("run_model"), *cards):
        if name in cards:
            return cards[name]
    return None
