"""A GGUF file as a folder that transformers trains on: `python -m train.base [GGUF] [--adapter FOLDER] --out DIR`.

Without a file it takes the embedded SmolLM2-135M-Instruct that `make setup` fetched, so that training needs no model hub. The weights are
what the embedded engine computes with (the 4-bit file dequantised, by the function that set-up shares), in float32. With LoRA adapters, which are
merged in the order given, training begins where theirs ended.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sapphire.engines import EngineError
from sapphire.engines.gguf_header import read_header
from sapphire.models import BASE, CARD
from sapphire.paths import models_dir
from sapphire.weights import from_gguf, merged

CONTROL = 3  # token type of GGUF
PRE_TOKENIZERS = ("smollm", "gpt-2")


def write_folder(gguf: Path, out: Path, adapters: Sequence[Path] = ()) -> Path:
    """Write config, tokenizer and weights of a Llama GGUF file into `out`; the weights last, so that a folder with them is whole.

    LoRA `adapters` are merged into the weights, one after another.

    Raises:
        EngineError: when a file is damaged, an adapter does not fit, or the architecture or tokenizer is not converted.
    """
    header = read_header(gguf)
    if header["general.architecture"] != "llama" or header["tokenizer.ggml.pre"] not in PRE_TOKENIZERS:
        raise EngineError(
            f"{gguf} is no Llama model with SmolLM2's or GPT-2's tokenizer; take its transformers folder instead."
        )
    out.mkdir(parents=True, exist_ok=True)
    weights = dict(merged(from_gguf(gguf), adapters))
    (out / "config.json").write_text(json.dumps(config(header, tied="lm_head.weight" not in weights), indent=2) + "\n")
    save_tokenizer(header, out)
    _save_weights(weights, out)
    return out


def config(header: dict[str, Any], tied: bool) -> dict[str, Any]:
    """transformers' config.json of a Llama model from GGUF's metadata."""

    def said(key: str) -> Any:
        return header[f"llama.{key}"]

    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": len(header["tokenizer.ggml.tokens"]),
        "hidden_size": said("embedding_length"),
        "intermediate_size": said("feed_forward_length"),
        "num_hidden_layers": said("block_count"),
        "num_attention_heads": said("attention.head_count"),
        "num_key_value_heads": said("attention.head_count_kv"),
        "max_position_embeddings": said("context_length"),
        "rms_norm_eps": said("attention.layer_norm_rms_epsilon"),
        "rope_parameters": {"rope_theta": said("rope.freq_base"), "rope_type": "default"},
        "hidden_act": "silu",
        "tie_word_embeddings": tied,
        "bos_token_id": header["tokenizer.ggml.bos_token_id"],
        "eos_token_id": header["tokenizer.ggml.eos_token_id"],
        "pad_token_id": header.get("tokenizer.ggml.unknown_token_id", 0),
        "dtype": "float32",
    }


def save_tokenizer(header: dict[str, Any], out: Path) -> None:
    """The byte-level BPE of a GGUF file as transformers keeps it, chat template included.

    Built here because transformers' own reading of GGUF leaves out that SmolLM2 parts digits, and takes the wrong last token.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = header["tokenizer.ggml.tokens"]
    merges = [tuple(each.split(" ")) for each in header["tokenizer.ggml.merges"]]
    core = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    parts_digits = header["tokenizer.ggml.pre"] == "smollm"
    digits = pre_tokenizers.Digits(individual_digits=True)
    core.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level]) if parts_digits else byte_level
    core.decoder = decoders.ByteLevel()
    special = [
        token for token, kind in zip(tokens, header["tokenizer.ggml.token_type"], strict=True) if kind == CONTROL
    ]
    core.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special])
    named = {name: tokens[header[f"tokenizer.ggml.{name}_token_id"]] for name in ("bos", "eos")}
    # Padding must not be the last token, or training would never see an end.
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token=named["bos"],
        eos_token=named["eos"],
        pad_token=tokens[header.get("tokenizer.ggml.unknown_token_id", 0)],
        model_max_length=header["llama.context_length"],
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = header["tokenizer.chat_template"]
    tokenizer.save_pretrained(out)


def _save_weights(weights: dict[str, np.ndarray], out: Path) -> None:
    from safetensors.numpy import save_file

    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})


def embedded() -> Path:
    """The embedded model's file. EngineError with the command that installs it when it is not there."""
    path = models_dir() / BASE / CARD["file"]
    if not path.exists():
        raise EngineError(f"There is no {path}; run `python -m sapphire.models`, or give a GGUF file.")
    return path


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gguf", type=Path, nargs="?", help="default: the embedded SmolLM2-135M-Instruct")
    parser.add_argument("--adapter", type=Path, action="append", default=[], help="a LoRA to merge; may be repeated")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        print(write_folder(options.gguf or embedded(), options.out, options.adapter))
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
