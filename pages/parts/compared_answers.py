"""The answers of compared runs: a card each, and the recorded DRG above them."""

import streamlit as st

from pages.parts.confidence import meaning
from pages.parts.plain import plain
from sapphire.comparing import SIDES, Answer, Relation, tokens_a_second
from sapphire.drg.codebook import Drg
from sapphire.phrases import counted
from sapphire.profiles import facts

# Right is told by word and icon, not by colour alone.
MARKS = {
    "same DRG": ("green", "check", "right"),
    "same base DRG": ("orange", "done_outline", "right base DRG"),
    "same MDC": ("red", "close", "right MDC only"),
    "different MDC": ("red", "close", "wrong MDC"),
    "no DRG": ("red", "close", "no DRG"),
}


def gold_line(gold: Drg | None, version: str, role: str) -> None:
    if gold is None:
        st.caption(f":material/help: No DRG of version {version} is recorded for this note.")
        return
    shown = facts(gold, role)
    weight = f" · relative weight {shown['Relative weight']}" if "Relative weight" in shown else ""
    st.caption(f":material/flag: Recorded: **{gold.drg}** {plain(gold.title)} · MDC {gold.mdc}{weight}")


def answer_card(at: int, answer: Answer, note_seq: int) -> None:
    """What one run said: its DRG, how that relates to the recorded one and to the first run's, reward, confidence, speed."""
    with st.container(border=True, height="stretch", gap="xsmall"):
        st.caption(f"**{SIDES[at]}** · {plain(answer.run.name)}")
        if answer.prediction is None:
            st.markdown("**No answer**")
            st.caption(answer.error or "This run did not come to this note.")
            return
        if answer.drg:
            st.markdown(f"**{answer.drg.drg} · {plain(answer.drg.title)}**")
        else:
            st.markdown("**No DRG.** The answer is no title of the code book:")
            st.text((answer.parsed.answer or "(nothing)")[:300])
        if answer.to_gold:
            colour, icon, words = MARKS[answer.to_gold.kind]
            st.badge(words + _weight(answer.to_gold), icon=f":material/{icon}:", color=colour)
        if answer.to_first:
            st.caption(
                f":material/compare_arrows: Against {SIDES[0]}: {answer.to_first.words}{_weight(answer.to_first)}"
            )
        st.caption(
            _numbers(answer), help=meaning(answer.prediction) if answer.prediction["confidence"] is not None else None
        )
        if st.button(
            "Review", key=f"compare_review_{at}", icon=":material/rate_review:", type="tertiary", shortcut=str(at + 1)
        ):
            st.session_state["prediction_id"] = answer.prediction["prediction_id"]
            st.switch_page("pages/review.py", query_params={"case": str(note_seq)})


def _weight(relation: Relation) -> str:
    return f", weight {relation.weight:+.4f}" if relation.weight else ""


def _numbers(answer: Answer) -> str:
    said = answer.prediction
    speed = tokens_a_second(said)
    parts = [
        f"reward **{answer.reward:+.1f}**" if answer.reward is not None else "reward pending",
        f"confidence **{said['confidence']:.0%}**" if said["confidence"] is not None else "",
        f"**{said['seconds']:.1f} s**" if said["seconds"] is not None else "",
        f"{speed:.0f} tokens/s" if speed and speed >= 0.5 else "",
        counted(len(answer.parsed.steps), "step"),
    ]
    return " · ".join(filter(None, parts))
