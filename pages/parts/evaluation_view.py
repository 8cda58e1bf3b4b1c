"""The tabs of the evaluation page: each asks for its figures, draws them and says what they mean."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.plain import plain
from pages.parts.plot_view import plot_view, rows_view
from sapphire import measuring, paper, plots
from sapphire.evaluating import Choice, Evaluation, Scored, reward_values
from sapphire.marking import TARGETS
from sapphire.profiles import SEES_WEIGHTS
from sapphire.rewards import SCHEMES

METHOD = "Intervals draw whole patients: bootstrap percentiles, or Wilson's below 300 patients."


@dataclass(frozen=True)
class Shown:
    """What the page shows: `names` run_id → words, in the order chosen."""

    evaluation: Evaluation
    choice: Choice
    every: list[Scored]
    names: dict[str, str]
    role: str


def run_names(runs: Sequence[dict]) -> dict[str, str]:
    """What each run is called: its model, and where a model ran more than once, when and with how many answers."""
    times = Counter(run["model"] for run in runs)
    return {
        run["run_id"]: run["model"]
        if times[run["model"]] == 1
        else f"{run['model']} · {_answers(run['samples'])} · {run['recorded_at']:%d %b %H:%M}"
        for run in runs
    }


def _answers(samples: int) -> str:
    return f"{samples} answers" if samples > 1 else "1 answer"


def published(k: int) -> list[dict]:
    """The papers' own rows in the shape of `measuring.measures`."""
    titles = {"Pass@1": 0, "Pass@8": 1, "Maj@8": 2}
    return [
        {"run_id": each.name, "measure": title, "target": words, "estimate": values[at] / 100}
        for each in paper.REFERENCES
        for words, values in zip(TARGETS.values(), (each.drg, each.base, each.severity), strict=True)
        for title, at in titles.items()
        if values[at] is not None and title in measuring.measure_names(k).values()
    ]


def measures_tab(shown: Shown) -> None:
    rows = measuring.measures(shown.evaluation, shown.choice)
    references = published(shown.choice.k) if st.toggle(
        "Published figures", value=True, key="evaluation_published", persist_state="session",
        help="DRG-Sapphire (arXiv 2505.21908) and DRG-LLaMA on MIMIC-IV: other notes, other labels. They are no baseline for the runs here.",
    ) else []  # fmt: skip
    plot_view(plots.measures(rows, shown.names, references), [named(row, shown) for row in rows], "measures", METHOD)
    st.dataframe(_table(rows, shown, references), hide_index=True, alt="Every measure with its interval")
    st.caption(
        "Base DRG: the family without its severity part. Severity: the same CC/MCC level; in a family without a split only the same DRG counts. "
        f"Maj@k shares the point between commonest answers that tie. Grey crosses and the last rows are published figures {paper.REMARK}."
        if references
        else "Base DRG: the family without its severity part. Severity: the same CC/MCC level; in a family without a split only the same DRG counts."
    )


def named(row: dict, shown: Shown) -> dict:
    return {"run": shown.names[row["run_id"]]} | {key: value for key, value in row.items() if key != "run_id"}


