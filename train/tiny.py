"""A model and data to try training on in a minute, without a GPU or a download: `python -m train.tiny`.

A random Llama of 64 dimensions with a tokenizer of its own, and five stays of a few words. It learns these five and nothing
else: it shows how a run goes, not how well one codes.
"""

import argparse
import json
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

from sapphire.completions import compose
from sapphire.drg.codebook import codebook

PLACE = Path("runs/tiny")
# DRG → what its notes say.
STAYS = {
    "291": "dyspnea, edema, BNP 4200",
    "871": "septic, lactate 5",
    "470": "hip replaced",
    "392": "reflux, scope clean",
    "313": "chest pain, troponin normal",
}

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def save_tokenizer(folder: Path, texts: Iterable[str], size: int = 700, context: int | None = None) -> int:
    """Train a byte-level tokenizer of at most `size` tokens on the titles and texts; returns its size."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer, core.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    titles = [drg.title.upper() for drg in codebook().drgs.values()]
    core.train_from_iterator(chain(titles, texts), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=special[1],
        bos_token=special[0],
        **({"model_max_length": context} if context else {}),
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(folder)
    return len(tokenizer)


def save_tiny_llama(folder: Path, sample: str, spread: float = 0.4, heads: int = 4) -> Path:
    """Save a random Llama of 64 dimensions, weights of that standard deviation, with its tokenizer; returns the folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = save_tokenizer(folder, [sample])
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=heads,
        num_key_value_heads=heads // 2,
        max_position_embeddings=4096,
        eos_token_id=1,
        initializer_range=spread,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def save_base(folder: Path) -> Path:
    """The model before any training, whose tokenizer knows the tags and the words of the stays."""
    return save_tiny_llama(folder, f"<think></think><answer></answer> {' '.join(STAYS.values())} " * 50, spread=0.2)


def rows() -> list[dict]:
    """The stays as rows in TRL's form, for SFT and for GRPO."""
    return [
        {
            "prompt": [{"role": "user", "content": words}],
            "completion": [{"role": "assistant", "content": compose(words, codebook().drgs[drg].title.upper())}],
            "case_id": f"stay-{drg}",
            "drg": drg,
            "drg_version": "43.1",
        }
        for drg, words in STAYS.items()
    ]


def write_rows(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return path


def main() -> None:
    PLACE.mkdir(parents=True, exist_ok=True, mode=0o700)
    save_base(PLACE / "base")
    write_rows(PLACE / "rows.jsonl")
    print(f"{PLACE / 'base'} and {PLACE / 'rows.jsonl'} are there; now: python -m train.sft tiny-sft")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
