"""What every kind of training shares: telling what is left out, callbacks, resume, and the model folder at the end."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from train import policy
from train.recipe import Recipe
from train.rows import Rows
from train.run import Run, write_whole


def reading(run: Run):
    """A progress bar for reading a file: grounded prompts take some ten milliseconds a case."""

    def bar(rows: Iterator[dict], path: Path) -> Iterator[dict]:
        return tqdm(rows, desc=f"Reading {path.name}", unit=" rows", delay=2, disable=not run.main)

    return bar


def left_out(rows: Rows, run: Run) -> None:
    """Say on stderr which rows are left out and why, and keep all their case_ids in left_out.json."""
    if not run.main:
        return
    for line in rows.told():
        print(line, file=sys.stderr)
    if rows.left_out:
        write_whole(run.folder / "left_out.json", json.dumps(rows.left_out, indent=1).encode())


def prepared(recipe: Recipe, run: Run, rows: Rows) -> None:
    run.begin(
        data=rows.files,
        rows=len(rows.rows),
        left_out={reason: len(ids) for reason, ids in rows.left_out.items()},
        credentialed=rows.credentialed or policy.credentialed(recipe),
        drg_version=rows.version,
        model=recipe.model,
    )


def fit(trainer: Any, recipe: Recipe, run: Run, model: Any) -> None:
    """Train to the end, from the last whole checkpoint if there is one, and write the model folder."""
    from accelerate.utils import broadcast_object_list
    from transformers import PrinterCallback

    from train.watch import MarkWhole, Watch

    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Watch(run))
    trainer.add_callback(MarkWhole(run, trainer.accelerator.wait_for_everyone))
    # The main process chooses for all: a shared folder may show machines different things for some seconds.
    [checkpoint] = broadcast_object_list([run.checkpoint() if run.main else None])
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    policy.save(trainer, recipe, run, model)
    run.finish()
