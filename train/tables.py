"""Evaluations as plain text: a head that says what was measured on what, the tables, and the paper's rows marked as other data."""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan

from sapphire import paper
from sapphire.drg.codebook import MDC_TITLES
from sapphire.marking import TARGETS
from sapphire.metrics import (
    Errors,
    Interval,
    case_mix,
    cluster_tuples,
    errors,
    severity_confusion,
    table_3,
    weight_error,
)
from train.measures import Results, calibration, groups, means, paired_tests, scores, shared

Cells = Sequence[Sequence[str]]
MADE_UP = {"open corpus": "synthetic", "written by hand": "fictional"}
TITLES = {"mdc": "MDC", "frequency": "training cases of the DRG", "length": "length of the note", "trap": "trap"}


def report(results: Results, by: Sequence[str] = (), training: Mapping[str, int] | None = None) -> str:
    """Everything that is printed of one evaluation. `by`: names for `measures.groups`; `training`: cases of each DRG in training."""
    parts = [head(results), main_table(results), answers_table(results), severity_table(results), errors_line(results)]
    parts += [group_table(results, name, training) for name in by]
    return "\n\n".join(filter(None, parts))


def head(results: Results) -> str:
    about, model = results.about, results.about["model"]
    data, drawn = about["data"], about["data"]["drawn"]
    version = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    how = (
        f"{about['n']} sample{'s' * (about['n'] > 1)} a case, temperature {about['temperature']:g}, top-p {about['top_p']:g}, at most "
        f"{about['max_tokens']:,} tokens, seed {about['seed']}; "
        + ("CONSTRAINED as the app asks, not the model alone" if about["constrained"] else "unconstrained")
    )
    cases = f"{len(results.note_ids):,} cases of {len(set(results.patients)):,} patients"
    rows = [
        ("Model", f"{model['name']} ({model['kind']}), prompt {model['prompt']}, MS-DRG version {results.version}"),
        (
            "Data",
            f"{data['file']}, {cases}" + (f" drawn from {data['notes'] - data['without_label']:,}" if drawn else ""),
        ),
        ("", f"source {', '.join(sorted(map(_source, data['sources'])))}; SHA-256 {data['sha256'][:16]}"),
        ("Asked", how if model["kind"] != "baseline" else "once a case"),
        ("With", f"{version}; run {results.run}"),
        ("Command", about["command"] or "not recorded"),
    ]
    if data["without_label"]:
        rows.append(("Left out", f"{data['without_label']:,} notes without a DRG of version {results.version}"))
    if results.failed.any():
        rows.append(("No answer", f"{int(results.failed.sum()):,} cases (an error of the model); they count as wrong"))
    if data["credentialed"]:
        rows.append(("Care", "the data are credentialed: the file of rows quotes them"))
    return "\n".join(f"{name:10}{value}" for name, value in rows)


def main_table(results: Results) -> str:
    measured, names = scores(results), list(results.measures)
    rows = [["", *results.measures.values()]]
    rows += [[title, *(percent(measured[target, name]) for name in names)] for target, title in TARGETS.items()]
    methods = {"bootstrap": "bootstrap over patients", "wilson": "Wilson's score with patients as units"}
    how = "; where few are right, wrong or asked ".join(
        methods[m] for m in methods if m in {i.method for i in measured.values()}
    )
    note = f"Percent, with 95% intervals ({how}). Maj@k: ties share the credit, answers that are no DRG abstain."
    rows += [["", *[""] * len(names)], [f"Published, {paper.REMARK}:", *[""] * len(names)]]
    for row in paper.REFERENCES:
        for target, values in zip(TARGETS.values(), (row.drg, row.base, row.severity), strict=True):
            if values[0] is not None:
                shown = [f"{value:.1f}" if value is not None else "-" for value in values][: len(names)]
                rows.append([f"  {row.name}: {target}", *shown])
    if results.k not in (1, 8):
        note += f" The published ones are Pass@8 and Maj@8, ours of {results.k} samples."
    return f"{columns(rows)}\n{note}"


def answers_table(results: Results) -> str:
    found = means(results)
    named = {
        "format": "answers in the right form",
        "no_drg": "answers that are no DRG",
        "borne_out": "lines borne out by note and CMS's rules",
        "true_lines": "the same, of codes that the stay has",
    }
    if results.about["model"]["kind"] == "baseline":
        named = {"no_drg": named["no_drg"]}
    rows = [
        [title, percent(found[name]) if found[name] else "unknown (no age or sex)"] for name, title in named.items()
    ]
    if len(named) > 1:
        rows += [
            [title, plain(found[name])]
            for name, title in {"reward": "dense reward", "tokens": "tokens an answer"}.items()
            if found[name]
        ]
        rows.append(
            [
                "seconds an answer",
                f"{results.answers['seconds'].mean():.2f}" if len(results.answers["seconds"]) else "-",
            ]
        )
    if found := calibration(results):
        said = f"{found.error:.3f} (expected, ten bins), Brier score {found.brier:.3f}, {found.n:,} cases"
        rows.append(["confidence: calibration error", said])
    return columns(rows)


