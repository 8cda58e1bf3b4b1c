"""Predictions made elsewhere, taken into the database: a file from this browser or a path on this machine, with problems by row."""

import tempfile
from pathlib import Path

import streamlit as st

from pages.parts.plain import plain
from sapphire.phrases import counted
from sapphire.profiles import Profile
from sapphire.store import Store, StoreError
from sapphire.taking_in import Report, TakingInError, take_in

SHOWN = 200  # problems in a report on screen


def intake(store: Store, reader: Profile) -> None:
    """A button that opens the form; the reports of what was just taken in stand below it until the next change."""
    with st.popover("Add predictions", icon=":material/upload_file:"):
        st.caption(
            "From `python -m train.evaluate` or `sapphire predict --out`: .parquet or .jsonl, a row a completion. Their notes must be here already."
        )
        files = st.file_uploader(
            "Prediction files",
            type=["parquet", "jsonl"],
            accept_multiple_files=True,
            key=f"intake_{st.session_state.get('intakes', 0)}",
        )
        path = st.text_input("Or a path on this machine", key="intake_path", placeholder="/data/evaluation.parquet")
        model = st.text_input("Model", key="intake_model", placeholder="If the file does not name it")
        if st.button("Add", type="primary", disabled=not files and not path.strip(), key="intake_go"):
            _take(store, reader, files, path.strip(), model.strip() or None)


def reports() -> None:
    """What came of the files just added, shown once."""
    for each in st.session_state.pop("intake_reports", ()):
        _told(each)


def _take(store: Store, reader: Profile, files: list, path: str, model: str | None) -> None:
    bar = st.progress(0.0, text="Reading …")

    def tell(rows: int) -> None:
        bar.progress(0.5, text=f"{counted(rows, 'row')} read")

    found: list[Report | str] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(path)] if path else []
        for file in files:
            paths.append(Path(folder, Path(file.name).name))
            paths[-1].write_bytes(file.getbuffer())
        for each in paths:
            try:
                found.append(take_in(store, each, reader.name, model, progress=tell))
            except (TakingInError, StoreError) as error:
                found.append(str(error))
    st.session_state["intake_reports"] = found
    st.session_state["intakes"] = st.session_state.get("intakes", 0) + 1
    st.rerun()


def _told(report: Report | str) -> None:
    if isinstance(report, str):
        st.error(plain(report), icon=":material/error:")
        return
    words = f"**{counted(report.predictions, 'answer')}** to **{counted(report.notes, 'note')}** added from {plain(report.file)}"
    words += f", {counted(report.already, 'note')} already there" if report.already else ""
    if report.notes or report.already:
        st.success(words + ".", icon=":material/check_circle:")
    else:
        st.error(f"Nothing of {plain(report.file)} was added.", icon=":material/error:")
    if report.problems:
        st.dataframe(
            [{"Row": p.row, "Note": p.note_id or "", "What is wrong": p.message, "What to do": p.remedy} for p in report.problems[:SHOWN]],
            hide_index=True, alt="Problems of the file by row",
            column_config={"Row": st.column_config.NumberColumn(width=70), "What is wrong": st.column_config.TextColumn(width="large")},
        )  # fmt: skip
        if len(report.problems) > SHOWN:
            st.caption(f"The first {SHOWN} of {len(report.problems):,} problems.")
