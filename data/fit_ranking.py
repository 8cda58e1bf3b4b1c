"""Fit the index's two ranking models and its classifier of words: `python -m data.fit_ranking --corpus DIR` (DIR made by `python -m data.corpus`).

Trains on `data/natural/train`, the classifier also on the first cases of the corpus's `train.parquet`, and on nothing else, and writes `sapphire/drg/tables/ranking.json` (weights by
name), `code_counts.tsv` and `leanings.npz`, and `data/natural/held_out.npz` for training prompts (see `held_out.py`). The tables in the project come from the
10,000 cases with seed 7.

First it prints what cross-validation over the notes by hand gives (each fold one writer's): how often the first candidate is right, and whether the
right DRG is among the candidates. The writers whose notes the index's wordings know stand apart from the others, who alone tell
what a new hand will meet.
"""

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

import sapphire.drg
from data import held_out
from data.fit_leanings import Labelled, out_of_fold
from data.fit_leanings import fit as fit_leanings
from data.natural import case, records
from sapphire.drg import grounding, icd, ranking
from sapphire.drg.codebook import Drg, codebook
from sapphire.drg.coding import rules
from sapphire.drg.conditions import find, level
from sapphire.drg.grounding import features, fitting, judged, principal_ways
from sapphire.drg.leanings import Leanings
from sapphire.drg.patient import Patient, patient
from sapphire.drg.ranking import Condition, Prior, gathered

TABLES = Path(sapphire.drg.__file__).parent / "tables"
FOLDER = Path(__file__).parent / "natural" / "train"
VERSION = "43.1"
# Writers from whose notes wordings were taken. In these notes, and all the more in the corpus's, the index finds more than it will in a new hand's, and a
# ranking that learns from them trusts its finds too much: one of these counts a quarter, and of the corpus none.
KNOWN = frozenset("abcdefghi")
OF_KNOWN = 0.25
LEARNT = 4000  # cases of the corpus that teach the classifier of words; with all 40,000 that there once were it was worse on notes by hand
IN_WORDS = 3.0  # what a note by hand weighs there against one of the corpus
RIDGE = 1.0
STEPS = 400


@dataclass
class Example:
    text: str
    who: Patient
    pdx: str
    codes: frozenset[str]
    drg: str
    writer: str  # of a note by hand, "" for the corpus
    conditions: list[Condition]
    leaning: Leanings | None = None

    @property
    def weight(self) -> float:
        return OF_KNOWN if self.writer in KNOWN else 1.0

    def reported(self, condition: Condition) -> bool:
        return any(code in self.codes or bool(_COMBINED.get(code, set()) & self.codes) for code in condition.codes[:1])

    def adds(self) -> dict[str, tuple[int, int, int]]:
        """What this note adds to the counts of codes."""
        out = {}
        for each in self.conditions:
            if each.status != ranking.FAMILY:
                out[each.codes[0]] = (1, int(self.reported(each)), int(self.first(each)))
        return out

    def first(self, condition: Condition) -> bool:
        code = condition.codes[0]
        return code == self.pdx or self.pdx in _COMBINED.get(code, ())


_COMBINED: dict[str, set[str]] = defaultdict(set)
for _rule in rules():
    for _old, _new in _rule.replace.items():
        _COMBINED[_old].add(_new)


def example(row: dict, writer: str = "") -> Example:
    who = patient(row["text"], row["age"], row["sex"], row["discharge_status"])
    return Example(
        text=row["text"],
        who=who,
        pdx=row["pdx"],
        codes=frozenset((row["pdx"], *row["sdx"], *row["procedures"])),
        drg=row["drg"],
        writer=writer,
        conditions=gathered(fitting(find(row["text"], VERSION), who)),
    )


def by_hand() -> list[Example]:
    """The training notes; the names of a writer's files begin with the writer's letters and a dash."""
    return [example(case(record, "natural-train", ""), record["file"].partition("-")[0]) for record in records(FOLDER)]


def of_corpus(rows: Sequence[dict]) -> list[Example]:
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(example, rows, chunksize=50))


def labelled(natural: Sequence[Example], rows: Sequence[dict]) -> list[Labelled]:
    """The notes by hand, each writer's a fold, then the corpus dealt out to the folds.

    A writer had a few fields of medicine. Scored by what learnt from the same writer, words would show the writer's way of speaking and so the field,
    and the ranking would trust them more than it may in a note of a new hand.
    """
    drgs, fold = codebook(VERSION).drgs, folds(natural)

    def label(text: str, drg: Drg, pdx: str, weight: float, fold: int) -> Labelled:
        return Labelled(text, drg.base, drg.mdc, drg.level, drg.type == "surgical", pdx, weight, fold)

    return [
        *(label(each.text, drgs[each.drg], each.pdx, IN_WORDS, fold[each.writer]) for each in natural),
        *(label(row["text"], drgs[row["drg"]], row["pdx"], 1.0, i % len(fold)) for i, row in enumerate(rows)),
    ]


