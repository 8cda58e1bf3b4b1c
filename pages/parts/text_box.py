"""A text area that hands over what is typed while it is typed, so that a draft never waits for the reader to leave it."""

from collections.abc import Callable

import streamlit as st

_CSS = """
.sapphire-box { font-family: var(--st-font); font-size: .95rem; color: var(--st-text-color); }
.sapphire-box label { display: flex; justify-content: space-between; font-size: .875rem; margin-bottom: .25rem; }
.sapphire-box .kept { opacity: .65; }
.sapphire-box textarea { box-sizing: border-box; width: 100%; resize: vertical; font: inherit; line-height: 1.5; color: inherit;
  background: var(--st-background-color); border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius); padding: .5rem .7rem; }
.sapphire-box textarea:focus { outline: 2px solid var(--st-primary-color); outline-offset: -1px; }
"""

_HTML = """<div class="sapphire-box"><label><span class="name"></span><span class="kept" aria-live="polite"></span></label><textarea></textarea></div>"""

# What was typed but not yet answered by the server outlives a redraw and a lost connection: it is kept in this tab's
# memory (never in the browser's storage) until the server's own value equals it.
_JS = """
const unsent = new Map()
const senders = new Map()
const PAUSE = 300
// Leaving in the middle of a word: it is sent, and the browser asks, which gives it the time to arrive.
window.addEventListener("beforeunload", (event) => {
  if (!unsent.size) return
  for (const send of senders.values()) send()
  event.preventDefault()
})
// A link to another page drops what this page's widgets have not delivered: it is followed once that has arrived, or
// after three seconds when the server does not answer.
let waited = 0
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]")
  if (!link || !unsent.size || waited >= 20) { waited = 0; return }
  event.preventDefault(); event.stopImmediatePropagation()
  for (const send of senders.values()) send()
  waited += 1
  setTimeout(() => link.click(), 150)
}, true)
export default function ({ data, key, parentElement, setStateValue }) {
  const area = parentElement.querySelector("textarea"), kept = parentElement.querySelector(".kept")
  parentElement.querySelector(".name").textContent = data.label
  area.placeholder = data.placeholder; area.rows = data.rows; area.setAttribute("aria-label", data.label)
  const id = data.slot
  if (unsent.get(id)?.text === data.value) unsent.delete(id)
  const mine = unsent.get(id)
  if (mine && mine.epoch === data.epoch) { if (area.value !== mine.text) area.value = mine.text }
  else if (area.dataset.epoch !== data.epoch + id || document.activeElement !== area) {
    unsent.delete(id)
    if (area.value !== data.value) area.value = data.value
  }
  area.dataset.epoch = data.epoch + id
  const tell = () => { kept.textContent = unsent.has(id) ? "saving …" : data.kept }
  const send = () => { clearTimeout(area.timer); if (unsent.has(id)) setStateValue("typed", { slot: id, text: area.value }) }
  area.oninput = () => {
    unsent.set(id, { text: area.value, epoch: data.epoch }); tell()
    clearTimeout(area.timer); area.timer = setTimeout(send, PAUSE)
  }
  area.onblur = send
  // Letters typed here are no shortcuts of the page.
  area.onkeydown = (event) => { if (!event.ctrlKey && !event.metaKey) event.stopPropagation(); else if (event.key === "Enter") send() }
  senders.set(id, send)
  if (mine && mine.epoch === data.epoch) { clearTimeout(area.timer); area.timer = setTimeout(send, PAUSE) }
  tell()
  return () => { send(); senders.delete(id) }
}
"""

_component = st.components.v2.component("sapphire_text_box", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)


def text_box(
    label: str,
    value: str,
    *,
    slot: str,
    epoch: str,
    key: str,
    on_change: Callable[[str], None],
    kept: str = "",
    rows: int = 3,
    placeholder: str = "",
) -> None:
    """Draw a text area that calls `on_change` with its text a third of a second after the last key.

    Args:
        slot: what the text belongs to (case and field); text of one slot never reaches another.
        epoch: changes when the value changes by other means than typing here (undo, another case); then it replaces what stands.
        kept: what to say beside the label when all is stored.
    """

    def changed() -> None:
        said = st.session_state[key]["typed"]
        if said and said["slot"] == slot:
            on_change(said["text"])

    _component(
        key=key,
        data={
            "label": label,
            "value": value,
            "slot": slot,
            "epoch": epoch,
            "kept": kept,
            "rows": rows,
            "placeholder": placeholder,
        },
        # Not "value": Streamlit 1.67 unwraps a state of that name and then calls no callback.
        on_typed_change=changed,
    )
