"""GGUF files for the embedded engine, made without torch: a base GGUF with LoRA adapters merged in, or a folder of transformers.

`python -m sapphire.gguf_writing SOURCE OUT.gguf [--adapter FOLDER ...] [--kind Q8_0]`, where SOURCE is a GGUF file or a folder. The
models in the box come about so at set-up: what is shipped is the adapter, what is loaded the merged file.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sapphire.engines import EngineError
from sapphire.engines.gguf_header import read_header
from sapphire.weights import from_folder, from_gguf, gguf_name, head_count, merged, pairs

KINDS = ("Q8_0", "F16", "F32")
SPLITS = {
    "digits": "smollm",
    "plain": "gpt-2",
}  # llama.cpp's name of a pre-tokenizer that parts digits, and that does not
NORMAL, CONTROL = 1, 3  # token types of GGUF
OF_FILE = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.file_type", "general.quantization_version"}


def convert(source: Path, out: Path, adapters: Sequence[Path] = (), kind: str = "Q8_0") -> Path:
    """Write `out`: the model at `source` (GGUF file, or folder of a Llama model) with the LoRA `adapters`, as `kind`.

    Norms stay float32. The file appears whole or not at all.

    Raises:
        EngineError: when a part is missing, damaged, or does not fit the other.
    """
    if kind not in KINDS:
        raise EngineError(f"There is no kind {kind!r} of weights here; choose one of {', '.join(KINDS)}.")
    folder = source.is_dir()
    metadata = folder_metadata(source) if folder else _kept(read_header(source))
    weights = merged(from_folder(source) if folder else from_gguf(source), adapters)
    if metadata["general.architecture"] != "llama":
        raise EngineError(
            f"{source} is of the architecture {metadata['general.architecture']}; only Llama is converted."
        )
    work = out.with_name(out.name + ".part")
    try:
        _write(work, metadata, weights, kind)
        os.replace(work, out)
    except OSError as error:
        raise EngineError(f"{out} cannot be written ({error.strerror}); make room or choose another place.") from error
    finally:
        work.unlink(missing_ok=True)
    return out


def _kept(header: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in header.items() if key not in OF_FILE}


def _write(out: Path, metadata: dict[str, Any], weights: Iterable[tuple[str, np.ndarray]], kind: str) -> None:
    from gguf import GGMLQuantizationType, GGUFWriter, LlamaFileType, quantize

    types = {
        "Q8_0": (GGMLQuantizationType.Q8_0, LlamaFileType.MOSTLY_Q8_0),
        "F16": (GGMLQuantizationType.F16, LlamaFileType.MOSTLY_F16),
        "F32": (GGMLQuantizationType.F32, LlamaFileType.ALL_F32),
    }
    quantised, file_type = types[kind]
    heads, kv_heads = (metadata[f"llama.attention.{key}"] for key in ("head_count", "head_count_kv"))
    writer = GGUFWriter(out, metadata["general.architecture"])
    for key, value in metadata.items():
        if key != "general.architecture":
            _add(writer, key, value)
    writer.add_file_type(file_type)
    for name, tensor in weights:
        rows = pairs(tensor, head_count(name, heads, kv_heads))
        # A row of Q8_0 is made of blocks of 32 values; a vector is a norm, small and sensitive.
        form = GGMLQuantizationType.F32 if rows.ndim == 1 else quantised
        if form == GGMLQuantizationType.Q8_0 and rows.shape[-1] % 32:
            form = GGMLQuantizationType.F16
        writer.add_tensor(gguf_name(name), quantize(np.ascontiguousarray(rows), form), raw_dtype=form)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add(writer: Any, key: str, value: Any) -> None:
    if isinstance(value, list):
        writer.add_array(key, value)
    elif isinstance(value, bool):
        writer.add_bool(key, value)
    elif isinstance(value, int):
        writer.add_uint32(key, value)
    elif isinstance(value, float):
        writer.add_float32(key, value)
    else:
        writer.add_string(key, value)


def folder_metadata(folder: Path) -> dict[str, Any]:
    """What GGUF says beside the weights, from config.json, tokenizer.json and the chat template of a Llama folder.

    EngineError when one of them is missing or of a kind that llama.cpp would read otherwise.
    """
    config, tokenizer, settings = (
        _json(folder / f"{name}.json") for name in ("config", "tokenizer", "tokenizer_config")
    )
    if config.get("model_type") != "llama":
        raise EngineError(f"{folder} is of the type {config.get('model_type')}; only Llama models are converted.")
    template = folder / "chat_template.jinja"
    rope = config.get("rope_parameters") or {"rope_theta": config.get("rope_theta", 10000.0)}
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    tokens, kinds = _vocabulary(tokenizer, config["vocab_size"])
    ids = {token: number for number, token in enumerate(tokens)}
    end = config["eos_token_id"]
    return {
        "general.architecture": "llama",
        "general.name": folder.name,
        "llama.block_count": config["num_hidden_layers"],
        "llama.context_length": config["max_position_embeddings"],
        "llama.embedding_length": config["hidden_size"],
        "llama.feed_forward_length": config["intermediate_size"],
        "llama.attention.head_count": config["num_attention_heads"],
        "llama.attention.head_count_kv": config["num_key_value_heads"],
        "llama.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        "llama.rope.freq_base": float(rope["rope_theta"]),
        "llama.rope.dimension_count": head,
        "llama.vocab_size": config["vocab_size"],
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": _split(tokenizer, folder),
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [
            each if isinstance(each, str) else " ".join(each) for each in tokenizer["model"]["merges"]
        ],
        "tokenizer.ggml.bos_token_id": ids[settings["bos_token"]],
        "tokenizer.ggml.eos_token_id": end[0] if isinstance(end, list) else end,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.chat_template": _text(template),
    }


def _vocabulary(tokenizer: dict[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Tokens by id with their kinds; ids that the tokenizer lacks are filled so that they match the embedding's rows."""
    tokens = [f"[unused{number}]" for number in range(size)]
    kinds = [CONTROL] * size
    for text, number in tokenizer["model"]["vocab"].items():
        tokens[number], kinds[number] = text, NORMAL
    for added in tokenizer["added_tokens"]:
        tokens[added["id"]], kinds[added["id"]] = added["content"], CONTROL if added["special"] else NORMAL
    return tokens, kinds


def _split(tokenizer: dict[str, Any], folder: Path) -> str:
    pre = tokenizer["pre_tokenizer"] or {}
    parts = [part["type"] for part in pre.get("pretokenizers", [pre])]
    if tokenizer["model"]["type"] != "BPE" or parts not in (["ByteLevel"], ["Digits", "ByteLevel"]):
        raise EngineError(
            f"The tokenizer of {folder} is no byte-level BPE as GPT-2's or SmolLM2's; it cannot be converted."
        )
    return SPLITS["digits" if "Digits" in parts else "plain"]


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(_text(path))
    except ValueError as error:
        raise EngineError(f"{path} is no JSON; copy or save the model again.") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise EngineError(f"{path} is missing; copy or save the model again.") from error


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="GGUF file, or folder of a Llama model in the layout of transformers")
    parser.add_argument("out", type=Path)
    parser.add_argument("--adapter", type=Path, action="append", default=[], help="a LoRA to merge in; may be repeated")
    parser.add_argument("--kind", choices=KINDS, default="Q8_0", help="type of the weights (default Q8_0)")
    options = parser.parse_args(argv)
    try:
        print(convert(options.source, options.out, options.adapter, options.kind))
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
