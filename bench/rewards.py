"""Rewards a second: `sapphire.rewards` against the substring-and-regex way, on the same completions in one run.

    python -m bench.rewards

The other way is what a first implementation does: a regex over the whole completion, `title in answer` and
`title in head` over all titles, base and severity cut from titles by a regex at the first WITH or WITHOUT. It is faster
to write and wrong (the last line counts how often); both give format, dense accuracy and CoT-First for each completion.
"""

import random
import re
import time

from sapphire.completions import compose, parse
from sapphire.drg.codebook import CodeBook, codebook
from sapphire.rewards import DENSE, cot_first_penalty, format_reward, outcome

COMPLETIONS, ROUNDS, HEAD_WORDS = 2000, 5, 40  # 40 words of English are about 50 tokens

FORMAT = re.compile(r"\s*<think>(.*?)</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)
SPLIT = re.compile(r" (?=WITH |WITHOUT )")
SENTENCES = (
    "The patient was admitted with worsening dyspnea and leg swelling, and BNP was 1,840.",
    "Creatinine rose from 1.0 to 2.4 on day 2 and came back with fluids, so acute kidney injury is a CC.",
    "Blood cultures grew E. coli in both bottles; ceftriaxone was given for 14 days.",
    "A history of stroke is mentioned, but nothing new was found on MRI (no acute infarct).",
    "He was intubated for less than 24 hours, so no ventilator DRG applies.",
    "Acute respiratory failure with hypoxia would be an MCC, and it is not excluded by the principal diagnosis.",
)


def samples(book: CodeBook) -> list[tuple[str, str, str]]:
    """(completion, head, gold DRG): right, near and wrong answers, some titles early, some forms broken."""
    draw = random.Random(7)
    drgs = list(book.drgs.values())
    made = []
    for _ in range(COMPLETIONS):
        gold = draw.choice(drgs)
        answer = draw.choice([gold, *book.family(gold.drg), draw.choice(drgs)]).title.upper()
        sentences = draw.choices(SENTENCES, k=20)
        if draw.random() < 0.1:
            sentences.insert(1, f"This is {answer}.")
        think = " ".join(sentences)
        text = compose(think, answer if draw.random() < 0.9 else f"PROBABLY {answer[:20]}")
        if draw.random() < 0.1:
            text = text.replace("</think>", "")
        made.append((text, " ".join(think.split()[:HEAD_WORDS]), gold.drg))
    return made


def by_substring(text: str, head: str, gold: str, titles: list[str]) -> tuple[float, float, float]:
    head = head.upper()
    cot_first = -0.5 if any(title in head for title in titles) else 0.0
    match = FORMAT.fullmatch(text)
    if not match:
        return -2.0, 0.0, cot_first
    answer = match[2].upper()
    base, severity = ([*SPLIT.split(gold, maxsplit=1), ""])[:2]
    if gold in answer:
        accuracy = 2.0
    elif base in answer:
        accuracy = 1.5
    elif severity and severity in answer:
        accuracy = 0.5
    else:
        accuracy = -0.5 if any(title in answer for title in titles) else -1.5
    return 0.0, accuracy, cot_first


def by_table(text: str, head: str, gold: str, book: CodeBook) -> tuple[float, float, float]:
    parsed = parse(text, book)
    form = format_reward(parsed)
    accuracy = 0.0 if form else DENSE[outcome(parsed.drg, book.drgs[gold])]
    return form, accuracy, cot_first_penalty(head, book)


def main() -> None:
    book = codebook()
    titles = [drg.title.upper() for drg in book.drgs.values()]
    cases = samples(book)
    seconds = {"substring": float("inf"), "table": float("inf")}
    for _ in range(ROUNDS):  # the two ways in turn, the best of each: other processes disturb both alike
        start = time.perf_counter()
        theirs = [by_substring(text, head, book.drgs[gold].title.upper(), titles) for text, head, gold in cases]
        middle = time.perf_counter()
        ours = [by_table(text, head, gold, book) for text, head, gold in cases]
        seconds["substring"] = min(seconds["substring"], middle - start)
        seconds["table"] = min(seconds["table"], time.perf_counter() - middle)
    for way, best in seconds.items():
        print(f"{way:9} {COMPLETIONS / best:>9,.0f} rewards/s  {best / COMPLETIONS * 1e6:6.1f} µs each")
    print(f"ratio {seconds['substring'] / seconds['table']:.1f}x on {COMPLETIONS} completions, best of {ROUNDS} rounds")
    wrong = sum(a != b for a, b in zip(theirs, ours, strict=True))
    print(f"the substring way gives another reward for {wrong} of them ({wrong / COMPLETIONS:.1%})")


if __name__ == "__main__":
    main()
