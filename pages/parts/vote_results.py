"""What the votes of a ballot say, with intervals, and how far they can be trusted."""

from collections import Counter

import streamlit as st

from pages.parts.plain import plain
from pages.parts.plot_view import plot_view, rows_view
from sapphire import vote_plots
from sapphire.metrics import FEW, Interval
from sapphire.phrases import counted
from sapphire.preferences import (
    Vote,
    between_readers,
    bradley_terry,
    consistency,
    duels,
    position_bias,
    standings,
)
from sapphire.preferences import counted as once
from sapphire.voting import REASONS

METHOD = "Ties and both bad are half a win each. Intervals take the patient as the unit: Wilson's below 300 patients, else bootstrap."


def results(votes: list[Vote], run_ids: tuple[str, ...], names: dict[str, str], reasons: Counter[str]) -> None:
    if not votes:
        st.info("Nobody has voted yet.", icon=":material/how_to_vote:")
        return
    _counts(votes)
    names = {run: names.get(run, run[:8]) for run in run_ids}
    colour = vote_plots.colours(run_ids)
    found = standings(votes, run_ids)
    plot_view(
        vote_plots.win_rates(found, names, colour),
        [
            {"run": names[s.run], "won": s.won, "lost": s.lost, "ties": s.ties, "both bad": s.both_bad}
            | _cells(s.share)
            for s in found
        ],
        "win-rates",
        METHOD,
    )
    if len(found) > 2:
        _strengths(votes, run_ids, names, colour)
    _duels(votes, run_ids, names, colour)
    st.subheader("Can the votes be trusted?", anchor=False)
    _trust(votes)
    _reasons(reasons)


def _cells(found: Interval) -> dict:
    return {"share": found.estimate, "low": found.low, "high": found.high, "pairs": found.n}


def _counts(votes: list[Vote]) -> None:
    first = once(votes)
    numbers = {
        "Pairs": len(first),
        "Cases": len({vote.note_id for vote in first}),
        "Readers": len({vote.reader for vote in votes}),
        "Decided": sum(vote.verdict in ("left", "right") for vote in first),
        "Repeats": len(votes) - len(first),
    }
    for column, (name, n) in zip(st.columns(len(numbers)), numbers.items(), strict=True):
        column.metric(name, f"{n:,}", border=True)


def _strengths(votes: list[Vote], run_ids: tuple[str, ...], names: dict[str, str], colour: dict[str, str]) -> None:
    found = _fitted(tuple(votes), run_ids)
    patients = len({vote.cluster for vote in votes})
    few = (
        f" With {counted(patients, 'patient')}, fewer than {FEW}, they are somewhat too narrow."
        if patients < FEW
        else ""
    )
    plot_view(
        vote_plots.strengths(found, names, colour),
        [{"run": names[run]} | _cells(each) for run, each in found.items()],
        "bradley-terry",
        f"Maximum likelihood, half a win added each way between every two runs; intervals by bootstrap over patients.{few}",
    )


@st.cache_data(show_spinner="Fitting …", max_entries=20)
def _fitted(votes: tuple[Vote, ...], run_ids: tuple[str, ...]) -> dict[str, Interval]:
    return bradley_terry(votes, run_ids)


def _duels(votes: list[Vote], run_ids: tuple[str, ...], names: dict[str, str], colour: dict[str, str]) -> None:
    found = duels(votes, run_ids)
    rows = [
        {
            "run": names[d.first], "against": names[d.second], "won": d.standing.won, "ties": d.standing.ties, "both bad": d.standing.both_bad,
            "lost": d.standing.lost,
        } | _cells(d.standing.share) | {"p": d.p}
        for d in found
    ]  # fmt: skip
    corrected = ", corrected by Holm's method" if len(found) > 1 else ""
    plot_view(
        vote_plots.verdicts(found, names, colour),
        rows,
        "duels",
        f"Won and lost are of the run named first. p of the exact sign test of decided votes{corrected}.",
    )
    for duel in found:
        share, decided = duel.standing.share, duel.standing.won + duel.standing.lost
        verdict = (
            f"**{plain(names[duel.first if share.estimate > 0.5 else duel.second])}** is preferred"
            if duel.p < 0.05
            else f"These votes do not tell **{plain(names[duel.first])}** and **{plain(names[duel.second])}** apart"
        )
        st.caption(
            f"{verdict}: {duel.standing.won} to {duel.standing.lost} of {decided} decided votes, p = {duel.p:.3f}; "
            f"share {share.estimate:.0%} ({share.low:.0%} to {share.high:.0%})"
        )


def _trust(votes: list[Vote]) -> None:
    sides = position_bias(votes)
    if sides:
        every = sides[0]
        drew = "The side itself drew votes" if every.p < 0.05 else "No sign that the side itself drew votes"
        st.caption(
            f"{drew}: {every.left} of {every.share.n} decided votes went to side A, exact binomial p = {every.p:.3f}."
        )
        plot_view(
            vote_plots.sides(sides),
            [{"reader": s.reader or "all", "side A": s.left, "p": s.p} | _cells(s.share) for s in sides],
            "position",
            "Wilson intervals. Pairs shown a second time are left out here.",
        )
    else:
        st.caption("No vote is decided yet, so nothing can be said of the sides.")
    twice = consistency(votes)
    if twice:
        rows = [
            {
                "Reader": each.reader or "all readers", "Shown twice": each.share.n, "Same verdict": each.same,
                "Consistency": f"{each.share.estimate:.0%} ({each.share.low:.0%} to {each.share.high:.0%})", "Same side both times": each.same_side,
            }
            for each in twice
        ]  # fmt: skip
        st.dataframe(rows, hide_index=True, alt="Consistency of readers on pairs shown twice")
        rows_view(
            rows,
            "consistency",
            "Pairs shown a second time with their sides swapped. The same side both times is no preference.",
        )
    else:
        st.caption(":material/repeat: No pair was shown twice yet: how consistent readers are is not known.")
    if agreed := between_readers(votes):
        st.caption(
            f":material/group: Two readers gave the same verdict on {agreed.estimate:.0%} ({agreed.low:.0%} to {agreed.high:.0%}) of {counted(agreed.n, 'occasion')}."
        )


def _reasons(given: Counter[str]) -> None:
    if given:
        words = " · ".join(f"{REASONS.get(reason, reason)} **{n:,}**" for reason, n in given.most_common())
        st.caption(f":material/psychology: What decided: {words}")
