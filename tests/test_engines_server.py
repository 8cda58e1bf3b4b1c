"""Models behind a server: llama.cpp's own over TCP, with the embedded model, asked as any OpenAI-compatible server is."""

import json
import threading
import time
from pathlib import Path

import pytest

from sapphire.completions import parse
from sapphire.drg.codebook import codebook
from sapphire.engines import Cancelled, EngineError, EngineLost, ModelCard, Sampling, load
from sapphire.engines.model_folder import Server
from sapphire.engines.server import ServerEngine
from sapphire.engines.two_step import Attempt
from sapphire.notes import Note
from sapphire.profiles import Profile
from sapphire.registry import add_server
from sapphire.running import Runner
from sapphire.scoring import predict_file, score
from sapphire.store import open_store
from tests.llama_server import llama_server
from tests.stays import stored_note

NOTES = ["67 year old man with dyspnea and edema. Diuresed. ATN.", "Elective right total knee arthroplasty. Home."]
CARD = ModelCard("there", "server", "")
SHORT = Sampling(max_thinking=8)


@pytest.fixture(scope="module")
def address(smollm2):
    with llama_server(next(smollm2.glob("*.gguf"))) as (url, _):
        yield url


@pytest.fixture(scope="module")
def engine(address):
    engine = ServerEngine(CARD, Server(address))
    yield engine
    engine.close()


def test_it_streams_a_reasoning_and_a_title(engine):
    pieces, shown = engine.stream(NOTES[0], SHORT), []
    while True:
        try:
            shown.append(next(pieces))
        except StopIteration as end:
            done = end.value
            break
    assert "".join(shown) == done.text and len(shown) > 2
    parsed = parse(done.text, codebook())
    assert parsed.well_formed and parsed.drg and parsed.answer == parsed.answer.upper()
    assert done.tokens > 8 and done.seconds > 0


def test_it_answers_many_in_input_order_each_with_its_samples(engine):
    sampling = Sampling(n=2, temperature=1.0, max_thinking=8, seed=3)
    answers = list(engine.score(NOTES, sampling))
    assert [len(each) for each in answers] == [2, 2]
    assert all(parse(completion.text, codebook()).drg for each in answers for completion in each)
    assert answers[0][0].text != answers[0][1].text


def test_a_note_too_long_is_refused_without_its_words_and_the_others_go_on(engine):
    scored = list(score([Note("a", "zebra " * 5000), Note("b", NOTES[1])], engine, SHORT))
    assert [bool(each.error) for each in scored] == [True, False]
    assert "longer than the model's context" in scored[0].error and "zebra" not in scored[0].error


def test_a_cancel_stops_it_in_the_middle(engine):
    cancel = threading.Event()
    pieces = engine.stream(NOTES[0], Sampling(max_thinking=384), cancel)
    next(pieces)
    began = time.monotonic()
    cancel.set()
    with pytest.raises(Cancelled):
        list(pieces)
    assert time.monotonic() - began < 5


def test_nobody_there_is_said_at_once():
    with pytest.raises(EngineError, match="does not answer"):
        ServerEngine(CARD, Server("http://127.0.0.1:9/v1"))


def test_a_key_that_is_not_in_the_environment_is_named_and_not_asked_for(address, monkeypatch):
    monkeypatch.delenv("SAPPHIRE_TEST_KEY", raising=False)
    with pytest.raises(EngineError, match="set SAPPHIRE_TEST_KEY"):
        ServerEngine(CARD, Server(address, key_variable="SAPPHIRE_TEST_KEY"))
    monkeypatch.setenv("SAPPHIRE_TEST_KEY", "any")
    ServerEngine(CARD, Server(address, key_variable="SAPPHIRE_TEST_KEY")).close()


def test_an_address_under_which_there_is_nothing_ends_the_run(address):
    """llama-server takes any model name; what it does not know is another path."""
    engine = ServerEngine(CARD, Server(address + "/other", "some"))
    with pytest.raises(EngineLost, match="knows no model"):
        list(engine.score(NOTES, SHORT))
    engine.close()


@pytest.fixture
def store(tmp_path, monkeypatch, smollm2):
    monkeypatch.setenv("SAPPHIRE_HOME", str(tmp_path))
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


