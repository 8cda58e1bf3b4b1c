"""A second run to compare with: a model, how it samples, and the notes of a run that is there."""

import streamlit as st

from pages.parts.model_choice import MISSING, models
from sapphire.comparing import Run
from sapphire.engines import Sampling
from sapphire.phrases import counted
from sapphire.profiles import Profile
from sapphire.store import StoreError
from sapphire.workbench import Workbench

# How a model can be asked; a warm sample has a seed of its own, so that two of them differ.
SAMPLINGS = {
    "greedy": Sampling(),
    "temperature 0.6": Sampling(temperature=0.6, top_p=0.95, seed=1),
    "temperature 1": Sampling(temperature=1.0, seed=2),
    "8 answers at temperature 0.6": Sampling(n=8, temperature=0.6, top_p=0.95),
}


def new_run(bench: Workbench, reader: Profile, stored: list[Run]) -> None:
    with st.popover("New run", icon=":material/play_arrow:"):
        cards = {card.name: card for card in models()}
        if not cards:
            st.caption(f":material/warning: {MISSING}")
            return
        st.caption("Asks a model about the notes of a stored run, in the background. It then stands in the chooser.")
        name = st.selectbox("Model", list(cards), key="new_run_model")
        sampling = st.selectbox("Sampling", list(SAMPLINGS), index=1, key="new_run_sampling")
        by_id = {run.run_id: run for run in stored}
        like = st.selectbox(
            "Notes of", list(by_id), key="new_run_like", format_func=lambda run_id: f"{by_id[run_id].name} · {counted(by_id[run_id].notes, 'note')}"
        )  # fmt: skip
        if st.button("Start", type="primary", icon=":material/play_arrow:", key="new_run_start"):
            card = cards[name]
            notes = bench.comparisons.note_ids(like)
            try:
                bench.runner.start(notes, card.name, card.location, SAMPLINGS[sampling], reader.name)
            except StoreError as error:
                st.error(str(error))
            else:
                st.rerun()
