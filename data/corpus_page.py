"""A note in the making: the words of every mention and the blocks of sentences that the styles of `style.yaml` are made of."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random

from data.corpus_drawing import Mention
from data.corpus_frames import Frames, Segment, choose, fill, joined, text_of
from data.corpus_noise import Noise
from data.corpus_phrase import Phrase
from data.corpus_stay import Stay
from data.corpus_tables import Condition

NUMBERS = re.compile(r"[{\d]")
CHRONIC = re.compile(r"chronic|permanent|persistent|dementia|cirrhosis|dependence|old |status|stage|sclerosis|syndrome")
SYSTEMS = {"I": "CV", "J": "Resp", "N": "Renal", "K": "GI", "A": "ID", "B": "ID", "G": "Neuro", "F": "Neuro", "E": "Endo/FEN", "D": "Heme"}  # fmt: skip


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


@dataclass
class Page:
    """One note in the making: which words stand for each mention, who gets sentences and who a place in a list, and the blocks."""

    frames: Frames
    values: Noise
    stay: Stay
    style: Style
    thorough: bool
    rng: Random
    slots: dict[str, str] = field(init=False)
    quiet: dict[str, list[Mention]] = field(init=False)
    used: dict[str, dict[str, str]] = field(default_factory=dict)  # of each mention: its phrases and how they came out

    def __post_init__(self):
        self.said: set[str] = set()
        self.clipped = self.rng.random() < self.style.clipped
        self.slots = _slots(self.stay, self.rng)
        self.split = self.frames.split
        self._sort_secondaries()
        self.makers: dict[str, Callable[[], list[list[Segment]]]] = {
            "intro": self._opening, "opening": self._opening, "pmh": lambda: self._quiet("pmh"), "findings": self._findings,
            "named": self._named, "care": self._care, "procedures": self._procedures, "recovery": self._recovery,
            "actives": self._actives, "denials": self._denials, "minors": lambda: self._quiet("minors"), "close": self._close,
            "greeting": lambda: [self.frame("greeting", {})], "regards": lambda: [self.frame("regards", {})],
            "problems": self._problems, "systems": self._systems,
        }  # fmt: skip

    # ------------------------------------------------------------ phrases
    def phrase(self, phrases: Sequence[Phrase], mention: Mention, key: str | None = None) -> Segment:
        """One of a record's phrases, not one that this note has used."""
        used = self.used.setdefault(mention.key, {})
        fresh = [phrase for phrase in phrases if phrase.text not in used] or phrases
        phrase = fresh[int(self.rng.random() * len(fresh))]
        if phrase.text not in used:
            used[phrase.text] = phrase.render(self.rng, self._slots_of(mention))
        return Segment(used[phrase.text], key)

    def _several(self, phrases: Sequence[Phrase], mention: Mention, count: int) -> list[Segment]:
        """Up to so many different phrases as an enumeration."""
        drawn = {self.phrase(phrases, mention).text for _ in range(min(count, len(phrases)))}
        return joined([[Segment(text)] for text in sorted(drawn, key=list(self.used[mention.key].values()).index)])

    def _slots_of(self, mention: Mention) -> dict[str, str]:
        return self.slots.setdefault(mention.key, {**self.slots["given"], **mention.coding.slots})

    def it(self, mention: Mention) -> list[Segment]:
        """The words that name a mention, as its role wants them."""
        split, words = self.split, mention.record.words
        if mention.role in self.frames.roles:
            return self._only(mention)
        if not mention.uncertain:
            return [self.phrase(self._fresh(words.of(split), mention), mention, mention.key)]
        plain = [phrase for phrase in words.of(split) if _plain(phrase)] or words.of(split)
        inner = self.phrase(plain, mention)
        frame = choose(self.rng, self.frames.uncertain, {"it": [inner]})
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
        record, split = mention.record, self.split
        plain = [phrase for phrase in record.words.of(split) if _plain(phrase)] or record.words.of(split)
        holes = {"it": [self.phrase(plain, mention)]}
        if isinstance(record, Condition) and record.ruled_out_by:
            holes["by"] = [self.phrase(record.ruled_out_by.of(split), mention)]
        frame = choose(self.rng, self.frames.roles[mention.role], holes)
        return [_one(fill(self.rng, frame, holes, self.slots["given"]), mention.key)]

    def _holes(self, mention: Mention, findings: int = 1) -> dict[str, list[Segment]]:
        record, split = mention.record, self.split
        findings += self.thorough
        holes = {"it": self.it(mention)}
        if isinstance(record, Condition):
            told = any(character.isdigit() for character in holes["it"][0].text)  # numbers of its own
            if record.findings and self.rng.random() < (0.05 if told else 0.85):
                holes["finding"] = [self.phrase(record.findings.of(split), mention)]
                holes["findings"] = self._several(record.findings.of(split), mention, findings)
            if record.care and self.rng.random() < (0.95 if self.thorough else 0.7):
                holes["care"] = [self.phrase(record.care.of(split), mention)]
        return holes

    def frame(self, block: str, holes: dict[str, list[Segment]]) -> list[Segment]:
        frame = choose(self.rng, self.frames.of(self.style.name, block), holes)
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
            elif both and _may_be_quiet(mention) and self.rng.random() < (0.3 if self.thorough else 0.75):
                self.quiet[self.rng.choice(both) if mode == "mixed" else mode].append(mention)
            else:
                self.active.append(mention)
        self.rng.shuffle(self.active)

    # ------------------------------------------------------------ blocks: each gives sentences
    def _opening(self) -> list[list[Segment]]:
        record = self.stay.principal.record
        stories = record.story.of(self.split) + (record.booked.of(self.split) if self.stay.plan.procedures else ())
        story = self.phrase(stories, self.stay.principal)
        block = "intro" if "intro" in self.style.blocks else "opening"
        return [self.frame(block, {"story": [story]})]

    def _findings(self) -> list[list[Segment]]:
        mention = self.stay.principal
        pool = mention.record.findings.of(self.split)
        return [self.frame("findings", {"findings": self._several(pool, mention, self.rng.randint(1, 3))})]

    def _named(self) -> list[list[Segment]]:
        rival = any(mention.role == "rival" for mention in self.stay.mentions)
        return [self.frame("named_rival" if rival else "named", {"it": self.it(self.stay.principal)})]

    def _care(self) -> list[list[Segment]]:
        mention = self.stay.principal
        pool = mention.record.care.of(self.split)
        first = self.frame("care", {"care": [self.phrase(pool, mention)]})
        if len(pool) < 2 or (self.rng.random() < 0.5 and not self.thorough):
            return [first]
        return [first, self.frame("more_care", {"care": [self.phrase(pool, mention)]})]

    def _procedures(self) -> list[list[Segment]]:
        block = "procedure" if self.frames.own(self.style.name, "procedure") else "procedures"
        return [self.frame(block, {"it": self.it(mention)}) for mention in self.done]

    def _recovery(self) -> list[list[Segment]]:
        operated = (
            any(procedure.is_or for procedure in self.stay.grouping.procedures) or self.stay.setting == "obstetric"
        )
        return [self.frame("recovery", {})] if operated and self.rng.random() < 0.7 and self._leaves() else []

    def _leaves(self) -> bool:
        return self.stay.disposition not in ("died", "hospice", "ama")

    def _actives(self) -> list[list[Segment]]:
        blocks = {"rival": "rival", "secondary": "active"}
        return [
            self.frame("late" if mention.late else blocks[mention.role], self._holes(mention))
            for mention in self.active
        ]

    def _denials(self) -> list[list[Segment]]:
        found = self.rng.sample(self.only, len(self.only))
        blocks = ["denials" if mention.role == "ruled out" else "backgrounds" for mention in found]
        return [self.frame(block, {"denial": self.it(m)}) for block, m in zip(blocks, found, strict=True)]

    def _quiet(self, block: str) -> list[list[Segment]]:
        found = self.quiet[block]
        if not found:
            return []
        items = joined([self.it(mention) for mention in found], last=self.rng.choice((", ", " and ")))
        return [self.frame(block, {"list": items})]

    def _close(self) -> list[list[Segment]]:
        frames = self.frames.close[self.stay.disposition]
        return [fill(self.rng, choose(self.rng, frames, {}), {}, self.slots["given"], self.clipped)]

    def _problems(self) -> list[list[Segment]]:
        principal = self.frame("problem", self._holes(self.stay.principal, findings=self.rng.randint(1, 3)))
        others = [
            self.frame("late" if mention.late else "problem", self._holes(mention, self.rng.randint(1, 2)))
            for mention in self.active
        ]
        others += [self.frame("minor", {"list": items}) for items in self._minor_lists()]
        for mention in self.only:
            block = "denial" if mention.role == "ruled out" else "backgrounds"
            others.append(self.frame(block, {"denial": self.it(mention)}))
        done = self._procedures()
        self.rng.shuffle(others)
        if self.rng.random() < 0.2:
            others.insert(self.rng.randint(0, len(others)), principal)
            return [*others, *done]
        return [principal, *done, *others] if self.rng.random() < 0.7 else [principal, *others, *done]

    def _minor_lists(self) -> list[list[Segment]]:
        items = [self.it(mention) for mention in self.quiet["minors"]]
        if self.rng.random() < 0.5:
            return items
        return [joined(items, last=", ")] if items else []

    def _systems(self) -> list[list[Segment]]:
        mentions = [self.stay.principal, *self.active]
        lines = []
        for mention in mentions:
            frame = self.frame("late" if mention.late else "system", self._holes(mention, self.rng.randint(1, 3)))
            system = SYSTEMS.get(mention.coding.codes[0][0], "Other")
            lines.append([Segment(f"{system}: "), *frame])
        first, rest = lines[0], lines[1:]
        self.rng.shuffle(rest)
        return [first, *self._procedures(), *rest]

    def copied(self) -> list[Segment]:
        """What copy-forward does: findings of the principal diagnosis once more, with the numbers they had."""
        mention = self.stay.principal
        pool = mention.record.findings.of(self.split)
        known = [phrase for phrase in pool if phrase.text in self.used.get(mention.key, {})]
        return self.frame("copied", {"findings": [self.phrase(known or pool, mention)]})

    def noise(self, free: list[str]) -> list[Segment] | None:
        holes = {}
        if values := self.values.values(self.rng, free):
            holes["labs"] = [Segment(values)]
        block = "noise_died" if self.stay.disposition == "died" else "noise"
        if block == "noise" and self.stay.age < 18 and not self.frames.own(self.style.name, "noise"):
            block = "noise_child"
        frames = [f for f in self.frames.of(self.style.name, block) if f.text not in self.said]
        frames = [f for f in frames if holes or "{labs}" not in f.text]
        if not frames:
            return None
        frame = self.rng.choice(frames)
        self.said.add(frame.text)
        return fill(self.rng, frame, holes, self.slots["given"], self.clipped)


def _plain(phrase: Phrase) -> bool:
    """A wording that may stand after "history of" or "no evidence of": short, without numbers and asides."""
    return len(phrase.parts) == 1 and len(phrase.text.split()) <= 6 and not re.search(r"[\d,;:(]|\bwith\b", phrase.text)


def _one(segments: Iterable[Segment], key: str) -> Segment:
    return Segment(text_of(segments), key)


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