def wait(run, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while run.active and time.monotonic() < end:
        time.sleep(0.05)
    assert not run.active, run


def test_a_run_gives_it_many_notes_and_stores_each_once_after_the_server_died_and_came_back(store, smollm2):
    """Half of the notes, a killed server, a message; then the run is taken up where it was."""
    ids = [f"n{i}" for i in range(8)]
    store.append("note", [stored_note(note, NOTES[i % 2] + " Stable." * i) for i, note in enumerate(ids)])
    weights, reader = next(smollm2.glob("*.gguf")), Profile("Ana", "coder")
    with llama_server(weights) as (url, process):
        card = add_server(store, reader, url, "mine")
        runner = Runner(store)
        run = runner.start(ids, card.name, card.location, SHORT, "Ana")
        while run.done < 1 and run.active:
            time.sleep(0.05)
        process.kill()
        wait(run)
    assert run.state == "failed" and "broke off" in run.message
    done = store.read("SELECT note_id FROM prediction ORDER BY seq")
    assert 0 < len(done) < 8 and done[0]["note_id"] == "n6"  # the longest first
    with llama_server(weights) as (url, _):
        folder = store.read("SELECT location FROM current_model")[0]["location"]
        there = Path(folder, "model.json")  # it came back on another port
        there.write_text(json.dumps(json.loads(there.read_text()) | {"url": url}))
        again = runner.resume(run.run_id, "Ana")
        wait(again)
        runner.close()
    assert again.state == "finished"
    rows = store.read("SELECT note_id, error, drg FROM prediction")
    assert sorted(row["note_id"] for row in rows) == sorted(ids)
    assert all(row["drg"] and not row["error"] for row in rows)


def test_a_file_keeps_the_order_of_its_input(engine, tmp_path):
    notes = tmp_path / "notes.jsonl"
    texts = [NOTES[0], NOTES[0] + " Stable." * 30, NOTES[1]]
    notes.write_text("\n".join(json.dumps({"note_id": f"n{i}", "text": text}) for i, text in enumerate(texts)))
    asked = []
    predict_file(notes, tmp_path / "out.jsonl", engine, SHORT, progress=lambda each: asked.append(each.note.note_id))
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["note_id"] for row in rows] == ["n0", "n1", "n2"]
    assert asked == ["n1", "n0", "n2"]


def test_a_credentialed_note_stays_here_and_the_others_go(store, address, monkeypatch):
    """The same server, reached by an address that is not a loopback one, counts as a server elsewhere."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    address, admin = address.replace("127.0.0.1", "0.0.0.0"), Profile("Ada", "admin")
    with pytest.raises(PermissionError, match="administrator"):
        add_server(store, Profile("Ana", "coder"), address, "there", purpose="a trial")
    store.append("note", [stored_note("secret", NOTES[0], credentialed=True), stored_note("open", NOTES[1])])
    card = add_server(store, admin, address, "there", purpose="a trial")
    assert card.name == "there @ 0.0.0.0"
    engine = load(card.location)
    scored = list(score([Note("secret", NOTES[0], credentialed=True), Note("open", NOTES[1])], engine, SHORT))
    assert "data-use agreement" in scored[0].error and scored[1].completions
    engine.close()
    runner = Runner(store)
    for ids in (["secret", "open"], ["secret"]):  # many at once, and one alone
        run = runner.start(ids, card.name, card.location, SHORT, "Ada")
        wait(run)
        assert run.failed == 1
    runner.close()
    rows = store.read("SELECT note_id, model, error FROM prediction ORDER BY seq")
    assert [row["note_id"] for row in rows if row["error"]] == ["secret", "secret"]
    assert {row["model"] for row in rows} == {"there @ 0.0.0.0"}
    allowed = add_server(store, admin, address, "agreed", purpose="a trial", agreement=True)
    assert not allowed.refuses(True)


@pytest.mark.parametrize(
    ("written", "spoilt"),
    [("<thi", False), ("<think>a", False), ("<think>a</think><answer>HEART", False), ("The patient", True), ("<think>a</think> So", True)],
)  # fmt: skip
def test_what_left_the_form_is_not_waited_for(written, spoilt):
    assert Attempt(Sampling(), "43.1").is_spoilt_by(written) is spoilt
    assert not Attempt(Sampling(constrained=False), "43.1").is_spoilt_by(written)
