"""Where sapphire-nano begins: a random Llama of 1.3 million parameters with a tokenizer of its own. `python -m train.nano --out FOLDER`

The tokenizer is trained on what the model will read and write, the grounded prompts and short traces of the corpus's training cases, so
that a prompt is short. Language it learns from these alone: new words remain strange to it.
"""

import argparse
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from data.sft_rows import rows
from train.recipe import RecipeError
from train.rows import read
from train.tiny import save_tokenizer

VOCABULARY = 4096
CONTEXT = 2048
SAMPLE = 2_000  # cases for the tokenizer


def texts(cases: Path, limit: int = SAMPLE) -> Iterator[str]:
    """What the model reads and writes of the first cases of a file."""
    for row in rows(islice(read(cases), limit), "grounded", "short"):
        yield from (message["content"] for message in (*row["prompt"], *row["completion"]))


def save_base(folder: Path, cases: Path) -> Path:
    """Save the random model with its tokenizer; returns the folder. RecipeError when the cases cannot be read."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    size = save_tokenizer(folder, texts(cases), VOCABULARY, CONTEXT)
    torch.manual_seed(7)
    config = LlamaConfig(
        vocab_size=size,
        hidden_size=128,
        intermediate_size=352,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=1,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=Path, default=Path("corpus/train.parquet"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(argv)
    try:
        print(save_base(options.out, options.cases))
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