def folds(natural: Sequence[Example]) -> dict[str, int]:
    """Writer → fold."""
    return {writer: i for i, writer in enumerate(sorted({each.writer for each in natural}))}


def count(examples: Iterable[Example]) -> dict[str, tuple[int, int, int]]:
    total: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for each in examples:
        for code, numbers in each.adds().items():
            for i, number in enumerate(numbers):
                total[code][i] += number
    return {code: (a, b, c) for code, (a, b, c) in total.items()}


def fit(examples: Sequence[Example]) -> tuple[dict, dict]:
    """The weights of both models and the counts, from these examples alone."""
    counts = count(examples)
    known = Prior(counts)
    weights = {"reported": _fit_reported(examples, known), "principal": {"principal rate": 1.0}}
    _use(weights)
    choices = []
    for each in examples:
        less = each.adds()
        conditions = judged(each.conditions, each.text, known, less)
        ways = principal_ways(conditions, each.text, each.who, VERSION, known, each.leaning, less)
        right = _right(ways, each)
        if any(right) and not all(right):
            choices.append(([way.features for way in ways], right, each.weight))
    weights["principal"] = _fit_principal(choices)
    return weights, counts


def _right(ways, each: Example) -> list[bool]:
    """The ways with the right principal diagnosis and base DRG; else with either, the base first."""
    drgs = codebook(VERSION).drgs
    base = [drgs[each.drg].base_id in {drgs[drg].base_id for drg in way.drgs} for way in ways]
    code = [way.code == each.pdx for way in ways]
    both = [a and b for a, b in zip(base, code, strict=True)]
    return both if any(both) else base if any(base) else code


def _use(weights: dict) -> None:
    """Let the runtime use these weights in this process."""
    ranking.weights = lambda: weights


def _fit_reported(examples: Sequence[Example], known: Prior) -> dict[str, float]:
    rows, labels, importance = [], [], []
    for each in examples:
        for condition, values in zip(
            each.conditions, features(each.conditions, each.text, known, each.adds()), strict=True
        ):
            rows.append(values)
            labels.append(each.reported(condition))
            importance.append(each.weight)
    names, x = _matrix(rows)
    y, w = np.array(labels, float), np.array(importance)
    b = np.zeros(len(names))
    for _ in range(12):  # Newton
        p = 1 / (1 + np.exp(-np.clip(x @ b, -30, 30)))
        gradient = x.T @ (w * (y - p)) - RIDGE * b
        hessian = (x * (w * p * (1 - p))[:, None]).T @ x + RIDGE * np.eye(len(b))
        b += np.linalg.solve(hessian, gradient)
    return _named(names, b)


def _fit_principal(choices) -> dict[str, float]:
    names, x = _matrix([values for rows, _, _ in choices for values in rows])
    owner = np.repeat(np.arange(len(choices)), [len(rows) for rows, _, _ in choices])
    right = np.array([flag for _, flags, _ in choices for flag in flags], float)
    importance = np.array([weight for _, _, weight in choices])
    b, m, v = np.zeros(len(names)), np.zeros(len(names)), np.zeros(len(names))
    scale = x.std(0) + 1e-6
    x = x / scale
    for step in range(1, STEPS + 1):  # Adam
        power = np.exp(x @ b - _by(np.maximum, x @ b, owner, -1e9)[owner])
        p = power / _by(np.add, power, owner, 0.0)[owner]
        hit = power * right
        q = hit / np.maximum(_by(np.add, hit, owner, 0.0)[owner], 1e-12)
        gradient = x.T @ (importance[owner] * (q - p)) / importance.sum() - 0.002 * b
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        b += 0.05 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return _named(names, b / scale)


def _by(function, values, owner, start):
    out = np.full(owner.max() + 1, start)
    function.at(out, owner, values)
    return out


def _matrix(rows: Sequence[dict[str, float]]) -> tuple[list[str], np.ndarray]:
    names = sorted({name for row in rows for name in row})
    place = {name: i for i, name in enumerate(names)}
    x = np.zeros((len(rows), len(names)))
    for i, row in enumerate(rows):
        for name, value in row.items():
            x[i, place[name]] = value
    return names, x


def _named(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True) if abs(value) > 1e-4}


@dataclass
class Scores:
    """Shares in per cent over the examples."""

    examples: int
    drg: float
    base: float
    severity: float
    among: float  # the right DRG among the candidates
    base_among: float
    principal: float  # exact code of the principal diagnosis
    diagnoses: tuple[float, float]  # precision, recall of exact diagnosis codes
    weighty: tuple[float, float]  # the same of those with a CC or MCC

    def __str__(self) -> str:
        return (
            f"{self.examples:5} notes: DRG {self.drg:5.1f}%  base {self.base:5.1f}%  severity {self.severity:5.1f}%  DRG among candidates "
            f"{self.among:5.1f}%  base among {self.base_among:5.1f}%  principal {self.principal:5.1f}%  diagnoses P {self.diagnoses[0]:5.1f} "
            f"R {self.diagnoses[1]:5.1f}  CC/MCC P {self.weighty[0]:5.1f} R {self.weighty[1]:5.1f}"
        )


