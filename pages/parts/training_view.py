"""The tabs of the training page: the list of runs, their curves, how hard their cases were, and their recipes."""

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import streamlit as st

from pages.parts.plain import plain
from pages.parts.plot_view import plot_view, rows_view
from sapphire import training_plots as plots
from sapphire.training_runs import WINDOW, Curve, TrainingRun, TrainingRuns

# What a state is called, its icon in the list, and what it means.
STATES = {
    "running": ("Running", "▶"),
    "finished": ("Finished", "✓"),
    "failed": ("Failed", "✕"),
    "stopped": ("Stopped", "■"),
    "interrupted": ("Interrupted", "‖"),
    "gone": ("Folder gone", "∅"),
}
OTHERS = "Everything else"
EVERY = 3  # seconds between looks at a run that goes on
SHORT = 4 * WINDOW  # steps; the average of a run no longer than this would hide it


@dataclass(frozen=True)
class Shown:
    """What the page shows: the chosen runs in order, `names` run_id → words."""

    training: TrainingRuns
    runs: Sequence[TrainingRun]
    names: dict[str, str]


def run_names(runs: Iterable[TrainingRun]) -> dict[str, str]:
    """What each run is called: its name, and where several had it, when it began."""
    runs = list(runs)
    times = Counter(run.name for run in runs)
    return {run.run_id: run.name if times[run.name] == 1 else f"{run.name} · {run.started:%d %b %H:%M}" for run in runs}


def no_runs(training: TrainingRuns) -> None:
    st.info(f"There is no training run in {training.root} yet.", icon=":material/model_training:")
    st.markdown(
        "A first run takes a minute on any computer: a tiny random model learns five made-up stays, then by reward."
    )
    st.code("python -m train.tiny\npython -m train.sft tiny-sft\npython -m train.grpo tiny-grpo", language="bash")
    st.caption(
        "Run these in Sapphire's folder; this page then shows each step as it is made. Runs elsewhere: start the app with SAPPHIRE_RUNS=FOLDER. "
        "Recipes and settings are in docs/training.md."
    )
    if st.button("Look again", icon=":material/refresh:"):
        st.rerun()
    for problem in training.problems:
        st.warning(plain(problem), icon=":material/folder_off:")


def overview(training: TrainingRuns, waiting: bool) -> None:
    """The list of runs, which follows those that go on."""

    @st.fragment(run_every=EVERY if waiting or _going(training) else None)
    def _list() -> None:
        before = waiting or _going(training)
        more = training.refresh()
        names = run_names(training.runs())
        st.dataframe(
            [_row(run, names[run.run_id]) for run in training.runs()], hide_index=True, alt="Training runs", key="training_list", height=_height(len(names)),
            column_config=_COLUMNS,
        )  # fmt: skip
        for problem in training.problems:
            st.warning(plain(problem), icon=":material/folder_off:")
        if more:
            st.caption(":material/hourglass_top: Reading what the runs wrote; the curves grow as it comes in.")
        if before and not more and not _going(training):
            st.rerun()

    _list()


def _height(rows: int) -> int:
    return 38 + 35 * min(rows, 8)


def _going(training: TrainingRuns) -> bool:
    return any(run.state == "running" for run in training.runs())


def _row(run: TrainingRun, name: str) -> dict:
    words, icon = STATES[run.state]
    return {
        "Run": name,
        "State": f"{icon} {words}",
        "Kind": run.kind.upper(),
        "Progress": 100 * run.done / run.steps if run.steps else None,
        "Steps": f"{run.done:,} / {run.steps:,}" if run.steps else f"{run.done:,}",
        "Time left": duration(run.left) if run.left is not None else "",
        "Trained for": duration(run.seconds),
        "Started": run.started,
        "Model": run.recipe.get("model", ""),
        "Data": ", ".join(run.recipe.get("data") or ()),
        "Credentialed": "🔒 yes" if run.record.get("credentialed") else "",
        "Folder": "" if run.folder else "gone",
    }


