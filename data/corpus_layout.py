"""Blocks into a note: paragraphs or lists, noise between them, and the sections of a full discharge summary."""

from collections.abc import Iterable, Mapping, Sequence

from data.corpus_frames import Segment, choose, fill, joined, sentences, text_of
from data.corpus_page import Page

LENGTHS = (80, 80, 90, 110, 140, 180, 240, 320, 400)  # words that a writer likes to reach
ADULT = 18  # years
COPIED = 0.12  # share of notes in which something is copied forward
BARE = Segment("")  # before a line that is no item of the list

Sentence = list[Segment]


def course(page: Page, head: str) -> list[Segment]:
    """The hospital course alone. `head` stands before each item of a list ("# ", "1. "); its number goes up."""
    gap = "\n" if page.style.lines else page.rng.choice(("\n\n", "\n", " "))
    return _join(page, head, _paragraphs(page), gap)


def summary(page: Page, head: str, places: Mapping[str, Sequence[str]]) -> list[Segment]:
    """A full discharge summary: the course under its heading, among the sections of one of the layouts of `style.yaml`."""
    layout = [tuple(map(str.strip, part.split(" = "))) for part in page.rng.choice(page.frames.headings).split(" | ")]
    wanted = {what for _, what in layout}
    elsewhere = {"greeting", "regards"} | (wanted & {"pmh", "findings"})
    if "opening" in wanted:
        elsewhere |= {"opening", "intro"}
    if "place" in wanted:
        elsewhere.add("close")
    inline = page.rng.random() < 0.4
    out: list[Segment] = []
    for heading, what in layout:
        if body := _section(page, head, what, elsewhere, places):
            out.append(Segment("" if not out else "\n" if inline else "\n\n"))
            if what == "blank":
                out.append(Segment(heading))
            else:
                out += [Segment(heading), Segment(" " if inline and what != "course" else "\n"), *body]
    return out


def _section(page: Page, head: str, what: str, elsewhere: set[str], places: Mapping[str, Sequence[str]]) -> Sentence:
    """What stands under a heading; nothing where the heading is to be left out."""
    died = page.stay.disposition == "died"
    match what:
        case "course":
            return _join(page, head, _paragraphs(page, elsewhere), "\n" if page.style.lines else "\n\n")
        case "blank":
            return [BARE]
        case "opening" | "pmh" | "findings":
            return sentences(joined(page.makers[what](), " ", " "))
        case "procedures":
            return joined([page.it(mention) for mention in page.done], "\n", "\n") or [Segment("None")]
        case "diagnoses" | "first" | "others":
            return _diagnoses(page, what)
        case "place":
            return [Segment(page.rng.choice(places[page.stay.disposition]))]
        case "advice" | "medicines" | "exam" if died:
            return []
    child = f"child_{what}"
    suited = child if page.stay.age < ADULT and child in page.frames.fillers else what
    frames = page.frames.fillers["deceased" if what == "condition" and died else suited]
    return fill(page.rng, choose(page.rng, frames, {}), {}, page.slots["given"])


def _diagnoses(page: Page, what: str) -> Sentence:
    first = [] if what == "others" else [page.stay.principal]
    others = [] if what == "first" else [m for m in page.stay.mentions[1:] if m.role in ("secondary", "rival")]
    items = [page.it(mention) for mention in (*first, *others)]
    numbered = page.rng.random() < 0.5 and len(items) > 1
    rows = [[Segment(f"{i}. " if numbered else ""), *item] for i, item in enumerate(items, 1)]
    return joined(rows, "\n", "\n")


def _paragraphs(page: Page, without: Iterable[str] = ()) -> list[list[Sentence]]:
    """Paragraphs of sentences as the style orders its blocks; a summary says some of them elsewhere."""
    out: list[list[Sentence]] = []
    for group in page.style.blocks.split():
        blocks = [block.strip("()") for block in group.split("+")]
        written = [sentence for block in blocks if block not in without for sentence in page.makers[block]()]
        if page.style.lines:
            out += [[sentence] for sentence in written]
        elif written:
            out.append(written)
    if page.rng.random() < COPIED and len(out) > 2:
        out.insert(page.rng.randint(2, len(out) - 1), [page.copied()])
    _add_noise(page, out)
    return out


def _add_noise(page: Page, paragraphs: list[list[Sentence]]) -> None:
    """Sentences that mean nothing, some by chance and more until the note is as long as its writer likes it."""
    wanted, least = page.rng.choice((0, 0, 1, 1, 2, 3)), page.rng.choice(LENGTHS)
    written = text_of(segment for paragraph in paragraphs for sentence in paragraph for segment in sentence)
    count = page.values.fewest(written)
    free = page.values.free((item.code for item in page.stay.coded), written)
    most = 10 if page.thorough else 6
    while (count < LENGTHS[0] or ((wanted > 0 or count < least) and len(page.said) < most)) and (
        noise := page.noise(free)
    ):
        at = page.rng.randint(1, len(paragraphs) - 1) if len(paragraphs) > 1 else 0
        if page.style.lines:
            paragraphs.insert(at, [[BARE, *noise]])
        else:
            last = len(paragraphs[at]) - (at == len(paragraphs) - 1)  # nothing after the leave-taking
            paragraphs[at].insert(page.rng.randint(min(1, last), last), noise)
        count += page.values.fewest(text_of(noise))
        wanted -= 1


def _join(page: Page, head: str, paragraphs: list[list[Sentence]], gap: str) -> list[Segment]:
    out: list[Segment] = []
    number = 0
    for paragraph in paragraphs:
        if out:
            out.append(Segment(gap))
        if page.style.lines and paragraph is not paragraphs[0] and paragraph[0][0] is not BARE:
            number += 1
            out.append(Segment(head.replace("1", str(number))))
        out += sentences(joined(paragraph, " ", " "))
    return out
