"""Export: which reviews count, what the round would hold, and the rounds so far."""

import streamlit as st

from pages.parts.session import profile, start_page
from sapphire.exporting import RoundFilters, plan, reviewers, rounds, write_round
from sapphire.paths import exports_dir
from sapphire.phrases import counted
from sapphire.reviewing import DECISIONS
from sapphire.store import StoreError

WHAT = {
    "reviews.csv": "Every chosen review as a table, for a spreadsheet",
    "reviews.parquet": "The same, with types, for pandas and DuckDB",
    "labels.jsonl": "One DRG a case, where the reviewers agree",
    "sft.jsonl": "Prompt and completion for TRL's SFTTrainer",
    "grpo.jsonl": "Prompt and DRG for TRL's GRPOTrainer",
    "votes.csv": "Every blind vote: sides, models, which was preferred",
    "dpo.jsonl": "Prompt, chosen and rejected for TRL's DPOTrainer, where votes agree",
    "steps.jsonl": "Steps of a reasoning with the reviewers' labels, for process rewards",
    "README.txt": "What is inside",
}
bench = start_page()


def choose() -> RoundFilters:
    known = reviewers(bench.store)
    decisions = st.pills(
        "Decisions that count", list(DECISIONS), selection_mode="multi", default=["accept", "change"], format_func=DECISIONS.get,
        help="Queried and escalated cases have no settled DRG yet; they are left out unless you ask for them.",
    )  # fmt: skip
    left, right = st.columns(2)
    who = left.multiselect("Reviewers", known, placeholder="All reviewers")
    models = right.multiselect("Models", bench.worklist.choices("model"), placeholder="All models")
    left, right = st.columns(2)
    helpful = left.slider("Helpfulness at least", 1, 5, 1, help="A review without this rating counts.")
    accurate = right.slider("Accuracy at least", 1, 5, 1, help="A review without this rating counts.")
    with_text = st.toggle(
        "With training rows",
        help="Adds SFT, GRPO and DPO rows, step labels, comments and reasoning. These hold note text: keep such a round where the notes themselves may be.",
    )
    return RoundFilters(tuple(decisions), tuple(who), tuple(models), helpful, accurate, with_text)


def preview(filters: RoundFilters) -> None:
    planned = plan(bench.store, filters)
    shown = [(name, n) for name, n in planned.counts.items() if "left out" not in name]
    for column, (name, n) in zip(st.columns(len(shown)), shown, strict=True):
        column.metric(name.capitalize() if name.islower() else name, f"{n:,}", border=True)
    for name, n in planned.counts.items():
        if "left out" in name and n:
            st.caption(f":material/info: {n:,} {name}")
    if filters.with_text:
        st.warning(
            "This round will contain note text. It is written for your eyes only (mode 600).", icon=":material/lock:"
        )
    if st.button("Export this round", type="primary", icon=":material/ios_share:", disabled=planned.empty):
        try:
            with st.spinner("Writing the round …"):
                record = write_round(bench.store, filters, profile().name, exports_dir())
        except (StoreError, OSError, ValueError) as error:
            st.error(f"The round was not written: {error}")
        else:
            st.toast(f"Round {record['round']} is written.", icon=":material/check_circle:")
    if planned.empty:
        st.caption("No saved review or vote passes these filters.")


def past() -> None:
    done = rounds(bench.store)
    if not done:
        return
    st.header("Rounds", anchor=False)
    for record in done[:20]:
        folder = exports_dir() / f"round-{record['round']:04d}"
        label = f"Round {record['round']} · {record['recorded_at']:%Y-%m-%d %H:%M} UTC · {record['author']} · {_reviews_and_votes(record['counts'])}"
        with st.expander(label, icon=":material/lock:" if record["with_text"] else ":material/inventory_2:"):
            _files(record, folder)


def _reviews_and_votes(counts: dict) -> str:
    return " · ".join(counted(counts[thing + "s"], thing) for thing in ("review", "vote") if counts.get(thing + "s"))


def _files(record: dict, folder) -> None:
    st.caption(" · ".join(f"{name}: {n:,}" for name, n in record["counts"].items() if n))
    if not folder.exists():
        st.caption(f":material/warning: The folder {folder} is no longer there.")
        return
    for name, facts in record["files"].items():
        about, hash_, get = st.columns([4, 3, 1.2], vertical_alignment="center")
        about.markdown(f"**{name}** · {WHAT[name]}")
        hash_.caption(f"{facts['bytes']:,} bytes · SHA-256 `{facts['sha256'][:12]}…`")
        get.download_button(
            "Download", (folder / name).read_bytes, file_name=f"round-{record['round']:04d}-{name}", key=f"{record['round']}_{name}", icon=":material/download:",
            on_click="ignore",
        )  # fmt: skip
    st.caption(f"In {folder}")


st.title("Export")
if reviewers(bench.store):
    with st.container(border=True):
        filters = choose()
    preview(filters)
    past()
else:
    st.info("There are no saved reviews or votes yet.", icon=":material/inbox:")
    st.page_link("pages/worklist.py", label="Go to the worklist", icon=":material/checklist:")
