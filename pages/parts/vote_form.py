"""A pair to be judged blind. Until the reader has voted nothing on the page tells whose answers they are."""

import streamlit as st

from pages.parts.aligned_view import aligned_view
from pages.parts.confidence import meaning
from pages.parts.keys_help import keys_help
from pages.parts.note_view import note_view
from pages.parts.plain import plain
from pages.parts.session import let_show
from pages.parts.text_box import text_box
from sapphire.aligning import align
from sapphire.balloting import Ballot
from sapphire.comparing import relation, tokens_a_second
from sapphire.drg.codebook import Drg
from sapphire.phrases import counted
from sapphire.profiles import Profile
from sapphire.store import StoreError
from sapphire.voting import (
    REASONS,
    VERDICT_WORDS,
    Answer,
    Pair,
    draft,
    last_vote,
    next_pair,
    open_pair,
    reveal,
    skip,
    vote,
    withdraw,
)
from sapphire.workbench import Workbench

SHORTCUTS = {
    "1 / 2": "A / B is better",
    "3 / 4": "tie / both are bad",
    "V": "vote, and see whose answers they were",
    "N": "vote and go to the next pair without looking",
    "S": "skip this pair",
    "U": "withdraw the last vote",
    "H": "this help",
}


class VoteForm:
    """The widgets of one ballot for one reader. Each choice is stored at once; the form shows what is stored."""

    def __init__(self, bench: Workbench, ballot: Ballot, reader: Profile, names: dict[str, str]):
        self._bench, self._ballot, self._reader, self._names = bench, ballot, reader, names
        self._shown = f"vote_shown_{ballot.ballot_id}"  # the pair just voted on, while its names are shown

    def draw(self, progress: str) -> None:
        """Draw the pair; `progress` says how far the ballot is."""
        if error := st.session_state.pop("vote_error", None):
            st.error(error, icon=":material/error:")
        pair = self._pair()
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption(progress, width="stretch")
            self._aside(pair)
        if pair is None:
            st.success("You have judged every pair of this ballot. Thank you.", icon=":material/done_all:")
            return
        self._bar(pair)
        left, right = st.container(key="vote_body").columns([1.15, 2], gap="small")
        with left:
            _note(pair)
        with right:
            self._answers(pair)

    def _answers(self, pair: Pair) -> None:
        said = reveal(self._bench.store, pair.pair_id) if pair.state == "voted" else None
        for at, (column, answer) in enumerate(zip(st.columns(2, gap="small"), (pair.left, pair.right), strict=True)):
            side = "AB"[at]
            with column:
                _answer(side, answer)
                if said:
                    run, prediction = ((said.left_run, said.left), (said.right_run, said.right))[at]
                    _identity(self._names.get(run, prediction["model"]), answer.drg, said.gold, prediction)
                aligned_view([f"{side}'s reasoning"], align([answer.steps]), key=f"vote_steps_{side}")
        if said:
            gold = f"**{said.gold.drg}** {plain(said.gold.title)}" if said.gold else "none of this version"
            st.caption(f":material/flag: Recorded DRG: {gold}")
        else:
            self._why(pair)

    def _pair(self) -> Pair | None:
        if shown := st.session_state.get(self._shown):
            try:
                pair = open_pair(self._bench.store, shown)
            except KeyError:
                pair = None
            if pair and pair.state == "voted":
                return pair
            del st.session_state[self._shown]
        return next_pair(self._bench.store, self._bench.comparisons, self._ballot, self._reader)

    def _aside(self, pair: Pair | None) -> None:
        """What is seldom needed, beside the ballot's progress."""
        if pair and pair.state != "voted":
            st.button(
                "Skip",
                key="vote_skip",
                icon=":material/skip_next:",
                type="tertiary",
                shortcut="S",
                on_click=self._skip,
                args=(pair,),
            )
        if last := last_vote(self._bench.store, self._ballot, self._reader):
            st.button(
                "Withdraw last vote", key="vote_withdraw", icon=":material/undo:", type="tertiary", shortcut="U",
                on_click=self._attempt, args=(withdraw, self._bench.store, last, self._reader),
                help="It counts no more. The pair does not come again, since its names may have been seen.",
            )  # fmt: skip
        keys_help(SHORTCUTS)

    def _bar(self, pair: Pair) -> None:
        with st.container(key="vote_bar", horizontal=True, vertical_alignment="center"):
            if pair.state == "voted":
                st.badge(
                    f"Your vote: {VERDICT_WORDS[pair.verdict]}",
                    icon=":material/how_to_vote:",
                    color="blue",
                    width="stretch",
                )
                st.button(
                    "Next pair", key="vote_next", icon=":material/arrow_forward:", type="primary", shortcut="N",
                    on_click=lambda: st.session_state.pop(self._shown, None),
                )  # fmt: skip
                return
            for number, (verdict, words) in enumerate(VERDICT_WORDS.items(), start=1):
                st.button(
                    words, key=f"vote_{number}", shortcut=str(number), type="primary" if pair.verdict == verdict else "secondary",
                    on_click=self._choose, args=(pair, verdict),
                )  # fmt: skip
            st.space("stretch")
            # No callbacks: a reason and the vote can come in one run, and the reason's own callback must be the first.
            reveals = st.button(
                "Vote and reveal", key="vote_reveal", icon=":material/visibility:", shortcut="V", disabled=pair.verdict is None
            )  # fmt: skip
            goes_on = st.button(
                "Vote, next", key="vote_next", icon=":material/arrow_forward:", type="primary", shortcut="N", disabled=pair.verdict is None
            )  # fmt: skip
            if reveals or goes_on:
                self._vote(pair, reveals)
                st.rerun()

    def _why(self, pair: Pair) -> None:
        with st.container(border=True):
            key = f"vote_reasons_{pair.pair_id}"
            let_show(key, list(pair.reasons))
            st.pills(
                "What decided", list(REASONS), selection_mode="multi", key=key, format_func=REASONS.get,
                on_change=lambda: self._keep(pair, reasons=st.session_state[key]),
            )  # fmt: skip
            text_box(
                "Comment", pair.comment, slot=pair.pair_id, epoch="", key="vote_comment", rows=2, placeholder="For your colleagues; not used in training.",
                kept="draft kept" if pair.state == "draft" else "", on_change=lambda text: self._keep(pair, comment=text),
            )  # fmt: skip

    def _keep(self, pair: Pair, **change) -> None:
        """Store what is said of the pair, changed; what was said meanwhile stays."""
        now = open_pair(self._bench.store, pair.pair_id)
        said = {"verdict": now.verdict, "reasons": now.reasons, "comment": now.comment} | change
        self._attempt(draft, self._bench.store, now, self._reader, said["verdict"], said["reasons"], said["comment"])

    def _choose(self, pair: Pair, verdict: str) -> None:
        self._keep(pair, verdict=None if pair.verdict == verdict else verdict)

    def _vote(self, pair: Pair, show: bool) -> None:
        if self._attempt(vote, self._bench.store, pair, self._reader) and show:
            st.session_state[self._shown] = pair.pair_id

    def _skip(self, pair: Pair) -> None:
        self._attempt(skip, self._bench.store, pair, self._reader)

    def _attempt(self, action, *args) -> bool:
        try:
            action(*args)
        except (StoreError, ValueError, KeyError) as error:
            st.session_state["vote_error"] = str(error)
            return False
        return True


