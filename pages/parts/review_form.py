"""The review of one prediction. Every choice is stored as a draft the moment it is made; the form shows what is stored."""

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from pages.parts.plain import plain
from pages.parts.session import let_show
from pages.parts.text_box import text_box
from sapphire.drg.codebook import ABBREVIATIONS, Drg, codebook, fold
from sapphire.profiles import Profile
from sapphire.reasoning_checks import FAILS, HOLDS, ReasoningCheck
from sapphire.reviewing import DECISIONS, ERROR_CATEGORIES, RUBRIC, VERDICTS, Case, Form, as_stored, checked, save_draft
from sapphire.store import Store, StoreError

VERDICT_ICONS = {
    "right": ":material/check:",
    "wrong": ":material/close:",
    "not in the note": ":material/question_mark:",
}
MARKS = {HOLDS: "holds by the note and CMS's rules", FAILS: "does not hold"}
NOTHING_FOUND = "There is no reasoning: the condition index found no diagnosis in this note from which a line could start. The answer is a guess from the words alone."
RATING = 220  # pixels, for five numbers side by side
CHECK_ICONS = {HOLDS: ":green[:material/verified:]", FAILS: ":orange[:material/gpp_maybe:]"}


class ReviewForm:
    """The widgets of one case. `case` is as stored; each change goes straight to the store."""

    def __init__(self, store: Store, case: Case, reader: Profile):
        self._store, self.case, self._reader = store, case, reader
        self._slot = f"{case.note['seq']}_{(case.prediction or {}).get('prediction_id', '')}_{reader.name}"

    def keep(self, change: Callable[[Form], Form]) -> None:
        """Store the form as it is now, changed, as a draft; a failure is shown on the next drawing."""
        try:
            now = as_stored(self._store, self.case, self._reader)
            save_draft(self._store, now, self._reader, change(now.form))
        except StoreError as error:
            st.session_state["review_error"] = str(error)

    def steps(self) -> None:
        """The reasoning as numbered steps, each with its verdict."""
        steps = self.case.parsed.steps
        if not steps:
            said = self.case.prediction
            kept_from_it = said["prompt"] == "grounded" and "think_close" in said["forced"]
            st.caption(NOTHING_FOUND if kept_from_it else "The model gave no reasoning.")
            return
        found = self._checked()
        # A long reasoning scrolls by itself, so that the review below it stays near.
        box = st.container(height=460 if len(steps) > 8 else "content", border=len(steps) > 8)
        verdicts = list(self.case.form.step_verdicts) + [None] * len(steps)
        for i, step in enumerate(steps):
            number, step_side = box.columns([0.35, 8.6], gap="small")
            # Not columns: where the page is narrow the verdict goes below the words instead of losing its last button.
            row = step_side.container(horizontal=True, gap="small")
            words, verdict = row.container(width="stretch"), row.container(width="content")
            judged = found.steps[i]
            number.markdown(f":gray[{i + 1}] {CHECK_ICONS.get(judged.state, '')}")
            words.text(step)
            if judged.faults:
                words.markdown(f":small[:orange[Does not hold: {plain('; '.join(judged.faults))}.]]")
            with verdict:
                self._choice(
                    st.segmented_control, f"Step {i + 1}", f"step{i}", VERDICTS, verdicts[i],
                    lambda form, value, i=i: form.with_verdict(i, value),
                    format_func=VERDICT_ICONS.get, label_visibility="collapsed", help=None,
                )  # fmt: skip

    def _checked(self) -> ReasoningCheck:
        """The steps by CMS's rules and the note; says above them what the marks mean, and where the steps lead to another DRG."""
        found = checked(self.case)
        states = {each.state for each in found.steps}
        legend = [f"{CHECK_ICONS[state]} {MARKS[state]}" for state in (HOLDS, FAILS) if state in states]
        if legend:
            st.caption(" · ".join(legend))
        if found.drg and self.case.predicted and found.drg != self.case.predicted:
            st.caption(
                f":material/alt_route: By the grouper these steps lead to **{found.drg.drg}** {plain(found.drg.title)}, the answer is "
                f"**{self.case.predicted.drg}**."
            )
        return found

    def judgement(self) -> None:
        """Is the DRG right, else which; ratings; error category; decision; words."""
        form = self.case.form
        if self.case.predicted:
            self._right_or_wrong(form)
        if form.drg_right is False or not self.case.predicted:
            self._right_drg(form)
        # Not columns: where the page is narrow one rating goes below the other instead of losing its 5.
        row = st.container(horizontal=True, gap="medium")
        for name in ("helpfulness", "accuracy"):
            with row.container(width=RATING):
                self._rating(name, getattr(form, name))
        if form.drg_right is False:
            self._choice(
                st.pills, "What went wrong", "error_category", list(ERROR_CATEGORIES), form.error_category,
                lambda form, value: replace(form, error_category=value), format_func=ERROR_CATEGORIES.get,
            )  # fmt: skip
        self._choice(
            st.segmented_control, "Decision", "decision", list(DECISIONS), form.decision or _usual_decision(form),
            lambda form, value: replace(form, decision=value), format_func=DECISIONS.get,
            help="Query: the note leaves it open and the physician has to say. Escalate: the physician advisor decides.",
        )  # fmt: skip
        self._words(form)

    def _right_or_wrong(self, form: Form) -> None:
        st.markdown(f"Is **{self.case.predicted.drg}** the right DRG?")
        with st.container(horizontal=True):
            for label, value, key, icon in (("Right", True, "Y", "check"), ("Wrong", False, "N", "close")):
                chosen = form.drg_right is value
                st.button(
                    label,
                    key=f"right_{value}_{self._slot}",
                    icon=f":material/{icon}:",
                    type="primary" if chosen else "secondary",
                    shortcut=key,
                    on_click=self.keep,
                    args=(lambda form, value=value: form.judged(value),),
                )

    def _right_drg(self, form: Form) -> None:
        book = codebook(self.case.prediction["drg_version"])
        options = [drg for drg in book.drgs if not self.case.predicted or drg != self.case.predicted.drg]
        self._choice(
            st.selectbox, "The right DRG", "drg", options, form.drg, lambda form, value: replace(form, drg=value),
            format_func=lambda drg: drg_label(book.version, drg), index=None, placeholder="Number, title or words: 291, heart failure mcc, CHF",
        )  # fmt: skip

    def _rating(self, name: str, value: int | None) -> None:
        question, scale = RUBRIC[name]
        rubric = "\n".join(f"- **{points}** {words}" for points, words in scale.items())
        self._choice(
            st.segmented_control, name.capitalize(), name, list(scale), value, lambda form, chosen: replace(form, **{name: chosen}),
            help=f"{question}\n\n{rubric}",
        )  # fmt: skip
        st.caption(f"{value}: {scale[value]}" if value else question)

    def _words(self, form: Form) -> None:
        kept = "draft kept" if self.case.form_state == "draft" else ""
        epoch = "undone" + str(st.session_state.get("undone", 0))
        for name, label, rows, hint in (
            (
                "reasoning",
                "Corrected reasoning",
                5,
                "How it should have been reasoned; becomes training text. Quote the note in quotation marks.",
            ),
            ("comment", "Comment", 2, "For your colleagues; not used in training."),
        ):
            text_box(
                label, getattr(form, name), slot=f"{self._slot}_{name}", epoch=epoch, key=f"text_{name}", rows=rows, placeholder=hint, kept=kept,
                on_change=lambda text, name=name: self.keep(lambda form: replace(form, **{name: text})),
            )  # fmt: skip
            if name == "reasoning" and not form.reasoning and self.case.parsed and self.case.parsed.think:
                st.button(
                    "Start from the model's reasoning", icon=":material/content_copy:", type="tertiary", key=f"copy_{self._slot}",
                    on_click=self.keep, args=(lambda form: replace(form, reasoning=self.case.parsed.think),),
                )  # fmt: skip

    def _choice(self, widget, label: str, name: str, options, value, change, **settings) -> None:
        """A choice that shows `value` and stores `change(form, new value)`."""
        key = f"{name}_{self._slot}"
        let_show(key, value if value in options else None)
        widget(
            label,
            options,
            key=key,
            on_change=lambda: self.keep(lambda form: change(form, st.session_state[key])),
            **settings,
        )


def _usual_decision(form: Form) -> str | None:
    return None if form.drg_right is None else "accept" if form.drg_right else "change"


@st.cache_data(show_spinner=False)
def _labels(version: str) -> dict[str, str]:
    return {drg.drg: _label(drg) for drg in codebook(version).drgs.values()}


def drg_label(version: str, drg: str) -> str:
    """A DRG as a chooser shows it: number, title, and the abbreviations people look for."""
    return _labels(version)[drg]


def _label(drg: Drg) -> str:
    words = set(fold(drg.title.replace(".", "")).split())
    short = [
        abbreviation.upper()
        for abbreviation, meanings in ABBREVIATIONS.items()
        if any(set(fold(meaning).split()) <= words for meaning in meanings)
    ]
    return f"{drg.drg} · {drg.title}" + (f" ({', '.join(short[:3])})" if short else "")