def _table(rows: list[dict], shown: Shown, references: list[dict]) -> list[dict]:
    """One line a run, one column a measure and target."""
    found: dict[str, dict] = {}
    for row in rows:
        cell = f"{row['estimate']:.1%} ({row['low']:.1%} to {row['high']:.1%})"
        found.setdefault(shown.names[row["run_id"]], {})[f"{row['target']} {row['measure']}"] = cell
    for row in references:
        found.setdefault(f"{row['run_id']}, not comparable", {})[f"{row['target']} {row['measure']}"] = (
            f"{row['estimate']:.1%}"
        )
    columns = list(dict.fromkeys(column for cells in found.values() for column in cells))
    return [{"Run": name} | {column: cells.get(column, "") for column in columns} for name, cells in found.items()]


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
    rows = [row | {"group": measuring.group_name(by, row["group"])} for row in rows]
    words = {
        "frequency": "How many notes of this set have the same right DRG.",
        "trap": "What the author of a note built in to mislead; a note may have several.",
        "length": "Words of the whole note.",
        "level": "Severity level of the right DRG.",
        "mdc": "MDC of the right DRG.",
    }
    title = f"{titles[measure]} of the {TARGETS[target]} by {measuring.BY[by][0].lower() + measuring.BY[by][1:] if by != 'mdc' else 'MDC'} (notes)"
    plot_view(
        plots.groups(rows, shown.names, title, "percent of notes that are right"),
        [named(row, shown) for row in rows],
        f"by-{by}",
        f"{words[by]} {METHOD}",
    )


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
        plots.differences(rows, shown.names, first), [named(row, shown) for row in rows], "differences",
        "Paired bootstrap over patients, 10,000 draws; p values corrected for their number by Holm's method.",
    )  # fmt: skip
    st.dataframe(
        [
            {
                "Run": shown.names[row["run_id"]], "Right in": row["target"], "Measure": row["measure"], "Difference": f"{100 * row['difference']:+.1f} points",
                "95% interval": f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}", "p": row["p"], "p, corrected": row["p_holm"], "p, McNemar": row["mcnemar"],
                "Only the first is right": row["only_first"], "Only this one": row["only_other"], "Notes": row["notes"],
            }
            for row in rows
        ],
        hide_index=True, alt="Paired tests against the first run",
        column_config={name: st.column_config.NumberColumn(format="%.4f") for name in ("p", "p, corrected", "p, McNemar")}
        | {"p, McNemar": st.column_config.NumberColumn(format="%.4f", help="Exact McNemar test, uncorrected; only where every note is simply right or wrong, without ties or shares.")},
    )  # fmt: skip
    sure = [row for row in rows if row["p_holm"] < 0.05]
    st.caption(
        f"{len(sure)} of {len(rows)} differences stand at 5% after correction." if sure else f"None of the {len(rows)} differences stands at 5% after correction: "
        "these notes do not tell the runs apart."
    )  # fmt: skip


def errors_tab(shown: Shown) -> None:
    scored = _one_run(shown)
    name = shown.names[scored.run_id]
    cells = measuring.severity_cells(shown.evaluation, scored)
    rows = [{"right": gold, "answered": said or "no DRG", "notes": n} for (gold, said), n in cells.items()]
    plot_view(
        plots.severity(cells, name), rows, "severity", "The answer that stands for each note. Shade: share of the row."
    )
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


def _base_table(shown: Shown, scored: Scored) -> None:
    cells = measuring.base_cells(shown.evaluation, scored)
    if not cells:
        st.success("Every base DRG is right.", icon=":material/check_circle:")
        return
    rows = [
        {"Notes": n, "Right": f"{gold.base_id} {gold.base}", "Answered": f"{said.base_id} {said.base}" if said else "no DRG", "MDC": "same" if said and said.mdc == gold.mdc else "other"}
        for gold, said, n in cells
    ]  # fmt: skip
    picked = st.dataframe(
        rows, hide_index=True, key=f"base_cells_{scored.table}", on_select="rerun", selection_mode="single-row", alt="The largest confusions of base DRGs",
        height=min(38 + 35 * len(rows), 388), column_config={"Notes": st.column_config.NumberColumn(width=70), "MDC": st.column_config.TextColumn(width=80)},
    )  # fmt: skip
    rows_view(rows, "base-drgs", "The largest first. Tick one to see its cases.")
    for at in picked["selection"]["rows"]:
        gold, said, n = cells[at]
        _cases(shown, scored, gold, said, n)


