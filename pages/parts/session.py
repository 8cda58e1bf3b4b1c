"""What every page needs: the shared workbench and who is working."""

import streamlit as st

from sapphire.profiles import ROLES, Profile, profiles, save_profile
from sapphire.store import StoreError
from sapphire.workbench import Workbench, open_workbench


@st.cache_resource(show_spinner="Opening the database …", on_release=lambda bench: bench.close())
def _bench() -> Workbench:
    return open_workbench()


def open_bench() -> Workbench:
    """The workbench of this app; when its database cannot be opened the page says why and ends here."""
    try:
        return _bench()
    except StoreError as error:
        st.title("Sapphire cannot open its database", icon=":material/database_off:")
        st.error(str(error))
        st.button("Try again", icon=":material/refresh:", type="primary")
        st.stop()


def start_page() -> Workbench:
    """The first call of each page: the workbench, once app.py has run before it.

    Until app.py has called st.navigation for the first time, Streamlit runs a file of a folder named `pages` by itself when
    its address is asked for. There is no public switch for what st.navigation does to end that.
    """
    if not st.session_state.pop("run_by_app", False):
        from streamlit.runtime.pages_manager import PagesManager

        PagesManager.uses_pages_directory = False
        st.rerun()
    bench = open_bench()
    bench.worklist.refresh()
    return bench


def let_show(key: str, value: object) -> None:
    """Let the widget of this key show a value. It is assigned only where it differs: an assigned value goes to the browser with the drawing,
    where it would undo what the reader chose while the page was being drawn."""
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def profile() -> Profile:
    """Who is working. Set by `choose_profile` before any page runs."""
    return st.session_state["profile"]


def choose_profile(bench: Workbench) -> Profile | None:
    """The profile chosen in the side bar, kept in the address by its name so that a reload keeps it and a link may choose it; None
    when there is none yet."""
    known = {each.name: each for each in profiles(bench.store)}
    if not known:
        return None
    address = st.query_params.get("reader")
    asked = address if address != st.session_state.get("reader_address") else None
    if (wanted := st.session_state.pop("reader_wanted", asked)) in known:
        st.session_state["reader"] = wanted
    with st.sidebar:
        name = st.selectbox(
            "Working as",
            list(known),
            key="reader",
            format_func=lambda each: f"{each} · {ROLES[known[each].role]}" if each in known else each,
        )
        chosen = known.get(name) or next(iter(known.values()))
        with st.popover("Profiles", icon=":material/manage_accounts:", width="stretch"):
            _profile_form(bench, chosen)
    st.session_state["reader_address"] = chosen.name
    if address != chosen.name:
        st.query_params["reader"] = chosen.name
    st.session_state["profile"] = chosen
    return chosen


def _profile_form(bench: Workbench, current: Profile) -> None:
    def keep() -> None:
        changed = st.session_state["think_first"]
        save_profile(bench.store, Profile(current.name, current.role, changed))

    st.session_state["think_first"] = current.think_first
    st.toggle(
        "Ask me before showing the model's answer",
        key="think_first",
        on_change=keep,
        help="You name a DRG of your own first. Sapphire stores it, so that you can see how often the model changes your mind.",
    )
    st.caption("Add someone")
    _new_profile(bench, "another")


def _new_profile(bench: Workbench, key: str) -> None:
    with st.form(key, border=False):
        name = st.text_input("Name", max_chars=60, placeholder="As it should stand on your reviews")
        role = st.selectbox(
            "Role",
            list(ROLES),
            format_func=ROLES.get,
            help="Relative weights are shown to coders, CDI specialists and physician advisors, never to treating physicians.",
        )
        if st.form_submit_button("Continue", type="primary", icon=":material/arrow_forward:"):
            if not name.strip():
                st.error("Give a name: reviews are stored under it.")
                return
            save_profile(bench.store, Profile(name.strip(), role))
            st.session_state["reader_wanted"] = name.strip()
            st.rerun()


def sign_in_page() -> None:
    bench = open_bench()
    _, middle, _ = st.columns([1, 1.4, 1])
    with middle:
        st.space("large")
        st.title("Welcome to Sapphire")
        st.markdown(
            "Sapphire reads a discharge note, predicts its MS-DRG with the reasoning behind it, and lets you judge both. "
            "Your reviews stay in a database on this machine and become the model's next training data."
        )
        st.caption("Who is reviewing? Nothing leaves this machine; a name is enough.")
        with st.container(border=True):
            _new_profile(bench, "first")
