"""Hard cases put to a checkpoint with the right DRG: `python -m train.explain RUN --rows FILE --model M --learn sft|dpo --out FILE`.

RUN is a GRPO run; its hard cases (train.difficulty) are asked again, now with the DRG on record in the question. What the model
reasons becomes, under the question without it, an SFT row, or a DPO pair whose rejected side is the run's own wrong answer.
Killed at any moment, the same command goes on.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from sapphire.completions import THINK_CLOSE, compose, parse
from sapphire.drg.codebook import codebook
from sapphire.engines.model_folder import find
from train.difficulty import difficulty
from train.recipe import RecipeError
from train.rows import read
from train.run import TrainingError, write_whole

LEARN = ("sft", "dpo")
BATCH = 16  # prompts generated at once
TEMPERATURE, TOP_P = 0.6, 0.95  # as in evaluation; the paper does not say

HINT = """

The MS-DRG on record for this stay is {title}. Reason as if you did not know it, from the note alone, and do not speak of the record; \
then give it as your answer."""

# A wrong answer of each hard case: the first of its last group.
REJECTED = """
SELECT case_id, arg_min(completion, row) AS completion FROM (
    SELECT case_id, completion, step, row_number() OVER () AS row FROM read_parquet($files, union_by_name = true)
    QUALIFY step = max(step) OVER (PARTITION BY case_id)
) GROUP BY case_id
"""


def hard_cases(run: Path, rows: Path) -> list[dict[str, Any]]:
    """The rows (prompt, case_id, drg, drg_version) of the run's hard cases, with the answer it gave under `rejected`."""
    import duckdb

    table = difficulty(run).to_pylist()
    hard = {row["case_id"] for row in table if row["difficulty"] == "hard"}
    files = sorted(map(str, run.glob("completions/step-*.parquet")))
    with duckdb.connect() as memory:
        rejected = dict(memory.execute(REJECTED, {"files": files}).fetchall())
    return [row | {"rejected": rejected[row["case_id"]]} for row in read(rows) if row["case_id"] in hard]


def shown_the_answer(row: dict[str, Any]) -> list[dict[str, str]]:
    """The row's question with the DRG on record at its end."""
    *before, last = row["prompt"]
    return [*before, last | {"content": last["content"] + HINT.format(title=_title(row))}]


def learnt_from(row: dict[str, Any], text: str, learn: str) -> dict[str, Any] | None:
    """The SFT row or DPO pair of a completion; None when it holds no reasoning, or one that was cut off before its end."""
    think = parse(text, codebook(row["drg_version"])).think
    if not think or THINK_CLOSE not in text:
        return None
    good = [{"role": "assistant", "content": compose(think, _title(row))}]
    known = {name: row[name] for name in ("case_id", "prompt", "drg", "drg_version")} | {
        "credentialed": bool(row.get("credentialed"))
    }
    if learn == "sft":
        return known | {"completion": good}
    return known | {"chosen": good, "rejected": [{"role": "assistant", "content": row["rejected"]}]}


def _title(row: dict[str, Any]) -> str:
    return codebook(row["drg_version"]).drgs[row["drg"]].title.upper()


def completions(model: str, chats: Sequence[list[dict]], first: int, max_tokens: int) -> Iterator[list[str | None]]:
    """Completions of chats, BATCH at a time, by transformers; None for a chat that does not fit. `first`: the place of the first among
    all, which seeds its batch, so that a resumed run draws what a whole one would have."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    place = find(model)
    tokenizer = AutoTokenizer.from_pretrained(
        place.weights if place.adapter is None else place.adapter, padding_side="left"
    )
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = AutoModelForCausalLM.from_pretrained(place.weights, dtype="auto")
    if place.adapter:
        network = PeftModel.from_pretrained(network, place.adapter)
    network.to(device).eval()
    room = network.config.get_text_config().max_position_embeddings - max_tokens
    for begin in range(0, len(chats), BATCH):
        texts = [
            tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
            for chat in chats[begin : begin + BATCH]
        ]
        fits = [len(tokenizer(text, add_special_tokens=False)["input_ids"]) <= room for text in texts]
        asked = [text for text, fit in zip(texts, fits, strict=True) if fit]
        written: Iterator[str] = iter(())
        if asked:
            torch.manual_seed(first + begin)
            batch = tokenizer(asked, return_tensors="pt", padding=True, add_special_tokens=False).to(device)
            with torch.no_grad():
                ids = network.generate(
                    **batch, max_new_tokens=max_tokens, do_sample=True, temperature=TEMPERATURE, top_p=TOP_P, top_k=0,
                    pad_token_id=tokenizer.pad_token_id,
                )  # fmt: skip
            written = iter(tokenizer.batch_decode(ids[:, batch["input_ids"].shape[1] :], skip_special_tokens=True))
        yield [next(written) if fit else None for fit in fits]


def explain(run: Path, rows: Path, model: str, learn: str, out: Path, max_tokens: int = 1024) -> dict[str, int]:
    """Write the rows of the run's hard cases into `out` (JSON Lines, mode 600), which appears when it is complete; returns how many cases
    were hard and how many rows came of them. The work file holds a line for each case done, an empty one where nothing came of it."""
    from tqdm import tqdm

    hard = hard_cases(run, rows)
    if not out.exists():
        part = out.with_name(out.name + ".asked")
        done = _whole_lines(part)
        done -= done % BATCH  # a batch is drawn whole
        with os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
            file.truncate(sum(len(line) for _, line in zip(range(done), file, strict=False)))
            file.seek(0, os.SEEK_END)
            left = hard[done:]
            if left:
                answers = completions(model, [shown_the_answer(row) for row in left], done, max_tokens)
                with tqdm(total=len(left), unit=" cases", desc="reasoning", disable=None) as bar:
                    for begin, texts in zip(range(0, len(left), BATCH), answers, strict=True):
                        for row, text in zip(left[begin : begin + BATCH], texts, strict=True):
                            made = learnt_from(row, text, learn) if text else None
                            file.write((json.dumps(made, ensure_ascii=False) if made else "").encode() + b"\n")
                        file.flush()
                        bar.update(len(texts))
        write_whole(out, b"".join(line for line in part.read_bytes().splitlines(keepends=True) if line.strip()))
        part.unlink()
    with out.open("rb") as lines:
        return {"hard": len(hard), "rows": sum(1 for _ in lines)}


def _whole_lines(part: Path) -> int:
    if not part.exists():
        return 0
    with part.open("rb") as lines:
        return sum(line.endswith(b"\n") for line in lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train.explain", description=__doc__.partition("\n")[0])
    parser.add_argument("run", metavar="RUN", type=Path, help="the folder of a GRPO run")
    parser.add_argument("--rows", type=Path, required=True, help="the rows that the run was trained on, in TRL's form")
    parser.add_argument("--model", required=True, help="the checkpoint that is asked, mostly RUN/model")
    parser.add_argument("--learn", choices=LEARN, required=True, help="what the rows are for")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--max-tokens", type=int, default=1024, help="longest completion (default 1024)")
    args = parser.parse_args(argv)
    os.umask(0o077)
    try:
        counts = explain(args.run, args.rows, args.model, args.learn, args.out, args.max_tokens)
    except (TrainingError, RecipeError) as error:
        print(error, file=sys.stderr)
        return 1
    print(
        f"{counts['hard']:,} hard cases, {counts['rows']:,} rows to learn from in {args.out}; the others had no reasoning, or did not fit."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