def _cases(shown: Shown, scored: Scored, gold, said, n: int) -> None:
    from sapphire.drg.codebook import codebook

    book = codebook(scored.version)
    found = measuring.cases(shown.evaluation, scored, book.family(gold.drg), book.family(said.drg) if said else [None])
    st.session_state["evaluation_cases"] = [(row["seq"], row["note_id"], scored.run_id) for row in found]
    st.dataframe(
        [
            {
                "open": "Review", "Note": row["note_id"], "Right": f"{row['gold'].drg} {row['gold'].title}",
                "Answered": f"{row['predicted'].drg} {row['predicted'].title}" if row["predicted"] else "no DRG", "Confidence": row["confidence"],
            }
            for row in found
        ],
        hide_index=True, alt="Cases of this confusion",
        column_config={
            "open": st.column_config.ButtonColumn("Case", width=84, pinned=True, on_click=lambda: _open(shown), key="evaluation_open"),
            "Note": st.column_config.TextColumn(width=180),
            "Confidence": st.column_config.ProgressColumn(width=110, min_value=0, max_value=1, format="percent"),
        },
    )  # fmt: skip
    if n > len(found):
        st.caption(f"The first {len(found):,} of {n:,} cases.")


def _open(shown: Shown) -> None:
    """Show the case as this run answered it."""
    seq, note_id, run_id = st.session_state["evaluation_cases"][st.session_state["evaluation_open"]["row"]]
    st.session_state["prediction_id"] = shown.evaluation.standing(run_id, note_id)
    st.switch_page("pages/review.py", query_params={"case": str(seq)})


def _hard_errors(shown: Shown) -> None:
    """The paper's Table 3."""
    found = measuring.hard_errors(shown.evaluation, shown.choice)
    notes = next(iter(found.values())).n
    if not notes:
        st.success("There is no note that every chosen run gets wrong.", icon=":material/check_circle:")
        return
    kinds = ("wrong base DRG", "wrong severity", "both wrong")
    rows = [
        {"category": kind, "series": shown.names[run], "share": share, "n": round(share * notes)}
        for run, errors in found.items()
        for kind, share in zip(kinds, errors[1:], strict=True)
    ] + [
        {
            "category": kind,
            "series": f"{name} (paper, not comparable)",
            "share": share / 100,
            "n": round(share / 100 * paper.TABLE_3_CASES),
        }
        for name, shares in paper.TABLE_3.items()
        for kind, share in zip(kinds, shares, strict=True)
    ]
    series = list(dict.fromkeys(row["series"] for row in rows))
    colours = dict(zip(shown.names.values(), plots.PALETTE, strict=False))
    which = "all chosen runs get" if len(found) > 1 else "the run gets"
    plot_view(
        plots.shares(rows, series, f"Of {notes:,} notes that {which} wrong", "share of these notes", colours), rows, "table-3",
        "The paper's Table 3; its rows are of MIMIC-IV notes that three other models get wrong.",
    )  # fmt: skip


def confidence_tab(shown: Shown) -> None:
    found = {scored.run_id: each for scored in shown.every if (each := measuring.calibration(shown.evaluation, scored))}
    if found:
        rows = [{"run": shown.names[run], **one._asdict()} for run, each in found.items() for one in each["bins"]]
        plot_view(
            plots.reliability(found, shown.names), rows, "reliability",
            "ECE: mean gap between confidence and being right. With several answers the confidence is the share that give the DRG.",
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
                f":material/info: {scored.unknown:,} of {scored.answers:,} answers of {plain(shown.names[scored.run_id])} were stored without their reward terms."
            )


def case_mix_tab(shown: Shown) -> None:
    if shown.role not in SEES_WEIGHTS:
        st.info(
            "Relative weights are withheld from treating physicians; coders, CDI specialists and physician advisors see the case mix here.",
            icon=":material/visibility_off:",
        )
        return
    rows = []
    for scored in shown.every:
        if mix := measuring.case_mix(shown.evaluation, scored, shown.role):
            rows.append(
                {
                    "Run": shown.names[scored.run_id], "Mean weight, right": mix.gold, "Mean weight, answered": mix.predicted, "Error": mix.error.estimate,
                    "95% low": mix.error.low, "95% high": mix.error.high, "Mean size of the error": mix.absolute, "Notes": mix.error.n, "Left out": mix.left_out,
                }
            )  # fmt: skip
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
