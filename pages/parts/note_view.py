"""The note as text: never as HTML or Markdown. The brief hospital course stands out, quotes are marked, find works."""

import streamlit as st

_CSS = """
.sapphire-note { font: 0.93rem/1.62 var(--st-font); color: var(--st-text-color); border: 1px solid var(--st-border-color);
  border-radius: var(--st-base-radius); background: var(--st-background-color); overflow: hidden; display: flex; flex-direction: column; }
.sapphire-note .bar { display: flex; flex-wrap: wrap; gap: .3rem .6rem; align-items: center; padding: .45rem .7rem; background: var(--st-secondary-background-color);
  border-bottom: 1px solid var(--st-border-color); font-size: .82rem; }
.sapphire-note .bar .what { flex: 1 0 100%; opacity: .75; }
.sapphire-note .bar input { flex: 1; min-width: 8rem; font: inherit; color: inherit; background: var(--st-background-color);
  border: 1px solid var(--st-border-color); border-radius: .4rem; padding: .2rem .5rem; }
.sapphire-note .bar input:focus { outline: 2px solid var(--st-primary-color); outline-offset: -1px; }
.sapphire-note .bar button { font: inherit; color: var(--st-link-color); background: none; border: 0; cursor: pointer; padding: .2rem; white-space: nowrap; }
.sapphire-note .bar .hits { opacity: .75; }
.sapphire-note .bar .hits:empty { display: none; }
.sapphire-note .text { overflow: auto; padding: .9rem 1.1rem 1.4rem; white-space: pre-wrap; overflow-wrap: anywhere; height: calc(100vh - 16.5rem); min-height: 22rem; }
.sapphire-note .text:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: -2px; }
.sapphire-note .course { display: block; border-left: 3px solid var(--st-primary-color); padding-left: .8rem; margin: .2rem 0; }
.sapphire-note .aside { opacity: .66; }
.sapphire-note mark { color: inherit; background: color-mix(in srgb, var(--st-primary-color) 24%, transparent); border-radius: .2rem; }
.sapphire-note mark.found { background: color-mix(in srgb, #e8a800 55%, transparent); }
.sapphire-note mark.now { outline: 2px solid #e8a800; }
/* The bar of the case stays at the top, and the note in view, while the review beside it scrolls. */
[data-testid="stLayoutWrapper"]:has(> .st-key-case_bar) { position: sticky; top: 0; z-index: 50;
  background: var(--sapphire-page); margin-top: -2.2rem; padding: 2.2rem 0 .4rem; }
.st-key-note_view { position: sticky !important; top: 6.2rem !important; }
/* A note beside two answers needs room for three columns; without it they stand below one another. */
@media (max-width: 1100px) {
  :is(.st-key-compare_body, .st-key-vote_body) [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"] .st-key-note_view) { flex-wrap: wrap; }
  :is(.st-key-compare_body, .st-key-vote_body) [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:has(.st-key-note_view),
  :is(.st-key-compare_body, .st-key-vote_body) [data-testid="stHorizontalBlock"] > [data-testid="stColumn"]:has(.st-key-note_view) ~ [data-testid="stColumn"] { min-width: 100%; }
  :is(.st-key-compare_body, .st-key-vote_body) .st-key-note_view { position: static !important; }
  :is(.st-key-compare_body, .st-key-vote_body) .sapphire-note .text { height: 42vh; min-height: 14rem; }
}
@media (max-width: 900px) { .sapphire-note .text { height: 60vh; } .st-key-note_view { position: static !important; } }
"""

_HTML = """<div class="sapphire-note"><div class="bar"><span class="what"></span>
<input type="search" aria-label="Find in the note" placeholder="Find in the note"><span class="hits"></span><button type="button" class="jump"></button></div>
<div class="text" tabindex="0" role="document" aria-label="Note text"></div></div>"""

