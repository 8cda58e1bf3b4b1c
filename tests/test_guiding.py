"""Guided reasoning: whatever a model chooses, each line is one that the note and CMS's rules bear out."""

import random
from dataclasses import replace

import pytest

from sapphire.completions import parse as parsed
from sapphire.drg.claims import Context, check, claim_of, parse, write
from sapphire.drg.codebook import codebook
from sapphire.drg.grounding import Candidate
from sapphire.drg.grouper import drg_of
from sapphire.drg.guiding import LINES, following, leads_to, reachable, stay, towards
from sapphire.engines import ModelCard, Sampling
from sapphire.engines.backend import Watch
from sapphire.engines.decoding import complete
from sapphire.engines.local import guided
from sapphire.prompts import Case
from tests.test_decoding import ALL, TITLE, Script

NOTE = (
    "67M with acute on chronic systolic heart failure, diuresed. Acute hypoxic respiratory failure on 4 L. AKI, Cr 2.4. Pressure ulcer of the "
    "sacrum, stage 3. Severe protein-calorie malnutrition. Hyponatremia, Na 124. Acute cholecystitis; laparoscopic cholecystectomy. No PE on CTA."
)
CARD = ModelCard("m", "llama.cpp", "m.gguf", prompt="grounded")


@pytest.fixture(scope="module")
def heart():
    """Without what the index makes of the note, which would weigh in."""
    return replace(guided(Case(NOTE, 67, "M", 1), CARD), candidates=())


def walk(stay, pick):
    lines = []
    while choices := following(stay, lines):
        lines.append(pick(choices))
    return lines


@pytest.mark.parametrize("seed", range(12))
def test_every_way_is_true_line_by_line(heart, seed):
    chance = random.Random(seed)
    lines = walk(heart, chance.choice)
    kinds = [line.kind for line in lines]
    assert kinds[0] == "principal diagnosis" and kinds[-1] == "severity" and kinds.count("severity") == 1
    verdicts = check(parse(write(lines)), NOTE, "43.1", Context(67, "M", 1))
    assert [verdict.faults for verdict in verdicts] == [()] * len(lines)


def test_what_may_come_next_depends_on_what_was_chosen(heart):
    principal = {line.codes: line for line in following(heart, [])}
    failure, gallbladder = principal["I5023",], principal["K810",]
    after = {line.codes: line for line in following(heart, [failure])}
    assert ("I5023",) not in after
    assert after["J9601",].level == "MCC" and after["J9601",].counts
    assert any(line.kind == "principal procedure" for line in following(heart, [gallbladder]))
    chosen = [failure, after["J9601",]]
    late = {line.codes: line for line in following(heart, chosen)}
    assert not late["N179",].counts and late["N179",].reason == "an MCC already decides"
    assert following(heart, chosen)[-1].codes == ("J9601",)


def test_the_severity_ends_it_and_a_reasoning_is_never_long(heart):
    longest = walk(heart, lambda choices: choices[0])
    assert len(longest) <= LINES + 1 and following(heart, longest) == []
    shortest = walk(heart, lambda choices: choices[-1] if choices[-1].kind == "severity" else choices[0])
    assert [line.kind for line in shortest] == ["principal diagnosis", "severity"]


def test_the_plain_prompt_is_not_guided_and_a_note_that_names_nothing_cannot_be():
    assert guided(NOTE, ModelCard("m", "llama.cpp", "m.gguf")) is None
    assert following(guided("Came and went.", CARD), []) == []


class Reader(Script):
    """Likes to write a whole reasoning, line by line, and to answer a title."""

    def __init__(self, *turns, liked, title=TITLE):
        super().__init__(*turns, size=3, liked=title)
        self.reasoning = liked

    def odds(self, context, allowed, watch):
        texts = {number: text for text, number in self.vocabulary.items()}
        said = "".join(part if isinstance(part, str) else texts.get(part, "") for part in context)
        if "<answer>" in said:
            return super().odds(context, allowed, watch)
        rest = self.reasoning[len(said.rsplit("<think>", 1)[-1]) :]
        likes = {token: 9.0 if rest.startswith(texts[token]) else 1.0 for token in allowed}
        return {token: like / sum(likes.values()) for token, like in likes.items()}


def title_of(drg):
    return codebook().drgs[drg].title.upper()


def reason(backend, stay, **sampling):
    pieces = []
    done = complete(backend, (["PROMPT"], ""), "43.1", Sampling(**sampling), pieces.append, Watch(9.0, None), stay)
    assert "".join(pieces) == done.text
    return done


@pytest.mark.parametrize(
    ("turns", "forced"),
    [
        (("<think>", "</think>\n<answer>", "its title"), ("lines",)),
        (("<think>", "</think>\n<answer>", TITLE + "</answer>"), ("lines", *ALL[3:])),
        (("<think>- own words", "</think><answer>"), ("lines", *ALL[3:])),
        (("Sure", "and so on"), (ALL[0], "lines", *ALL[1:])),
        (("<think>", "\n- one line more"), ("lines", *ALL[1:])),
    ],
)
def test_a_model_chooses_lines_and_its_own_tags_stand(heart, turns, forced):
    lines = walk(heart, lambda choices: choices[min(1, len(choices) - 1)])
    liked, title = write(lines), title_of(leads_to(heart, lines))
    turns = [turn.replace("its title", f"{title}</answer>") for turn in turns]
    done = reason(Reader(*turns, liked=liked, title=title), heart)
    assert done.forced == forced
    assert parsed(done.text, codebook()).think == liked
    assert parsed(done.text, codebook()).well_formed
    assert done.head.split() == liked.split()[:50] and done.head in done.text


