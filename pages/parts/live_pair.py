"""Two models, or one model twice, asked about one note before the reader's eyes: one after the other, since one is loaded at a time."""

import streamlit as st

from pages.parts.model_choice import MISSING, models
from pages.parts.new_run import SAMPLINGS
from pages.parts.note_view import note_view
from pages.parts.plain import plain
from sapphire.comparing import SIDES, sampling_words
from sapphire.phrases import counted
from sapphire.profiles import Profile
from sapphire.running import Run
from sapphire.sights import seen
from sapphire.store import StoreError
from sapphire.workbench import Workbench

DOING = {
    "waiting": "waits for its turn",
    "loading": "is being loaded",
    "running": "is writing",
    "finished": "is done",
    "cancelled": "was stopped",
    "failed": "stopped",
}


def ask_live(bench: Workbench, reader: Profile, note_id: str) -> None:
    """A popover that asks two models, or one in two ways, about this note."""
    with st.popover("Ask live", icon=":material/bolt:"):
        cards = {card.name: card for card in models()}
        if not cards:
            st.caption(f":material/warning: {MISSING}")
            return
        st.caption("Both answer this note now, one after the other, and are kept as runs of one note.")
        asked = []
        for side, usual in zip(SIDES[:2], (0, 1), strict=True):
            model, sampling = st.columns(2)
            name = model.selectbox(
                f"Model {side}", list(cards), index=min(usual, len(cards) - 1), key=f"live_model_{side}"
            )
            how = sampling.selectbox(
                f"Sampling {side}",
                list(SAMPLINGS)[:3],
                index=usual if len(cards) == 1 else 0,
                key=f"live_sampling_{side}",
            )
            asked.append((cards[name], SAMPLINGS[how]))
        if asked[0] == asked[1]:
            st.caption(":material/info: Both would answer the same, word for word: choose another model or sampling.")
        if st.button("Ask both", type="primary", icon=":material/bolt:", key="live_ask", disabled=asked[0] == asked[1]):
            try:
                started = [
                    bench.runner.start([note_id], card.name, card.location, how, reader.name, urgent=True)
                    for card, how in asked
                ]
            except StoreError as error:
                st.error(str(error))
            else:
                st.session_state["compare_live"] = [run.run_id for run in started]
                st.session_state["compare_live_note"] = note_id
                st.rerun()


def live_columns(bench: Workbench, reader: Profile) -> bool:
    """Draw what is being asked live; returns whether anything is. When all have ended the page draws itself with their answers."""
    asked = st.session_state.get("compare_live", ())
    at_work = [run for run in bench.runner.runs() if run.run_id in asked][::-1]
    if not any(run.active for run in at_work):
        if asked:
            _ended(at_work)
        return False
    written = st.session_state.setdefault("compare_written", {})
    asked_note = st.session_state["compare_live_note"]
    hidden = reader.think_first and not seen(bench.store, reader.name, [asked_note])

    @st.fragment(run_every=0.3)
    def _live() -> None:
        if not any(run.active for run in at_work):
            st.rerun()
        for side, column, run in zip(SIDES, st.columns(len(at_work)), at_work, strict=False):
            # A run that has ended shows no text any more; what it wrote stays here until the other has ended too.
            written[run.run_id] = run.live or written.get(run.run_id, "")
            with column:
                _column(side, run, "" if hidden else written[run.run_id])
        if hidden:
            st.caption("You asked to name a DRG before a model's answer is shown: what they write is hidden.")
        if st.button("Stop", icon=":material/stop_circle:", key="live_stop"):
            for run in at_work:
                bench.runner.cancel(run.run_id)

    left, right = st.columns([1, 2], gap="medium")
    with left:
        note = bench.comparisons.note_named(asked_note)
        course = (note["course_start"], note["course_end"]) if note["course_end"] else None
        note_view(note["text"], course, [], counted(note["words"], "word"), key="note_view")
    with right:
        _live()
    return True


def _column(side: str, run: Run, text: str) -> None:
    name = f"{run.model} · {sampling_words({'n': run.sampling.n, 'temperature': run.sampling.temperature})}"
    doing = DOING[run.state] if run.state != "running" or run.live else "is reading the note"
    st.markdown(f"**{side}** · {plain(name)} :gray[{doing}]")
    with st.container(border=True, height=420, autoscroll=True):
        st.text(text or " ")


def _ended(asked: list[Run]) -> None:
    """Set the answers of what was asked live side by side; say why there are none."""
    del st.session_state["compare_live"]
    st.session_state.pop("compare_written", None)
    for run in asked:
        if run.state == "failed":
            st.error(f"{plain(run.model)}: {plain(run.message)}")
    answered = [run.run_id for run in asked if run.state == "finished"]
    if len(answered) == len(asked):
        st.session_state["compare_before"] = st.session_state.get("compare_runs", [])
        st.session_state["compare_runs"] = answered
