"""One case: the note beside what the model said of it, and the reader's review."""

import streamlit as st

from pages.parts.model_choice import MISSING, chosen_model, models
from pages.parts.note_view import note_view
from pages.parts.plain import plain
from pages.parts.prediction_view import live_view, prediction_view
from pages.parts.review_form import ReviewForm, drg_label
from pages.parts.reward_view import reward_view
from pages.parts.session import profile, start_page
from sapphire.comparing import comparable
from sapphire.drg.codebook import codebook
from sapphire.engines import Sampling
from sapphire.phrases import counted
from sapphire.quotes import quoted_spans
from sapphire.reviewing import (
    Case,
    as_stored,
    history,
    last_error,
    mark,
    open_case,
    predictions,
    save_review,
    undo,
    withdraw,
)
from sapphire.running import Run
from sapphire.store import StoreError
from sapphire.store.worklist import Filters

bench = start_page()
reader = profile()
chosen = st.session_state.get("worklist_filters", Filters())

SHORTCUTS = {
    "Y / N": "the DRG is right / wrong",
    "Ctrl+Enter": "save and go to the next case",
    "J / K": "next / previous case",
    "S": "skip for now",
    "F": "flag or unflag",
    "U": "undo the last change",
    "M": "compare with other models' answers",
    "W": "back to the worklist",
    "H": "this help",
}


def current_note() -> dict | None:
    """The note the address names by its number in this database; else the worklist's first."""
    number = st.query_params.get("case", "")
    if number.isdigit():
        found = bench.comparisons.note(int(number))
        if found:
            return found
    first = bench.worklist.page(chosen, 1) or bench.worklist.page(Filters(), 1)
    return {"note_id": first[0]["note_id"], "seq": first[0]["note_seq"]} if first else None


def go(note_id: str | None) -> None:
    """Show another case; without one, the worklist."""
    if note_id is None:
        st.session_state["list_done"] = True
        return
    found = bench.comparisons.note_named(note_id)
    if found is None:
        st.session_state["review_error"] = f"{note_id} was withdrawn in the meantime."
        return
    st.query_params["case"] = str(found["seq"])
    st.session_state.pop("prediction_id", None)


def attempt(action, *args) -> bool:
    """Do something to the store; a failure is shown instead of raised."""
    try:
        action(*args)
    except (StoreError, ValueError) as error:
        st.session_state["review_error"] = str(error)
        return False
    return True


def save_and_next(case: Case, after: str | None) -> None:
    now = as_stored(bench.store, case, reader)
    if attempt(save_review, bench.store, now, reader, now.form):
        st.toast(f"Saved: {case.note['note_id']}", icon=":material/check_circle:")
        go(after)


def skip(case: Case, after: str | None) -> None:
    if attempt(mark, bench.store, case, reader, "skipped"):
        go(after)


def take_back(case: Case) -> None:
    if attempt(undo, bench.store, as_stored(bench.store, case, reader), reader):
        st.session_state["undone"] = st.session_state.get("undone", 0) + 1


def bar(case: Case) -> None:
    """Where the reader is, and what can be done with the case as a whole. It stays at the top."""
    before, after = bench.worklist.neighbours(case.note["note_id"], chosen)
    with st.container(key="case_bar", horizontal=True, vertical_alignment="center"):
        if st.button("Worklist", icon=":material/arrow_back:", type="tertiary", shortcut="W"):
            st.switch_page("pages/worklist.py")
        st.button(
            "",
            icon=":material/chevron_left:",
            key="previous",
            help="Previous case (K)",
            shortcut="K",
            disabled=before is None,
            on_click=go,
            args=(before,),
        )
        st.button(
            "",
            icon=":material/chevron_right:",
            key="next",
            help="Next case (J)",
            shortcut="J",
            disabled=after is None,
            on_click=go,
            args=(after,),
        )
        st.markdown(f"**{plain(case.note['note_id'])}**", width="stretch")
        _state_badge(case)
        st.button(
            "",
            icon=":material/undo:",
            key="undo",
            help="Undo the last change (U)",
            shortcut="U",
            disabled=not case.can_undo,
            on_click=take_back,
            args=(case,),
        )
        flag = "unflagged" if case.flagged else "flagged"
        st.button(
            "",
            icon=":material/flag:",
            key="flag",
            type="primary" if case.flagged else "secondary",
            help="Flag (F)",
            shortcut="F",
            on_click=attempt,
            args=(mark, bench.store, case, reader, flag),
        )
        st.button("Skip", icon=":material/skip_next:", key="skip", shortcut="S", on_click=skip, args=(case, after))
        # No callback: a choice and this click can come in one run, and the choice's own callback must be the first.
        if st.button(
            "Save and next", icon=":material/check:", type="primary", key="save", shortcut="Ctrl+Enter", disabled=case.prediction is None,
        ):  # fmt: skip
            save_and_next(case, after)
            st.rerun()


