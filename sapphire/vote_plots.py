"""Plots of blind votes: how often each run was preferred, each two against each other, and whether the side mattered."""

from collections.abc import Mapping, Sequence

from sapphire.metrics import Interval
from sapphire.plot_parts import GREY, PALETTE, error_bars, new_figure, percent_axis, plain_name, rows_axis
from sapphire.preferences import Duel, Side, Standing

# A win is told from a loss by place and word; ties and both bad are no run's colour.
TIE_COLOUR, BAD_COLOUR = "#778396", "#566175"


def colours(runs: Sequence[str]) -> dict[str, str]:
    """A colour for each run of a ballot, the same in every plot."""
    return dict(zip(runs, PALETTE, strict=False))


def _bars(intervals: Sequence[Interval], colour: str) -> dict:
    return error_bars([each._asdict() for each in intervals], "estimate", colour)


def win_rates(standings: Sequence[Standing], names: Mapping[str, str], colour: Mapping[str, str]):
    """A bar a run with its interval, around the line of no preference."""
    figure = new_figure("Preferred in blind votes, with 95% intervals", 46 * len(standings), legend=False)
    for i, each in enumerate(standings):
        figure.add_bar(
            x=[100 * each.share.estimate], y=[i], orientation="h", width=0.55, name=plain_name(names[each.run]), showlegend=False,
            # Paler than its interval, so that this is seen on it.
            marker={"color": colour[each.run], "opacity": 0.4}, error_x=_bars([each.share], colour[each.run]) | {"thickness": 2.4},
            customdata=[[each.won, each.lost, each.ties, each.both_bad]],
            hovertemplate="%{x:.1f}% of its pairs<br>%{customdata[0]} won, %{customdata[1]} lost, %{customdata[2]} ties, %{customdata[3]} both bad"
            "<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.add_vline(x=50, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(**percent_axis("percent of the pairs it stood in", range=[0, 100]))
    figure.update_yaxes(**rows_axis([f"{plain_name(names[each.run], 80)} ({each.share.n:,})" for each in standings]))
    return figure


def strengths(found: Mapping[str, Interval], names: Mapping[str, str], colour: Mapping[str, str]):
    """`preferences.bradley_terry`: a dot with its interval a run, the best first."""
    runs = sorted(found, key=lambda run: -found[run].estimate)
    figure = new_figure(
        "Bradley-Terry: chance to be preferred to an average run, with 95% intervals", 40 * len(runs), legend=False
    )
    for i, run in enumerate(runs):
        figure.add_scatter(
            x=[100 * found[run].estimate], y=[i], mode="markers", marker={"size": 10, "color": colour[run]}, name=plain_name(names[run]), showlegend=False,
            error_x=_bars([found[run]], colour[run]), hovertemplate="%{x:.1f}%<extra>%{fullData.name}</extra>",
        )  # fmt: skip
    figure.add_vline(x=50, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(**percent_axis("chance to be preferred", range=[0, 100]))
    figure.update_yaxes(**rows_axis([plain_name(names[run], 80) for run in runs]))
    return figure


def verdicts(duels: Sequence[Duel], names: Mapping[str, str], colour: Mapping[str, str]):
    """Every two runs: votes for the one, ties, both bad, votes for the other, in one bar of 100%."""
    figure = new_figure("What was voted, each two runs", 52 * len(duels), legend=False, barmode="stack")
    for i, duel in enumerate(duels):
        parts = (
            (duel.standing.won, colour[duel.first], f"{names[duel.first]} is better", "won"),
            (duel.standing.ties, TIE_COLOUR, "tie", "tie"),
            (duel.standing.both_bad, BAD_COLOUR, "both bad", "both bad"),
            (duel.standing.lost, colour[duel.second], f"{names[duel.second]} is better", "lost"),
        )
        total = sum(n for n, *_ in parts)
        for n, paint, words, short in parts:
            if n:
                figure.add_bar(
                    x=[100 * n / total], y=[i], orientation="h", width=0.55, marker={"color": paint}, text=[f"{n} {short}"], showlegend=False, textposition="inside",
                    insidetextanchor="middle", insidetextfont={"color": "white"}, name=plain_name(words), hovertemplate=f"%{{x:.1f}}%, {n} of {total} votes<extra>%{{fullData.name}}</extra>",
                )  # fmt: skip
    figure.update_xaxes(**percent_axis("percent; numbers are votes", range=[0, 100]))
    labels = [f"{plain_name(names[duel.first], 30)}<br>against {plain_name(names[duel.second], 30)}" for duel in duels]
    figure.update_yaxes(**rows_axis(labels))
    return figure


def sides(found: Sequence[Side]):
    """Votes for the left side with its interval, around the half that no bias gives."""
    figure = new_figure("Position: decided votes for side A, with 95% intervals", 44 * len(found), legend=False)
    figure.add_scatter(
        x=[100 * each.share.estimate for each in found], y=list(range(len(found))), mode="markers", marker={"size": 10, "color": PALETTE[0]},
        error_x=_bars([each.share for each in found], PALETTE[0]), customdata=[[each.left, each.share.n, each.p] for each in found],
        hovertemplate="%{x:.1f}%: %{customdata[0]} of %{customdata[1]} decided votes<br>exact binomial p %{customdata[2]:.3f}<extra></extra>",
    )  # fmt: skip
    figure.add_vline(x=50, line={"color": GREY, "dash": "dot"})
    figure.update_xaxes(**percent_axis("percent for side A; 50 is no bias", range=[-1, 101]))
    figure.update_yaxes(
        **rows_axis([f"{plain_name(each.reader, 46) or 'all readers'} ({each.share.n:,})" for each in found])
    )
    return figure
