"""Import: files in, a look at their columns, and a report of what was wrong by file and row."""

import json
import tempfile
from pathlib import Path

import streamlit as st

from pages.parts.plain import plain
from pages.parts.session import profile, start_page
from sapphire.importing import ImportReport, import_files, imports, withdraw_import
from sapphire.notes import NotesError, Preview, preview
from sapphire.phrases import counted
from sapphire.store import StoreError

FIELDS = {
    "text": "Note text",
    "note_id": "Note id",
    "age": "Age",
    "sex": "Sex",
    "drg": "Recorded DRG",
    "drg_version": "DRG version",
    "title": "Recorded DRG title",
}
NONE = "— none —"
bench = start_page()


def upload() -> None:
    files = st.file_uploader(
        "Discharge notes",
        accept_multiple_files=True,
        key=f"upload_{st.session_state.get('uploads', 0)}",
        help="CSV, TSV, JSONL, Parquet or plain text, each also gzipped; one file or many.",
    )
    if not files:
        st.caption(
            "A table needs a column with the text; ids, age, sex and a recorded DRG are taken along where they are. "
            "A plain text file is one note. Nothing leaves this machine."
        )
        return
    looks = {file.name: _look(file) for file in files}
    columns = {}
    for name, look in looks.items():
        if isinstance(look, str):
            st.error(look)
        else:
            columns[name] = _columns(look)
    readable = [file for file in files if file.name in columns]
    ready = bool(readable) and all("text" in chosen for chosen in columns.values())
    if st.button(
        f"Import {len(readable)} {'file' if len(readable) == 1 else 'files'}",
        type="primary",
        icon=":material/upload:",
        disabled=not ready,
    ):
        _import(readable, columns)


def _look(file) -> Preview | str:
    try:
        return preview(file)
    except NotesError as error:
        return str(error)
    finally:
        file.seek(0)


def _columns(look: Preview) -> dict[str, str | None]:
    """The chooser of one file, open where the file's own names are unclear; returns field to column."""
    count = f" · {counted(look.count, 'row')}" if look.count is not None else ""
    title = f"{look.file} · {look.kind}{count}"
    if look.kind == "text":
        st.caption(f":material/description: {title}")
        return {"text": look.mapping["text"]}
    with st.expander(title, expanded=not look.clear, icon=":material/table:"):
        if not look.clear:
            st.warning("Which column holds the note's text? Please check.", icon=":material/help:")
        if look.credentialed:
            st.info(
                "This is MIMIC-IV-Note: its notes are marked as credentialed, and so is everything made from them.",
                icon=":material/policy:",
            )
        options = [NONE, *look.columns]
        chosen = {}
        for column, (field, label) in zip([*st.columns(4), *st.columns(4)], FIELDS.items(), strict=False):
            guess = look.mapping.get(field, NONE)
            picked = column.selectbox(label, options, index=options.index(guess), key=f"column_{look.file}_{field}")
            chosen[field] = None if picked == NONE else picked
        st.dataframe(list(look.rows), hide_index=True, alt=f"First rows of {look.file}")
    return chosen if chosen["text"] else {}


def _import(files: list, columns: dict[str, dict]) -> None:
    bar = st.progress(0.0, text="Reading …")
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for i, file in enumerate(files):
            path = Path(folder, Path(file.name).name)
            path.write_bytes(file.getbuffer())

            def tell(notes: int, i=i, name=file.name) -> None:
                bar.progress(i / len(files), text=f"{name}: {counted(notes, 'note')} stored")

            try:
                reports.append(import_files(bench.store, [path], profile().name, columns[file.name], tell))
            except StoreError as error:
                st.error(str(error))
                break
    bar.empty()
    st.session_state["import_reports"] = reports
    st.session_state["uploads"] = st.session_state.get("uploads", 0) + 1
    st.rerun()


def report(each: ImportReport) -> None:
    name = ", ".join(each.files)
    words = f"**{each.notes:,}** {'note' if each.notes == 1 else 'notes'} imported from {plain(name)}"
    words += f", {each.already:,} were already there" if each.already else ""
    (st.success if each.notes or each.already else st.error)(
        words + ".", icon=":material/check_circle:" if each.notes or each.already else ":material/error:"
    )
    if each.problems:
        _problems([{"row": p.row, "message": p.message, "remedy": p.remedy, "kept": p.kept} for p in each.problems])


def _problems(problems: list[dict]) -> None:
    st.dataframe(
        [
            {
                "Row": p["row"],
                "What is wrong": p["message"],
                "What to do": p["remedy"],
                "Note": "kept" if p["kept"] else "left out",
            }
            for p in problems
        ],
        hide_index=True,
        alt="Problems of the file by row",
        column_config={
            "Row": st.column_config.NumberColumn(width=70),
            "What is wrong": st.column_config.TextColumn(width="large"),
        },
    )


def past() -> None:
    done = imports(bench.store)
    if not done:
        return
    st.header("Imports so far", anchor=False)
    for row in done[:20]:
        problems = json.loads(row["problems"] or "[]")
        count = "interrupted" if row["kind"] == "started" else counted(row["notes"], "note")
        label = f"{row['recorded_at']:%Y-%m-%d %H:%M} UTC · {plain(', '.join(row['files']))} · {count} · by {plain(row['author'])}"
        with st.expander(label + (" · withdrawn" if row["withdrawn"] else ""), icon=":material/history:"):
            if problems:
                _problems(problems[:200])
            else:
                st.caption("No problems.")
            if not row["withdrawn"]:
                st.button(
                    "Withdraw these notes", key=row["import_id"], icon=":material/undo:", type="tertiary",
                    help="Takes the notes of this import out of the worklist. Reviews stay in the history.",
                    on_click=withdraw_import, args=(bench.store, row["import_id"], profile().name),
                )  # fmt: skip


st.title("Import notes")
for each in st.session_state.pop("import_reports", []):
    report(each)
    st.page_link("pages/worklist.py", label="Open the worklist", icon=":material/checklist:")
upload()
past()
