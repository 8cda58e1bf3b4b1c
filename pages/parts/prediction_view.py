"""What the model said: the DRG with its facts, the alternatives, and the reasoning while it is being written."""

from collections.abc import Sequence

import streamlit as st

from pages.parts.confidence import meaning
from pages.parts.plain import plain
from sapphire.drg.grounding import Candidate
from sapphire.engines import ModelCard
from sapphire.profiles import facts
from sapphire.reviewing import Case, alternatives
from sapphire.running import Run
from sapphire.workbench import Workbench

SHOWN = 3  # of the index's candidates, while the model reads
FORCED_WORDS = {
    "think_open": "the opening of the reasoning",
    "think_close": "the end of the reasoning",
    "answer_open": "the answer tag",
    "title": "a title of the code book",
    "answer_close": "the end of the answer",
}
GUIDED = (
    "The DRG is the one that the model would give at once, weighed by the condition index's chance of each. The model chose the lines of its reasoning "
    "among those that the note and CMS's rules bear out and, where such lines lead to that DRG, among those that do. Quotes, codes and levels are not "
    "its own."
)


def prediction_view(case: Case, role: str, card: ModelCard | None) -> None:
    """The predicted DRG; `card` is its model's, if that is still here.

    The title is CMS's own, never the model's text; the answer itself is shown when it is no DRG.
    """
    said = case.prediction
    with st.container(border=True):
        top = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
        top.caption(f"{said['model']} · MS-DRG v{said['drg_version']} · {said['prompt']} prompt")
        if said["confidence"] is not None:
            top.caption(f"confidence {said['confidence']:.0%}", width="content", help=meaning(said, card))
        if case.predicted:
            st.subheader(f"{case.predicted.drg} · {plain(case.predicted.title)}", anchor=False)
            shown = facts(case.predicted, role)
            st.caption(" · ".join(f"{name}: **{plain(value)}**" for name, value in shown.items() if name != "Base DRG"))
        else:
            st.subheader("No DRG", anchor=False)
            st.caption("The answer is no title of the code book:")
            st.text(case.parsed.answer or "(nothing)")
        if card and not card.tuned:
            st.warning(card.note, icon=":material/science:")
        if "lines" in said["forced"]:
            st.caption(f":material/rule: {GUIDED}")
        if parts := [FORCED_WORDS[part] for part in said["forced"] if part in FORCED_WORDS]:
            st.caption(f":material/construction: The decoder was made to write {', '.join(parts)}.")
        if others := alternatives(said):
            st.caption(
                "Other answers: " + " · ".join(f"**{a['drg']}** {plain(a['title'])} ({a['share']:.0%})" for a in others)
            )


def live_view(bench: Workbench, run: Run, hidden: bool = False) -> None:
    """The completion of `run` as it is written, and before it begins what its prompt names as likeliest, unless it is `hidden`; the page draws
    itself anew when it is done."""

    @st.fragment(run_every=0.3)
    def _live() -> None:
        if not run.active:
            st.rerun()
        bar = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
        writing = "writing" if run.live else "reading the note"
        doing = {"waiting": "waiting for its turn", "loading": "being loaded"}.get(run.state, writing)
        bar.markdown(f"**{plain(run.model)}** is {doing} …")
        if bar.button("Stop", icon=":material/stop_circle:", key=f"stop_{run.run_id}"):
            bench.runner.cancel(run.run_id)
        if hidden:
            st.caption("You asked to name a DRG before the model's answer is shown: this is where you will.")
            return
        with st.container(border=True, height=420, autoscroll=True):
            if run.live or not run.candidates:
                st.text(run.live or " ")
            else:
                _first_guess(run.candidates)

    _live()


def _first_guess(candidates: Sequence[Candidate]) -> None:
    """Something to look at while the model reads: what its prompt says before it has said anything itself."""
    st.caption("The condition index's first guess, which the model reads before the note and may overrule:")
    for each in candidates[:SHOWN]:  # without their probabilities, which are far from calibrated
        st.markdown(f"**{each.drg}** {plain(each.title)}")
