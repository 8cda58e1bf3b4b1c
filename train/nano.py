"""Where sapphire-nano begins: a random Llama of 1.3 million parameters with a tokenizer of its own. `python -m train.nano --out FOLDER`

The tokenizer is trained on what the model will read and write, the grounded prompts and short traces of the corpus's training cases, so
that a prompt is short. Language it learns from these alone: new words remain strange to it. Copying comes first: beside the model stands copying.jsonl,
whose prompts are the candidates of a grounded prompt and nothing else, and whose answers are the title among them that is right.
In whole rows, five times as long, it did not learn to copy in the same time.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from data.sft_rows import rows
from sapphire.completions import ANSWER_CLOSE, ANSWER_OPEN, THINK_CLOSE
from train.recipe import RecipeError
from train.rows import read
from train.tiny import save_tokenizer

VOCABULARY = 4096
CONTEXT = 2048
SAMPLE = 2_000  # cases for the tokenizer
COPIED = 4_000  # cases to learn copying from
CANDIDATES = re.compile(r"^1\. .+(?:\n\d\. .+)*", re.MULTILINE)


def texts(made: Iterable[dict]) -> Iterator[str]:
    """What the model reads and writes of these rows."""
    for row in made:
        yield from (message["content"] for message in (*row["prompt"], *row["completion"]))


def copying(made: Iterable[dict]) -> Iterator[dict]:
    """Those of the rows whose right title is among the candidates: the list as the prompt, the answer as the completion."""
    for row in made:
        listed = CANDIDATES.search(row["prompt"][-1]["content"])
        answer = row["completion"][0]["content"].partition(THINK_CLOSE)[2]
        if listed and f". {answer.removeprefix(ANSWER_OPEN).removesuffix(ANSWER_CLOSE)} (" in listed[0]:
            prompt, completion = {"role": "user", "content": listed[0]}, {"role": "assistant", "content": answer}
            yield {"prompt": [prompt], "completion": [completion], "case_id": row["case_id"]}


def save_base(folder: Path, cases: Path) -> Path:
    """Save the random model with its tokenizer and copying.jsonl; returns the folder. RecipeError when the cases cannot be read."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    made = list(rows(islice(read(cases), COPIED), "grounded", "short"))
    size = save_tokenizer(folder, texts(made[:SAMPLE]), VOCABULARY, CONTEXT)
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
    with (folder / "copying.jsonl").open("w", encoding="utf-8") as out:
        out.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in copying(made))
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
