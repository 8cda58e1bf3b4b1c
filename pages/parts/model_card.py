"""One model of the register: what is known of it, how it was found, how right it was, and what can be done with it."""

import importlib.util
from collections.abc import Callable

import streamlit as st

from pages.parts.model_choice import models
from pages.parts.plain import plain
from sapphire import measuring, registry
from sapphire.engines import EngineError
from sapphire.evaluating import Choice
from sapphire.hosting import Hosting
from sapphire.profiles import Profile
from sapphire.registry import Entry
from sapphire.store import StoreError
from sapphire.store.evaluation import CaseFilter
from sapphire.workbench import Workbench

KINDS = {
    "llama.cpp": "Embedded (llama.cpp)",
    "transformers": "transformers",
    "server": "Server",
    "unreadable": "Unreadable",
}
FORMS = {"own": "the form is its own", "helped": "the decoder completed the form", "none": "without the form"}


def model_card(bench: Workbench, reader: Profile, entry: Entry, is_default: bool) -> None:
    name = entry.card.name
    with st.container(border=True, key=f"model_{_key(name)}", gap="small"):
        head = st.container(horizontal=True, vertical_alignment="center")
        head.subheader(plain(name), anchor=False, width="content")
        for label, icon, colour in _badges(bench.hosting, entry, is_default):
            head.badge(label, icon=f":material/{icon}:", color=colour)
        st.caption(_facts(entry))
        if entry.missing:
            st.warning(plain(entry.missing), icon=":material/error:")
        elif entry.card.note:
            st.caption(plain(entry.card.note))
        if not entry.withdrawn:
            left, right = st.columns(2, gap="medium")
            with left:
                _scores(bench, entry)
            with right:
                _check(bench.hosting, entry)
        _actions(bench, reader, entry, is_default)


def _badges(hosting: Hosting, entry: Entry, is_default: bool) -> list[tuple[str, str, str]]:
    card, found = entry.card, []
    if is_default:
        found.append(("Default", "star", "blue"))
    if card.host:
        found.append((f"Runs on {card.host}", "public", "orange"))
    if card.kind != "unreadable" and (card.tuned or card.kind != "server"):
        found.append(
            ("Tuned for this task", "model_training", "green") if card.tuned else ("Untuned", "science", "gray")
        )
    served, _ = hosting.server(card)
    if served in ("starting", "ready"):
        found.append((f"vLLM {served}", "dns", "violet"))
    if entry.author and not entry.usable and not entry.withdrawn and not entry.missing:
        found.append(("Not usable before its check passes", "pending", "orange"))
    return found


def _facts(entry: Entry) -> str:
    card = entry.card
    confidence = f"confidence {plain(str(card.calibration))}" if card.calibration else "confidence not calibrated"
    size = f"{entry.size / 1e9:.2f} GB" if entry.size and entry.size >= 1e8 else f"{(entry.size or 0) / 1e6:.0f} MB"
    facts = [
        KINDS.get(card.kind, card.kind),
        f"{card.prompt} prompt",
        f"MS-DRG v{card.drg_version}",
        size if entry.size else "weights at the server" if card.kind == "server" else "weights not here yet",
        confidence,
    ]
    return " · ".join(facts if card.kind != "unreadable" else facts[:1])


def _scores(bench: Workbench, entry: Entry) -> None:
    """How right the newest run of this model is on labelled notes."""
    st.caption("**So far**")
    run = _newest_run(bench, entry)
    if run is None:
        st.caption("No answers yet. Run it from the worklist.")
        return
    choice = Choice((run["run_id"],), CaseFilter("either"), 1)
    (scored,) = bench.evaluation.scored(choice)
    answered = f"{run['notes']:,} {'note' if run['notes'] == 1 else 'notes'} answered on {run['began']:%d %b %Y}"
    if scored.notes:
        rows = [row for row in measuring.measures(bench.evaluation, choice) if row["measure"] == "Pass@1"]
        for column, row in zip(st.columns(len(rows)), rows, strict=True):
            column.metric(
                row["target"],
                f"{row['estimate']:.0%}",
                help=f"Share of {row['notes']:,} labelled notes; 95% interval {row['low']:.1%} to {row['high']:.1%} ({row['method']}).",
            )
        st.caption(f"Pass@1 on {scored.notes:,} labelled of {answered}.")
    else:
        st.caption(f"{answered}; none of them has a recorded or reviewed DRG of its version.")


def _newest_run(bench: Workbench, entry: Entry) -> dict | None:
    """The newest run over more than one note, else the newest."""
    runs = [run for run in bench.evaluation.runs() if run["model"] == entry.card.name]
    return next((run for run in runs if run["notes"] > 1), runs[0] if runs else None)


