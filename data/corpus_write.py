"""From a stay to a note: one of the styles of `style.yaml`, filled with the phrases of the split, each mention's words kept for quoting."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from data.corpus_frames import Frames, Segment, choose, fill, joined, sentences
from data.corpus_noise import Noise
from data.corpus_phrase import Phrase
from data.corpus_stay import Mention, Stay
from data.corpus_tables import Condition, Tables

WORDS = (80, 450)
BARE = ""  # an empty segment before a line that is no item of the list
LENGTHS = (80, 80, 90, 110, 140, 180, 240, 300)  # words that a writer likes to reach
CRITICAL = ("J96", "J80", "R57", "R652", "I46", "A41", "T811")
NUMBERS = re.compile(r"[{\d]")
CHRONIC = re.compile(r"chronic|permanent|persistent|dementia|cirrhosis|dependence|old |status|stage|sclerosis|syndrome")
SYSTEMS = {"I": "CV", "J": "Resp", "N": "Renal", "K": "GI", "A": "ID", "B": "ID", "G": "Neuro", "F": "Neuro", "E": "Endo/FEN", "D": "Heme", "R": "Other"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """`evidence` holds for each mention (by its key) its wordings as they stand in the text, the first one first."""

    text: str
    style: str
    form: str  # "course" | "summary"
    evidence: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Style:
    name: str
    weight: float
    settings: tuple[str, ...]
    needs: str
    blocks: str
    lines: bool
    clipped: float
    short: float


class Writer:
    """Writes the notes of one split."""

    def __init__(self, tables: Tables, split: str):
        self.tables, self.split = tables, split
        self.frames = Frames(tables, split)
        self.noise = Noise(tables)
        self.styles = [_style(name, raw) for name, raw in tables.style["styles"].items()]
        self.heads = tables.style["heads"]
        self.places = tables.style["places"]
        self.summary = float(tables.style["summary"])

    def write(self, stay: Stay, rng: Random) -> Note:
        style = _choose_style(rng, self.styles, stay)
        page = _Page(self, stay, style, rng)
        return page.summary() if rng.random() < self.summary else page.course()


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


def _choose_style(rng: Random, styles: Sequence[Style], stay: Stay) -> Style:
    has = {
        "": True,
        "surgery": any(p.is_or for p in stay.grouping.procedures),
        "critical": any(item.code.startswith(CRITICAL) for item in stay.coded)
        or any(procedure.code.startswith("5A19") for procedure in stay.grouping.procedures),
    }
    fitting = [style for style in styles if stay.setting in style.settings and has[style.needs]]
    return rng.choices(fitting, [style.weight for style in fitting])[0]


@dataclass
class _Page:
    """One note in the making."""

    writer: Writer
    stay: Stay
    style: Style
    rng: Random
    slots: dict[str, str] = field(init=False)
    quiet: dict[str, list[Mention]] = field(init=False)
    used: dict[str, dict[str, str]] = field(default_factory=dict)  # of each mention: its phrases and how they came out

    def __post_init__(self):
        self.said: set[str] = set()
        self.clipped = self.rng.random() < self.style.clipped
        self.slots = _slots(self.stay, self.rng)
        self.head = self.rng.choice(self.writer.heads.get(self.style.name, [""]))
        self.system = {}
        self._sort_secondaries()
        self.makers: dict[str, Callable[[], list[list[Segment]]]] = {
            "intro": self._opening, "opening": self._opening, "pmh": lambda: self._quiet("pmh"), "findings": self._findings,
            "named": self._named, "care": self._care, "procedures": self._procedures, "recovery": self._recovery,
            "actives": self._actives, "denials": self._denials, "minors": lambda: self._quiet("minors"), "close": self._close,
            "greeting": lambda: [self._frame("greeting", {})], "regards": lambda: [self._frame("regards", {})],
            "problems": self._problems, "systems": self._systems,
        }  # fmt: skip

    # ------------------------------------------------------------ phrases
    def _phrase(self, phrases: Sequence[Phrase], mention: Mention, key: str | None = None) -> Segment:
        """One of a record's phrases, not one that this note has used."""
        used = self.used.setdefault(mention.key, {})
        fresh = [phrase for phrase in phrases if phrase.text not in used] or phrases
        phrase = fresh[int(self.rng.random() * len(fresh))]
        if phrase.text not in used:
            used[phrase.text] = phrase.render(self.rng, self._slots_of(mention))
        return Segment(used[phrase.text], key)

    def _several(self, phrases: Sequence[Phrase], mention: Mention, count: int) -> list[Segment]:
        """Up to so many different phrases as an enumeration."""
        drawn = {self._phrase(phrases, mention).text for _ in range(min(count, len(phrases)))}
        return joined([[Segment(text)] for text in sorted(drawn, key=list(self.used[mention.key].values()).index)])

    def _slots_of(self, mention: Mention) -> dict[str, str]:
        return self.slots.setdefault(mention.key, {**self.slots["given"], **mention.coding.slots})

    def _it(self, mention: Mention) -> list[Segment]:
        """The words that name a mention, as its role wants them."""
        split, words = self.writer.split, mention.record.words
        if mention.role in self.writer.frames.roles:
            return self._only(mention)
        if not mention.uncertain:
            return [self._phrase(self._fresh(words.of(split), mention), mention, mention.key)]
        plain = [phrase for phrase in words.of(split) if _plain(phrase)] or words.of(split)
        inner = self._phrase(plain, mention)
        frame = choose(self.rng, self.writer.frames.uncertain, {"it": [inner]})
        return [_one(fill(self.rng, frame, {"it": [inner]}, self.slots["given"]), mention.key)]

    def _fresh(self, words: Sequence[Phrase], mention: Mention) -> Sequence[Phrase]:
        """For a second mention: words without numbers, which could contradict the first, or the first ones again."""
        said = [phrase for phrase in words if phrase.text in self.used.get(mention.key, {})]
        return (
            [phrase for phrase in words if not NUMBERS.search(phrase.text) and phrase not in said] or said
            if said
            else words
        )

    def _only(self, mention: Mention) -> list[Segment]:
        """What is named and not present: the whole phrase is the evidence, for it says so."""
        record, split = mention.record, self.writer.split
        plain = [phrase for phrase in record.words.of(split) if _plain(phrase)] or record.words.of(split)
        holes = {"it": [self._phrase(plain, mention)]}
        if isinstance(record, Condition) and record.ruled_out_by:
            holes["by"] = [self._phrase(record.ruled_out_by.of(split), mention)]
        frame = choose(self.rng, self.writer.frames.roles[mention.role], holes)
        return [_one(fill(self.rng, frame, holes, self.slots["given"]), mention.key)]

    def _holes(self, mention: Mention, findings: int = 1, cares: bool = True) -> dict[str, list[Segment]]:
        record, split = mention.record, self.writer.split
        holes = {"it": self._it(mention)}
        if isinstance(record, Condition):
            told = any(character.isdigit() for character in holes["it"][0].text)  # numbers of its own
            if record.findings and self.rng.random() < (0.15 if told else 0.85):
                holes["finding"] = [self._phrase(record.findings.of(split), mention)]
                holes["findings"] = self._several(record.findings.of(split), mention, findings)
            if cares and record.care and self.rng.random() < 0.75:
                holes["care"] = [self._phrase(record.care.of(split), mention)]
        return holes

    def _frame(self, block: str, holes: dict[str, list[Segment]]) -> list[Segment]:
        frame = choose(self.rng, self.writer.frames.of(self.style.name, block), holes)
        return fill(self.rng, frame, holes, self.slots["given"], self.clipped)

    # ------------------------------------------------------------ who stands where
    def _sort_secondaries(self) -> None:
        """Secondary conditions that make no trouble go into lists; the others get sentences."""
        both = [name for name in ("pmh", "minors") if name in self.style.blocks or "(problems)" in self.style.blocks]
        mode = self.rng.choice([*both, "mixed"]) if both else ""
        self.quiet, self.active = {"pmh": [], "minors": []}, []
        self.only, self.done = [], []
        for mention in self.stay.mentions[1:]:
            if mention.role == "procedure":
                self.done.append(mention)
            elif mention.role not in ("secondary", "rival"):
                self.only.append(mention)
            elif both and _may_be_quiet(mention) and self.rng.random() < 0.75:
                self.quiet[self.rng.choice(both) if mode == "mixed" else mode].append(mention)
            else:
                self.active.append(mention)
        self.rng.shuffle(self.active)

    # ------------------------------------------------------------ blocks: each gives sentences
    def _opening(self) -> list[list[Segment]]:
        record = self.stay.principal.record
        story = self._phrase(record.story.of(self.writer.split), self.stay.principal)
        block = "intro" if "intro" in self.style.blocks else "opening"
        return [self._frame(block, {"story": [story]})]

    def _findings(self) -> list[list[Segment]]:
        mention = self.stay.principal
        pool = mention.record.findings.of(self.writer.split)
        return [self._frame("findings", {"findings": self._several(pool, mention, self.rng.randint(1, 3))})]

    def _named(self) -> list[list[Segment]]:
        rival = any(mention.role == "rival" for mention in self.stay.mentions)
        return [self._frame("named_rival" if rival else "named", {"it": self._it(self.stay.principal)})]

    def _care(self) -> list[list[Segment]]:
        mention = self.stay.principal
        pool = mention.record.care.of(self.writer.split)
        first = self._frame("care", {"care": [self._phrase(pool, mention)]})
        if len(pool) < 2 or self.rng.random() < 0.5:
            return [first]
        return [first, self._frame("more_care", {"care": [self._phrase(pool, mention)]})]

    def _procedures(self) -> list[list[Segment]]:
        block = "procedure" if self.writer.frames.own(self.style.name, "procedure") else "procedures"
        return [self._frame(block, {"it": self._it(mention)}) for mention in self.done]

    def _recovery(self) -> list[list[Segment]]:
        operated = (
            any(procedure.is_or for procedure in self.stay.grouping.procedures) or self.stay.setting == "obstetric"
        )
        return [self._frame("recovery", {})] if operated and self.rng.random() < 0.7 and self._leaves() else []

    def _leaves(self) -> bool:
        return self.stay.disposition not in ("died", "hospice", "ama")

    def _actives(self) -> list[list[Segment]]:
        blocks = {"rival": "rival", "secondary": "active"}
        return [
            self._frame("late" if mention.late else blocks[mention.role], self._holes(mention))
            for mention in self.active
        ]

    def _denials(self) -> list[list[Segment]]:
        found = self.rng.sample(self.only, len(self.only))
        blocks = ["denials" if mention.role == "ruled out" else "backgrounds" for mention in found]
        return [self._frame(block, {"denial": self._it(m)}) for block, m in zip(blocks, found, strict=True)]

    def _quiet(self, block: str) -> list[list[Segment]]:
        found = self.quiet[block]
        if not found:
            return []
        items = joined([self._it(mention) for mention in found], last=self.rng.choice((", ", " and ")))
        return [self._frame(block, {"list": items})]

    def _close(self) -> list[list[Segment]]:
        frames = self.writer.frames.close[self.stay.disposition]
        return [fill(self.rng, choose(self.rng, frames, {}), {}, self.slots["given"], self.clipped)]

    def _problems(self) -> list[list[Segment]]:
        principal = self._frame("problem", self._holes(self.stay.principal, findings=self.rng.randint(1, 3)))
        others = [
            self._frame("late" if mention.late else "problem", self._holes(mention, self.rng.randint(1, 2)))
            for mention in self.active
        ]
        others += [self._frame("minor", {"list": items}) for items in self._minor_lists()]
        for mention in self.only:
            block = "denial" if mention.role == "ruled out" else "backgrounds"
            others.append(self._frame(block, {"denial": self._it(mention)}))
        done = self._procedures()
        self.rng.shuffle(others)
        if self.rng.random() < 0.2:
            others.insert(self.rng.randint(0, len(others)), principal)
            return [*others, *done]
        return [principal, *done, *others] if self.rng.random() < 0.7 else [principal, *others, *done]

    def _minor_lists(self) -> list[list[Segment]]:
        items = [self._it(mention) for mention in self.quiet["minors"]]
        if self.rng.random() < 0.5:
            return items
        return [joined(items, last=", ")] if items else []

    def _systems(self) -> list[list[Segment]]:
        mentions = [self.stay.principal, *self.active]
        lines = []
        for mention in mentions:
            frame = self._frame("late" if mention.late else "system", self._holes(mention, self.rng.randint(1, 3)))
            system = SYSTEMS.get(mention.coding.codes[0][0], "Other")
            lines.append([Segment(f"{system}: "), *frame])
        first, rest = lines[0], lines[1:]
        self.rng.shuffle(rest)
        return [first, *self._procedures(), *rest]

    def _noise(self, free: list[str]) -> list[Segment] | None:
        holes = {}
        if values := self.writer.noise.values(self.rng, free):
            holes["labs"] = [Segment(values)]
        block = "noise_died" if self.stay.disposition == "died" else "noise"
        frames = [f for f in self.writer.frames.of(self.style.name, block) if f.text not in self.said]
        frames = [f for f in frames if holes or "{labs}" not in f.text]
        if not frames:
            return None
        frame = self.rng.choice(frames)
        self.said.add(frame.text)
        return fill(self.rng, frame, holes, self.slots["given"], self.clipped)

    # ------------------------------------------------------------ the whole
    def course(self) -> Note:
        return self._finish(self._paragraphs(), "course")

    def _paragraphs(self, without: Iterable[str] = ()) -> list[list[list[Segment]]]:
        """Paragraphs of sentences, with noise between them until the note is long enough."""
        paragraphs = []
        for group in self.style.blocks.split():
            sentences_ = []
            for block in group.split("+"):
                if block.strip("()") not in without:  # a summary says it elsewhere
                    sentences_ += self.makers[block.strip("()")]()
            if sentences_ and self.style.lines:
                paragraphs += [[sentence] for sentence in sentences_]
            elif sentences_:
                paragraphs.append(sentences_)
        if self.rng.random() < 0.12 and len(paragraphs) > 2:
            at = self.rng.randint(2, len(paragraphs) - 1)
            paragraphs.insert(at, [self._copied()])
        self._add_noise(paragraphs)
        return paragraphs

    def _copied(self) -> list[Segment]:
        """What copy-forward does: findings of the principal diagnosis once more, with the numbers they had."""
        mention = self.stay.principal
        known = [p for p in mention.record.findings.of(self.writer.split) if p.text in self.used[mention.key]]
        pool = known or mention.record.findings.of(self.writer.split)
        return self._frame("copied", {"findings": [self._phrase(pool, mention)]})

    def _add_noise(self, paragraphs: list) -> None:
        wanted, least = self.rng.choice((0, 0, 1, 1, 2, 3)), self.rng.choice(LENGTHS)
        written = _text(segment for p in paragraphs for s in p for segment in s)
        count = len(written.split())
        free = self.writer.noise.free((item.code for item in self.stay.coded), written)
        most = len(paragraphs) + 6
        while (wanted > 0 or count < least) and len(self.said) < most and (noise := self._noise(free)):
            at = self.rng.randint(1, len(paragraphs) - 1) if len(paragraphs) > 1 else 0
            if self.style.lines:
                paragraphs.insert(at, [[Segment(BARE), *noise]])
            else:
                last = len(paragraphs[at]) - (at == len(paragraphs) - 1)  # nothing after the leave-taking
                paragraphs[at].insert(self.rng.randint(min(1, last), last), noise)
            count += len(_text(noise).split())
            wanted -= 1

    def _join(self, paragraphs: list[list[list[Segment]]], gap: str) -> list[Segment]:
        out: list[Segment] = []
        number = 0
        for paragraph in paragraphs:
            if out:
                out.append(Segment(gap))
            bare = paragraph[0][0].text == BARE
            if self.style.lines and self.head and paragraph is not paragraphs[0] and not bare:
                number += 1
                out.append(Segment(self.head.replace("1", str(number))))
            out += sentences(joined(paragraph, " ", " "))
        return out

    def _finish(self, paragraphs, form: str) -> Note:
        gap = "\n" if self.style.lines else self.rng.choice(("\n\n", "\n", " "))
        return self._note(self._join(paragraphs, gap), form)

    def _note(self, segments: list[Segment], form: str) -> Note:
        if self.rng.random() < self.style.short:
            segments = self.writer.noise.abbreviated(self.rng, segments)
        if self.rng.random() < 0.3:
            segments = self.writer.noise.misspelt(self.rng, segments)
        evidence: dict[str, list[str]] = {}
        for text, key in segments:
            if key:
                evidence.setdefault(key, []).append(text)
        return Note(_text(segments), self.style.name, form, evidence)

    def summary(self) -> Note:
        """A full discharge summary: the course under its heading, among the sections of one of the layouts."""
        layout = [part.split(" = ") for part in self.rng.choice(self.writer.frames.headings).split(" | ")]
        wanted = {what.strip() for _, what in layout}
        elsewhere = {"greeting", "regards"} | ({"opening", "intro", "close"} if "opening" in wanted else set())
        if "pmh" in wanted and self.quiet["pmh"]:
            elsewhere.add("pmh")
        if "findings" in wanted:
            elsewhere.add("findings")
        inline = self.rng.random() < 0.4
        out: list[Segment] = []
        for heading, what in layout:
            body = self._section(what.strip(), elsewhere)
            if body:
                heading = "" if what.strip() == "blank" else heading.strip()
                out += [Segment("\n\n" if out and not inline else "\n" if out else ""), Segment(heading)]
                out += [
                    Segment(" " if inline and what.strip() != "course" and heading else "\n" if heading else ""),
                    *body,
                ]
        return self._note(out, "summary")

    def _section(self, what: str, elsewhere: set[str]) -> list[Segment]:
        if what == "course":
            return self._join(self._paragraphs(elsewhere), "\n" if self.style.lines else "\n\n")
        if what == "blank":
            return [Segment("DISCHARGE SUMMARY" if self.writer.split != "test" else "DISCHARGE NOTE")]
        if what in ("opening", "pmh", "findings"):
            return sentences(joined(self.makers[what]() if what in elsewhere else [], " ", " "))
        if what == "procedures":
            return joined([self._it(mention) for mention in self.done], "\n", "\n") or [Segment("None")]
        if what in ("diagnoses", "first", "others"):
            return self._diagnoses(what)
        if what == "place":
            return [Segment(self.rng.choice(self.writer.places[self.stay.disposition]))]
        name = "deceased" if what == "condition" and self.stay.disposition == "died" else what
        if self.stay.disposition == "died" and what in ("advice", "medicines"):
            return []
        phrase = choose(self.rng, self.writer.frames.fillers[name], {})
        return fill(self.rng, phrase, {}, self.slots["given"])

    def _diagnoses(self, what: str) -> list[Segment]:
        first = [] if what == "others" else [self.stay.principal]
        others = [] if what == "first" else [m for m in self.stay.mentions[1:] if m.role in ("secondary", "rival")]
        items = [self._it(mention) for mention in (*first, *others)]
        numbered = self.rng.random() < 0.5 and len(items) > 1
        rows = [[Segment(f"{i}. " if numbered else ""), *item] for i, item in enumerate(items, 1)]
        return joined(rows, "\n", "\n")


