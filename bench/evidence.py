"""How many handwritten notes get true reasoning by `data.mimic_traces`, that is: name their codes in words we know.

    python -m bench.evidence

MIMIC's notes cannot be had here; the demo notes and the hand-written training notes, coded by hand, stand in for them. The test
notes are left alone.
"""

from collections import Counter
from pathlib import Path

from data import natural
from data.mimic_evidence import evidence
from data.mimic_traces import Rules, explain
from sapphire.drg.codebook import DEFAULT_VERSION

FOLDERS = (Path(natural.__file__).parent / "demo", Path(natural.__file__).parent / "natural" / "train")


def main() -> None:
    outcomes: Counter = Counter()
    shown = coded = 0
    for folder in FOLDERS:
        for record in natural.records(folder):
            case = natural.case(record, split="", source="")
            codes = [case["pdx"], *case["sdx"], *case["procedures"]]
            coded += len(codes)
            shown += sum(len(item.codes) for item in evidence(codes, case["text"]))
            outcomes[explain(case, Rules(DEFAULT_VERSION, DEFAULT_VERSION))[1]] += 1
    total = sum(outcomes.values())
    for outcome, number in outcomes.most_common():
        print(f"{number:4} of {total} = {number / total:.0%}  {outcome}")
    print(f"{shown} of {coded} codes = {shown / coded:.0%} are named in known words")


if __name__ == "__main__":
    main()