def _state_badge(case: Case) -> None:
    if case.form_state == "draft":
        st.badge(
            "Draft kept" + (" · saved review stands" if case.saved else ""), icon=":material/edit_note:", color="orange"
        )
    elif case.form_state == "saved":
        st.badge("Saved", icon=":material/check_circle:", color="green")


def note_side(case: Case) -> None:
    note = case.note
    about = [
        f"{note['age']}-year-old" if note["age"] is not None else "",
        {"M": "man", "F": "woman"}.get(note["sex"], ""),
    ]
    course = (note["course_start"], note["course_end"]) if note["course_end"] else None
    read = f"the model reads the {'marked hospital course' if course else 'whole note'}"
    line = " · ".join(
        filter(None, [" ".join(filter(None, about)), counted(note["words"], "word"), read, note["source"] or ""])
    )
    visible = case.parsed.think if case.parsed and case.revealed_at else ""
    note_view(note["text"], course, quoted_spans(visible, note["text"]), line, key="note_view")


def unread_side(case: Case, run: Run | None) -> None:
    """No prediction yet: run the model for this case, or watch it write."""
    if run:
        return live_view(bench, run, hidden=reader.think_first and not case.revealed_at)
    if (error := last_error(bench.store, case.note["note_id"])) is not None:
        st.error(error)
    with st.container(border=True):
        st.subheader("No prediction yet", anchor=False)
        st.caption("The model writes its reasoning first and then names one MS-DRG.")
        predict_button(case, "Predict this case", "primary")
    return None


def predict_button(case: Case, label: str, kind: str) -> None:
    card = chosen_model()
    if card is None:
        st.caption(f":material/warning: {MISSING}")
    elif st.button(label, icon=":material/play_arrow:", type=kind, help=f"With {card.name}"):
        notes = [case.note["note_id"]]
        if attempt(bench.runner.start, notes, card.name, card.location, Sampling(), reader.name, True):
            st.rerun()


def gate(case: Case) -> None:
    """Ask for the reader's own DRG before the model's is shown."""
    with st.container(border=True):
        st.subheader("Your DRG first", anchor=False)
        st.caption(
            "Read the note and name a DRG; then see the model's. It is stored, so that changes of mind can be counted."
        )
        version = case.prediction["drg_version"]
        prior = st.selectbox(
            "Your DRG", list(codebook(version).drgs), index=None, format_func=lambda drg: drg_label(version, drg),
            placeholder="Number, title or words", key=f"prior_{case.prediction['prediction_id']}",
        )  # fmt: skip
        with st.container(horizontal=True):
            st.button(
                "Show the model's answer",
                type="primary",
                disabled=prior is None,
                on_click=attempt,
                args=(mark, bench.store, case, reader, "revealed", prior),
            )
            st.button(
                "Show without an answer of mine",
                type="tertiary",
                on_click=attempt,
                args=(mark, bench.store, case, reader, "revealed"),
            )


def compare_button(case: Case) -> None:
    """To this note as other runs answered it, where there are any."""
    compared = comparable(bench.comparisons, case.note["note_id"], case.prediction["run_id"])
    if compared and st.button(
        f"Compare with {counted(len(compared) - 1, 'other answer')}", icon=":material/compare_arrows:", type="tertiary", key="review_compare", shortcut="M",
        help="This note as other runs answered it, side by side (M)",
    ):  # fmt: skip
        ids = ",".join(run.short_id for run in compared)
        st.switch_page("pages/compare.py", query_params={"case": str(case.note["seq"]), "runs": ids})


