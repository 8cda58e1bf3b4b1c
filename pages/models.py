"""Models: which there are, whether they answer, how right they were so far; adding, serving and withdrawing them."""

import streamlit as st

from pages.parts.model_card import model_card
from pages.parts.model_form import add_model
from pages.parts.session import profile, start_page
from sapphire import registry

PAGE_SIZE = 6
bench = start_page()
bench.evaluation.refresh()
reader = profile()

top = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
top.title("Models")
with top:
    add_model(bench, reader)

found = registry.entries(bench.store)
default = next((card.name for card in registry.usable(bench.store)), "")
offered = sorted((entry for entry in found if not entry.withdrawn), key=lambda entry: entry.card.name != default)

if not offered:
    st.info("There is no model yet. Reviewing goes on with the predictions that are stored.", icon=":material/inbox:")
    st.caption(
        "Run `make setup` for the embedded one, which needs no GPU and no account, or add a folder, a model of the hub or a server above."
    )
pages = -(-len(offered) // PAGE_SIZE)
page = min(st.session_state.get("models_page", 1), max(pages, 1))
for entry in offered[(page - 1) * PAGE_SIZE : page * PAGE_SIZE]:
    model_card(bench, reader, entry, entry.card.name == default)
if pages > 1:
    st.pagination(pages, key="models_page")

if withdrawn := found[len(offered) :]:
    with st.expander(f"{len(withdrawn)} withdrawn", icon=":material/archive:"):
        st.caption("Not offered any more. Their answers and the reviews of these stay.")
        for entry in withdrawn:
            model_card(bench, reader, entry, False)
