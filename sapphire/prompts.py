"""Chat messages for a note: what every engine, SFT row and GRPO row puts before the model.

The plain prompt asks the paper's question (arXiv 2505.21908, "The task") in our own words. What all notes share stands
first and the note last, so that an engine's prefix cache holds the introduction. The grounded prompt, which puts indexed
conditions and candidate DRGs before the note, becomes a second entry of `QUESTIONS`.
"""

import re

# No example of the form with words inside: a small model copies them instead of reasoning.
SYSTEM = """\
You assign MS-DRGs (Medicare Severity Diagnosis-Related Groups) to inpatient stays. First write down between <think> and \
</think> how you find the MS-DRG: the principal diagnosis or procedure, and the complications that count. Then write its \
title between <answer> and </answer>. Write nothing else."""

PLAIN = """\
Every inpatient stay falls into one MS-DRG (here CMS grouper version {version}, fiscal year {year}). The principal \
diagnosis, or the procedure that was done for it, gives the base DRG. Many base DRGs are split by severity: a secondary \
diagnosis can be a complication or comorbidity (CC) or a major complication or comorbidity (MCC), and the highest one \
that counts sets the level.

What is the most likely MS-DRG of the stay described below? Give its full title in upper case, without the number.

Hospital course:
"""

QUESTIONS = {"plain": PLAIN}
PROMPTS = tuple(QUESTIONS)

# Where markup can begin: "<" before a letter, a slash or a bar (<think>, </answer>, <s>, <|im_end|>, <｜User｜>,
# <start_of_turn>), and Mistral's bracketed capitals ([INST], [/INST]). "<3.5" and "[1]" stay as they are.
MARKUP = re.compile(r"<(?=[A-Za-z/|｜])|\[(?=/?[A-Z_]+\])")


def neutral(note: str) -> str:
    """The prompt's copy of a note, in which nothing can be taken for a tag of ours or for chat markup.

    One space goes after each bracket that would open markup ("<think>" becomes "< think>"), because special tokens are
    recognised by their exact spelling. A reader sees the same words; the stored note keeps its own text and offsets.
    """
    return MARKUP.sub(lambda bracket: bracket[0] + " ", note)


def fiscal_year(version: str) -> int:
    """The US fiscal year in which a grouper version came into force: CMS numbers them one a year, version 43 is FY2026."""
    if not re.fullmatch(r"[2-9]\d(\.\d)?", version):
        raise ValueError(f"{version!r} is not an MS-DRG grouper version; write it as a number such as 43.1.")
    return 1983 + int(version[:2])


def messages(text: str, prompt: str = "plain", version: str = "43.1") -> list[dict[str, str]]:
    """System and user message for one note.

    Raises ValueError when the prompt is unknown or the version is no grouper version.
    """
    if prompt not in QUESTIONS:
        raise ValueError(f"There is no prompt {prompt!r}; choose one of: {', '.join(PROMPTS)}.")
    question = QUESTIONS[prompt].format(version=version, year=fiscal_year(version))
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question + neutral(text.strip())}]
