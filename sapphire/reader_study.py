"""The reader study: what readers think of predictions, whether they agree, and what seeing a model does to their own answer.

After the paper's study (arXiv 2505.21908, Fig. 4 and Table 4): Helpfulness and Accuracy from 1 to 5, and the kinds of error.
"""

import threading
from collections import Counter
from collections.abc import Callable

from sapphire import metrics
from sapphire.agreement import Agreement, agreement, hierarchy, nominal, ordinal
from sapphire.completions import parse
from sapphire.drg import lines
from sapphire.drg.codebook import codebook
from sapphire.reviewing import ERROR_CATEGORIES, RUBRIC, VERDICTS
from sapphire.store import Store
from sapphire.store.reader_study import LONGEST_PAUSE, StudyCopy, StudyFilter

__all__ = ["LONGEST_PAUSE", "ReaderStudy", "StudyFilter"]

# Of 100 wrong cases, as a physician sorted them in the paper.
PAPER_ERRORS = dict(zip(ERROR_CATEGORIES, (32, 25, 13, 12, 10, 8), strict=True))
PAPER_MEDIANS = {"helpfulness": 4, "accuracy": 4}
LINE_KINDS = {
    lines.PRINCIPAL: "principal diagnosis",
    lines.SECONDARY: "secondary diagnosis",
    lines.DENIED: "not coded",
    lines.MAIN_PROCEDURE: "procedure",
    lines.PROCEDURE: "procedure",
    lines.SEVERITY: "severity",
    lines.DRG: "DRG",
    lines.CANDIDATE: "candidate DRG",
    lines.VAGUE: "free words",
}
MOST_MARKED = 2_000  # reviews whose steps are read: each costs the parsing of a reasoning
COMPARED = {"exact": "DRG", "base": "Base DRG", "mdc": "MDC", "hierarchy": "DRG, weighted by the hierarchy"}


