"""The dataset card that lies beside a corpus: `data/CORPUS.md`, then counts and plots of the cases that were really made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from data.corpus_plots import bars, curve, histogram
from sapphire.drg.codebook import DEFAULT_VERSION, MDC_TITLES, codebook

TEXT = Path(__file__).parent / "CORPUS.md"
ENOUGH = 20  # cases that make a DRG usable


@dataclass
class Counts:
    """What the card says, gathered case by case so that no text is kept."""

    splits: Counter = field(default_factory=Counter)
    drgs: Counter = field(default_factory=Counter)
    traps: Counter = field(default_factory=Counter)
    styles: Counter = field(default_factory=Counter)
    note_forms: Counter = field(default_factory=Counter)
    trace_forms: Counter = field(default_factory=Counter)
    words: list[int] = field(default_factory=list)
    traces: list[int] = field(default_factory=list)

    def add(self, case: Mapping) -> None:
        self.splits[case["split"]] += 1
        self.drgs[case["drg"]] += 1
        self.traps.update(case["trap"] or ["none"])
        self.styles[case["style"]] += 1
        self.note_forms[case["note_form"]] += 1
        self.trace_forms[case["trace_form"]] += 1
        self.words.append(len(case["text"].split()))
        self.traces.append(len(case["trace"] or ""))


def write_card(folder: Path, counts: Counts, others: Mapping[str, int], command: str) -> None:
    """README.md and the plots; `others` are further files with their rows, `command` what made all this."""
    book = codebook(DEFAULT_VERSION).drgs
    mdcs = Counter()
    for drg, number in counts.drgs.items():
        mdcs[book[drg].mdc] += number
    plots = {
        "drg.svg": curve("Cases of each DRG", list(counts.drgs.values()), "cases, logarithmic", ENOUGH),
        "mdc.svg": bars(
            "Cases of each MDC", [(f"{mdc} {MDC_TITLES[mdc]}".strip() or "none", mdcs[mdc]) for mdc in sorted(mdcs)]
        ),
        "length.svg": bars("Words of a note", histogram(counts.words, 40)),
        "traps.svg": bars("Traps", counts.traps.most_common()),
    }
    for name, drawing in plots.items():
        (folder / name).write_text(drawing, encoding="utf-8")
    (folder / "README.md").write_text(_card(counts, others, command, list(plots)), encoding="utf-8")


def _card(counts: Counts, others: Mapping[str, int], command: str, plots: Sequence[str]) -> str:
    book = codebook(DEFAULT_VERSION).drgs
    total = sum(counts.splits.values())
    words, traces = sorted(counts.words), sorted(counts.traces)
    common = counts.drgs.most_common(12)
    parts = [
        TEXT.read_text(encoding="utf-8").rstrip(),
        "\n## This corpus\n",
        f"Made by `{command}`.\n",
        _table(("file", "rows"), [*((f"{split}.parquet", f"{n:,}") for split, n in sorted(counts.splits.items())),
                                  *((name, f"{n:,}") for name, n in others.items())]),
        f"\n{len(counts.drgs)} DRGs occur, {sum(n >= ENOUGH for n in counts.drgs.values())} of them at least {ENOUGH} times. "
        f"Notes have {words[0]} to {words[-1]} words, in the middle {median(words):.0f}; "
        f"reasonings {traces[0]} to {traces[-1]} characters, in the middle {median(traces):.0f}.\n",
        _table(("commonest DRGs", "title", "share"),
               [(drg, book[drg].title, f"{n / total:.1%}") for drg, n in common]),
        "", _shares("style", counts.styles, total), "", _shares("note form", counts.note_forms, total),
        "", _shares("form of the reasoning", counts.trace_forms, total), "", _shares("trap", counts.traps, total), "",
        *(f"![{name.removesuffix('.svg')}]({name})" for name in plots),
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


def _shares(what: str, counter: Counter, total: int) -> str:
    return _table((what, "cases", "share"), [(name, f"{n:,}", f"{n / total:.1%}") for name, n in counter.most_common()])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
