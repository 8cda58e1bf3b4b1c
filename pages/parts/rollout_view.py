"""Completions of a GRPO run: browse steps and cases; each completion with its reasoning, answer and reward terms."""

from collections.abc import Sequence
from itertools import groupby

import streamlit as st

from pages.parts.plain import plain
from pages.parts.reward_view import reward_view
from pages.parts.training_view import Shown, one_run
from sapphire import rollouts
from sapphire.completions import parse
from sapphire.drg.codebook import codebook
from sapphire.phrases import counted
from sapphire.rewards import Term, breakdown
from sapphire.training_runs import TrainingRun

ORDERS = {
    "drawn": "As drawn",
    "worst": "Worst first",
    "best": "Best first",
    "dead": "Dead groups",
    "resampled": "Sampled again",
}


def completions_tab(shown: Shown) -> None:
    runs = [run for run in shown.runs if run.kind == "grpo" and run.folder]
    if not runs:
        st.info(
            "None of these runs has completions to show: only GRPO writes them, and they stay in the run's folder.",
            icon=":material/inbox:",
        )
        return
    run = one_run(shown, runs, "training_rollouts_run")
    files = rollouts.files_of(run.folder)
    if not files:
        st.info("No step has been made yet.", icon=":material/hourglass_empty:")
        return
    step = _choose_step(list(files), run)
    try:
        rows = rollouts.completions(files[step])
    except OSError as error:
        st.error(
            f"The completions of step {step:,} cannot be read: {plain(str(error))}.", icon=":material/broken_image:"
        )
        return
    groups = [list(group) for _, group in groupby(rows, key=lambda row: row["case_id"])]
    group = _choose_group(groups, run, step)
    if group:
        _group_view(group, run, step)


def _choose_step(steps: list[int], run: TrainingRun) -> int:
    """The step to look at: the newest, unless the reader chose one."""
    key = f"rollout_step_{run.run_id}"
    if st.session_state.get(key) not in steps:
        st.session_state[key] = steps[-1]

    def move(by: int) -> None:
        st.session_state[key] = steps[min(max(steps.index(st.session_state[key]) + by, 0), len(steps) - 1)]

    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.button(
            "",
            icon=":material/chevron_left:",
            key="rollout_before",
            help="Step before (K)",
            shortcut="K",
            on_click=move,
            args=(-1,),
        )
        st.button(
            "",
            icon=":material/chevron_right:",
            key="rollout_after",
            help="Next step (J)",
            shortcut="J",
            on_click=move,
            args=(1,),
        )
        if len(steps) == 1:
            st.markdown(f"Step {steps[0]:,}")
            return steps[0]
        return st.select_slider("Step", steps, key=key)


def _choose_group(groups: Sequence[list[dict]], run: TrainingRun, step: int) -> list[dict] | None:
    order = st.segmented_control(
        "Cases of this step", [name for name in ORDERS if name != "resampled" or "resampled" in groups[0][0]], default="drawn", key="rollout_order",
        required=True, format_func=ORDERS.get, help="A dead group is a case all of whose completions earned the same: it teaches nothing.",
    )  # fmt: skip
    found = _ordered(groups, order)
    if not found:
        st.success(
            "No group of this step is dead." if order == "dead" else "No group of this step was sampled again.",
            icon=":material/check_circle:",
        )
        return None
    picked = st.dataframe(
        [_group_row(group) for group in found], hide_index=True, key=f"rollout_groups_{run.run_id}_{step}_{order}", on_select="rerun",
        selection_mode="single-row-required", selection_default={"selection": {"rows": [0]}}, alt="Cases of this step", height=38 + 35 * min(len(found), 6),
        column_config={
            "Right": st.column_config.ProgressColumn(width=90, min_value=0, max_value=1, format="percent"),
            **{name: st.column_config.NumberColumn(width=95, format="%.2f") for name in ("Mean reward", "Lowest", "Highest", "Spread")},
        },
    )  # fmt: skip
    rows = picked["selection"]["rows"]
    return found[rows[0] if rows and rows[0] < len(found) else 0]


def _ordered(groups: Sequence[list[dict]], order: str) -> list[list[dict]]:
    match order:
        case "worst" | "best":
            return sorted(groups, key=_mean, reverse=order == "best")
        case "dead":
            return [group for group in groups if len({row["reward"] for row in group}) == 1]
        case "resampled":
            return [group for group in groups if group[0]["resampled"]]
    return list(groups)


