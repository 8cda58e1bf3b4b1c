"""Reasonings side by side: which steps say the same thing, and which of their words differ.

Steps that follow the line grammar (`drg/lines.py`) are matched by what they claim: the same codes, else the same kind of line
where there is only one of it. All others are matched by their words. The order of the first reasoning is kept, and what
only another one says is put after the step it follows there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sapphire.drg.lines import CANDIDATE, DRG, PRINCIPAL, SEVERITY, VAGUE, Line, parse

# Indel similarity of sorted words (0 to 1) above which two free sentences are about the same thing: with the titles and
# codes that any two sentences of one case share, unrelated ones reach 0.45.
ALIKE = 0.55
SINGLE = (PRINCIPAL, SEVERITY, DRG)
TOKEN = re.compile(r"\w+(?:[.']\w+)*|\s+|[^\w\s]")


@dataclass(frozen=True)
class Piece:
    """Some words of a step; `differs` when not every other reasoning of its row has them."""

    text: str
    differs: bool


@dataclass(frozen=True)
class Cell:
    """A step of one reasoning: its number there, counted from 1, and its text in pieces."""

    number: int
    pieces: tuple[Piece, ...]

    @property
    def text(self) -> str:
        return "".join(piece.text for piece in self.pieces)


@dataclass(frozen=True)
class Row:
    """What the reasonings say at one point: a cell each, None where one has nothing of it. `same`: all say it, word for word."""

    cells: tuple[Cell | None, ...]
    same: bool


def align(reasonings: Sequence[Sequence[str]]) -> list[Row]:
    """Rows of matching steps, each step in exactly one row, in the order of the first reasoning."""
    rows: list[list[int | None]] = [[i] for i in range(len(reasonings[0]))] if reasonings else []
    keys = [[_key(step) for step in steps] for steps in reasonings]
    for at in range(1, len(reasonings)):
        partners = _match(rows, keys, reasonings, at)
        place = {step: row for row, step in partners.items()}
        merged = [[*row, partners.get(i)] for i, row in enumerate(rows)]
        rows = _with_unmatched(merged, place, at, len(reasonings[at]))
    return [_row(row, reasonings) for row in rows]


def _with_unmatched(rows: list[list], place: dict[int, int], at: int, steps: int) -> list[list]:
    """`rows` with those steps of reasoning `at` that have no row yet, each after the row of the step before it."""
    after: dict[int, list[list]] = {}
    last = -1
    for step in range(steps):
        if step in place:
            last = place[step]
        else:
            after.setdefault(last, []).append([*[None] * at, step])
    ordered = list(after.get(-1, []))
    for i, row in enumerate(rows):
        ordered += [row, *after.get(i, [])]
    return ordered


def _match(
    rows: list[list[int | None]], keys: list[list], reasonings: Sequence[Sequence[str]], at: int
) -> dict[int, int]:
    """Row → step of reasoning `at`: the best pairs first, of equal ones the nearest in place."""
    if not rows or not reasonings[at]:
        return {}
    words = _similarities(rows, reasonings, at)
    scored = []
    for i, row in enumerate(rows):
        for j in range(len(reasonings[at])):
            claims = max(_claims_alike(keys[k][step], keys[at][j]) for k, step in enumerate(row) if step is not None)
            score = claims + words[i][j] if claims else words[i][j] if words[i][j] >= ALIKE else 0.0
            if score and claims >= 0:
                scored.append((-score, abs(i / len(rows) - j / len(reasonings[at])), i, j))
    partners: dict[int, int] = {}
    taken: set[int] = set()
    for _, _, i, j in sorted(scored):
        if i not in partners and j not in taken:
            partners[i] = j
            taken.add(j)
    return partners


def _similarities(rows: list[list[int | None]], reasonings: Sequence[Sequence[str]], at: int) -> list[list[float]]:
    """For each row and each step of reasoning `at`, how alike their words are at best, 0 to 1."""
    from rapidfuzz import fuzz, process

    best = None
    for k in range(at):
        texts = ["" if row[k] is None else reasonings[k][row[k]] for row in rows]
        # Both ways take the words in any order: what one sentence says first another says last.
        found = process.cdist(texts, reasonings[at], scorer=fuzz.token_sort_ratio, processor=str.lower) / 100
        best = found if best is None else best.clip(min=found)
    return best.tolist()


def _key(step: str) -> Line:
    return next(iter(parse(step)), Line(VAGUE))


def _claims_alike(one: Line, other: Line) -> float:
    """2 for the same codes in the same role, 1 for another claim of which there is only one, 0 for no claim, -1 for claims of
    different things, whose words must not be matched however alike they are."""
    if VAGUE in (one.kind, other.kind):
        return 0.0
    if one.kind in SINGLE or other.kind in SINGLE:
        return 1.0 + (one.codes == other.codes) if one.kind == other.kind else -1.0
    if CANDIDATE in (one.kind, other.kind):
        return 2.0 if (one.kind, one.title) == (other.kind, other.title) else -1.0
    if set(one.codes) & set(other.codes):
        return 2.0
    # I50.23 and I50.33 are two answers to one question: the category is what they share.
    return 1.0 if {code[:3] for code in one.codes} & {code[:3] for code in other.codes} else -1.0


def _row(steps: list[int | None], reasonings: Sequence[Sequence[str]]) -> Row:
    texts = [None if step is None else reasonings[k][step] for k, step in enumerate(steps)]
    tokens = [None if text is None else TOKEN.findall(text) for text in texts]
    present = [i for i, each in enumerate(tokens) if each is not None]
    alone = len(present) < 2 <= len(texts)
    differs = {i: [alone] * len(tokens[i]) for i in present}
    first = present[0]
    for other in present[1:]:
        for i, start, end in _differences(tokens[first], tokens[other], first, other):
            differs[i][start:end] = [True] * (end - start)
    cells = tuple(
        None if each is None else Cell(steps[i] + 1, _pieces(each, differs[i])) for i, each in enumerate(tokens)
    )
    return Row(cells, len(present) == len(texts) and not any(map(any, differs.values())))


def _differences(one: list[str], other: list[str], one_at: int, other_at: int):
    """Spans of tokens that the other lacks: (which, start, end). White space never differs."""
    from rapidfuzz.distance import Indel

    def words(tokens: list[str]) -> tuple[list[str], list[int]]:
        kept = [i for i, token in enumerate(tokens) if not token.isspace()]
        return [tokens[i].casefold() for i in kept], kept

    (left, left_at), (right, right_at) = words(one), words(other)
    for code in Indel.opcodes(left, right):
        if code.tag != "equal":
            for which, places, start, end in (
                (one_at, left_at, code.src_start, code.src_end),
                (other_at, right_at, code.dest_start, code.dest_end),
            ):
                if end > start:
                    yield which, places[start], places[end - 1] + 1


def _pieces(tokens: list[str], differs: list[bool]) -> tuple[Piece, ...]:
    pieces: list[Piece] = []
    for token, marked in zip(tokens, differs, strict=True):
        if pieces and pieces[-1].differs == marked:
            pieces[-1] = Piece(pieces[-1].text + token, marked)
        else:
            pieces.append(Piece(token, marked))
    return tuple(pieces)