def _check(hosting: Hosting, entry: Entry) -> None:
    st.caption("**Check**")
    check = hosting.checked(entry.card)
    if check and check.state != "done":
        _checking(hosting, entry)
        return
    report = entry.report or (check.report.__dict__ if check and check.report else None)
    if report is None:
        st.caption("Not checked yet: loads it, lets it answer a fictional note, and times it.")
        return
    words = f"{entry.checked:%d %b %Y, %H:%M} UTC · " if entry.checked else ""
    if not report["passed"]:
        st.error(plain(report["message"]), icon=":material/block:")
        st.caption(f"{words}the model is not offered until a check passes." if entry.author else words.rstrip(" ·"))
        return
    speed = report["tokens"] / report["seconds"] if report["tokens"] and report["seconds"] else 0
    one, two, three = st.columns(3)
    one.metric("Loaded in", f"{report['load_seconds']:.1f} s")
    two.metric(
        "Answered in", f"{report['seconds']:.1f} s", help="One fictional note of 70 words, read and reasoned about."
    )
    three.metric("Speed", f"{speed:.0f} tok/s", help="Tokens of the answer by its time, reading the note included.")
    st.caption(f"{words}{FORMS[report['form']]} · it said DRG {report['drg']}")


def _checking(hosting: Hosting, entry: Entry) -> None:
    """A check at work, redrawn every half second; when it ends the page draws its result."""
    check = hosting.checked(entry.card)

    @st.fragment(run_every=0.5)
    def _moving() -> None:
        if check.state == "done":
            models.clear()
            st.rerun()
        doing = "Loading the model" if check.state == "loading" else "Answering a fictional note"
        bar = st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center")
        bar.markdown(f":material/progress_activity: {doing} … {check.seconds():.0f} s")
        if bar.button("Stop", icon=":material/stop_circle:", key=f"stop_check_{_key(entry.card.name)}"):
            check.cancel.set()
        if check.written:
            with st.container(border=True, height=120, autoscroll=True):
                st.text(check.written)

    _moving()


def _actions(bench: Workbench, reader: Profile, entry: Entry, is_default: bool) -> None:
    card, key = entry.card, _key(entry.card.name)
    at_work = (check := bench.hosting.checked(card)) is not None and check.state != "done"
    with st.container(horizontal=True, vertical_alignment="center"):
        if entry.withdrawn:
            if st.button("Restore", icon=":material/unarchive:", key=f"restore_{key}"):
                _do(lambda: registry.restore(bench.store, entry, reader.name))
            _origin(entry)
            return
        if not entry.missing and st.button("Check", icon=":material/fact_check:", key=f"check_{key}", disabled=at_work):
            _do(lambda: bench.hosting.check(card, reader.name))
        if entry.usable and not is_default and st.button("Make default", icon=":material/star:", key=f"default_{key}"):
            _do(lambda: registry.make_default(bench.store, entry, reader.name))
        if card.kind == "transformers" and importlib.util.find_spec("vllm"):
            _serving(bench.hosting, entry)
        run = _newest_run(bench, entry)
        if run and st.button("Evaluate", icon=":material/monitoring:", key=f"evaluate_{key}"):
            st.session_state["evaluation_runs"] = [run["run_id"]]
            st.switch_page("pages/evaluation.py")
        _origin(entry)
        if st.button(
            "Withdraw",
            icon=":material/archive:",
            type="tertiary",
            key=f"withdraw_{key}",
            help="Offer it no more. Its answers and files stay, and it can be restored.",
        ):
            _do(lambda: registry.withdraw(bench.store, entry, reader.name))
    _, why = bench.hosting.server(card)
    if why:
        st.error(plain(why), icon=":material/dns:")


def _serving(hosting: Hosting, entry: Entry) -> None:
    card, key = entry.card, _key(entry.card.name)
    state, _ = hosting.server(card)
    if state in ("starting", "ready"):
        if st.button("Stop vLLM", icon=":material/stop_circle:", key=f"unserve_{key}"):
            _do(lambda: hosting.stop(card))
    elif st.button(
        "Serve with vLLM",
        icon=":material/dns:",
        key=f"serve_{key}",
        help="Starts a server on this machine that answers many notes at once; it ends with the app.",
    ):
        _do(lambda: hosting.start(card))
    if state == "starting":

        @st.fragment(run_every=1.0)
        def _starting() -> None:
            if hosting.server(card)[0] != "starting":
                st.rerun()

        _starting()


def _origin(entry: Entry) -> None:
    with st.popover("Origin", icon=":material/history_edu:", help="Where it comes from, who added it, what made it"):
        known = {
            "Place": entry.place,
            "Added by": f"{entry.author}, {entry.added:%d %b %Y %H:%M} UTC"
            if entry.added
            else "Found in the models folder",
            "Recipe": entry.recipe or "not recorded",
            "Training data (SHA-256)": entry.data_hash or "not recorded",
        }
        if entry.card.host:
            known["Purpose"] = entry.purpose
            known["Credentialed notes"] = (
                "may be sent: the agreement was said to allow it" if entry.card.agreement else "are never sent there"
            )
        if server := registry.server_of(entry.card) if not entry.missing else None:
            known["Its name there"] = server.model or "the only one"
            known["Key"] = f"from the variable {server.key_variable}" if server.key_variable else "none"
        st.table(
            {"What": known.keys(), "Is": [plain(value) for value in known.values()]},
            hide_index=True,
            border="horizontal",
        )


def _do(act: Callable[[], object]) -> None:
    """Do something and draw the page anew; what fails is said instead."""
    try:
        act()
    except (EngineError, StoreError) as error:
        st.error(plain(str(error)))
        return
    models.clear()
    st.rerun()


def _key(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