def _mean(group: list[dict]) -> float:
    return sum(row["reward"] for row in group) / len(group)


def _group_row(group: list[dict]) -> dict:
    import statistics

    rewards = [row["reward"] for row in group]
    row = {
        "Case": group[0]["case_id"],
        "Right DRG": group[0]["drg"],
        "Right": sum(row["right"] for row in group) / len(group),
        "Mean reward": statistics.fmean(rewards),
        "Lowest": min(rewards),
        "Highest": max(rewards),
        "Spread": statistics.stdev(rewards) if len(rewards) > 1 else 0.0,
        "": "dead" if len(set(rewards)) == 1 else "",
    }
    return row | ({"Sampled again": group[0]["resampled"]} if "resampled" in group[0] else {})


def _group_view(group: list[dict], run: TrainingRun, step: int) -> None:
    first = group[0]
    book = codebook(first["drg_version"])
    gold = book.drgs[first["drg"]]
    with st.container(border=True):
        st.markdown(f"**{plain(first['case_id'])}** · right: **{gold.drg}** {plain(gold.title)}")
        with st.expander("Prompt", icon=":material/description:"):
            for message in first["prompt"]:
                st.caption(message["role"])
                st.text(message["content"])
    order = sorted(range(len(group)), key=lambda at: -group[at]["reward"])
    key = f"rollout_one_{run.run_id}_{step}_{first['case_id']}"
    at = st.pills(
        "Completions of this case, the best reward first", order, default=order[0], key=key, required=True,
        format_func=lambda at: f"{group[at]['reward']:+.1f}" + (" ✓" if group[at]["right"] else ""),
    )  # fmt: skip
    _completion_view(group[at], run, f"{key}_{at}")


def _completion_view(row: dict, run: TrainingRun, key: str) -> None:
    book = codebook(row["drg_version"])
    parsed = parse(row["completion"], book)
    left, right = st.columns([3, 2], gap="large")
    with left:
        _answer(row, parsed)
        st.markdown("**Reasoning**")
        for number, step in enumerate(parsed.steps, start=1):
            where, what = st.columns([0.35, 8], gap="small")
            where.markdown(f":gray[{number}]")
            what.text(step)
        if not parsed.steps:
            st.caption("The model gave no reasoning.")
        with st.expander("As written", icon=":material/code:", expanded=not parsed.well_formed):
            st.text(row["completion"] or "(nothing)")
    with right:
        scheme = run.recipe.get("reward", "dense")
        reward_view(_terms(row, parsed, run, scheme), "", key, scheme)
        st.caption(_metrics(row))


def _answer(row: dict, parsed) -> None:
    st.caption(
        f"{counted(row['tokens'], 'token')} · advantage {row['advantage']:+.2f}"
        + (f" · drawn at temperature {row['temperature']:g}" if row.get("temperature") else "")
    )
    if parsed.drg:
        st.subheader(f"{parsed.drg.drg} · {plain(parsed.drg.title)}", anchor=False)
    else:
        st.subheader("No DRG", anchor=False)
        if parsed.answer:
            st.caption("The answer is no title of the code book:")
            st.text(parsed.answer)


def _terms(row: dict, parsed, run: TrainingRun, scheme: str) -> list[Term]:
    """The terms as training reckoned them, with our reasons where ours are the same: the head of a reasoning is counted in its own tokens there."""
    ours = {term.name: term for term in breakdown(parsed, codebook(row["drg_version"]).drgs[row["drg"]], scheme=scheme)}
    weighted = {
        "cot_first": float(run.recipe.get("cot_first") or 0),
        "grounded": float(run.recipe.get("grounded") or 0),
    }
    found = []
    for name in rollouts.TERMS:
        value = row.get(name)
        if value is None or value != value or not (weight := weighted.get(name, 1.0)):
            continue
        why = ours[name].why if name in ours and ours[name].value == value else ""
        found.append(Term(name, weight * value, why))
    return found


def _metrics(row: dict) -> str:
    words = {"right": "DRG right", "base_right": "base DRG right", "severity_right": "severity right"}
    told = [f"{words[name]}: {'yes' if row[name] else 'no'}" for name in rollouts.METRICS if row.get(name) is not None]
    grounded = row.get("grounded")
    return " · ".join(told + ([f"true lines: {grounded:.0%}"] if grounded is not None and grounded == grounded else []))