def _note(pair: Pair) -> None:
    note = pair.note
    course = (note["course_start"], note["course_end"]) if note["course_end"] else None
    about = [
        f"{note['age']}-year-old" if note["age"] is not None else "",
        {"M": "man", "F": "woman"}.get(note["sex"], ""),
    ]
    line = " · ".join(filter(None, [" ".join(filter(None, about)), counted(note["words"], "word")]))
    note_view(note["text"], course, [], line, key="note_view")


def _answer(side: str, answer: Answer) -> None:
    with st.container(border=True, gap="xsmall"):
        st.caption(f"**{side}**")
        if answer.drg:
            st.markdown(f"**{answer.drg.drg} · {plain(answer.drg.title)}**")
        else:
            st.markdown("**No DRG.** The answer is no title of the code book:")
            st.text((answer.text or "(nothing)")[:300])


def _identity(name: str, drg: Drg | None, gold: Drg | None, prediction: dict) -> None:
    """Whose answer it was, and what was hidden with the name."""
    right = relation(gold, drg).kind if gold else ""
    speed = tokens_a_second(prediction)
    parts = [
        {"same DRG": "right", "no DRG": "no DRG", "": ""}.get(right, f"{right} as recorded"),
        f"confidence {prediction['confidence']:.0%}" if prediction["confidence"] is not None else "",
        f"{prediction['seconds']:.1f} s" if prediction["seconds"] is not None else "",
        f"{speed:.0f} tokens/s" if speed and speed >= 0.5 else "",
    ]
    with st.container(border=True, gap="xsmall"):
        st.markdown(f":material/visibility: **{plain(name)}**")
        sure = prediction["confidence"] is not None
        st.caption(" · ".join(filter(None, parts)), help=meaning(prediction) if sure else None)
