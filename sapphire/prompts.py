"""Chat messages for a note: what every engine, SFT row and GRPO row puts before the model.

The plain prompt asks the paper's question (arXiv 2505.21908, "The task") in our own words. What all notes share stands
first and the note last, so that an engine's prefix cache holds the introduction. The grounded prompt puts before the note what the
condition index finds in it and the DRGs to which the grouper leads from there (`sapphire.drg.digest`); both come from the note and, where
they are known, the patient's age, sex and disposition, never from a code or DRG of the case.
"""

import re
from dataclasses import dataclass

from sapphire.drg.digest import digest
from sapphire.drg.grounding import Grounding, ground
from sapphire.drg.leanings import Leanings

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

GROUNDED = """\
MS-DRG, CMS grouper version {version}. The principal diagnosis, or its procedure, gives the base DRG; the highest CC or MCC \
that counts gives the severity. An index found, perhaps wrongly:
{finds}
The likeliest MS-DRGs by these finds:
{candidates}
Read the note and give the full title of the right MS-DRG, from this list or not, in upper case, without the number.

Hospital course:
"""
NOTHING = "(nothing)"

PROMPTS = ("plain", "grounded")


@dataclass(frozen=True, slots=True)
class Case:
    """What a model may know of a stay: the text it reads, and age (years), sex ("M", "F", "U") and Medicare's discharge status if known.

    The plain prompt shows the text alone; the grounded one also gives the rest to the grouper. `leaning` stands for
    what the classifier of words says of the text, where it learnt from this very note (`data/held_out.py`).
    """

    text: str
    age: int | None = None
    sex: str | None = None
    discharge_status: int | None = None
    leaning: Leanings | None = None


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


def messages(case: Case | str, prompt: str = "plain", version: str = "43.1") -> list[dict[str, str]]:
    """System and user message for one case, or for a text of which nothing else is known.

    Raises ValueError when the prompt is unknown or the version is no grouper version.
    """
    if prompt not in PROMPTS:
        raise ValueError(f"There is no prompt {prompt!r}; choose one of: {', '.join(PROMPTS)}.")
    case = Case(case) if isinstance(case, str) else case
    year = fiscal_year(version)
    question = PLAIN.format(version=version, year=year) if prompt == "plain" else _grounded(case, version)
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question + neutral(case.text.strip())}]


def grounded(case: Case, version: str) -> Grounding:
    """What the index finds in a case, as its prompt shows it."""
    return ground(case.text, version, case.age, case.sex, case.discharge_status, case.leaning)


def _grounded(case: Case, version: str) -> str:
    grounding = grounded(case, version)
    finds, candidates = digest(grounding, case.text, version)
    return GROUNDED.format(
        version=version,
        finds=neutral("\n".join(f"- {each}" for each in finds) or NOTHING),
        candidates="\n".join(f"{i}. {each}" for i, each in enumerate(candidates, 1)) or NOTHING,
    )
