"""Two-step decoding by itself: a backend that says what a script tells it."""

import string

import pytest

from sapphire.completions import parse
from sapphire.drg.codebook import VERSIONS, codebook
from sapphire.engines import Cancelled, EngineError, Sampling
from sapphire.engines.backend import Token, Watch
from sapphire.engines.decoding import boundary, complete
from sapphire.engines.titles import readable, titles

TITLE = "HEART FAILURE AND SHOCK WITH MCC"
ALL = ("think_open", "think_close", "answer_open", "title", "answer_close")


class Script:
    """Says the scripted turns, one a call of `write`, in pieces of `size` characters; likes the letters of `liked`."""

    vocabulary = {chr(code): code for code in range(32, 127)} | {" WITH": 200, "HEART": 201, "</": 202}

    def __init__(self, *turns, size=3, liked=TITLE):
        self.turns, self.size, self.liked = list(turns), size, liked
        self.contexts = []

    def encode(self, text):
        return [text]

    def write(self, context, limit, sampling, seed, accept, watch):
        self.contexts.append(list(context))
        text = self.turns.pop(0) if self.turns else ""
        for at in range(0, min(len(text), limit * self.size), self.size):
            watch.check()
            if not accept(Token(text[at : at + self.size], (text[at : at + self.size],))):
                return

    def odds(self, context, allowed, watch):
        watch.check()
        texts = {number: text for text, number in self.vocabulary.items()}
        said = "".join(part if isinstance(part, str) else texts.get(part, "") for part in context)
        written = said.rsplit("<answer>", 1)[-1]
        likes = {token: 9.0 if self.liked[len(written) :].startswith(texts[token]) else 1.0 for token in allowed}
        return {token: like / sum(likes.values()) for token, like in likes.items()}


def run(backend, timeout=9.0, cancel=None, **sampling):
    pieces = []
    sampling = Sampling(**{"max_thinking": 40} | sampling)
    done = complete(backend, (["PROMPT"], ""), "43.1", sampling, pieces.append, Watch(timeout, cancel))
    assert "".join(pieces) == done.text
    return done


@pytest.mark.parametrize("size", [1, 2, 3, 7, 200])
def test_what_the_model_writes_in_form_is_left_alone(size):
    text = f"<think>Fluid overload, BNP 4000 <5000. MCC present.</think>\n<answer>{TITLE}</answer>"
    before, sep, answer = text.partition("<answer>")
    done = run(Script(before + sep, answer + "<|more|>", size=size), max_thinking=100)
    assert done.text == text
    assert done.forced == ()
    assert done.head == "Fluid overload, BNP 4000 <5000. MCC present."
    assert 0 < done.confidence <= 1


def test_a_model_that_writes_on_in_one_breath_is_left_alone():
    done = run(Script("<think>a b</think><answer>", f"{TITLE.title()}</answer>", size=1))
    assert done.forced == ()
    assert parse(done.text, codebook()).drg.drg == "291"


@pytest.mark.parametrize(
    ("turns", "text", "forced"),
    [
        (("Sure!", "the heart fails"), "<think>the heart fails</think><answer>", ALL),
        (("", ""), "<think></think><answer>", ALL),
        (("<think>it fails",), "<think>it fails</think><answer>", ALL[1:]),
        (("<think>it fails</th",), "<think>it fails</think><answer>", ALL[1:]),
        (("<think>it fails</think>Answer: 291",), "<think>it fails</think><answer>", ALL[2:]),
        (("<think>it fails</think>\n<ans",), "<think>it fails</think><answer>", ALL[2:]),
        (("<think>it fails <answer>X</answer>",), "<think>it fails </think><answer>", ALL[1:]),
        (("<think>it fails</answer> so",), "<think>it fails</think><answer>", ALL[1:]),
        (("<think>it fails</think><answer>", "CONGESTIVE HEART</answer>"), "<think>it fails</think><answer>", ALL[3:]),
        (("<think>it fails</think><answer>", TITLE), "<think>it fails</think><answer>", ALL[3:]),
        (("x", "it fails</think> <answer>", "?"), "<think>it fails</think> <answer>", (ALL[0], *ALL[3:])),
        (("<think>" + "x" * 500,), "<think>" + "x" * 33 + "</think><answer>", ALL[1:]),
    ],
)
def test_what_is_missing_is_forced_and_said(turns, text, forced):
    done = run(Script(*turns, size=1))
    assert done.text == text + TITLE + "</answer>"
    assert done.forced == forced
    assert parse(done.text, codebook()).well_formed


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize(
    "text",
    [
        "<think>a</think>b",
        "<think>a<answer>b",
        "<think>a</answer>b",
        "<think>a<think>b",
        "<think>a</think> <answer>b",
        "hello",
    ],
)
def test_the_boundary_does_not_depend_on_the_pieces(text, size):
    """A piece may show too much; what stands then is what stands of the whole text, and never shrinks."""
    stood = 0
    for end in [*range(size, len(text), size), len(text)]:
        stands, over = boundary(text[:end])
        assert stands >= stood
        stood = stands
        if over:
            break
    assert over
    assert stands == boundary(text)[0]


