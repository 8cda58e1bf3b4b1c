"""A button that lists the keys of a page."""

import streamlit as st


def keys_help(shortcuts: dict[str, str]) -> None:
    """`shortcuts`: key → what it does."""
    if st.button("Keys", icon=":material/keyboard:", type="tertiary", shortcut="H"):
        _keys(shortcuts)


@st.dialog("Keys")
def _keys(shortcuts: dict[str, str]) -> None:
    st.table({"Key": shortcuts.keys(), "Does": shortcuts.values()}, hide_index=True)
