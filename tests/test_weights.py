"""Weights between GGUF, transformers and LoRA, without torch; what llama.cpp computes with them is what transformers computes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

from sapphire.engines import EngineError, Sampling, load  # noqa: E402
from sapphire.engines.gguf_header import read_header  # noqa: E402
from sapphire.gguf_writing import convert  # noqa: E402
from sapphire.shipped import install_shipped  # noqa: E402
from sapphire.weights import Adapter, from_folder, from_gguf, merged  # noqa: E402
from tests.tiny import save_tiny_llama  # noqa: E402
from train.base import write_folder  # noqa: E402

pytestmark = pytest.mark.torch

NOTE = "67 year old man with dyspnea and edema. BNP 4200. Diuresed with IV furosemide. ATN, creatinine 2.1."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny", NOTE)


@pytest.fixture(scope="module")
def adapter(folder) -> Path:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(4)
    modules = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=4, lora_alpha=12, target_modules=modules, init_lora_weights=False, task_type="CAUSAL_LM")
    path = folder.parent / "lora"
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(path)
    return path


def test_a_folder_comes_back_from_gguf_as_it_was(folder, tmp_path):
    there = convert(folder, tmp_path / "tiny.gguf", kind="F32")
    back = write_folder(there, tmp_path / "back")
    assert_equal(dict(from_folder(back)), dict(from_folder(folder)))
    known = {
        "hidden_size",
        "num_attention_heads",
        "num_key_value_heads",
        "eos_token_id",
        "tie_word_embeddings",
        "vocab_size",
    }
    ours, theirs = (json.loads((each / "config.json").read_text()) for each in (back, folder))
    assert {key: ours[key] for key in known} == {key: theirs[key] for key in known}


def test_an_adapter_is_merged_as_peft_merges_it(folder, adapter):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    theirs = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(folder), adapter).merge_and_unload()
    merged = dict(Adapter(adapter).merge(from_folder(folder)))
    for name, weights in theirs.state_dict().items():
        if name in merged:
            np.testing.assert_allclose(merged[name], weights.numpy(), atol=1e-6)
    assert not np.allclose(
        merged["model.layers.1.mlp.up_proj.weight"], dict(from_folder(folder))["model.layers.1.mlp.up_proj.weight"]
    )


def test_an_adapter_upon_another_is_merged_into_the_same_weights_at_set_up(folder, adapter, tmp_path):
    """In weights that are Q8_0 already the second, a three hundredth of the first, would be lost."""
    shipped, installed = tmp_path / "shipped", tmp_path / "installed"
    base, small = installed / "base" / "base.gguf", tmp_path / "small"
    base.parent.mkdir(parents=True)
    convert(folder, base, kind="F32")
    _card(installed / "base", file=base.name)
    shutil.copytree(adapter, small)
    settings = json.loads((small / "adapter_config.json").read_text())
    (small / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": settings["lora_alpha"] / 300}))
    for name, lora, below in (("one", adapter, "base"), ("two", small, "one")):
        shutil.copytree(lora, shipped / name / "adapter")
        _card(shipped / name, adapter="adapter", base=below)
    made = {
        path.name: dict(from_gguf(path / f"{path.name}.gguf")) for path in install_shipped(installed, source=shipped)
    }
    whole = dict(merged(from_folder(write_folder(base, tmp_path / "back", [adapter, small])), []))
    name = "model.layers.1.mlp.up_proj.weight"
    assert (made["one"][name] != made["two"][name]).mean() > 0.3
    assert np.abs(made["two"][name] - whole[name]).mean() < np.abs(made["one"][name] - whole[name]).mean()


def _card(folder: Path, **parts: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    card = {"name": folder.name, "kind": "llama.cpp", "prompt": "plain", "drg_version": "43.1"} | parts
    (folder / "model.json").write_text(json.dumps(card))


def test_llama_cpp_answers_as_transformers_does(folder, adapter, tmp_path):
    """Greedy tokens of the merged GGUF are those of the base with PEFT's adapter."""
    merged = load(convert(folder, tmp_path / "merged.gguf", [adapter], kind="F32"))
    adapted = load(adapter_folder(folder, adapter, tmp_path))
    sampling = Sampling(max_thinking=24, constrained=False)
    try:
        ours, theirs = (next(engine.score([NOTE], sampling))[0].text for engine in (merged, adapted))
    finally:
        merged.close()
        adapted.close()
    assert ours and ours[:40] == theirs[:40]


def test_tokens_are_those_of_the_engine(smollm2, tmp_path):
    """SmolLM2's tokenizer as training gets it parts digits and ends where the engine's does."""
    from transformers import AutoTokenizer

    from train.base import save_tokenizer

    header = read_header(next(smollm2.glob("*.gguf")))
    save_tokenizer(header, tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    vocabulary = header["tokenizer.ggml.tokens"]
    ids = tokenizer("K 2.9, 1200 mL<|im_end|>")["input_ids"]
    assert " ".join(vocabulary[i] for i in ids) == "K Ġ 2 . 9 , Ġ 1 2 0 0 ĠmL <|im_end|>"
    assert tokenizer.eos_token == "<|im_end|>" != tokenizer.pad_token


def test_the_embedded_file_and_its_transformers_folder_hold_the_same(smollm2, tmp_path):
    """The weights that training starts from are those that set-up merges the adapter into."""
    gguf = next(smollm2.glob("*.gguf"))
    first = dict(from_gguf(gguf))
    assert first["model.layers.0.self_attn.q_proj.weight"].shape == (576, 576)
    again = dict(from_gguf(convert(gguf, tmp_path / "f32.gguf", kind="F32")))
    assert_equal(again, first)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: (f / "adapter_model.safetensors").unlink(), "missing or damaged"),
        (lambda f: (f / "adapter_model.safetensors").write_bytes(b"12345678"), "missing or damaged"),
        (lambda f: (f / "adapter_config.json").write_text("{}"), "no LoRA adapter"),
        (lambda f: rename_module(f), "does not fit"),
    ],
)
def test_an_unfit_adapter_is_named_and_nothing_is_written(folder, adapter, tmp_path, damage, words):
    broken = tmp_path / "broken"
    shutil.copytree(adapter, broken)
    damage(broken)
    with pytest.raises(EngineError, match=words):
        convert(folder, tmp_path / "out.gguf", [broken])
    assert not list(tmp_path.glob("out*"))


def rename_module(folder: Path) -> None:
    from safetensors.numpy import load_file, save_file

    tensors = load_file(folder / "adapter_model.safetensors")
    save_file(
        {name.replace("layers.1.", "layers.7."): each for name, each in tensors.items()},
        folder / "adapter_model.safetensors",
    )


def adapter_folder(folder: Path, adapter: Path, tmp_path: Path) -> Path:
    model = tmp_path / "model"
    model.mkdir()
    card = {"name": "tiny-lora", "kind": "transformers", "base": str(folder), "adapter": str(adapter)}
    (model / "model.json").write_text(json.dumps(card))
    return model


def assert_equal(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert ours.keys() == theirs.keys()
    for name, weights in theirs.items():
        np.testing.assert_array_equal(ours[name], weights, err_msg=name)