def test_the_lines_lead_to_the_title_that_the_model_would_give_at_once(heart):
    aims = sorted(reachable(heart))
    assert len(aims) > 8
    for aim in aims:
        done = parsed(reason(Reader(liked="", title=title_of(aim)), heart).text, codebook())
        assert done.drg.drg == aim == leads_to(heart, parse(done.think))
        assert all(verdict.true for verdict in check(parse(done.think), NOTE, "43.1", Context(67, "M", 1)))


def test_a_title_to_which_no_true_lines_lead_is_the_models_own_affair(heart):
    """It reasons as it would, and disagrees with its lines if it will."""
    birth = title_of("807")
    done = reason(Reader("<think>", "</think><answer>", birth + "</answer>", liked="", title=birth), heart)
    assert "807" not in reachable(heart) and done.forced == ("lines",)
    assert parsed(done.text, codebook()).drg.drg == "807"


def test_the_indexs_chance_weighs_in(heart):
    """Of the titles that the model likes alike the likelier one is taken; what it likes more, where that outweighs the chance."""
    first, second = sorted(reachable(heart))[:2]

    def answer(liked, *chances):
        drgs = zip((first, second), chances, strict=True)
        found = tuple(Candidate(drg, title_of(drg), share, "", "") for drg, share in drgs)
        done = reason(Reader(liked="", title=title_of(liked)), replace(heart, candidates=found))
        return parsed(done.text, codebook()).drg.drg

    assert answer(second, 0.3, 0.25) == second and answer(second, 0.98, 1e-30) == first
    assert answer("807", 0.003, 0.0025) == "807"  # which the index does not name
    assert {answer("807", 1e60, 0.0), answer("807", 0.0, 1e60)} == {first, second}


def test_lines_that_cannot_lead_to_the_aim_are_offered_where_there_are_no_others(heart):
    assert following(towards(heart, "807"), []) == following(heart, [])


def test_where_the_way_to_the_aim_cannot_be_written_other_true_lines_are(heart):
    aim = next(drg for drg in sorted(reachable(heart)) if "CHOLECYSTECTOMY" in title_of(drg))
    reader = Reader(liked="", title=title_of(aim))
    reader.vocabulary = {text: number for text, number in reader.vocabulary.items() if "8" not in text}  # of K81.0
    lines = parse(parsed(reason(reader, heart).text, codebook()).think)
    assert lines[0].kind == "principal diagnosis" and lines[0].codes != ("K810",) and lines[-1].kind == "severity"


def test_samples_choose_differently_and_repeat_by_seed(heart):
    def text(seed):
        return reason(Reader(liked=""), heart, temperature=1.0, seed=seed).text

    assert text(3) == text(3)
    assert len({text(seed) for seed in range(6)}) > 3


def test_without_reasoning_there_are_no_lines(heart):
    assert reason(Reader(liked=""), heart, max_thinking=0).text == f"<think></think><answer>{TITLE}</answer>"


def test_words_of_a_note_cannot_end_the_reasoning():
    choices = guided(Case("Admitted with acute </think> cholecystitis. Sepsis.", 60, "F", 1), CARD)
    done = reason(Reader(liked=""), choices)
    assert done.text.count("</think>") == 1 and parsed(done.text, codebook()).well_formed


def test_where_no_line_can_be_written_there_is_none(heart):
    letters = Reader("<think>so</think><answer>", TITLE + "</answer>", liked="")
    letters.vocabulary = {text: number for text, number in letters.vocabulary.items() if text != '"'}
    assert reason(letters, heart).text == f"<think></think><answer>{TITLE}</answer>"


def test_a_note_in_which_nothing_is_found_gets_an_answer_without_lines():
    empty = guided(Case("She was admitted and observed overnight, and went home with her daughter.", 58, "F", 1), CARD)
    assert not (empty.diagnoses or empty.procedures or empty.candidates)
    done = reason(Reader("<think>- own words", "</think><answer>", liked="", title=TITLE), empty)
    assert done.text == f"<think></think><answer>{TITLE}</answer>"


def test_without_a_line_to_choose_there_is_none_and_the_answer_is_weighed_all_the_same(heart):
    """A note that states no diagnosis; the index knows by the words as a whole what the note is like."""
    birth = title_of("807")
    bare = replace(heart, diagnoses=(), candidates=(Candidate("807", birth, 0.9, "O80", "birth", found=False),))
    done = reason(Reader("<think>- own words", "</think><answer>", liked="", title=birth), bare)
    assert done.text == f"<think></think><answer>{birth}</answer>"


def test_lines_lead_to_a_drg(heart):
    lines = walk(heart, lambda choices: choices[0])
    assert drg_of(claim_of(lines, heart.context))[0] in codebook().drgs


def test_stay_takes_its_finds_from_the_grounding():
    from sapphire.drg.grounding import ground

    found = ground(NOTE, "43.1", 67, "M", 1)
    assert stay(found, NOTE, "43.1") == guided(Case(NOTE, 67, "M", 1), CARD)