_JS = """
const seen = new WeakMap()
function runs(data) {
  const cuts = new Set([0, data.text.length, ...(data.course || [])])
  for (const [s, e] of data.quotes) { cuts.add(s); cuts.add(e) }
  return [...cuts].sort((a, b) => a - b)
}
function render(root, data) {
  const box = root.querySelector(".text")
  box.replaceChildren()
  const [from, to] = data.course || [0, data.text.length]
  const holder = (s) => s < from || s >= to ? "aside" : data.course ? "course" : "whole"
  let part = null, kind = ""
  const cuts = runs(data)
  for (let i = 0; i + 1 < cuts.length; i++) {
    const [s, e] = [cuts[i], cuts[i + 1]]
    if (holder(s) !== kind || !part) { kind = holder(s); part = document.createElement("span"); part.className = kind; box.append(part) }
    const piece = data.text.slice(s, e)
    if (data.quotes.some(([a, b]) => a <= s && e <= b)) {
      const m = document.createElement("mark"); m.textContent = piece; m.title = "Quoted in the reasoning"; part.append(m)
    } else part.append(document.createTextNode(piece))
  }
}
function clear(box) {
  for (const m of box.querySelectorAll("mark.found")) { m.replaceWith(document.createTextNode(m.textContent)) }
  box.normalize()
}
function find(root, words) {
  const box = root.querySelector(".text"), hits = root.querySelector(".hits")
  clear(box); hits.textContent = ""
  if (words.trim().length < 2) return []
  const low = words.toLowerCase(), found = []
  const walk = document.createTreeWalker(box, NodeFilter.SHOW_TEXT), nodes = []
  while (walk.nextNode()) nodes.push(walk.currentNode)
  for (let node of nodes) {
    for (let at; (at = node.data.toLowerCase().indexOf(low)) >= 0;) {
      const hit = node.splitText(at); node = hit.splitText(words.length)
      const m = document.createElement("mark"); m.className = "found"; hit.replaceWith(m); m.append(hit); found.push(m)
      if (found.length >= 500) return found
    }
  }
  return found
}
export default function ({ data, parentElement }) {
  const root = parentElement.querySelector(".sapphire-note")
  // The bar lies outside this component, where the theme's variables are not known.
  document.documentElement.style.setProperty("--sapphire-page", getComputedStyle(root).getPropertyValue("--st-background-color"))
  const state = seen.get(root) || { text: null, found: [], at: -1 }
  seen.set(root, state)
  const what = root.querySelector(".what"), jump = root.querySelector(".jump"), input = root.querySelector("input"), hits = root.querySelector(".hits")
  what.textContent = data.about
  const print = JSON.stringify([data.course, data.quotes])
  if (state.text !== data.text || state.print !== print) {
    const fresh = state.text !== data.text
    state.text = data.text; state.print = print; state.found = []; state.at = -1
    render(root, data)
    const box = root.querySelector(".text"), course = root.querySelector(".course")
    if (fresh) { input.value = ""; hits.textContent = ""; box.scrollTop = course ? course.offsetTop - box.offsetTop - 28 : 0 }  // the heading above it stays in sight
  }
  const course = root.querySelector(".course")
  jump.hidden = !course; jump.textContent = "Hospital course"
  jump.onclick = () => course.scrollIntoView({ block: "start", behavior: "smooth" })
  const go = (step) => {
    if (!state.found.length) return
    state.found[state.at]?.classList.remove("now")
    state.at = (state.at + step + state.found.length) % state.found.length
    const m = state.found[state.at]; m.classList.add("now")
    const box = root.querySelector(".text"); box.scrollTop += m.getBoundingClientRect().top - box.getBoundingClientRect().top - box.clientHeight / 3
    hits.textContent = `${state.at + 1} of ${state.found.length}`
  }
  input.oninput = () => { state.found = find(root, input.value); state.at = -1; if (state.found.length) go(1); else hits.textContent = input.value.trim().length > 1 ? "none" : "" }
  input.onkeydown = (event) => { event.stopPropagation(); if (event.key === "Enter") go(event.shiftKey ? -1 : 1) }
}
"""

_component = st.components.v2.component("sapphire_note", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


def note_view(text: str, course: tuple[int, int] | None, quotes: list[tuple[int, int]], about: str, key: str) -> None:
    """Draw a note.

    Args:
        course: offsets of the brief hospital course, where that is all that the model reads; None when it reads the whole note.
        quotes: offsets of what the reasoning quotes.
        about: one line above the text: age, sex, length, source.
    """
    spans = [(_js_offset(text, start), _js_offset(text, end)) for start, end in quotes]
    cut = [_js_offset(text, at) for at in course] if course else None
    _component(data={"text": text, "course": cut, "quotes": spans, "about": about}, key=key)


def _js_offset(text: str, at: int) -> int:
    """The browser counts UTF-16 units, Python code points: they differ after an emoji."""
    return len(text[:at].encode("utf-16-le")) // 2
