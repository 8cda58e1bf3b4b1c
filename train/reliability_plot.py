"""A reliability plot as a small SVG file that any browser and GitHub draw, without a library."""

from collections.abc import Mapping, Sequence
from html import escape

from sapphire.metrics import Bin, wilson

SIDE, LEFT, TOP = 400, 70, 44  # px
WIDTH, HEIGHT = LEFT + SIDE + 290, TOP + SIDE + 60
INK, SOFT, GRID = "#222222", "#777777", "#dddddd"
COLOURS = ("#b5482f", "#2f6f9f")
APART = 6  # px between two series in one bin, so that neither hides the other


def reliability_plot(title: str, series: Mapping[str, Sequence[Bin]]) -> str:
    """The share of right answers against their confidence, of up to two series of bins, each by its name: a dot a bin, as large as it holds
    answers, with its 95% Wilson interval; on the dashed line a confidence means what it says."""
    parts = [*_axes(), f'<text x="16" y="22" font-size="15" fill="{INK}">{escape(title)}</text>']
    for i, (name, bins) in enumerate(series.items()):
        shift, filled = APART * (i - (len(series) - 1) / 2), [each for each in bins if each.n]
        parts += [_dot(each, shift, COLOURS[i]) for each in filled]
        y = TOP + 14 + 22 * i
        parts.append(f'<circle cx="{LEFT + SIDE + 24}" cy="{y - 4}" r="5" fill="{COLOURS[i]}"/>')
        parts.append(f'<text x="{LEFT + SIDE + 36}" y="{y}" fill="{INK}">{escape(name)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _at(confidence: float, right: float) -> tuple[float, float]:
    return LEFT + SIDE * confidence, TOP + SIDE * (1 - right)


def _axes() -> list[str]:
    parts = []
    for tenth in range(0, 11, 2):
        x, y = _at(tenth / 10, tenth / 10)
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{TOP + SIDE}" stroke="{GRID}"/>')
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + SIDE}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(f'<text x="{x:.1f}" y="{TOP + SIDE + 18}" text-anchor="middle" fill="{SOFT}">{10 * tenth}%</text>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{SOFT}">{10 * tenth}%</text>')
    parts.append(
        f'<line x1="{LEFT}" y1="{TOP + SIDE}" x2="{LEFT + SIDE}" y2="{TOP}" stroke="{SOFT}" stroke-dasharray="4 3"/>'
    )
    parts.append(
        f'<text x="{LEFT + SIDE / 2}" y="{HEIGHT - 16}" text-anchor="middle" fill="{INK}">confidence of the answer</text>'
    )
    middle = TOP + SIDE / 2
    parts.append(
        f'<text x="20" y="{middle}" text-anchor="middle" transform="rotate(-90 20 {middle})" fill="{INK}">answers that are right</text>'
    )
    return parts


def _dot(each: Bin, shift: float, colour: str) -> str:
    x, y = _at(each.confidence, each.right)
    share = wilson(each.right * each.n, each.n)
    (_, low), (_, high) = _at(0, share.low), _at(0, share.high)
    radius = 2 + each.n**0.5
    return (
        f'<line x1="{x + shift:.1f}" x2="{x + shift:.1f}" y1="{low:.1f}" y2="{high:.1f}" stroke="{colour}" opacity="0.5"/>'
        f'<circle cx="{x + shift:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}" opacity="0.8">'
        f"<title>{each.n} answers, confidence {each.confidence:.0%}, right {each.right:.0%}</title></circle>"
    )
