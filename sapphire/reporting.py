"""A report as one HTML file that opens anywhere without a connection: figures, tables and what they stand on; no note text."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

STYLE = """
:root { color-scheme: only light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1a2433; background: #fff; max-width: 70rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .4rem; }
td:not(:first-child) { white-space: nowrap; } td:first-child { min-width: 11rem; } .wide { overflow-x: auto; }
.about { color: #5b6b7f; } table { border-collapse: collapse; margin: .6rem 0 1.2rem; font-size: .82rem; }
th, td { border-bottom: 1px solid #d5deea; padding: .28rem .9rem .28rem 0; vertical-align: top; text-align: left; font-variant-numeric: tabular-nums; }
@media print { td:not(:first-child) { white-space: normal; } h2 { break-after: avoid; } .plot, table { break-inside: avoid; } }
"""
# The page may load nothing from anywhere, whatever stands in it.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"


@dataclass(frozen=True)
class Section:
    """A part of a report: `words` are paragraphs, `rows` a table (dicts of the same keys), `figure` a Plotly figure."""

    title: str
    words: Sequence[str] = ()
    figure: object | None = None
    rows: Sequence[dict] = field(default=())


def report(title: str, about: Sequence[str], sections: Sequence[Section]) -> str:
    """The whole file. All words are shown as text; Plotly's own script is inside, once."""
    written = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    scripts = iter([True])
    body = "".join(_section(section, scripts) for section in sections)
    lines = "".join(f'<p class="about">{html.escape(line)}</p>' for line in [*about, f"Written {written} by Sapphire."])
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title><style>{STYLE}</style></head>'
        f"<body><h1>{html.escape(title)}</h1>{lines}{body}</body></html>"
    )


def _section(section: Section, scripts) -> str:
    parts = [f"<h2>{html.escape(section.title)}</h2>", *(f"<p>{html.escape(words)}</p>" for words in section.words)]
    if section.figure is not None:
        parts.append(f'<div class="plot">{_plot(section.figure, next(scripts, False))}</div>')
    if section.rows:
        parts.append(_table(section.rows))
    return "".join(parts)


def _plot(figure, script: bool) -> str:
    import plotly.graph_objects as go
    import plotly.io

    drawn = go.Figure(figure).update_layout(template="plotly_white")
    return plotly.io.to_html(
        drawn,
        full_html=False,
        include_plotlyjs=script,
        include_mathjax=False,
        config={"displaylogo": False, "responsive": True},
    )


def _table(rows: Sequence[dict]) -> str:
    head = "".join(f"<th>{html.escape(str(name))}</th>" for name in rows[0])
    lines = (
        "".join(f"<td>{html.escape('' if value is None else str(value))}</td>" for value in row.values())
        for row in rows
    )
    head, body = f"<thead><tr>{head}</tr></thead>", "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="wide"><table>{head}<tbody>{body}</tbody></table></div>'
