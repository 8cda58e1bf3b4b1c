"""What a preparation kept and lost, step by step, as report.json for programs and report.md for readers."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from data.mapping import DECIDED, STATUSES, Match
from data.splits import Labelled

PAPER = "The paper: 236,192 train, 26,244 test, 738 DRGs (v34)."
REASONS = (
    "the note names no stay (hadm_id)",
    "the stay has no HCFA DRG",
    "the stay has two different HCFA DRGs",
    "the description does not map to the version (mapping.csv)",
)


@dataclass
class Report:
    """Grows while the steps run; every step says what was left after it and why the rest went."""

    version: str
    split_by: str
    steps: list[dict] = field(default_factory=list)
    mapping: dict = field(default_factory=dict)
    cases: dict = field(default_factory=dict)
    traces: dict = field(default_factory=dict)

    def step(self, name: str, kept: int, lost: dict[str, int]) -> None:
        """`kept` rows are left after the step; `lost` gives the number for each reason."""
        self.steps.append({"step": name, "kept": kept, "lost": sum(lost.values()), "why": lost})

    def mapped(self, matches: Iterable[tuple[str, int, Match]]) -> None:
        """`matches`: recorded code, number of stays and match of each different description."""
        descriptions, stays = Counter(), Counter()
        for _, number, match in matches:
            descriptions[match.status] += 1
            stays[match.status] += number
        self.mapping = {status: {"descriptions": descriptions[status], "stays": stays[status]} for status in STATUSES}

    def split(self, cases: Sequence[Labelled], test: set[str], subsets: dict[str, list]) -> None:
        """`test`: note_ids; `subsets`: columns over the train cases."""
        for side, members in (
            ("train", [case for case in cases if case.note_id not in test]),
            ("test", [case for case in cases if case.note_id in test]),
        ):
            self.cases[side] = {
                "cases": len(members),
                "DRGs": len({case.drg for case in members}),
                "patients": len({case.patient for case in members}),
            }
        patients = [{case.patient for case in cases if (case.note_id in test) is side} for side in (True, False)]
        self.cases["patients on both sides"] = len(patients[0] & patients[1])
        self.cases["subsets"] = {
            name: dict(sorted(Counter(str(value) for value in column).items())) for name, column in subsets.items()
        }

    def traced(self, outcomes: Counter) -> None:
        """How many cases of a page came to which end."""
        for outcome, number in sorted(outcomes.items()):
            self.traces[outcome] = self.traces.get(outcome, 0) + number

    def write(self, folder: Path) -> None:
        """Write report.json and report.md."""
        content = {
            "drg_version": self.version,
            "split": self.split_by,
            "credentialed": True,
            "steps": self.steps,
            "mapping": self.mapping,
            "cases": self.cases,
            "traces": self.traces,
        }
        (folder / "report.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        (folder / "report.md").write_text(self.markdown(), encoding="utf-8")

    def markdown(self) -> str:
        """The report for a reader."""
        lines = [f"# MIMIC-IV → cases, MS-DRG version {self.version}", "", PAPER, "", "## Steps", ""]
        lines += ["| step | left | lost | why |", "|---|---|---|---|"]
        for step in self.steps:
            why = "; ".join(f"{number:,} {reason}" for reason, number in step["why"].items() if number)
            lines.append(f"| {step['step']} | {step['kept']:,} | {step['lost']:,} | {why} |")
        lines += ["", "## Mapping of HCFA descriptions", "", "| status | descriptions | stays |", "|---|---|---|"]
        for status, number in self.mapping.items():
            used = "" if status in DECIDED else " (dropped)"
            lines.append(f"| {status}{used} | {number['descriptions']:,} | {number['stays']:,} |")
        lines += [
            "",
            f"## Cases, split by {self.split_by}",
            "",
            "| side | cases | DRGs | patients |",
            "|---|---|---|---|",
        ]
        lines += [f"| {side} | {n['cases']:,} | {n['DRGs']:,} | {n['patients']:,} |" for side, n in self._sides()]
        lines += [
            "",
            f"Patients on both sides: {self.cases['patients on both sides']:,}.",
            "",
            "## Subsets of train",
            "",
        ]
        for name, values in self.cases["subsets"].items():
            lines.append(f"- `{name}`: " + ", ".join(f"{value} {number:,}" for value, number in values.items()))
        lines += ["", "## True reasoning", ""]
        lines += [f"- {what}: {number:,}" for what, number in self.traces.items()]
        return "\n".join(lines) + "\n"

    def _sides(self) -> list[tuple[str, dict]]:
        return [(side, self.cases[side]) for side in ("train", "test")]
