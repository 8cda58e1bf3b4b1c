"""The tabs of the evaluation page: each asks for its figures, draws them and says what they mean."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.confidence import confidence_column, percent
from pages.parts.plain import plain
from pages.parts.plot_view import plot_view, rows_view
from sapphire import evaluation_tables as tables
from sapphire import measuring, paper, plots
from sapphire.evaluating import Choice, Evaluation, Scored, reward_values
from sapphire.marking import TARGETS
from sapphire.phrases import counted
from sapphire.profiles import SEES_WEIGHTS
from sapphire.rewards import SCHEMES

PINNED = {"Run": st.column_config.Column(pinned=True)}  # stays in sight where a wide table is moved sideways


@dataclass(frozen=True)
class Shown:
    """What the page shows: `names` run_id → words, in the order chosen."""

    evaluation: Evaluation
    choice: Choice
    every: list[Scored]
    names: dict[str, str]
    role: str
    may_name: Callable[[], Sequence[str] | None]  # the notes whose DRGs this reader may see; None: all


def measures_tab(shown: Shown) -> None:
    rows = measuring.measures(shown.evaluation, shown.choice)
    references = tables.published(shown.choice.k) if st.toggle(
        "Published figures", value=True, key="evaluation_published", persist_state="session",
        help="DRG-Sapphire (arXiv 2505.21908) and DRG-LLaMA on MIMIC-IV: other notes, other labels. They are no baseline for the runs here.",
    ) else []  # fmt: skip
    plot_view(plots.measures(rows, shown.names, references), tables.named(rows, shown.names), "measures", tables.METHOD)
    st.dataframe(
        tables.measures(rows, shown.names, references),
        hide_index=True,
        alt="Every measure with its interval",
        column_config=PINNED,
    )
    st.caption(
        tables.MEANT + (f" Grey crosses and the last lines are published figures {paper.REMARK}." if references else "")
    )


def groups_tab(shown: Shown) -> None:
    one, two, three = st.columns(3)
    by = one.selectbox(
        "Groups", list(measuring.BY), format_func=measuring.BY.get, key="evaluation_by", persist_state="session"
    )
    target = two.selectbox(
        "Right in", list(TARGETS), format_func=TARGETS.get, key="evaluation_target", persist_state="session"
    )
    titles = measuring.measure_names(shown.choice.k)
    measure = three.selectbox("Measure", list(titles), format_func=titles.get, key="evaluation_measure")
    rows = measuring.slices(shown.evaluation, shown.choice, by, measure, target)
    if not rows:
        st.info(
            "None of these notes has a trap recorded." if by == "trap" else "No note has enough answers.",
            icon=":material/inbox:",
        )
        return
    rows = measuring.with_group_names(rows, by)
    title = f"{titles[measure]} of the {TARGETS[target]} by {measuring.BY[by]} (notes)"
    figure = plots.groups(rows, shown.names, title, "percent of notes that are right")
    plot_view(figure, tables.named(rows, shown.names), f"by-{by}", f"{measuring.MEANING[by]} {tables.METHOD}")


def paired_tab(shown: Shown) -> None:
    if len(shown.names) < 2:
        st.info(
            "One run is chosen. Choose a second above to test the difference on the notes that both answered.",
            icon=":material/compare_arrows:",
        )
        return
    rows = measuring.paired(shown.evaluation, shown.choice)
    first = shown.names[shown.choice.runs[0]]
    if all(row["only_first"] == row["only_other"] == 0 and row["difference"] == 0 for row in rows):
        st.info(
            "The runs are right and wrong on exactly the same notes: there is nothing to test.", icon=":material/equal:"
        )
    plot_view(
        plots.differences(rows, shown.names, first), tables.named(rows, shown.names), "differences", tables.TESTED
    )
    exact = "Exact McNemar test, uncorrected; only where every note is simply right or wrong, without ties or shares."
    number = st.column_config.NumberColumn
    st.dataframe(
        tables.tests(rows, shown.names), hide_index=True, alt="Paired tests against the first run", placeholder="–",
        column_config=PINNED | {"Points": number(format="%+.1f", help="Percentage points more notes right than the first run.")}
        | {name: number(format="%.4f", help=exact if "McNemar" in name else None) for name in ("p", "p, corrected", "p, McNemar")},
    )  # fmt: skip
    st.caption(tables.verdict(rows))


def errors_tab(shown: Shown) -> None:
    scored = _one_run(shown)
    name = shown.names[scored.run_id]
    cells = measuring.severity_cells(shown.evaluation, scored)
    note = "The answer that stands for each note. Shade: share of the row."
    plot_view(plots.severity(cells, name), tables.severities(cells), "severity", note)
    st.subheader("Severities taken for one another", anchor=False)
    _severity_table(shown, scored)
    st.subheader("Base DRGs taken for one another", anchor=False)
    _base_table(shown, scored)
    st.subheader("What is wrong in the wrong ones", anchor=False)
    _hard_errors(shown)


def _one_run(shown: Shown) -> Scored:
    if len(shown.every) == 1:
        return shown.every[0]
    run = st.segmented_control(
        "Run",
        list(shown.names),
        format_func=shown.names.get,
        default=next(iter(shown.names)),
        key="evaluation_one",
        label_visibility="collapsed",
        required=True,
    )
    return next(scored for scored in shown.every if scored.run_id == run)


def _severity_table(shown: Shown, scored: Scored) -> None:
    cells = measuring.severity_errors(shown.evaluation, scored)
    if not cells:
        st.success("Every severity level is right.", icon=":material/check_circle:")
        return
    if (at := _picked(tables.severity_errors(cells), f"severity_cells_{scored.table}", "severities")) is not None:
        gold, said, n = cells[at]
        right, answered = (measuring.of_level(level, scored.version) for level in (gold, said))
        _cases(shown, scored, right, answered, n, "severity")


def _base_table(shown: Shown, scored: Scored) -> None:
    from sapphire.drg.codebook import codebook

    cells, book = measuring.base_cells(shown.evaluation, scored), codebook(scored.version)
    if not cells:
        st.success("Every base DRG is right.", icon=":material/check_circle:")
        return
    if (at := _picked(tables.bases(cells), f"base_cells_{scored.table}", "base-drgs")) is not None:
        gold, said, n = cells[at]
        _cases(shown, scored, book.family(gold.drg), book.family(said.drg) if said else [None], n, "base")


def _picked(rows: list[dict], key: str, name: str) -> int | None:
    """The cell of a confusion that the reader ticked, the largest on top."""
    picked = st.dataframe(
        rows, hide_index=True, key=key, on_select="rerun", selection_mode="single-row", alt="The largest confusions", width="content",
        height=min(38 + 35 * len(rows), 388), column_config={"Notes": st.column_config.NumberColumn(width=70), "MDC": st.column_config.TextColumn(width=80)},
    )  # fmt: skip
    rows_view(rows, name, "The largest first. Tick one to see its cases.")
    return next(iter(picked["selection"]["rows"]), None)


def _cases(shown: Shown, scored: Scored, gold: list, answered: list, n: int, kind: str) -> None:
    among = shown.may_name()
    found = measuring.cases(shown.evaluation, scored, gold, answered, among=among)
    if among is not None:
        st.caption(
            f":material/psychology: You asked to name a DRG before you see an answer: only cases whose answers you have seen are listed, {len(found):,} here."
        )
    listed, key = [(row["seq"], row["note_id"], scored.run_id) for row in found], f"evaluation_open_{kind}"
    st.dataframe(
        [
            {
                "open": "Review", "Note": row["note_id"], "Right": f"{row['gold'].drg} {row['gold'].title}",
                "Answered": f"{row['predicted'].drg} {row['predicted'].title}" if row["predicted"] else "no DRG", "Confidence": percent(row["confidence"]),
            }
            for row in found
        ],
        hide_index=True, alt="Cases of this confusion",
        column_config={
            "open": st.column_config.ButtonColumn("Case", width=84, pinned=True, on_click=lambda: _open(shown, *listed[st.session_state[key]["row"]]), key=key),
            "Note": st.column_config.TextColumn(width=180),
            "Confidence": confidence_column(),
        },
    )  # fmt: skip
    if among is None and n > len(found):
        st.caption(f"The first {len(found):,} of {n:,} cases.")


def _open(shown: Shown, seq: int, note_id: str, run_id: str) -> None:
    """Show the case as this run answered it."""
    st.session_state["prediction_id"] = shown.evaluation.standing(run_id, note_id)
    st.switch_page("pages/review.py", query_params={"case": str(seq)})


def _hard_errors(shown: Shown) -> None:
    """The paper's Table 3."""
    found = measuring.hard_errors(shown.evaluation, shown.choice)
    notes = next(iter(found.values())).n
    if not notes:
        st.success("There is no note that every chosen run gets wrong.", icon=":material/check_circle:")
        return
    rows = tables.hard(found, shown.names)
    plot_view(
        plots.hard(rows, shown.names, notes),
        rows,
        "table-3",
        "The paper's Table 3; its rows are of MIMIC-IV notes that three other models get wrong.",
    )