def severity_table(results: Results) -> str:
    cells = severity_confusion(_pairs(results))
    levels = [
        level
        for level in ("MCC", "CC", "none", "CC/MCC", "without MCC", "unsplit", "")
        if any(level in cell for cell in cells)
    ]
    rows = [["right severity \\ answered", *(level or "no DRG" for level in levels)]]
    rows += [[right, *(f"{cells[right, said]:,}" for said in levels)] for right in levels if right]
    cases = zip(results.gold, results.voted, results.patients, strict=True)
    weighed = [(error, patient) for gold, said, patient in cases if (error := weight_error(gold, said)) is not None]
    told = ""
    if weighed:
        mix = case_mix(_pairs(results), cluster_tuples(*zip(*weighed, strict=True)))
        told = (
            f"\nMean relative weight: {mix.gold:.3f} by the right DRGs, {mix.predicted:.3f} by the answers; difference {plain(mix.error, '+.3f')}, "
            f"mean size {mix.absolute:.3f}; {mix.left_out:,} cases without an answer or a weight left out."
        )
    return f"Cases by the commonest answer:\n{columns(rows)}{told}"


def errors_line(results: Results) -> str:
    found = errors(_pairs(results))
    return f"Of {found.n:,} cases whose commonest answer is wrong: {shares(found)}." if found.n else ""


def group_table(results: Results, by: str, training: Mapping[str, int] | None) -> str:
    names = list(results.measures)
    rows = [[f"DRG by {TITLES[by]}", "cases", *results.measures.values()]]
    for group, places in groups(results, by, training).items():
        title = f"{group} {MDC_TITLES.get(group, '')}".strip()[:48] if by == "mdc" else group.replace("_", " ")
        found = scores(results, places)
        rows.append([title, f"{len(places):,}", *(percent(found["drg", name]) for name in names)])
    return columns(rows)


def comparison(runs: Mapping[str, Results]) -> str:
    """Several evaluations on the cases that all have: paired tests against the first, and the paper's Table 3."""
    places = shared(runs)
    first = next(iter(runs))
    n = len(places[first])
    rows = [["on the same cases", *(name for name in runs)]]
    for target, title in TARGETS.items():
        for measure, named in runs[first].measures.items():
            rows.append(
                [
                    f"{title} {named}",
                    *(percent(scores(run, places[name])[target, measure]) for name, run in runs.items()),
                ]
            )
    tested = [["against " + first, "", "difference, points", "p", "p, Holm", "McNemar"]]
    for test in paired_tests(runs):
        mcnemar = _p(test.mcnemar) if test.mcnemar is not None else "-"
        measure = runs[first].measures[test.measure]
        difference = percent(test.paired.difference, "+.1f")
        tested.append(
            [test.name, f"{TARGETS[test.target]} {measure}", difference, _p(test.paired.p), _p(test.p_holm), mcnemar]
        )
    gold = [runs[first].gold[i] for i in places[first]]
    wrong = table_3(gold, {name: [run.voted[i] for i in places[name]] for name, run in runs.items()})
    hard = next(iter(wrong.values())).n
    third = [[f"of {hard:,} cases that all get wrong", "principal diagnosis", "severity", "both"]]
    third += [
        [name, *("-" if isnan(share) else f"{share:.1%}" for share in found[1:])] for name, found in wrong.items()
    ]
    third += [[f"Published, {paper.REMARK} ({paper.TABLE_3_CASES:,} cases):", "", "", ""]]
    third += [[f"  {name}", *(f"{share:.1f}%" for share in published)] for name, published in paper.TABLE_3.items()]
    how = f"{n:,} cases; p by cluster bootstrap of the differences, corrected for {len(tested) - 1} tests by Holm."
    return "\n\n".join([columns(rows), f"{columns(tested)}\n{how}", columns(third)])


def percent(value: Interval, form: str = ".1f") -> str:
    low, high = (f"{100 * bound:{form}}" for bound in (value.low, value.high))
    return f"{100 * value.estimate:{form}} ({low} to {high})"


def plain(value: Interval, form: str = ",.2f") -> str:
    return f"{value.estimate:{form}} ({value.low:{form}} to {value.high:{form}})"


def shares(found: Errors) -> str:
    return f"the base DRG is wrong in {found.principal:.1%}, the severity in {found.severity:.1%}, both in {found.both:.1%}"


def columns(rows: Cells) -> str:
    """Text in columns, the first to the left and the others to the right."""
    widths = [max(len(row[i]) for row in rows if i or any(row[1:])) for i in range(len(rows[0]))]
    lines = (
        row[0].ljust(widths[0])
        + "".join("  " + cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _source(name: str) -> str:
    """Made-up notes are called so wherever a figure of theirs stands."""
    return f"{name} ({MADE_UP[name]})" if name in MADE_UP else name or "not named"


def _p(value: float) -> str:
    return f"{value:.4f}" if value >= 0.0001 else "<0.0001"


def _pairs(results: Results) -> dict:
    return Counter(zip(results.gold, results.voted, strict=True))
