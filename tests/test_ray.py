"""The same job on local Ray workers, with the embedded model: where Ray is installed (requirements-ray.txt)."""

import json

import pytest

pytest.importorskip("ray", reason="Ray is installed only where notes are shared among machines")

from sapphire.engines import EngineLost, Sampling
from sapphire.engines.ray_engine import RayEngine
from sapphire.prompts import Case
from sapphire.scoring import predict_file

QUICK = Sampling(max_thinking=6)
TEXTS = ["Dyspnea, heart failure, diuresed.", "", "Knee arthroplasty for osteoarthritis.", "word " * 9000, "Pneumonia."]


@pytest.fixture(scope="module")
def shared(smollm2):
    engine = RayEngine(str(smollm2), "local")
    yield engine
    engine.close()


def test_workers_write_what_the_model_writes_here_in_the_order_of_the_file(shared, engine, tmp_path):
    notes = tmp_path / "notes.jsonl"
    notes.write_text("\n".join(json.dumps({"note_id": f"n{i}", "text": text}) for i, text in enumerate(TEXTS)))
    found = {}
    for name, each in (("here", engine), ("there", shared)):
        summary = predict_file(notes, tmp_path / f"{name}.jsonl", each, QUICK)
        assert summary.complete and summary.failed == 2
        rows = map(json.loads, (tmp_path / f"{name}.jsonl").read_text().splitlines())
        found[name] = [(row["note_id"], row["completion"], row["forced"], row["error"]) for row in rows]
    assert found["there"] == found["here"]
    assert "holds 8,192" in found["there"][3][3]


def test_several_samples_and_a_case_with_what_is_known_of_the_stay(shared):
    sampling = Sampling(n=2, temperature=1.0, max_thinking=6)
    (answer,) = shared.score([Case(TEXTS[0], 71, "F", 1)], sampling)
    assert len(answer) == 2 and all(completion.text for completion in answer)


def test_a_worker_that_cannot_open_the_model_ends_the_job(shared, monkeypatch):
    class Gone:
        location = "/nowhere"

    monkeypatch.setattr(shared, "card", Gone)
    with pytest.raises(EngineLost, match="Ray worker failed"):
        list(shared.score(TEXTS[:1], QUICK))
