"""Running a model over notes from the worklist: what to run, and a progress bar that moves by itself."""

import streamlit as st

from pages.parts.model_choice import MISSING, chosen_model, models
from pages.parts.plain import plain
from sapphire.engines import Sampling
from sapphire.phrases import counted
from sapphire.profiles import Profile
from sapphire.running import Run
from sapphire.store import StoreError
from sapphire.store.worklist import Filters
from sapphire.workbench import Workbench

STATE_WORDS = {
    "waiting": "Waiting for another run",
    "loading": "Loading the model",
    "running": "Running",
    "finished": "Finished",
    "cancelled": "Cancelled",
    "failed": "Stopped",
}


def run_panel(bench: Workbench, reader: Profile, filters: Filters, ticked: list[str]) -> None:
    """Buttons to run a model on the ticked or all pending notes, above the progress of what runs."""
    bar = st.container(horizontal=True, vertical_alignment="center")
    with bar:
        _start(bench, reader, filters, ticked)
    progress(bench, reader)


def _start(bench: Workbench, reader: Profile, filters: Filters, ticked: list[str]) -> None:
    card = chosen_model()
    if card is None:
        st.caption(f":material/warning: {MISSING}")
        return
    pending = bench.worklist.counts()["new"]
    label = f"Run the model on {len(ticked)} selected" if ticked else f"Run the model on all {pending:,} pending"
    if st.button(
        label,
        icon=":material/play_arrow:",
        type="primary",
        disabled=not (ticked or pending),
        help="Tick rows to run only those; a run goes on while you review.",
    ):
        notes = ticked or bench.worklist.note_ids(Filters(states=("new",), order=filters.order))
        samples = st.session_state.get("run_samples", 1)
        sampling = Sampling(n=samples, temperature=0.0 if samples == 1 else 0.6, top_p=0.95)
        try:
            bench.runner.start(notes, card.name, card.location, sampling, reader.name)
        except StoreError as error:
            st.error(str(error))
        else:
            st.rerun()
    with st.popover("Model", icon=":material/tune:"):
        names = [each.name for each in models()]
        st.selectbox("Model", names, index=names.index(card.name), key="run_model", persist_state="session")
        st.caption(plain(card.note))
        st.select_slider(
            "Answers for each note",
            [1, 4, 8],
            key="run_samples",
            persist_state="session",
            help="With several answers the commonest DRG stands, and the others are shown as alternatives.",
        )


def progress(bench: Workbench, reader: Profile) -> None:
    """The runs at work, redrawn every second while there are any, and those that can be taken up again."""
    runs = bench.runner.runs()
    if any(run.active for run in runs):
        _moving(bench)
    for run in runs:
        _tell_end(run)
    if not any(run.active for run in runs):
        for row in bench.runner.unfinished()[:2]:
            _offer_resume(bench, reader, row)


@st.fragment(run_every=1.0)
def _moving(bench: Workbench) -> None:
    active = [run for run in bench.runner.runs() if run.active]
    if not active:
        st.rerun()
    for run in active:
        left = run.seconds_left()
        words = f"{STATE_WORDS[run.state]} · {run.model} · {run.done:,} of {run.total:,}"
        words += f" · about {_time(left)} left" if left else ""
        words += f" · {run.failed} failed" if run.failed else ""
        bar, stop = st.columns([8, 1], vertical_alignment="center")
        bar.progress(run.done / run.total if run.total else 1.0, text=words)
        if stop.button(
            "Cancel", key=f"cancel_{run.run_id}", icon=":material/stop_circle:", disabled=run.cancel.is_set()
        ):
            bench.runner.cancel(run.run_id)
            st.rerun(scope="fragment")


def _tell_end(run: Run) -> None:
    """Say once, in this session, how a run ended."""
    told = st.session_state.setdefault("runs_told", set())
    if run.active or run.run_id in told:
        return
    told.add(run.run_id)
    if run.state == "failed":
        st.error(run.message)
    elif run.state == "finished" and not run.urgent:
        st.toast(f"{run.model} answered {counted(run.done, 'note')}.", icon=":material/check_circle:")


def _offer_resume(bench: Workbench, reader: Profile, row: dict) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"A run of {row['model']} by {row['author']} stopped with {row['left']:,} of {counted(row['total'], 'note')} to go."
        )
        if st.button("Resume", key=f"resume_{row['run_id']}", icon=":material/resume:"):
            bench.runner.resume(row["run_id"], reader.name)
            st.rerun()


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
