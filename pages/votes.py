"""Blind votes: judge two answers without knowing whose they are, see what the votes say, open and close ballots."""

import streamlit as st

from pages.parts.plain import plain
from pages.parts.session import profile, start_page
from pages.parts.vote_form import VoteForm
from pages.parts.vote_results import results
from sapphire.balloting import POOLS, REPEATS, Ballot, ballots, close_ballot, open_ballot
from sapphire.comparing import Run, runs
from sapphire.phrases import counted, inside
from sapphire.store import StoreError
from sapphire.store.comparisons import MAX_RUNS
from sapphire.voting import reasons, voted, votes

VIEWS = {"vote": "Vote", "results": "Results", "ballots": "Ballots"}
bench = start_page()
reader = profile()


def choose_ballot(known: list[Ballot]) -> Ballot:
    by_id = {ballot.ballot_id: ballot for ballot in known}
    usual = next((ballot for ballot in known if ballot.open), known[0])
    if st.session_state.get("vote_ballot") not in by_id:
        st.session_state["vote_ballot"] = usual.ballot_id
    return by_id[
        st.selectbox(
            "Ballot", list(by_id), key="vote_ballot", persist_state="session", label_visibility="collapsed", width=260,
            format_func=lambda ballot_id: by_id[ballot_id].name + ("" if by_id[ballot_id].open else " (closed)"),
        )
    ]  # fmt: skip


def vote_view(ballot: Ballot) -> None:
    mine = voted(bench.store, ballot, reader)
    # How far the ballot is, and nothing of how the votes fell.
    progress = f"**{counted(mine, 'vote')}** of yours · {ballot.votes:,} in all by {counted(ballot.readers, 'reader')} · {inside(POOLS[ballot.pool])}"
    if not ballot.open:
        st.caption(progress)
        st.info("This ballot is closed. See its results, or choose another.", icon=":material/lock:")
        return
    # Names are handed over for what is revealed after a vote; before it the form does not look at them.
    names = {run.run_id: run.name for run in runs(bench.comparisons.runs())}
    VoteForm(bench, ballot, reader, names).draw(progress)


def results_view(ballot: Ballot) -> None:
    names = {run.run_id: run.name for run in runs(bench.comparisons.runs())}
    st.caption(
        f"Opened by {plain(ballot.author)} on {ballot.opened:%Y-%m-%d} · {inside(POOLS[ballot.pool])} · "
        f"{ballot.repeats:.0%} of the pairs are shown again with sides swapped"
    )
    results(votes(bench.store, ballot), ballot.run_ids, names, reasons(bench.store, ballot))


def new_ballot(stored: list[Run]) -> None:
    """The form that opens a ballot."""
    usual = [run for run in stored if run.notes > 1] or stored
    names = {run.run_id: f"{run.name} · {counted(run.notes, 'note')}" for run in usual}
    with st.form("new_ballot"):
        st.subheader("Open a ballot", anchor=False)
        chosen = st.multiselect(
            "Runs that stand against each other", list(names), format_func=names.get, max_selections=MAX_RUNS,
            default=list(names)[:2][::-1], key="ballot_runs",
        )  # fmt: skip
        left, right = st.columns(2)
        name = left.text_input(
            "Name", value=f"Ballot {len(ballots(bench.store)) + 1}", max_chars=60, key="ballot_name",
            help="Readers see it while they vote: it must not name a model.",
        )  # fmt: skip
        pool = right.selectbox("Notes", list(POOLS), format_func=POOLS.get, key="ballot_pool")
        repeats = st.slider(
            "Share of pairs shown again with sides swapped", 0, 50, round(100 * REPEATS), 5, format="%d%%", key="ballot_repeats",
            help="Readers are not told which. They measure how consistent a reader is, and whether the side matters.",
        )  # fmt: skip
        if st.form_submit_button("Open the ballot", type="primary", icon=":material/how_to_vote:"):
            try:
                ballot_id = open_ballot(bench.store, bench.comparisons, name, chosen, reader.name, pool, repeats / 100)
            except (StoreError, ValueError) as error:
                st.error(str(error))
            else:
                st.session_state["vote_opened"] = ballot_id
                st.rerun()


def ballots_view(known: list[Ballot], stored: list[Run]) -> None:
    names = {run.run_id: run.name for run in stored}
    for ballot in known:
        with st.container(border=True, horizontal=True, vertical_alignment="center"):
            stood = " · ".join(plain(names.get(run, run[:8])) for run in ballot.run_ids)
            st.markdown(
                f"**{plain(ballot.name)}** :gray[· {counted(ballot.votes, 'vote')} · opened by {plain(ballot.author)}]\n\n:gray[{stood}]",
                width="stretch",
            )
            st.button(
                "Close" if ballot.open else "Open again", key=f"close_{ballot.ballot_id}", icon=":material/lock:" if ballot.open else ":material/lock_open:",
                on_click=close_ballot, args=(bench.store, ballot, reader.name), kwargs={"reopen": not ballot.open},
                help="No more pairs are drawn; its votes stay." if ballot.open else None,
            )  # fmt: skip
    new_ballot(stored)


def too_few(stored: list[Run]) -> None:
    st.info(
        "Blind votes set two runs against each other, and "
        + ("there is only one so far. " if stored else "no model has answered a note yet. ")
        + "The compare page starts a second one: another model, or the same model with other sampling.",
        icon=":material/how_to_vote:",
    )
    st.page_link("pages/compare.py", label="Compare", icon=":material/compare_arrows:")


def page() -> None:
    top = st.container(horizontal=True, vertical_alignment="center")
    top.title("Blind votes", width="stretch")
    known = ballots(bench.store)
    if not known:
        stored = runs(bench.comparisons.runs())
        if len(stored) < 2:
            too_few(stored)
            return
        st.caption(
            "You read a note and two answers, without names, and say which is better. Sides are drawn at random; the names are shown after the vote. "
            "The votes become win rates with intervals, and preference pairs for training."
        )
        new_ballot(stored)
        return
    if opened := st.session_state.pop("vote_opened", None):
        st.session_state["vote_ballot"], st.session_state["vote_view"] = opened, "vote"
    st.session_state.setdefault("vote_view", "vote")
    with top:
        ballot = choose_ballot(known)
        view = st.segmented_control(
            "View", list(VIEWS), format_func=VIEWS.get, key="vote_view", required=True, label_visibility="collapsed"
        )  # fmt: skip
    if view == "vote":
        vote_view(ballot)
    elif view == "results":
        results_view(ballot)
    else:
        ballots_view(known, runs(bench.comparisons.runs()))


page()