class ReaderStudy:
    """The study of one store's saved reviews. Safe to share between threads; what was reckoned is kept until a review comes in."""

    def __init__(self, store: Store):
        self.copy = StudyCopy(store)
        self._lock = threading.RLock()
        self._answers: dict[tuple, object] = {}
        self._revision = 0

    def refresh(self) -> None:
        with self._lock:
            self.copy.refresh()
            if self._revision != self.copy.revision:
                self._revision, self._answers = self.copy.revision, {}

    def counts(self, chosen: StudyFilter) -> dict[str, int]:
        """reviews, readers, cases, shared (cases with two readers or more)."""
        return self._once("counts", chosen, self.copy.counts)

    def ratings(self, chosen: StudyFilter, by: tuple[str, ...] = ("model", "reviewer")) -> list[dict]:
        """The distribution of each rating: rating, the columns of `by`, points, n, share, median (of its group)."""
        return self._once(
            ("ratings", by),
            chosen,
            lambda chosen: [row for rating in RUBRIC for row in self._distribution(chosen, rating, by)],
        )

    def _distribution(self, chosen: StudyFilter, rating: str, by: tuple[str, ...]) -> list[dict]:
        groups: dict[tuple, dict[int, int]] = {}
        for row in self.copy.ratings(chosen, rating, by):
            groups.setdefault(tuple(row[column] for column in by), {})[row["points"]] = row["n"]
        return [
            {"rating": rating, **dict(zip(by, group, strict=True)), "points": points, "n": counts.get(points, 0), "share": counts.get(points, 0) / sum(counts.values()), "median": median(counts)}
            for group, counts in groups.items()
            for points in range(1, 6)
        ]  # fmt: skip

    def agreements(self, chosen: StudyFilter) -> list[dict]:
        """Agreement on each rating and on the DRG at each level: what, kind, and the fields of `Agreement`; what cannot be reckoned is
        left out. DRGs are of the version that most reviews name."""
        return self._once("agreements", chosen, self._agreements)

    def _agreements(self, chosen: StudyFilter) -> list[dict]:
        found: list[tuple[str, str, Agreement | None]] = [
            (rating.capitalize(), "ordinal", agreement(self.copy.rating_patterns(chosen, rating), ordinal))
            for rating in RUBRIC
        ]
        if versions := self.copy.versions(chosen):
            book = codebook(next(iter(versions)))
            named = {
                pattern: n
                for pattern, n in self.copy.drg_patterns(chosen, book.version).items()
                if all(drg in book.drgs for drg in pattern)
            }
            for kind, words in COMPARED.items():
                of = {"base": lambda drg: drg.base_id, "mdc": lambda drg: drg.mdc}.get(kind)
                patterns = named if of is None else _mapped(named, lambda drg, of=of: of(book.drgs[drg]))
                found.append((words, "nominal" if kind != "hierarchy" else "distance 0, 1/3, 2/3, 1", agreement(patterns, hierarchy(book) if kind == "hierarchy" else nominal)))  # fmt: skip
        return [{"what": what, "kind": kind, **each._asdict()} for what, kind, each in found if each]

    def other_versions(self, chosen: StudyFilter) -> int:
        """Reviews whose DRG is of another version than the one compared."""
        return sum(list(self.copy.versions(chosen).values())[1:])

    def errors(self, chosen: StudyFilter) -> list[dict]:
        """The paper's Table 4 by model: category, series, share, n; then the paper's own."""
        return self._once("errors", chosen, self._errors)

    def _errors(self, chosen: StudyFilter) -> list[dict]:
        models: dict[str, Counter] = {}
        for row in self.copy.errors(chosen):
            if row["category"]:
                models.setdefault(row["model"], Counter())[row["category"]] += row["n"]
        ours = [
            {"category": words, "series": model, "share": counts[name] / counts.total(), "n": counts[name]}
            for model, counts in models.items()
            for name, words in ERROR_CATEGORIES.items()
        ]
        paper = [
            {
                "category": ERROR_CATEGORIES[name],
                "series": "DRG-Sapphire (paper, not comparable)",
                "share": n / 100,
                "n": n,
            }
            for name, n in PAPER_ERRORS.items()
        ]
        return ours + paper if ours else []

    def unsorted_errors(self, chosen: StudyFilter) -> int:
        """Reviews that call the DRG wrong and give no kind of error."""
        return sum(row["n"] for row in self.copy.errors(chosen) if not row["category"])

    def steps(self, chosen: StudyFilter) -> list[dict]:
        """Verdicts on reasoning steps by kind of line, over the newest MOST_MARKED reviews: kind, verdict, n, share of the kind's."""
        return self._once("steps", chosen, self._steps)

    def _steps(self, chosen: StudyFilter) -> list[dict]:
        counts: Counter = Counter()
        for row in self.copy.marked(chosen, MOST_MARKED):
            steps = parse(row["completion"], codebook(row["drg_version"])).steps
            for step, verdict in zip(steps, row["step_verdicts"], strict=False):
                if verdict:
                    read = lines.parse(step)
                    counts[LINE_KINDS[read[0].kind if len(read) == 1 else lines.VAGUE], verdict] += 1
        kinds = [
            kind for kind in dict.fromkeys(LINE_KINDS.values()) if any(counts[kind, verdict] for verdict in VERDICTS)
        ]
        totals = {kind: sum(counts[kind, verdict] for verdict in VERDICTS) for kind in kinds}
        return [
            {
                "kind": kind,
                "verdict": verdict,
                "n": counts[kind, verdict],
                "share": counts[kind, verdict] / totals[kind],
            }
            for kind in kinds
            for verdict in VERDICTS
        ]

    def times(self, chosen: StudyFilter, by: str) -> list[dict]:
        """Seconds on a case by "model" or "reviewer"; see `StudyCopy.times`."""
        return self._once(("times", by), chosen, lambda chosen: self.copy.times(chosen, by))

    def first_answers(self, chosen: StudyFilter, by: str) -> list[dict]:
        """Before and after seeing the model, by "model" or "reviewer": group, n, the four ways from first to last answer (`right_right`,
        `right_wrong`, `wrong_right`, `wrong_wrong`), `took` (changed to the model's DRG), `misled` of `could` (a right first answer
        met a wrong model and ended wrong) with Wilson's interval, low and high."""
        return self._once(("first", by), chosen, lambda chosen: _switches(self.copy.first_answers(chosen, by), by))

    def _once(self, what: object, chosen: StudyFilter, reckon: Callable[[StudyFilter], object]) -> object:
        with self._lock:
            if (what, chosen) not in self._answers:
                self._answers[what, chosen] = reckon(chosen)
            return self._answers[what, chosen]


def median(counts: dict[int, int]) -> float:
    """The median of values from their counts."""
    total, seen = sum(counts.values()), 0
    ranks = []
    for value in sorted(counts):
        seen += counts[value]
        while len(ranks) < 2 and seen > ((total - 1) // 2, total // 2)[len(ranks)]:
            ranks.append(value)
    return sum(ranks) / 2


def _mapped(patterns: dict[tuple, int], of: Callable[[str], str]) -> Counter:
    found: Counter = Counter()
    for pattern, n in patterns.items():
        found[tuple(sorted(map(of, pattern)))] += n
    return found


def _switches(rows: list[dict], by: str) -> list[dict]:
    groups: dict[str, Counter] = {}
    for row in rows:
        counts = groups.setdefault(row[by], Counter())
        first, last = ("right" if row[side] else "wrong" for side in ("first_right", "last_right"))
        counts[f"{first}_{last}"] += row["n"]
        counts["took"] += row["n"] * row["took"]
        if row["first_right"] and not row["model_right"]:
            counts["could"] += row["n"]
            counts["misled"] += row["n"] * (not row["last_right"])
    ways = ("right_right", "right_wrong", "wrong_right", "wrong_wrong")
    return [
        {"group": group, "n": sum(counts[way] for way in ways), **{name: counts[name] for name in (*ways, "took", "misled", "could")}, **_interval(counts)}
        for group, counts in groups.items()
    ]  # fmt: skip


def _interval(counts: Counter) -> dict:
    if not counts["could"]:
        return {"low": None, "high": None}
    found = metrics.wilson(counts["misled"], counts["could"])
    return {"low": found.low, "high": found.high}
