"""Supervised rows of the corpus in TRL's prompt-completion form: `python -m data.sft_rows CASES.parquet --prompt grounded --out ROWS.jsonl`.

    rows(cases, prompt, trace) -> dicts of prompt (system and user message), completion (the assistant's), case_id, true (all lines are)

`trace` says how much reasoning the completion holds:
    full           the case's own trace, as the corpus wrote it
    short          the principal diagnosis, what decides the DRG, one denial if there is one, and the severity; nothing else
    answer_first   the DRG's title, then the short lines
Every line is true by `sapphire.drg.claims.check`, but for notes by hand that do not show what decides in words that we know: these get the
severity and the title alone (`true` is then false).
"""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from data import held_out
from data.mimic_evidence import evidence
from sapphire.completions import compose
from sapphire.drg import lines as grammar
from sapphire.drg.claims import Context, Evidence, Line, check, claim_of, lines_for, parse, severity, write
from sapphire.drg.codebook import codebook
from sapphire.drg.conditions import name
from sapphire.drg.digest import denial, quotable
from sapphire.drg.grounding import Grounding
from sapphire.drg.grouper import Claim, drg_of, group
from sapphire.notes import passage
from sapphire.prompts import Case, grounded, messages
from sapphire.quotes import locate

TRACES = ("full", "short", "answer_first")
SECONDARY = 2  # diagnoses that support the severity in a short trace


def rows(
    cases: Iterable[Mapping[str, Any]], prompt: str = "grounded", trace: str = "short"
) -> Iterator[dict[str, Any]]:
    """One row a case. ValueError for an unknown prompt or trace."""
    if trace not in TRACES:
        raise ValueError(f"There is no trace {trace!r}; choose one of: {', '.join(TRACES)}.")
    for case in cases:
        known = model_case(case)
        title = codebook(case["drg_version"]).drgs[case["drg"]].title.upper()
        lines, true = reasoning(case, known, trace)
        yield {
            "prompt": messages(known, prompt, case["drg_version"]),
            "completion": [{"role": "assistant", "content": compose(write(lines), title)}],
            "case_id": case["note_id"],
            "true": true,
        }


def model_case(case: Mapping[str, Any]) -> Case:
    """What a model may know of a case: as when it predicts, a long note's hospital course or all of a short one, and the patient. What words
    speak for comes from classifiers that did not learn from the case."""
    span = passage(case["text"])
    text = case["text"][slice(*span)] if span else case["text"]
    return Case(text, case["age"], case["sex"], case["discharge_status"], held_out.leanings(case.get("note_id") or ""))


def reasoning(case: Mapping[str, Any], known: Case, trace: str = "short") -> tuple[list[Line], bool]:
    """The lines of a case's completion, and whether they are all shown true."""
    if trace == "full" and case["trace"]:
        return parse(case["trace"]), True
    claim = _claim(case)
    context = Context(
        case["age"], case["sex"], case["discharge_status"], frozenset((claim.pdx, *claim.sdx, *claim.procedures))
    )
    found = grounded(known, case["drg_version"])
    lines = _short(case, claim, found, known.text, context)
    grouping = group(claim)
    answer = Line(grammar.DRG, title=grouping.title.upper())
    if not lines:
        return [severity(grouping.level, ()), answer], False
    return ([answer, *lines] if trace == "answer_first" else lines), True


def _claim(case: Mapping[str, Any]) -> Claim:
    return Claim(
        pdx=case["pdx"],
        sdx=tuple(case["sdx"]),
        procedures=tuple(case["procedures"]),
        age=case["age"],
        sex=case["sex"],
        discharge_status=case["discharge_status"],
        poa=tuple(case["poa"]),
        hospital_status="NOT_EXEMPT",
        version=case["drg_version"],
    )


