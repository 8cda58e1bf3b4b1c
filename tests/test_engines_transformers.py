"""The transformers engine on a tiny random Llama: what it must keep to does not depend on what a model knows."""

import json
import shutil
import threading
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")

from sapphire.completions import parse  # noqa: E402
from sapphire.drg.codebook import codebook  # noqa: E402
from sapphire.engines import Cancelled, EngineError, Sampling, load  # noqa: E402
from sapphire.engines.model_folder import find  # noqa: E402
from tests.tiny import save_tiny_llama  # noqa: E402

pytestmark = pytest.mark.torch

NOTE = "67 year old man with dyspnea and edema. BNP 4200. Diuresed with IV furosemide. ATN, creatinine 2.1."


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A random Llama of 64 dimensions, in the layout of transformers."""
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny", NOTE)


@pytest.fixture(scope="module")
def adapter(folder) -> Path:
    """A LoRA adapter on the random Llama that changes what it says."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(4)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    path = folder.parent / "lora"
    get_peft_model(AutoModelForCausalLM.from_pretrained(folder), config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def engine(folder):
    engine = load(folder)
    yield engine
    engine.close()


def answer(engine, text=NOTE, cancel=None, **sampling):
    pieces = engine.stream(text, Sampling(**{"max_thinking": 24} | sampling), cancel)
    shown = ""
    while True:
        try:
            shown += next(pieces)
        except StopIteration as end:
            assert end.value.text == shown
            return end.value


def test_the_answer_is_always_a_title(engine):
    for seed in range(6):
        done = answer(engine, temperature=1.0, seed=seed)
        parsed = parse(done.text, codebook())
        assert parsed.well_formed and parsed.drg
        assert 0 < done.confidence <= 1
        assert done.tokens <= 24 + 16 + 80


def test_greedy_is_reproducible_whatever_was_read_before(engine):
    first = answer(engine)
    answer(engine, "Another note, of a hip that was replaced.")
    assert answer(engine).text == first.text


def test_samples_are_as_many_as_asked_and_repeat_by_seed(engine):
    sampling = Sampling(n=3, temperature=1.0, max_thinking=12, seed=5)
    first, second = list(engine.score([NOTE, "Chest pain."], sampling))
    assert len(first) == len(second) == 3
    assert len({done.text for done in first}) > 1
    assert [d.text for d in next(engine.score([NOTE], sampling))] == [d.text for d in first]


def test_the_kept_cache_changes_nothing(engine, folder):
    """Logits from the cache, cut back and extended, are those of one pass over all tokens."""
    from transformers import AutoModelForCausalLM

    from sapphire.engines.backend import Watch

    backend, model = engine._backend, AutoModelForCausalLM.from_pretrained(folder).eval()
    context = backend.encode(NOTE * 3)
    for ids in (context, context[:50], [*context[:50], 5, 6, 7], context[:20] + context[30:60], [9]):
        with torch.inference_mode():
            right = model(torch.tensor([ids])).logits[0, -1]
        torch.testing.assert_close(backend._logits(ids, Watch(9, None)), right, rtol=1e-4, atol=1e-4)


def test_the_odds_are_the_softmax_over_what_is_allowed(engine, folder):
    from transformers import AutoModelForCausalLM

    from sapphire.engines.backend import Watch

    ids, allowed = engine._backend.encode(NOTE), [40, 50, 60]
    with torch.inference_mode():
        logits = AutoModelForCausalLM.from_pretrained(folder).eval()(torch.tensor([ids])).logits[0, -1]
    odds = engine._backend.odds(ids, allowed, Watch(9, None))
    assert sum(odds.values()) == pytest.approx(1)
    assert [odds[token] for token in allowed] == pytest.approx(logits[allowed].softmax(0).tolist(), rel=1e-3)


def test_unconstrained_is_what_generate_gives(engine, folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from sapphire.prompts import messages

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    text = tokenizer.apply_chat_template(messages(NOTE), tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    right = model.generate(ids, max_new_tokens=128 + 24, do_sample=False)[0, ids.shape[1] :]
    done = answer(engine, constrained=False)
    assert done.forced == ()
    whole = tokenizer.decode(right[right != tokenizer.eos_token_id])
    assert done.text == whole.rstrip("\N{REPLACEMENT CHARACTER}")  # half a character at the limit is not shown


def test_an_adapter_changes_the_logits(folder, adapter, engine):
    from sapphire.engines.backend import Watch

    adapted = load(adapter)
    ids = engine._backend.encode(NOTE)
    plain, other = (each._backend._logits(ids, Watch(9, None)) for each in (engine, adapted))
    assert (plain - other).abs().max() > 0.1
    assert parse(answer(adapted).text, codebook()).drg
    adapted.close()


def test_a_model_folder_names_base_and_adapter(folder, adapter, tmp_path, engine):
    shutil.copytree(adapter, tmp_path / "adapter")
    card = {"name": "tiny-lora", "kind": "transformers", "base": str(folder), "adapter": "adapter", "drg_version": "40"}
    (tmp_path / "model.json").write_text(json.dumps(card | {"tuned": True}))
    loaded = load(tmp_path)
    assert (loaded.card.name, loaded.card.drg_version, loaded.card.tuned) == ("tiny-lora", "40", True)
    assert parse(answer(loaded).text, codebook("40")).drg
    loaded.close()


def test_a_wrong_adapter_is_refused(folder, adapter, tmp_path):
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, tmp_path / "shape")
    weights = load_file(tmp_path / "shape" / "adapter_model.safetensors")
    save_file({k: v[:, :-1].contiguous() for k, v in weights.items()}, tmp_path / "shape" / "adapter_model.safetensors")
    shutil.copytree(adapter, tmp_path / "names")
    save_file(
        {k.replace("layers.0", "layers.7"): v for k, v in weights.items()},
        tmp_path / "names" / "adapter_model.safetensors",
    )
    for name in ("shape", "names"):
        with pytest.raises(EngineError, match="does not fit its base model"):
            load(tmp_path / name)


def test_cancel_and_time_limit(engine):
    cancel = threading.Event()
    pieces = engine.stream(NOTE, Sampling(max_thinking=3000, temperature=1.0, seed=1, constrained=False), cancel)
    next(pieces)
    cancel.set()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        list(pieces)
    assert time.monotonic() - began < 15
    with pytest.raises(EngineError, match=r"within 0\.01 seconds"):
        answer(engine, timeout=0.01)
    assert parse(answer(engine).text, codebook()).drg


def test_a_note_that_does_not_fit_is_refused_with_its_length(engine):
    with pytest.raises(EngineError, match=r"takes [\d,]+ tokens .* holds 4,096"):
        answer(engine, "dyspnea " * 5000)
    assert parse(answer(engine).text, codebook()).drg


def test_damaged_folders(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "cut")
    weights = tmp_path / "cut" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    shutil.copytree(folder, tmp_path / "empty")
    (tmp_path / "empty" / "model.safetensors").unlink()
    shutil.copytree(folder, tmp_path / "strange")
    (tmp_path / "strange" / "config.json").write_text('{"model_type": "nonsense"}')
    for name in ("cut", "empty", "strange"):
        with pytest.raises(EngineError, match="cannot be loaded"):
            load(tmp_path / name)
    shutil.copytree(folder, tmp_path / "mute")
    (tmp_path / "mute" / "chat_template.jinja").unlink()
    with pytest.raises(EngineError, match="no chat template"):
        load(tmp_path / "mute")


def test_both_engines_see_the_same_in_the_same_weights(smollm2, tmp_path):
    """SmolLM2's weights, read from its GGUF file by transformers: the odds of next tokens are llama.cpp's, but for its
    rounding of activations."""
    pytest.importorskip("gguf")
    from bench.engine import convert
    from sapphire.engines.backend import Watch
    from sapphire.prompts import messages

    convert(find(smollm2), str(tmp_path))
    odds = []
    for place in (smollm2, tmp_path):
        engine = load(place)
        backend = engine._backend
        context, _ = backend.prompt(messages(NOTE), 100, True)
        tokens = [backend.vocabulary[text] for text in ("The", "Based", " the", "I", "D")]
        odds.append(backend.odds([*context, *backend.encode("<think>")], tokens, Watch(60, None)))
        engine.close()
    assert list(odds[0].values()) == pytest.approx(list(odds[1].values()), abs=0.1)
    assert max(odds[0], key=odds[0].get) == max(odds[1], key=odds[1].get)
