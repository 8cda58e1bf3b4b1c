"""Reasonings side by side, a row for what they say at one point; words that are not in all of them are marked. Text only."""

import streamlit as st

from sapphire.aligning import Row

_CSS = """
/* Four cards need a wide screen; on a narrow one they stand two and two. */
@media (max-width: 1100px) {
  .st-key-compare_answers [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"]) { flex-wrap: wrap; }
  .st-key-compare_answers [data-testid="stHorizontalBlock"] > [data-testid="stColumn"] { min-width: calc(50% - .5rem); }
}
.sapphire-aligned { font: .9rem/1.5 var(--st-font); color: var(--st-text-color); display: grid; border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); overflow: clip; }
.sapphire-aligned > div { padding: .45rem .7rem; border-top: 1px solid var(--st-border-color); min-width: 0; overflow-wrap: anywhere; }
.sapphire-aligned > div:not(.first) { border-left: 1px solid var(--st-border-color); }
.sapphire-aligned .head { border-top: 0; background: var(--st-secondary-background-color); font-weight: 600; font-size: .82rem; }
.sapphire-aligned .step { display: grid; grid-template-columns: 1.5rem 1fr; }
.sapphire-aligned .step .number { opacity: .55; font-variant-numeric: tabular-nums; font-size: .8rem; padding-top: .05rem; }
.sapphire-aligned .words { white-space: pre-wrap; }
.sapphire-aligned .same { opacity: .72; }
.sapphire-aligned .alone { box-shadow: inset 3px 0 0 #d98a00; }
.sapphire-aligned .none { background: repeating-linear-gradient(135deg, transparent 0 7px, color-mix(in srgb, var(--st-border-color) 45%, transparent) 7px 8px); }
.sapphire-aligned mark { color: inherit; background: color-mix(in srgb, #e8a800 26%, transparent); border-bottom: 2px solid #d98a00; border-radius: 2px 2px 0 0; }
.sapphire-aligned .nothing { grid-column: 1 / -1; border-left: 0 !important; opacity: .75; }
"""

_HTML = """<div class="sapphire-aligned" role="table"></div>"""

_JS = """
export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".sapphire-aligned")
  box.style.gridTemplateColumns = `repeat(${data.heads.length}, minmax(0, 1fr))`
  box.setAttribute("aria-label", data.label)
  const add = (className, text) => {
    const cell = document.createElement("div"); cell.className = className; cell.setAttribute("role", "cell")
    if (text !== undefined) cell.textContent = text
    box.append(cell); return cell
  }
  box.replaceChildren()
  data.heads.forEach((head, i) => add("head" + (i ? "" : " first"), head))
  if (!data.rows.length) add("nothing", data.nothing)
  for (const row of data.rows) {
    const alone = data.heads.length > 1 && row.cells.filter(Boolean).length === 1
    row.cells.forEach((cell, i) => {
      const first = i ? "" : " first"
      if (!cell) { add("none" + first).setAttribute("aria-label", "nothing of it here"); return }
      const place = add("step" + first + (row.same && data.heads.length > 1 ? " same" : "") + (alone ? " alone" : ""))
      const number = document.createElement("span"); number.className = "number"; number.textContent = cell.number
      const words = document.createElement("span"); words.className = "words"
      for (const [text, differs] of cell.pieces) {
        if (!differs || alone) { words.append(document.createTextNode(text)); continue }
        const mark = document.createElement("mark"); mark.textContent = text; words.append(mark)
      }
      place.append(number, words)
    })
  }
}
"""

_component = st.components.v2.component("sapphire_aligned", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


def aligned_view(heads: list[str], rows: list[Row], key: str, nothing: str = "No reasoning.") -> None:
    """Draw aligned reasonings.

    Args:
        heads: what stands above each column.
        nothing: what to say when there are no rows.
    """
    data = [
        {
            "same": row.same,
            "cells": [
                cell and {"number": cell.number, "pieces": [[piece.text, piece.differs] for piece in cell.pieces]}
                for cell in row.cells
            ],
        }
        for row in rows
    ]
    _component(data={"heads": heads, "rows": data, "nothing": nothing, "label": "Reasoning, step by step"}, key=key)
