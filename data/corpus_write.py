"""From a stay to a note: one of the styles of `style.yaml`, in the phrases of the split, each mention's words kept for quoting."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from data.corpus_frames import Frames, text_of
from data.corpus_layout import course, summary
from data.corpus_noise import Noise
from data.corpus_page import Page, Style
from data.corpus_stay import Stay
from data.corpus_tables import Tables

MISSPELT = 0.3  # share of notes with slips of the keyboard
CRITICAL = ("J96", "J80", "R57", "R652", "I46", "A41", "T811")
VENTILATION = "5A19"


@dataclass(frozen=True, slots=True)
class Note:
    """`evidence` holds for each mention (by its key) its wordings as they stand in the text, the first one first."""

    text: str
    style: str
    form: str  # "course" | "summary"
    evidence: dict[str, list[str]]


class Writer:
    """Writes the notes of one split."""

    def __init__(self, tables: Tables, split: str):
        style = tables.style
        self.frames = Frames(tables, split)
        self.noise = Noise(tables)
        self.styles = [_style(name, raw) for name, raw in style["styles"].items()]
        self.heads, self.places = style["heads"], style["places"]
        self.summary, self.thorough = float(style["summary"]), float(style["thorough"])

    def write(self, stay: Stay, rng: Random) -> Note:
        style = _choose(rng, self.styles, stay)
        page = Page(self.frames, self.noise, stay, style, rng.random() < self.thorough, rng)
        head = rng.choice(self.heads.get(style.name, ("",)))
        form = "summary" if rng.random() < self.summary else "course"
        segments = summary(page, head, self.places) if form == "summary" else course(page, head)
        if rng.random() < style.short:
            segments = self.noise.abbreviated(rng, segments)
        if rng.random() < MISSPELT:
            segments = self.noise.misspelt(rng, segments)
        evidence: dict[str, list[str]] = {}
        for text, key in segments:
            if key:
                evidence.setdefault(key, []).append(text)
        return Note(text_of(segments), style.name, form, evidence)


def _style(name: str, raw: dict) -> Style:
    return Style(
        name=name,
        weight=float(raw["weight"]),
        settings=tuple(raw["for"]),
        needs=raw.get("needs", ""),
        blocks=raw["blocks"],
        lines=raw.get("lines") == "yes",
        clipped=float(raw["clipped"]),
        short=float(raw["short"]),
    )


def _choose(rng: Random, styles: Sequence[Style], stay: Stay) -> Style:
    procedures = stay.grouping.procedures
    ventilated = any(procedure.code.startswith(VENTILATION) for procedure in procedures)
    has = {
        "": True,
        "surgery": any(procedure.is_or for procedure in procedures),
        "critical": ventilated or any(item.code.startswith(CRITICAL) for item in stay.coded),
    }
    fitting = [style for style in styles if stay.setting in style.settings and has[style.needs]]
    return rng.choices(fitting, [style.weight for style in fitting])[0]
