"""Weights of Llama-like models as NumPy arrays, whatever file holds them: GGUF, a folder in the layout of transformers, LoRA.

Training and `make setup` share these functions, so that an adapter meets the weights it was trained on. Names are those of
transformers (`model.layers.0.self_attn.q_proj.weight`), arrays are float32 of shape (out, in). No torch is needed.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from sapphire.engines import EngineError

# GGUF's name of a tensor, without its layer → transformers'.
IN_LAYER = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
OUTSIDE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}

LORA_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")


def from_gguf(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of a GGUF file of the Llama architecture, dequantised.

    Raises:
        EngineError: when the file is damaged, or of an architecture whose tensors are named otherwise.
    """
    from gguf import GGUFReader, dequantize

    try:
        reader = GGUFReader(path)
    except (OSError, ValueError) as error:
        raise EngineError(f"{path} is missing, damaged or no GGUF file; fetch it again.") from error
    heads, kv_heads = (
        int(reader.fields[f"llama.attention.{key}"].contents()) for key in ("head_count", "head_count_kv")
    )
    for tensor in reader.tensors:
        weights = np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)
        name = transformers_name(tensor.name)
        yield name, halves(weights, head_count(name, heads, kv_heads))


def transformers_name(name: str) -> str:
    """`blk.3.attn_q.weight` → `model.layers.3.self_attn.q_proj.weight`. EngineError for a tensor that Llama does not have."""
    *layer, stem, kind = name.split(".")
    known = IN_LAYER if layer else OUTSIDE
    if stem not in known or kind != "weight":
        raise EngineError(f"The tensor {name} is none of a Llama model's; only that architecture can be converted.")
    return ".".join(["model.layers", layer[1], known[stem], kind] if layer else [known[stem], kind])


def gguf_name(name: str) -> str:
    """The inverse of `transformers_name`."""
    if found := re.fullmatch(r"model\.layers\.(\d+)\.(.+)\.weight", name):
        stems = {theirs: ours for ours, theirs in IN_LAYER.items()}
        if found[2] in stems:
            return f"blk.{found[1]}.{stems[found[2]]}.weight"
    stems = {f"{theirs}.weight": ours for ours, theirs in OUTSIDE.items()}
    if name not in stems:
        raise EngineError(f"The tensor {name} is none of a Llama model's; only that architecture can be converted.")
    return f"{stems[name]}.weight"


def head_count(name: str, heads: int, kv_heads: int) -> int:
    """How many attention heads the rows of a tensor are made of; 0 for those whose rows both libraries order alike."""
    return heads if "q_proj" in name else kv_heads if "k_proj" in name else 0


def halves(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows from llama.cpp's order to transformers'.

    Rotary position embedding turns pairs of a head's dimensions: llama.cpp lets pairs stand side by side, transformers takes
    the first of each pair from the head's first half and the second from its second half.
    """
    return _swapped(weights, heads, (-1, 2))


def pairs(weights: np.ndarray, heads: int) -> np.ndarray:
    """Rows from transformers' order to llama.cpp's: the inverse of `halves`."""
    return _swapped(weights, heads, (2, -1))


def _swapped(weights: np.ndarray, heads: int, shape: tuple[int, int]) -> np.ndarray:
    if not heads:
        return weights
    return weights.reshape(heads, *shape, weights.shape[1]).swapaxes(1, 2).reshape(weights.shape)


def from_folder(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of a folder in the layout of transformers (model.safetensors, or several files of that ending)."""
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise EngineError(f"The folder {folder} holds no .safetensors file; give one that transformers saved.")
    for file in files:
        yield from from_safetensors(file)


def from_safetensors(path: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every tensor of a .safetensors file (float32, float16, bfloat16). EngineError when it is damaged."""
    from safetensors import SafetensorError, deserialize

    try:
        entries = deserialize(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise EngineError(f"{path} is missing or damaged; copy or train it again.") from error
    for name, entry in entries:
        yield name, _floats(entry["dtype"], entry["data"]).reshape(entry["shape"])


def _floats(kind: str, data: bytes) -> np.ndarray:
    if kind == "BF16":  # the upper half of a float32, which NumPy has no type for
        return (np.frombuffer(data, np.uint16).astype(np.uint32) << 16).view(np.float32)
    if kind not in ("F32", "F16"):
        raise EngineError(
            f"Weights of type {kind} cannot be converted; save the model as float32, float16 or bfloat16."
        )
    return np.frombuffer(data, {"F32": np.float32, "F16": np.float16}[kind]).astype(np.float32)


def merged(weights: Iterator[tuple[str, np.ndarray]], adapters: Sequence[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """The weights with the LoRA adapters in these folders, one after another. EngineError when one does not fit."""
    for folder in adapters:
        weights = Adapter(folder).merge(weights)
    return weights


class Adapter:
    """A LoRA adapter as PEFT saves it: what it adds to each weight, B·A times alpha/r (Hu et al. 2021, section 4.1).

    Raises:
        EngineError: when the folder holds no adapter, or one with parts that cannot be added to weights.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        try:
            config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
            rank, alpha = config["r"], config["lora_alpha"]
        except (OSError, ValueError, KeyError) as error:
            raise EngineError(f"{folder} holds no LoRA adapter of PEFT's; copy or train it again.") from error
        if config.get("use_dora") or config.get("modules_to_save") or config.get("rank_pattern"):
            raise EngineError(
                f"The adapter {folder} is no plain LoRA; merge it with PEFT and convert the merged model."
            )
        self._scale = alpha / (rank**0.5 if config.get("use_rslora") else rank)
        self._parts: dict[str, dict[str, np.ndarray]] = {}
        for name, weights in from_safetensors(folder / "adapter_model.safetensors"):
            found = LORA_NAME.fullmatch(name)
            if not found:
                raise EngineError(f"The adapter {folder} holds {name}, which is no part of a LoRA; merge it with PEFT.")
            self._parts.setdefault(f"{found['module']}.weight", {})[found["half"]] = weights

    def merge(self, weights: Iterator[tuple[str, np.ndarray]]) -> Iterator[tuple[str, np.ndarray]]:
        """The weights with what the adapter adds. EngineError, at the end too, when it was made for another model."""
        left = dict(self._parts)
        for name, tensor in weights:
            part = left.pop(name, None)
            if part is not None:
                tensor = tensor + self._added(part, name, tensor.shape)
            yield name, tensor
        if left:
            raise self._misfit(next(iter(left)))

    def _added(self, part: dict[str, np.ndarray], name: str, shape: tuple[int, ...]) -> np.ndarray:
        if part.keys() != {"A", "B"} or (part["B"].shape[0], part["A"].shape[1]) != shape:
            raise self._misfit(name)
        return (part["B"] @ part["A"]) * np.float32(self._scale)

    def _misfit(self, name: str) -> EngineError:
        return EngineError(
            f"The LoRA adapter {self.folder} does not fit its base model (at {name}); check which model it was trained on."
        )
