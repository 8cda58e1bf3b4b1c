"""The register of models and the check that stands before their use, with the embedded model where one is opened."""

import json
import shutil
import threading
import time

import pytest

from sapphire import registry
from sapphire.checking import begin, open_within
from sapphire.engines import EngineError, Sampling
from sapphire.engines.model_folder import find
from sapphire.hosting import Hosting
from sapphire.profiles import Profile
from sapphire.store import open_store

ANA, ADA = Profile("Ana", "coder"), Profile("Ada", "admin")
FIT = {"passed": True, "message": "", "load_seconds": 1.0, "seconds": 2.0, "tokens": 100, "form": "own", "drg": "291"}
ELSEWHERE = "https://drg.example.com/v1"


@pytest.fixture
def store(tmp_path, monkeypatch, smollm2):
    """A home with the embedded model and an empty database."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / smollm2.name).symlink_to(smollm2)
    monkeypatch.setenv("SAPPHIRE_HOME", str(tmp_path))
    store = open_store(tmp_path / "sapphire.duckdb")
    yield store
    store.close()


def entry(store, name):
    return next(each for each in registry.entries(store) if each.card.name == name)


def names(store):
    return [card.name for card in registry.usable(store)]


def test_what_lies_in_the_models_folder_is_used_at_once_and_what_is_added_after_its_check(store, smollm2):
    assert names(store) == [smollm2.name]
    assert entry(store, smollm2.name).size > 80_000_000
    weights = next(smollm2.glob("*.gguf"))
    card = registry.add_local(store, "Ana", str(weights), "again", "grounded", "42.1")
    assert (card.name, card.kind, card.prompt, card.drg_version) == ("again", "llama.cpp", "grounded", "42.1")
    assert find(card.location).weights == str(weights)
    assert names(store) == [smollm2.name]
    registry.record_check(store, "again", "Ana", FIT)
    assert names(store) == [smollm2.name, "again"]
    registry.make_default(store, entry(store, "again"), "Ana")
    assert names(store) == ["again", smollm2.name]
    found = entry(store, "again")
    assert (found.author, found.place, found.report) == ("Ana", str(weights), FIT)
    registry.record_check(store, "again", "Ana", FIT | {"passed": False})
    assert names(store) == [smollm2.name]


def test_withdrawn_is_not_offered_and_comes_back_and_a_name_is_given_once(store, smollm2):
    weights = next(smollm2.glob("*.gguf"))
    registry.add_local(store, "Ana", str(weights), "mine")
    registry.record_check(store, "mine", "Ana", FIT)
    registry.withdraw(store, entry(store, "mine"), "Ana")
    assert "mine" not in names(store) and entry(store, "mine").withdrawn
    with pytest.raises(ValueError, match="already a model"):
        registry.add_local(store, "Ana", str(weights), "mine")
    registry.restore(store, entry(store, "mine"), "Ana")
    assert "mine" in names(store)
    kinds = [row["kind"] for row in store.read("SELECT kind FROM model_event ORDER BY seq")]
    assert kinds == ["added", "checked", "withdrawn", "restored"]


def test_a_trained_folder_brings_its_recipe_and_the_hash_of_its_data(store, tmp_path):
    folder = tmp_path / "run" / "model"
    folder.mkdir(parents=True)
    training = {"identity": "ab" * 32, "data": [{"path": "x", "sha256": "12" * 32, "rows": 3}]}
    card = {"name": "trained", "kind": "transformers", "prompt": "grounded", "tuned": True, "training": training}
    (folder / "model.json").write_text(json.dumps(card))
    registry.add_local(store, "Ana", str(folder), "another name is ignored")
    found = entry(store, "trained")
    assert (found.recipe, found.data_hash) == ("trained, abababababab", "12" * 32)
    assert found.card.tuned and found.card.prompt == "grounded" and found.card.location == str(folder)


def test_a_model_whose_files_went_is_listed_with_the_reason(store, tmp_path, smollm2):
    gone = tmp_path / "gone.gguf"
    gone.write_bytes(b"GGUF")
    card = registry.add_local(store, "Ana", str(gone), "gone")
    gone.unlink()
    shutil.rmtree(card.location)
    assert "no model" in entry(store, "gone").missing
    assert names(store) == [smollm2.name]


def test_a_server_elsewhere_needs_an_administrator_and_a_purpose_and_is_marked(store):
    with pytest.raises(PermissionError, match="administrator"):
        registry.add_server(store, ANA, ELSEWHERE, "big", purpose="a trial")
    with pytest.raises(ValueError, match="purpose"):
        registry.add_server(store, ADA, ELSEWHERE, "big")
    with pytest.raises(EngineError, match="must not hold a password"):
        registry.add_server(store, ADA, "https://user:word@drg.example.com/v1", "big", purpose="a trial")
    assert store.read("SELECT * FROM model_event") == []
    card = registry.add_server(store, ADA, ELSEWHERE, "big", purpose="a trial", key_variable="DRG_KEY")
    assert card.name == "big @ drg.example.com" and card.refuses(True) and not card.refuses(False)
    here = registry.add_server(store, ANA, "http://localhost:8000/v1", "near")
    assert here.name == "near" and not here.refuses(True)
    (row,) = store.read("SELECT purpose, agreement, author FROM model_event WHERE name = $name", name=card.name)
    assert row == {"purpose": "a trial", "agreement": False, "author": "Ada"}


def test_a_key_that_was_pasted_is_refused_and_stored_nowhere(store, tmp_path):
    for key in ("sk-proj-abcDEF123", "0123456789abcdef0123456789abcdef"):
        with pytest.raises(ValueError, match="never stored") as refused:
            registry.add_server(store, ADA, ELSEWHERE, "big", key_variable=key, purpose="a trial")
        assert key not in str(refused.value)
    assert [each.name for each in (tmp_path / "models").iterdir() if each.name.startswith(("big", "."))] == []


def ended(check, seconds: float = 120):
    end = time.monotonic() + seconds
    while check.state != "done" and time.monotonic() < end:
        time.sleep(0.05)
    assert check.state == "done"
    return check.report


def test_a_check_opens_the_model_lets_it_answer_and_is_kept(store, smollm2):
    hosting = Hosting(store)
    card = registry.add_local(store, "Ana", str(next(smollm2.glob("*.gguf"))), "mine")
    check = begin(card, "Ana", hosting._keep, hosting.open, sampling=Sampling(max_thinking=16))
    report = ended(check)
    assert report.passed and report.drg and report.form in ("own", "helped") and report.speed > 0
    assert entry(store, "mine").usable
    hosting.close()


def test_a_check_says_why_a_model_cannot_be_loaded(store, tmp_path):
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF and nothing else")
    card = registry.add_local(store, "Ana", str(broken), "broken")
    hosting = Hosting(store)
    report = ended(hosting.check(card, "Ana"))
    assert not report.passed and "broken.gguf" in report.message
    assert not entry(store, "broken").usable and entry(store, "broken").report["message"] == report.message
    hosting.close()


def test_a_model_that_hangs_while_loading_is_given_up_and_closed_when_it_comes_after_all():
    let_go, closed = threading.Event(), threading.Event()

    class Late:
        def close(self):
            closed.set()

    def slow(location):
        let_go.wait(30)
        return Late()

    with pytest.raises(EngineError, match=r"not loaded within 0\.2 seconds"):
        open_within(slow, "somewhere", 0.2)
    let_go.set()
    assert closed.wait(10)