def measure(examples: Sequence[Example], counts: dict, weights: dict, wrong: list | None = None) -> Scores:
    _use(weights)
    known = Prior(counts)
    drgs = codebook(VERSION).drgs
    hits: Counter = Counter()
    for each in examples:
        conditions = judged(each.conditions, each.text, known)
        ways = principal_ways(conditions, each.text, each.who, VERSION, known, each.leaning)
        found = ()
        if ways:
            odds = ranking.softmax([ranking.score(way.features, "principal") for way in ways])
            found = grounding.candidates(ways, odds, conditions, each.leaning, VERSION)
        gold = drgs[each.drg]
        first = drgs[found[0].drg] if found else None
        hits["drg"] += bool(first) and first.drg == gold.drg
        hits["base"] += bool(first) and first.base_id == gold.base_id
        hits["severity"] += bool(first) and first.level == gold.level
        hits["among"] += gold.drg in {item.drg for item in found}
        hits["base among"] += gold.base_id in {drgs[item.drg].base_id for item in found}
        hits["principal"] += bool(found) and found[0].code == each.pdx
        if wrong is not None and (not first or first.drg != gold.drg):
            wrong.append((each, conditions, ways, found))
        said = {code for item in conditions if item.kind == "diagnosis" and item.chance >= 0.5 for code in item.codes}
        true = {code for code in each.codes if icd.is_diagnosis(code)}
        said |= {new for code in said for new in _COMBINED.get(code, ()) if new in true}
        for name, keep in (("all", lambda code: True), ("weighty", lambda code: level((code,), VERSION) != "none")):
            a, b = {c for c in said if keep(c)}, {c for c in true if keep(c)}
            hits[name, "both"] += len(a & b)
            hits[name, "said"] += len(a)
            hits[name, "true"] += len(b)
    n = len(examples)

    def share(name: str) -> float:
        return 100 * hits[name] / n

    def pair(name: str) -> tuple[float, float]:
        return 100 * hits[name, "both"] / max(hits[name, "said"], 1), 100 * hits[name, "both"] / max(
            hits[name, "true"], 1
        )

    return Scores(
        n, *map(share, ("drg", "base", "severity", "among", "base among", "principal")), pair("all"), pair("weighty")
    )


def cross_validated(natural: Sequence[Example]) -> dict[str, Scores]:
    """Writer → the scores of what was fitted without the writer."""
    out = {}
    for writer in folds(natural):
        weights, counts = fit([each for each in natural if each.writer != writer])
        out[writer] = measure([each for each in natural if each.writer == writer], counts, weights)
    return out


def mean(scores: Sequence[Scores]) -> Scores:
    total = sum(each.examples for each in scores)

    def average(get):
        return sum(get(each) * each.examples for each in scores) / total

    names = ("drg", "base", "severity", "among", "base_among", "principal")
    singles = [average(lambda each, name=name: getattr(each, name)) for name in names]
    pairs = [
        tuple(average(lambda each, n=n, i=i: getattr(each, n)[i]) for i in (0, 1)) for n in ("diagnoses", "weighty")
    ]
    return Scores(total, *singles, *pairs)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--no-write", action="store_true")
    options = parser.parse_args(argv)
    natural = by_hand()
    rows = pq.read_table(options.corpus / "train.parquet").slice(0, LEARNT).to_pylist()
    notes = labelled(natural, rows)
    leaning = out_of_fold(notes, {each.text for each in natural})
    natural = [replace(each, leaning=leaning[each.text]) for each in natural]
    by_writer = cross_validated(natural)
    for name, some in (("known writers", by_writer.keys() & KNOWN), ("new hands    ", by_writer.keys() - KNOWN)):
        print(f"cross-validated, {name}", mean([by_writer[writer] for writer in some]), flush=True)
    weights, counts = fit(natural)
    words = fit_leanings(notes)
    unseen = of_corpus(pq.read_table(options.corpus / "dev.parquet").slice(0, 600).to_pylist())
    unseen = [replace(each, leaning=words.leanings(each.text)) for each in unseen]
    print("corpus dev     ", measure(unseen, counts, weights), flush=True)
    if not options.no_write:
        (TABLES / "ranking.json").write_text(json.dumps(weights, indent=1) + "\n", encoding="utf-8")
        rows = (f"{code}\t" + "\t".join(map(str, numbers)) for code, numbers in sorted(counts.items()))
        words.save(TABLES / "leanings.npz")
        ids = [case(record, "natural-train", "")["note_id"] for record in records(FOLDER)]
        held_out.save([(note_id, each.leaning) for note_id, each in zip(ids, natural, strict=True)], words.labels)
        (TABLES / "code_counts.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
