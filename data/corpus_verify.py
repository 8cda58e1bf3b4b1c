"""Is a case of the corpus what it says? Its label, its quotes and every line of its reasoning, checked anew from the row alone."""

from collections import Counter
from collections.abc import Iterator, Mapping

from data.corpus_cases import Maker
from sapphire.completions import compose
from sapphire.completions import parse as parse_completion
from sapphire.drg.claims import Context, check, parse
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import claim_from, drg_of
from sapphire.quotes import locate
from sapphire.rewards import HEAD, cot_first_penalty


def faults(case: Mapping) -> Iterator[str]:
    """What is wrong with a case, in words; nothing when all is true."""
    claim = claim_from(case)
    book = codebook(case["drg_version"])
    drg, return_code = drg_of(claim)
    if (drg, return_code) != (case["drg"], "OK") or book.drgs[drg].title != case["title"]:
        yield f"label {case['drg']}, the grouper says {drg} ({return_code})"
    yield from (
        f"quote not in the note: {item['quote']}"
        for item in case["evidence"]
        if locate(item["quote"], case["text"]) is None
    )
    lines = parse(case["trace"])
    codes = frozenset((case["pdx"], *case["sdx"], *case["procedures"]))
    context = Context(case["age"], case["sex"], case["discharge_status"], codes)
    for verdict in check(lines, case["text"], case["drg_version"], context):
        yield from (f"{fault}: {verdict.line.text}" for fault in verdict.faults)
    completion = parse_completion(compose(case["trace"], case["title"].upper()), book)
    if list(completion.steps) != [line.text for line in lines]:
        yield "the lines of the reasoning are not its steps"
    if completion.drg is None or completion.drg.drg != case["drg"]:
        yield f"the title does not name {case['drg']}"
    if case["trace_form"] == "cot_first" and cot_first_penalty(" ".join(case["trace"].split()[:HEAD]), book):
        yield "a DRG title at the beginning of a CoT-First reasoning"


def count(maker: Maker, numbers: range) -> Counter:
    """The faults of these cases, made anew: fault → how often."""
    return Counter(fault for number in numbers for fault in faults(maker.case(number)))