def test_the_context_is_what_the_text_says():
    backend = Script("<think>ab", size=4)
    run(backend)
    assert backend.contexts == [["PROMPT"]]
    backend = Script("no", "ab</thi", size=4)
    run(backend)
    assert backend.contexts[1] == ["PROMPT", "<think>"]


def test_unconstrained_nothing_is_forced():
    done = run(Script("I think it is 291.", size=1), constrained=False)
    assert (done.text, done.forced, done.confidence) == ("I think it is 291.", (), None)


def test_the_head_is_fifty_tokens_of_reasoning():
    words = "".join(f"{i:03}" for i in range(100))
    assert run(Script("<th", "ink>" + words, size=3), max_thinking=90).head == ("ink>" + words)[:150]


def test_samples_differ_and_repeat_by_seed():
    def answer(seed):
        return run(Script("", "", liked=""), temperature=1.0, seed=seed).text

    assert answer(1) == answer(1)
    assert len({answer(seed) for seed in range(8)}) > 4


def test_top_p_takes_only_the_likeliest():
    texts = {run(Script("", ""), temperature=1.0, top_p=0.01, seed=seed).text for seed in range(5)}
    assert texts == {f"<think></think><answer>{TITLE}</answer>"}


def test_time_and_cancel_end_it():
    import threading

    with pytest.raises(EngineError, match="within 0 seconds"):
        run(Script("<think>" + "x" * 50), timeout=0.0)
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        run(Script("<think>" + "x" * 50), cancel=cancel)


@pytest.mark.parametrize("version", VERSIONS)
def test_titles_need_only_plain_characters_and_stay_titles(version):
    form, book = titles(version), codebook(version)
    assert form.characters() <= set(string.printable)
    assert {form.answer(drg.title) for drg in book.drgs.values()} == set(form.beginning(""))
    assert all(book.by_title(answer.removesuffix("</answer>")) for answer in form.beginning(""))


@pytest.mark.parametrize("version", ["36", "43.1"])
def test_every_title_can_be_reached_letter_by_letter(version):
    form = titles(version)
    letters = {character: ord(character) for character in form.characters()}
    for answer in form.beginning("")[::8]:
        written = ""
        while not written.endswith("</answer>"):
            step = form.certain(written) or answer[len(written)]
            assert step in letters or step == form.certain(written)
            assert len(step) > 1 or ord(step) in form.next_tokens(written, letters)
            written += step
        assert written == answer


def test_a_shared_beginning_is_certain_up_to_its_last_word():
    form = titles("43.1")
    assert form.certain("HEART FAIL") == "URE AND SHOCK"
    assert form.certain("HEART FAILURE AND SHOCK WITHOUT") == " CC/MCC</answer>"
    assert form.certain("") == ""


def test_readable_tokens_of_both_kinds_of_vocabulary():
    assert readable([(0, "ĠHEART"), (1, "▁HEART"), (2, "é"), (3, "Ċ"), (4, "A"), (5, "A")]) == {" HEART": 0, "A": 4}
