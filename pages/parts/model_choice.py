"""Which model answers: chosen once in a session, for the worklist and for single cases."""

import streamlit as st

from sapphire.engines import ModelCard
from sapphire.models import DEFAULT, installed

MISSING = (
    "No model is installed here. Run `make setup`, or `.venv/bin/python -m sapphire.models`, which fetches the embedded one; "
    "reviewing goes on with the predictions that are stored."
)


@st.cache_data(ttl=10, show_spinner=False)
def models() -> list[ModelCard]:
    """The installed models, looked up again after ten seconds."""
    return installed()


def chosen_model() -> ModelCard | None:
    """The model this session runs: the one picked, else the embedded default, else the first; None when there is none."""
    cards = {card.name: card for card in models()}
    for name in (st.session_state.get("run_model"), DEFAULT, *cards):
        if name in cards:
            return cards[name]
    return None
