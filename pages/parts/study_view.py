"""The tabs of the reader study page."""

import math

import streamlit as st

from pages.parts.plot_view import plot_view
from sapphire import plots, study_plots
from sapphire.phrases import counted
from sapphire.reader_study import LONGEST_PAUSE, MOST_MARKED, PAPER_MEDIANS, ReaderStudy, StudyFilter
from sapphire.reviewing import RUBRIC

BY = {"reviewer": "Reader", "model": "Model"}
BOTH = "Model and reader"


def _by(key: str, both: bool = False) -> tuple[str, ...]:
    """The columns to group by, as the reader chooses."""
    options = {BOTH: ("model", "reviewer")} if both else {}
    options |= {words: (column,) for column, words in BY.items()}
    chosen = st.segmented_control(
        "By", list(options), default=next(iter(options)), key=key, required=True, label_visibility="collapsed"
    )
    return options[chosen]


def ratings_tab(study: ReaderStudy, chosen: StudyFilter) -> None:
    by = _by("study_ratings_by", both=True)
    rows = [row | {"group": " · ".join(row[column] for column in by)} for row in study.ratings(chosen, by)]
    if not rows:
        st.info("No review has a rating.", icon=":material/star_border:")
        return
    for rating, (question, scale) in RUBRIC.items():
        mine = [row for row in rows if row["rating"] == rating]
        if not mine:
            st.info(f"No review rates {rating}.", icon=":material/star_border:")
            continue
        notes = f"1 {scale[1]} · 3 {scale[3]} · 5 {scale[5]}. The paper's median, of other readers and cases: {PAPER_MEDIANS[rating]}."
        plot_view(
            study_plots.ratings(mine, f"{rating.capitalize()}: {question}"),
            [_plain(row) for row in mine],
            rating,
            notes,
        )


def _plain(row: dict) -> dict:
    return {key: value for key, value in row.items() if key != "group"}


def agreement_tab(study: ReaderStudy, chosen: StudyFilter) -> None:
    rows = study.agreements(chosen)
    if not rows:
        st.info(
            "No case was judged by two readers. Agreement needs cases that several readers review.",
            icon=":material/group_off:",
        )
        return
    notes = "Intervals by drawing cases. A unit is a prediction for ratings and a note for DRGs; numbers in brackets are units with two readers or more."
    plot_view(study_plots.agreements(rows), rows, "agreement", notes)
    st.dataframe(
        [
            {
                "What": row["what"], "Distance": row["kind"], "Alpha": _number(row["alpha"]), "95% interval": "" if math.isnan(row["low"]) else f"{row['low']:.2f} to {row['high']:.2f}",
                "Equal pairs": round(row["pairs"], 2), "Units": row["units"], "Judgements": row["judgements"],
            }
            for row in rows
        ],
        hide_index=True, alt="Agreement between readers",
        column_config={"What": st.column_config.TextColumn(width=210), "Equal pairs": st.column_config.NumberColumn(format="percent", help="Of two readers of one unit, how often they say the same.")},
    )  # fmt: skip
    if any(math.isnan(row["alpha"]) for row in rows):
        st.caption(
            ":material/info: Alpha is left open where all readers gave one and the same value: there is no disagreement that chance could be measured by."
        )
    if others := study.other_versions(chosen):
        st.caption(
            f":material/info: {counted(others, 'review')} named a DRG of another MS-DRG version and stayed out of the agreement on DRGs."
        )


def _number(value: float) -> str:
    return "open" if math.isnan(value) else f"{value:.2f}"


def steps_tab(study: ReaderStudy, chosen: StudyFilter) -> None:
    rows = study.steps(chosen)
    if not rows:
        st.info("No review has a verdict on a step of the reasoning.", icon=":material/checklist_rtl:")
        return
    marked = study.copy.marked_count(chosen)
    notes = (
        f"The newest {MOST_MARKED:,} of {marked:,} reviews with marked steps."
        if marked > MOST_MARKED
        else f"{counted(marked, 'review')} with marked steps."
    )
    plot_view(
        study_plots.steps(rows), rows, "steps", f"{notes} Free words: a step that follows no form of a checkable claim."
    )


def errors_tab(study: ReaderStudy, chosen: StudyFilter) -> None:
    rows = study.errors(chosen)
    if not rows:
        st.info("No review that calls a DRG wrong says what kind of error it is.", icon=":material/category:")
    else:
        models = [row["series"] for row in rows if "paper" not in row["series"]]
        colours = dict(zip(dict.fromkeys(models), plots.PALETTE * 5, strict=False))
        figure = plots.shares(rows, "What went wrong, as readers sorted it", "share of wrong answers", colours)
        plot_view(
            figure, rows, "errors", "The paper's Table 4: 100 wrong answers of its own model, sorted by a physician."
        )
    if left := study.unsorted_errors(chosen):
        st.caption(f":material/info: {counted(left, 'review')} called the DRG wrong and gave no kind of error.")


def time_tab(study: ReaderStudy, chosen: StudyFilter) -> None:
    (by,) = _by("study_times_by")
    rows = study.times(chosen, by)
    if not rows:
        st.info(
            "No time is known: these reviews were saved without the case being opened here.",
            icon=":material/timer_off:",
        )
        return
    notes = (
        f"From opening a case to its last saving, summed between what the reader does there; a pause counts {LONGEST_PAUSE // 60} minutes at most, and time on "
        "other cases between does not count. Whiskers: percentiles 5 and 95."
    )  # fmt: skip
    plot_view(study_plots.times(rows, by), rows, "time", notes)


def first_tab(study: ReaderStudy, chosen: StudyFilter) -> None:
    given = study.copy.asked(chosen)
    if not given["given"]:
        st.info("No reader gave a DRG before seeing the model's.", icon=":material/psychology:")
        st.caption(
            "Under Profiles in the side bar, turn on “Ask me before showing the model's answer”: each case then asks for the reader's own DRG first."
        )
        return
    st.caption(
        f"**{given['given']:,}** of {counted(given['asked'], 'review')} by readers who are asked first came with a first answer; **{given['measured']:,}** of them with a recorded DRG to be measured by."
    )
    if not given["measured"]:
        st.info(
            "None of these cases has a recorded DRG, so whether an answer was right is not known.",
            icon=":material/label_off:",
        )
        return
    (by,) = _by("study_first_by")
    rows = study.first_answers(chosen, by)
    plot_view(
        study_plots.first_answers(rows),
        rows,
        "first-answers",
        "Right: the recorded DRG. Only a reader's first sight of a case counts.",
    )
    st.dataframe(
        [
            {
                BY[by]: row["group"], "Cases": row["n"], "Right before": row["right_right"] + row["right_wrong"], "Right after": row["right_right"] + row["wrong_right"],
                "Took the model's DRG": row["took"], "Misled": f"{row['misled']} of {row['could']}", "Share": round(row["misled"] / row["could"], 2) if row["could"] else None,
                "95% interval": f"{row['low']:.0%} to {row['high']:.0%}" if row["could"] else "",
            }
            for row in rows
        ],
        hide_index=True, alt="First and last answers",
        column_config={
            "Misled": st.column_config.TextColumn(help="The first answer was right, the model's was wrong, and the last answer is wrong."),
            "Share": st.column_config.NumberColumn(format="percent"),
        },
    )  # fmt: skip
    st.caption("Intervals are Wilson's, as if cases were independent; those of one reader are not quite.")