def _plain(phrase: Phrase) -> bool:
    """A wording that may stand after "history of" or "no evidence of": short, without numbers and asides."""
    return len(phrase.parts) == 1 and len(phrase.text.split()) <= 6 and not re.search(r"[\d,;:(]|\bwith\b", phrase.text)


def _one(segments: Iterable[Segment], key: str) -> Segment:
    return Segment(_text(segments), key)


def _text(segments: Iterable[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _may_be_quiet(mention: Mention) -> bool:
    """Chronic and without trouble: fit for a list of past diagnoses."""
    record = mention.record
    if mention.role != "secondary" or mention.late or mention.uncertain or record.onset:
        return False
    return record.level == "none" or bool(CHRONIC.search(record.name.text))


def _slots(stay: Stay, rng: Random) -> dict:
    male = stay.sex == "M"
    if stay.age >= 18:
        person = rng.choice(("man", "gentleman", "male", "M") if male else ("woman", "lady", "female", "woman"))
        person = person if person != "M" else "man"
    else:
        person = "boy" if male else "girl"
    given = {
        "age": str(stay.age),
        "sex": stay.sex,
        "man": person,
        "he": rng.choice(("he", "he", "the patient")) if male else rng.choice(("she", "she", "the patient")),
        "his": "his" if male else "her",
        "him": "him" if male else "her",
        "mr": ("Mr." if male else rng.choice(("Ms.", "Mrs."))) if stay.age >= 18 else "Patient",
        "boy_girl": "boy" if male else "girl",
        "los": str(stay.days + 1),
    }
    return {"given": given}
