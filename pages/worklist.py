"""The worklist: every case with its state, what the model said of it, and the way into its review."""

import streamlit as st

from pages.parts.confidence import confidence_column, percent
from pages.parts.run_panel import run_panel
from pages.parts.session import profile, start_page
from sapphire.drg.codebook import MDC_TITLES, codebook
from sapphire.sights import seen
from sapphire.store.worklist import ORDERS, STATES, Filters

PAGE_SIZE = 50
STATE_ICONS = {
    "new": "○ New",
    "failed": "✕ Failed",
    "predicted": "◔ Predicted",
    "skipped": "» Skipped",
    "in review": "◑ In review",
    "queried": "? Queried",
    "escalated": "↑ Escalated",
    "reviewed": "● Reviewed",
}

COLUMNS = ("open", "State", "Note", "Predicted DRG", "Confidence", "Recorded", "Begins", "Reviewer", "Model")
COLUMNS_NEW = ("open", "State", "Note", "Recorded", "Begins")

bench = start_page()
worklist = bench.worklist


def filters() -> Filters:
    """The filter bar; its choices stay when another page is opened."""
    counts = worklist.counts()
    states = st.pills(
        "State",
        [state for state in STATES if counts[state]],
        selection_mode="multi",
        format_func=lambda state: f"{STATE_ICONS[state]} · {counts[state]:,}",
        key="worklist_states",
        persist_state="session",
        label_visibility="collapsed",
    )
    search, order, more = st.columns([3, 2, 1.1], vertical_alignment="bottom")
    words = search.text_input(
        "Search",
        key="worklist_search",
        persist_state="session",
        icon=":material/search:",
        placeholder="Note, DRG number or title, words of the note",
        label_visibility="collapsed",
    )
    by = order.selectbox(
        "Order", list(ORDERS), key="worklist_order", persist_state="session", label_visibility="collapsed"
    )
    with more.popover("Filters", icon=":material/filter_list:", width="stretch"):
        model = _choice("Model", "model")
        reviewer = _choice("Reviewer", "reviewer")
        source = _choice("Source", "source")
        mdc = st.selectbox(
            "Predicted MDC",
            ["", *[mdc for mdc in MDC_TITLES if mdc]],
            format_func=lambda mdc: f"{mdc} {MDC_TITLES[mdc]}" if mdc else "Any",
            key="worklist_mdc",
            persist_state="session",
        )
        flagged = st.toggle("Flagged only", key="worklist_flagged", persist_state="session")
    drgs = tuple(drg.drg for drg in codebook().drgs.values() if drg.mdc == mdc) if mdc else ()
    return Filters(tuple(states), words, model, drgs, reviewer, flagged, source, by)


def _choice(label: str, column: str) -> str:
    options = ["", *worklist.choices(column)]
    return st.selectbox(
        label, options, format_func=lambda value: value or "Any", key=f"worklist_{column}", persist_state="session"
    )


def cases(chosen: Filters) -> list[str]:
    """The table of one page of cases; returns the note_ids the reader has ticked."""
    total = worklist.count(chosen)
    if not total:
        st.info("No case passes these filters.", icon=":material/filter_list_off:")
        return []
    pages = -(-total // PAGE_SIZE)
    page = min(st.session_state.get("worklist_page", 1), pages)
    rows = worklist.page(chosen, PAGE_SIZE, (page - 1) * PAGE_SIZE)
    st.session_state["worklist_rows"] = [row["note_seq"] for row in rows]
    hidden = _hidden(rows)
    selection = st.dataframe(
        [_cells(row, row["note_id"] in hidden) for row in rows],
        column_order=COLUMNS if any(row["predicted_at"] or row["error"] for row in rows) else COLUMNS_NEW,
        key=f"worklist_table_{page}",
        hide_index=True,
        height="content",
        on_select="rerun",
        selection_mode="multi-row",
        alt=f"Cases {(page - 1) * PAGE_SIZE + 1} to {(page - 1) * PAGE_SIZE + len(rows)} of {total}",
        column_config={
            "open": st.column_config.ButtonColumn("Case", width=84, pinned=True, on_click=_open, key="worklist_open"),
            "State": st.column_config.TextColumn(width=104),
            "Note": st.column_config.TextColumn(width=180),
            "Predicted DRG": st.column_config.TextColumn(width=300),
            "Confidence": confidence_column(
                "How sure the model is of its DRG. Where the model is calibrated, about so many in a hundred of such answers should be right; "
                "where not, the number only tells surer answers from others. The case says which it is."
            ),
            "Recorded": st.column_config.TextColumn(width=80, help="The DRG that came with the note."),
            "Begins": st.column_config.TextColumn(width="large"),
        },
    )
    below = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
    below.caption(f"{total:,} {'case' if total == 1 else 'cases'}")
    if pages > 1:
        with below:
            st.pagination(pages, key="worklist_page")
    return [rows[i]["note_id"] for i in selection["selection"]["rows"] if i < len(rows)]


def _hidden(rows: list[dict]) -> set[str]:
    """Cases whose DRGs this reader must not see yet, having asked to name one first."""
    if not profile().think_first:
        return set()
    answered = [row["note_id"] for row in rows if row["predicted_drg"]]
    return set(answered) - seen(bench.store, profile().name, answered)


def _cells(row: dict, hidden: bool) -> dict:
    predicted = f"{row['predicted_drg']} {row['predicted_title']}" if row["predicted_drg"] else row["error"] or ""
    return {
        "open": "Review" if row["state"] not in ("new", "failed") else "Open",
        "State": ("⚑ " if row["flagged"] else "") + STATE_ICONS[row["state"]],
        "Note": row["note_id"],
        "Predicted DRG": "hidden until you have named yours" if hidden else predicted,
        "Confidence": None if hidden else percent(row["confidence"]),
        "Model": row["model"] or "",
        "Recorded": "" if hidden else row["gold_drg"] or "",
        "Reviewer": row["reviewer"] or "",
        "Begins": row["snippet"],
    }


def _open() -> None:
    clicked = st.session_state["worklist_open"]["row"]
    seq = st.session_state["worklist_rows"][clicked]
    st.switch_page("pages/review.py", query_params={"case": str(seq)})


def empty() -> None:
    st.info("There are no notes yet.", icon=":material/inbox:")
    st.page_link("pages/notes.py", label="Import discharge notes", icon=":material/upload_file:")


counts = worklist.counts()
total = sum(counts.values())
settled = counts["reviewed"] + counts["queried"] + counts["escalated"]
title, progress = st.columns([2, 1], vertical_alignment="center")
title.title("Worklist")
if total:
    progress.progress(settled / total, text=f"{settled:,} of {total:,} reviewed")
    chosen = filters()
    st.session_state["worklist_filters"] = chosen
    panel = st.container()
    ticked = cases(chosen)
    with panel:
        run_panel(bench, profile(), chosen, ticked)
else:
    empty()