def confidence_tab(shown: Shown) -> None:
    found = {scored.run_id: each for scored in shown.every if (each := measuring.calibration(shown.evaluation, scored))}
    if found:
        rows = [{"run": shown.names[run], **one._asdict()} for run, each in found.items() for one in each["bins"]]
        plot_view(
            plots.reliability(found, shown.names), rows, "reliability",
            plain(tables.sureness(shown.evaluation.runs(), {run: shown.names[run] for run in found})),
        )  # fmt: skip
    else:
        st.info("These runs stored no confidence.", icon=":material/speed:")
    scheme = st.segmented_control(
        "Reward", list(SCHEMES), default="dense", key="evaluation_scheme", required=True, format_func=str.capitalize
    )
    counts = {scored.run_id: reward_values(scored, scheme) for scored in shown.every}
    if any(counts.values()):
        rows = [
            {"run": shown.names[run], "reward": value, "answers": n}
            for run, each in counts.items()
            for value, n in sorted(each.items())
        ]
        plot_view(
            plots.rewards(counts, shown.names, scheme),
            rows,
            "rewards",
            "Format, accuracy and CoT-First together, as training reckons them.",
        )
    for scored in shown.every:
        if scored.unknown:
            st.caption(
                f":material/info: Stored without reward terms: {scored.unknown:,} of {counted(scored.answers, 'answer')} of {plain(shown.names[scored.run_id])}."
            )


def case_mix_tab(shown: Shown) -> None:
    if shown.role not in SEES_WEIGHTS:
        st.info(
            "Relative weights are withheld from treating physicians; coders, CDI specialists and physician advisors see the case mix here.",
            icon=":material/visibility_off:",
        )
        return
    rows = tables.case_mix(shown.evaluation, shown.choice, shown.names, shown.role)
    if not rows:
        st.info(
            f"CMS gives no weights that Sapphire knows for MS-DRG v{shown.every[0].version}.", icon=":material/scale:"
        )
        return
    plot_view(
        plots.case_mix(rows),
        rows,
        "case-mix",
        "Relative weights of FY 2026 (CMS Table 5). Left out: no DRG answered, or one without a weight.",
    )
    st.dataframe(
        rows,
        hide_index=True,
        alt="Case mix by run",
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in list(rows[0])[1:7]},
    )
