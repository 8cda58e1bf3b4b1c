"""Plots of the dataset card: bar charts as small SVG files that any browser and GitHub draw, without a library."""

from collections.abc import Sequence
from html import escape
from math import log10

WIDTH, ROW, LEFT, RIGHT = 760, 20, 300, 70  # px
BAR, INK, SOFT = "#2f6f9f", "#222222", "#777777"


def bars(title: str, pairs: Sequence[tuple[str, float]], unit: str = "cases") -> str:
    """Horizontal bars, one a label, with the number behind each."""
    most = max((value for _, value in pairs), default=1) or 1
    height = 56 + ROW * len(pairs)
    rows = []
    for i, (label, value) in enumerate(pairs):
        y, width = 44 + ROW * i, (WIDTH - LEFT - RIGHT) * value / most
        rows.append(
            f'<text x="{LEFT - 8}" y="{y + 13}" text-anchor="end" fill="{INK}">{escape(label[:44])}</text>'
            f'<rect x="{LEFT}" y="{y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="{BAR}"/>'
            f'<text x="{LEFT + width + 6:.1f}" y="{y + 13}" fill="{SOFT}">{value:,.0f}</text>'
        )
    return _page(title, unit, height, rows)


def curve(title: str, values: Sequence[float], unit: str, floor: float) -> str:
    """Values from the largest to the smallest on a logarithmic scale of powers of ten, with a line at `floor`."""
    ordered = sorted((value for value in values if value > 0), reverse=True)
    height, plot = 330, 240
    top = log10(max(ordered, default=10)) or 1

    def at(i: float, value: float) -> str:
        x = 60 + (WIDTH - 90) * i / max(1, len(ordered) - 1)
        return f"{x:.1f},{44 + plot * (1 - log10(max(value, 1)) / top):.1f}"

    rows = []
    for power in range(int(top) + 1):
        _, y = at(0, 10**power).split(",")
        rows.append(f'<line x1="60" x2="{WIDTH - 30}" y1="{y}" y2="{y}" stroke="#dddddd"/>')
        rows.append(f'<text x="54" y="{float(y) + 4:.1f}" text-anchor="end" fill="{SOFT}">{10**power:,}</text>')
    _, y = at(0, floor).split(",")
    rows.append(f'<line x1="60" x2="{WIDTH - 30}" y1="{y}" y2="{y}" stroke="#b5482f" stroke-dasharray="4 3"/>')
    points = " ".join(at(i, value) for i, value in enumerate(ordered))
    rows.append(f'<polyline points="{points}" fill="none" stroke="{BAR}" stroke-width="2"/>')
    rows.append(
        f'<text x="{WIDTH - 30}" y="{height - 10}" text-anchor="end" fill="{SOFT}">{len(ordered)} DRGs by rank</text>'
    )
    return _page(title, unit, height, rows)


def histogram(values: Sequence[int], width: int) -> list[tuple[str, float]]:
    """Counts of values in steps of `width`, labelled by their range."""
    if not values:
        return []
    low, high = min(values) // width, max(values) // width
    counts = dict.fromkeys(range(low, high + 1), 0)
    for value in values:
        counts[value // width] += 1
    return [(f"{step * width} to {(step + 1) * width - 1}", count) for step, count in counts.items()]


def _page(title: str, unit: str, height: int, rows: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>'
        f'<text x="16" y="22" font-size="15" fill="{INK}">{escape(title)}</text>'
        f'<text x="{WIDTH - 16}" y="22" text-anchor="end" fill="{SOFT}">{escape(unit)}</text>{"".join(rows)}</svg>\n'
    )