_COLUMNS = {
    "Run": st.column_config.TextColumn(pinned=True),
    "State": st.column_config.TextColumn(
        width=110,
        help="Interrupted: the process ended without saying so; the same command goes on from the last whole checkpoint.",
    ),
    "Kind": st.column_config.TextColumn(width=60),
    "Progress": st.column_config.ProgressColumn(width=100, min_value=0, max_value=100, format="%.0f%%"),
    "Steps": st.column_config.TextColumn(width=100),
    "Time left": st.column_config.TextColumn(width=80, help="By the median of the last 50 steps."),
    "Trained for": st.column_config.TextColumn(width=90, help="Time spent in optimizer steps; pauses between attempts do not count."),
    "Started": st.column_config.DatetimeColumn(width=130, format="YYYY-MM-DD HH:mm"),
    "Credentialed": st.column_config.TextColumn(width=100, help="Trained on data under a data-use agreement: treat the run as the notes themselves."),
}  # fmt: skip


def duration(seconds: float) -> str:
    """Seconds in words, such as "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, hours = whole // 60 % 60, whole // 3600
    if hours >= 48:
        return f"{hours // 24} d {hours % 24} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {whole % 60} s"


def troubles(runs: Sequence[TrainingRun]) -> None:
    """What is wrong with the chosen runs, and what to do."""
    for run in runs:
        name = plain(run.name)
        if run.state == "failed":
            st.error(
                f"**{name}** failed: {plain(run.record.get('error') or 'no reason was recorded')}",
                icon=":material/error:",
            )
        elif run.state == "interrupted":
            st.warning(
                f"**{name}** was interrupted after step {run.done:,}. The same command goes on from the last whole checkpoint.",
                icon=":material/pause_circle:",
            )
        elif run.state == "stopped":
            st.info(
                f"**{name}** was stopped after step {run.done:,}; the same command goes on.",
                icon=":material/stop_circle:",
            )


def curves_tab(shown: Shown) -> None:
    longest = max(run.done for run in shown.runs)
    names = [*plots.SECTIONS, OTHERS]
    chosen = st.pills(
        "Curves", names, selection_mode="multi", default=names[:1], key="training_sections", persist_state="session", label_visibility="collapsed"
    )  # fmt: skip
    one, two = st.columns([2, 1], vertical_alignment="bottom")
    # The choice is the page's own for short and for long runs: what suits one hides the other.
    key = f"training_window_{'long' if longest > SHORT else 'short'}"
    window = one.slider(
        "Average over steps", 1, 200, WINDOW if longest > SHORT else 1, key=key,
        help=f"Each point is the mean of so many steps up to it; 1 shows every step as it was. The paper averages over {WINDOW}.",
    )  # fmt: skip
    axis = two.segmented_control(
        "Against", list(plots.AXES), default="step", key="training_axis", required=True, format_func={"step": "Steps", "hours": "Hours"}.get,
        help="Hours are those spent in steps: two runs are compared by what they cost.",
    )  # fmt: skip
    live = any(run.state == "running" for run in shown.runs)

    @st.fragment(run_every=EVERY if live else None)
    def _curves() -> None:
        if live:
            shown.training.refresh()
        _draw(shown, chosen, window, axis)

    _curves()


def _draw(shown: Shown, chosen: Sequence[str], window: int, axis: str) -> None:
    now = {run.run_id: run for run in shown.training.runs()}
    found = {run.run_id: shown.training.curves(now[run.run_id], window) for run in shown.runs}
    if not any(found.values()):
        st.info("No step has been made yet.", icon=":material/hourglass_empty:")
        return
    widest = max(int(curve.steps.max()) for metrics in found.values() for curve in metrics.values())
    note = f"Each point stands for up to {widest:,} steps. " if widest > 1 else ""
    note += f"Strong: mean of {window} steps up to each; faint: as measured." if window > 1 else ""
    sections = plots.SECTIONS | {OTHERS: _others(found)}
    for title in chosen:
        panels = [panel for panel in sections[title] if any(panel.metric in metrics for metrics in found.values())]
        if not panels:
            st.info(f"{title}: none of these runs measured any of it.", icon=":material/inbox:")
            continue
        st.subheader(title, anchor=False)
        rows = _Rows(shown, found, [panel.metric for panel in panels])
        plot_view(
            plots.curves(panels, found, shown.names, axis, window > 1), rows, title.lower().replace(" ", "-"), note
        )
        if title == "Time":
            _times(shown, found)


def _others(found: dict[str, dict]) -> list[plots.Panel]:
    """Whatever TRL logged besides, under its own names."""
    known = {panel.metric for panels in plots.SECTIONS.values() for panel in panels} | set(plots.TIMES)
    return [
        plots.Panel(metric, metric)
        for metric in sorted({metric for metrics in found.values() for metric in metrics} - known)
    ]


class _Rows:
    """The points of some metrics as rows, made when they are asked for: few readers take them."""

    def __init__(self, shown: Shown, found: dict[str, dict[str, Curve]], metrics: Sequence[str]):
        self._shown, self._found, self._metrics = shown, found, metrics

    def __iter__(self) -> Iterator[dict]:
        for run, curves in self._found.items():
            for metric in self._metrics:
                for point in zip(*(column.tolist() for column in curves.get(metric, ())), strict=True):
                    yield {"run": self._shown.names[run], "metric": metric} | dict(
                        zip(Curve._fields, point, strict=True)
                    )


def _times(shown: Shown, found: dict[str, dict]) -> None:
    timed = {run: name for run, name in shown.names.items() if "seconds/generation" in found[run]}
    if timed:
        st.markdown("**Where the time goes**")
        plot_view(
            plots.times(found, timed),
            _Rows(shown, found, list(plots.TIMES)),
            "times",
            "Generation by the policy, scoring by our rewards, and the update itself.",
        )


def one_run(shown: Shown, runs: Sequence[TrainingRun], key: str) -> TrainingRun:
    """The run a tab is about: the only one, or a choice."""
    if len(runs) == 1:
        return runs[0]
    known = {run.run_id: run for run in runs}
    if st.session_state.get(key) not in known:
        st.session_state[key] = runs[0].run_id
    chosen = st.segmented_control(
        "Run", list(known), format_func=shown.names.get, key=key, label_visibility="collapsed", required=True
    )
    return known[chosen]


def cases_tab(shown: Shown) -> None:
    runs = [run for run in shown.runs if run.groups]
    if not runs:
        st.info("None of these runs has rollouts; only GRPO writes them.", icon=":material/inbox:")
        return
    run = one_run(shown, runs, "training_cases_run")
    log = shown.training.log
    counts = log.difficulties(run.run_id)
    for column, (level, words) in zip(st.columns(3), LEVELS.items(), strict=True):
        column.metric(f"{level.capitalize()} cases", f"{counts.get(level, 0):,}", border=True, help=words)
    rows = log.group_steps(run.run_id, run.done)
    plot_view(
        plots.difficulty(rows, shown.names[run.run_id]),
        rows,
        "difficulty",
        "Every case of a step is one group of completions.",
    )
    levels = st.pills(
        "Cases that are",
        list(LEVELS),
        selection_mode="multi",
        default=["hard", "medium"],
        format_func=str.capitalize,
        key="training_levels",
    )
    found = log.cases(run.run_id, levels, CASES)
    st.dataframe(
        [
            {"Case": row["case_id"], "Right DRG": row["drg"], "Difficulty": row["difficulty"], "Right at first": row["first_right"], "Right now": row["share_right"], "Mean reward": row["reward"],
             "Met": row["times"], "Last at step": row["step"]}
            for row in found
        ],
        hide_index=True, alt="Cases of this run", height=_height(len(found)),
        column_config={name: st.column_config.ProgressColumn(width=110, min_value=0, max_value=1, format="percent") for name in ("Right at first", "Right now")}
        | {"Mean reward": st.column_config.NumberColumn(format="%.2f")},
    )  # fmt: skip
    rows_view(found, "cases", f"The least often right first, {len(found):,} shown of {sum(counts.values()):,}.")
    if run.folder:
        st.caption("A table of these for recipes with `difficulty`, `without` or `order`:")
        st.code(f"python -m train.difficulty {shlex.quote(str(run.folder))}", language="bash")


CASES = 500
LEVELS = {
    "easy": "Every completion was right, the last time the run met the case.",
    "medium": "Some were right, or had the base DRG or the severity right.",
    "hard": "Every completion named a DRG with neither base nor severity right.",
}


def recipe_tab(shown: Shown) -> None:
    run = one_run(shown, shown.runs, "training_recipe_run")
    left, right = st.columns(2, gap="large")
    with left:
        _facts(run)
    with right:
        _commands(shown, run)


def _facts(run: TrainingRun) -> None:
    record = run.record
    st.subheader("Data", anchor=False)
    files = [
        {"File": each["path"], "Rows": each["rows"], "SHA-256": each["sha256"][:12]}
        for each in record.get("data") or ()
    ]
    st.dataframe(files, hide_index=True, alt="Data of this run")
    out = sum((record.get("left_out") or {}).values())
    facts = {
        "rows trained on": f"{record['rows']:,}" if record.get("rows") is not None else "",
        "left out": f"{out:,} ({', '.join(f'{why}: {n:,}' for why, n in record['left_out'].items())})" if out else "",
        "MS-DRG": f"v{record['drg_version']}" if record.get("drg_version") else "",
        "processes": str(record.get("processes", "")),
        "resumed": f"{len(record['resumed'])} times" if record.get("resumed") else "",
    }
    st.caption(" · ".join(f"{name}: **{plain(words)}**" for name, words in facts.items() if words))
    if record.get("credentialed"):
        st.warning(
            "Trained on credentialed data: the run and its model are to be kept where the notes may be.",
            icon=":material/lock:",
        )
    st.subheader("Recipe", anchor=False)
    st.code(recipe_text(run), language="yaml")
    st.caption(
        "Libraries: "
        + " · ".join(f"{name} {plain(version)}" for name, version in (record.get("libraries") or {}).items())
    )


def recipe_text(run: TrainingRun) -> str:
    """The recipe as resolved, without what it leaves empty, as a file that trains it again."""
    import yaml

    said = {key: value for key, value in run.recipe.items() if value not in (None, [], {})}
    return yaml.safe_dump(said, sort_keys=False, allow_unicode=True)


def _commands(shown: Shown, run: TrainingRun) -> None:
    st.subheader("Commands", anchor=False)
    st.caption("TensorBoard on all runs:")
    st.code(f"tensorboard --logdir {shlex.quote(str(shown.training.root))}", language="bash")
    file = f"{run.name}.yaml"
    st.caption(
        "The same run again, or on from its last checkpoint, with the recipe as a file; `name=` makes it a run of its own:"
    )
    st.code(f"python -m train.{run.kind} {shlex.quote(file)}", language="bash")
    st.download_button(
        file,
        recipe_text(run),
        file_name=file,
        icon=":material/download:",
        on_click="ignore",
        key=f"recipe_{run.run_id}",
    )
    if run.model:
        st.caption("Its model is ready. Measure it on labelled notes, and train on from it:")
        folder = shlex.quote(str(run.model))
        st.code(f"python -m train.evaluate {folder} DATA", language="bash")
        st.code(f"python -m train.grpo RECIPE model={folder}", language="bash")
    elif run.folder:
        st.caption("Its model will be there when the run is finished.")
    st.caption(
        f"Folder: {plain(str(run.folder))}"
        if run.folder
        else "The folder is gone; what stands here was kept in the database."
    )