def _short(case: Mapping[str, Any], claim: Claim, found: Grounding, text: str, context: Context) -> list[Line]:
    """The fewest true lines that lead to the case's DRG; none when the text does not show what it needs."""
    shown = _shown(case, claim, found, text)
    if not shown or shown[0].codes[0] != claim.pdx:
        return []
    grouping = group(claim)
    deciding = {each.code for each in (*grouping.diagnoses, *grouping.procedures) if each.counts}
    sole = {each.code for each in grouping.diagnoses if each.sole} | {
        each.code for each in grouping.procedures if each.counts
    }
    needed = [each for each in shown[1:] if sole & set(each.codes)]
    helpful = [each for each in shown[1:] if deciding & set(each.codes) and each not in needed]
    rest = [each for each in shown[1:] if each not in needed and each not in helpful]
    poa = dict(zip((claim.pdx, *claim.sdx), claim.poa, strict=True))
    for more in ([], helpful[:SECONDARY], helpful, [*helpful, *rest]):
        kept = [shown[0], *needed, *more]
        part = _only(claim, {code for each in kept for code in each.codes}, poa)
        if drg_of(part)[0] != case["drg"]:
            continue
        lines = lines_for(group(part), kept, _denied(found, text, context.codes), part)
        stated = claim_of(lines, context, claim.version)
        if (
            stated
            and drg_of(stated)[0] == case["drg"]
            and all(each.true for each in check(lines, text, claim.version, context))
        ):
            return lines
    return []


def _shown(case: Mapping[str, Any], claim: Claim, found: Grounding, text: str) -> list[Evidence]:
    """What in the text shows each code of the stay, the principal's first: as the index quotes it, else as the trace or the tables do."""
    codes = {claim.pdx, *claim.sdx, *claim.procedures}
    out: dict[tuple[str, ...], Evidence] = {}
    taken: set[str] = set()

    def add(group: tuple[str, ...], quote: str, said: str) -> None:
        if claim.pdx in group and len(group) > 1:
            group = (claim.pdx,)
            said = name(group)
        if quote and set(group) <= codes and taken.isdisjoint(group) and locate(quote, text):
            out[group] = Evidence(group, quote, said)
            taken.update(group)

    for each in found.conditions:
        if each.kind == "procedure" or set(each.codes) <= codes:
            add(each.codes, quotable(each.best.quote), each.name)
    for coded in found.coded:
        add((coded.code,), quotable(found.conditions[int(coded.source)].best.quote), name((coded.code,)))
    for line in parse(case["trace"] or ""):
        if line.kind in (grammar.PRINCIPAL, grammar.SECONDARY, grammar.PROCEDURE, grammar.MAIN_PROCEDURE):
            add(line.codes, line.quote, line.condition)
    for item in case.get("evidence") or ():
        if item["says"] == "present":
            add(tuple(item["codes"]), quotable(item["quote"]), name(tuple(item["codes"])))
    for each in evidence(codes - taken, text):
        add(each.codes, quotable(each.quote), each.condition)
    return sorted(out.values(), key=lambda each: each.codes[0] != claim.pdx)


def _only(claim: Claim, codes: set[str], poa: dict[str, str]) -> Claim:
    sdx = tuple(code for code in claim.sdx if code in codes)
    return Claim(
        **{
            **{field: getattr(claim, field) for field in claim.__dataclass_fields__},
            "sdx": sdx,
            "poa": (poa[claim.pdx], *(poa[code] for code in sdx)),
            "procedures": tuple(code for code in claim.procedures if code in codes),
        }
    )


def _denied(found: Grounding, text: str, codes: frozenset[str]) -> list[tuple[Evidence, str]]:
    """The first condition of weight that the text denies, if its words say so."""
    for each in found.conditions:
        said = each.kind == "diagnosis" and each.level != "none" and each.status in grammar.DENIALS
        if not said or codes & set(each.codes) or not (quote := denial(each, text)):
            continue
        line = Line(grammar.DENIED, quote, each.name, each.codes, reason=each.status)
        principal = Line(grammar.PRINCIPAL, quote, name(("R69",)), ("R69",))
        if check([principal, line], text, "43.1", Context(60, "F"))[1].true:
            return [(Evidence(each.codes, quote, each.name), each.status)]
    return []


def main(argv: list[str] | None = None) -> int:
    import pyarrow.parquet as pq
    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cases", type=Path, nargs="+")
    parser.add_argument("--prompt", default="grounded")
    parser.add_argument("--trace", default="short", choices=TRACES)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    shown = total = 0
    with open(options.out, "w", encoding="utf-8") as out:
        for path in options.cases:
            cases = pq.read_table(path).slice(0, options.limit).to_pylist()
            for row in tqdm(rows(cases, options.prompt, options.trace), total=len(cases), unit=" rows"):
                shown, total = shown + row["true"], total + 1
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{options.out}: {total:,} rows, {shown:,} with all lines shown true")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