def model_side(case: Case) -> None:
    form = ReviewForm(bench.store, case, reader)
    card = next((card for card in models() if card.name == case.prediction["model"]), None)
    prediction_view(case, reader.role, card)
    if case.prior_drg:
        st.caption(f":material/psychology: Your own DRG before seeing this: **{case.prior_drg}**")
    compare_button(case)
    reasoning, reward = st.tabs(["Reasoning", "Reward"])
    with reasoning:
        form.steps()
    with reward:
        gold = f"Reckoned against {case.gold.drg} {case.gold.title}, {case.gold_source}." if case.gold else ""
        reward_view(case.terms, gold, key=f"waterfall_{case.prediction['prediction_id']}")
    with st.container(border=True):
        st.subheader("Your review", anchor=False)
        form.judgement()
        if case.form_state == "saved":
            st.button(
                "Withdraw this review",
                type="tertiary",
                icon=":material/undo:",
                on_click=attempt,
                args=(withdraw, bench.store, case, reader),
            )


def past(case: Case) -> None:
    """Earlier predictions and everything that happened to the case."""
    earlier = predictions(bench.store, case.note["note_id"])
    with st.expander("History", icon=":material/history:"):
        if len(earlier) > 1:
            ids = [row["prediction_id"] for row in earlier]
            names = {
                row["prediction_id"]: f"{row['model']} · {row['drg'] or 'no DRG'} · {row['recorded_at']:%Y-%m-%d %H:%M}"
                for row in earlier
            }
            st.selectbox("Prediction", ids, format_func=names.get, key="prediction_id")
        st.dataframe(
            [{"When (UTC)": row["recorded_at"], "What": row["kind"], "Who": row["who"], "DRG": row["what"], "Detail": row["detail"]} for row in history(bench.store, case.note["note_id"])],
            hide_index=True,
            alt="History of this case",
        )  # fmt: skip
        if case.prediction:
            predict_button(case, "Predict again", "tertiary")


@st.dialog("Keys")
def keys() -> None:
    st.table({"Key": SHORTCUTS.keys(), "Does": SHORTCUTS.values()}, hide_index=True)


def page() -> None:
    if st.session_state.pop("list_done", False):
        st.toast("That was the last case of this list.", icon=":material/done_all:")
        st.switch_page("pages/worklist.py")
    where = current_note()
    if where is None:
        st.info("There are no notes yet.", icon=":material/inbox:")
        st.page_link("pages/notes.py", label="Import discharge notes", icon=":material/upload_file:")
        return
    st.query_params["case"] = str(where["seq"])
    case = open_case(bench.store, where["note_id"], reader.name, st.session_state.get("prediction_id"))
    case = note_events(case, where["seq"])
    bar(case)
    if error := st.session_state.pop("review_error", None):
        st.error(error, icon=":material/error:")
    left, right = st.columns([1, 1], gap="medium")
    with left:
        note_side(case)
    with right:
        run = next(
            (run for run in bench.runner.runs() if run.active and run.urgent and case.note["note_id"] in run.pending),
            None,
        )
        if case.prediction is None or run:
            unread_side(case, run)
        elif case.revealed_at is None:
            gate(case)
        else:
            model_side(case)
        # The history names DRGs too.
        if case.prediction is None or case.revealed_at:
            past(case)
        if st.button("Keys", icon=":material/keyboard:", type="tertiary", shortcut="H"):
            keys()


def note_events(case: Case, seq: int) -> Case:
    """Record that this reader opened the case, each time they come to it, and, unless they asked to think first, saw the answer at once."""
    if st.session_state.get("opened") != (reader.name, seq):
        st.session_state["opened"] = (reader.name, seq)
        attempt(mark, bench.store, case, reader, "opened")
    if case.prediction and case.revealed_at is None and not reader.think_first:
        attempt(mark, bench.store, case, reader, "revealed")
        return open_case(bench.store, case.note["note_id"], reader.name, case.prediction["prediction_id"])
    return case


page()
