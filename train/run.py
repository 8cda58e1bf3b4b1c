"""A run's folder and its life: one process at a time, resumed from the last whole checkpoint, finished once.

    runs/NAME/run.json        what it is and how it stands; replaced whole, so a reader never sees half of it
    runs/NAME/metrics.jsonl   one line a step
    runs/NAME/completions/    rollouts of GRPO, a Parquet file a step
    runs/NAME/checkpoint-N/   with the file `whole` inside once all of it is written
    runs/NAME/model/          at the end: what `sapphire.engines.load` opens
    runs/NAME/lock            held by the process that trains

Everything is for the owner alone, since rollouts and a model may hold what a note says.
"""

import fcntl
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from train.recipe import RECIPES, Recipe, RecipeError, read_recipe, resolve

WHOLE = "whole"  # the file that says a checkpoint was written to its end
LIBRARIES = ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "vllm")
PRIVATE = {
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "TOKENIZERS_PARALLELISM": "false",
}


class TrainingError(RuntimeError):
    """Why a run cannot begin or go on; one sentence with a remedy."""


class Run:
    """The folder of one run. Only the main process (rank 0) writes into it."""

    def __init__(self, recipe: Recipe, root: Path = Path("runs")):
        self.recipe, self.folder = recipe, Path(root) / recipe.name
        self.main = int(os.environ.get("RANK", 0)) == 0
        self.processes = int(os.environ.get("WORLD_SIZE", 1))
        self.record: dict[str, Any] = {}

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def finished(self) -> bool:
        return self.record.get("state") == "finished"

    def __enter__(self) -> "Run":
        """Make or reopen the folder. TrainingError when another process trains here, or when it is another recipe's."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = (self.folder / "lock").open("a")
        if self.main:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._lock.close()
                raise TrainingError(
                    f"Another process is training in {self.folder}; wait for it or give name=OTHER."
                ) from None
            except OSError as error:  # Lustre mounted without flock, NFS without its lock service
                self._lock.close()
                raise TrainingError(
                    f"{self.folder} cannot be locked ({error.strerror}): mount its file system with locks, or work in a folder on "
                    "another one."
                ) from None
        self.record = self._read()
        if self.record and self.record["identity"] != self.recipe.identity():
            self._lock.close()
            raise TrainingError(
                f"{self.folder} holds a run of another recipe ({self._differences()}); give name=OTHER for a run of its own, "
                "or remove the folder."
            )
        return self

    def __exit__(self, kind, error, trace) -> None:
        """Record how the run ended; what users can mend themselves becomes a TrainingError of one sentence."""
        with self._lock:
            if error is None:
                return
            if isinstance(error, KeyboardInterrupt):
                self._end("stopped")
                return
            sentence = str(error) if isinstance(error, RecipeError | TrainingError) else _known_trouble(error, self)
            self._end("failed", sentence or kind.__name__)
            if sentence and not isinstance(error, RecipeError | TrainingError):
                raise TrainingError(sentence) from error

    def _read(self) -> dict[str, Any]:
        path = self.folder / "run.json"
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError) as error:
            raise TrainingError(f"{path} cannot be read; remove the folder or give name=OTHER.") from error

    def _differences(self) -> str:
        old, new = self.record["recipe"], json.loads(json.dumps(asdict(self.recipe)))
        keys = [key for key in new if key != "name" and old.get(key) != new[key]]
        if "trl" in keys:
            settings = sorted({*old["trl"], *new["trl"]})
            keys += [f"trl.{key}" for key in settings if old["trl"].get(key) != new["trl"].get(key)]
            keys.remove("trl")
        return f"{', '.join(keys)} differ" if keys else "its keys differ"

    def begin(self, **facts: Any) -> None:
        """Record that the run works now; `facts` (data files, credentialed, versions of titles) belong to the run for good."""
        now = _now()
        self.record = {
            "name": self.recipe.name,
            "kind": self.recipe.kind,
            "identity": self.recipe.identity(),
            "recipe": asdict(self.recipe),
            "libraries": _libraries(),
            "started": self.record.get("started", now),
            "resumed": [*self.record.get("resumed", []), now] if self.record else [],
            "ended": None,
            "state": "running",
            "error": None,
            "pid": os.getpid(),
            "processes": self.processes,
        } | facts
        self.write()

    def write(self, **changes: Any) -> None:
        self.record |= changes
        if self.main:
            write_whole(
                self.folder / "run.json", json.dumps(self.record, indent=1, ensure_ascii=False, default=str).encode()
            )

    def finish(self) -> None:
        self._end("finished")

    def _end(self, state: str, error: str | None = None) -> None:
        if self.record:  # what is refused before it begins leaves no record
            self.write(state=state, error=error, ended=_now())

    def checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole; half-written ones are removed, and what was recorded after it."""
        found = sorted(self.folder.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        whole = [path for path in found if (path / WHOLE).exists()]
        newest = whole[-1] if whole else None
        if self.main:
            for path in found:
                if path not in whole:
                    shutil.rmtree(path)
            self._forget_after(int(newest.name.rpartition("-")[2]) if newest else 0)
        return newest

    def _forget_after(self, step: int) -> None:
        """Steps that will be done again would otherwise be recorded twice."""
        if self.metrics.exists():
            lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
            kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
            write_whole(self.metrics, "".join(kept).encode())
        for path in self.folder.glob("completions/step-*.parquet"):
            if int(path.stem.rpartition("-")[2]) > step:
                path.unlink()


def write_whole(path: Path, content: bytes) -> None:
    """Put `content` in `path`'s place at once, readable by the owner alone."""
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    part.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _libraries() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _known_trouble(error: BaseException, run: Run) -> str | None:
    import torch

    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in text:
        return (
            f"Memory does not suffice for {run.recipe.name}: lower trl.per_device_train_batch_size (batch_size keeps the step as it "
            "is), or use lora, trl.gradient_checkpointing or more GPUs; then run the same command with name=OTHER."
        )
    if type(error) is ConnectionError:  # a vLLM server that does not answer; TRL says where it was looked for
        return f"{text} Then run the same command."
    full = "No space left on device" in text or "PytorchStreamWriter failed writing" in text
    if full or getattr(error, "errno", None) in (28, 122):  # ENOSPC, EDQUOT
        return f"The disk of {run.folder} is full; free space and run the same command: it goes on from the last whole checkpoint."
    return None


def _quiet() -> None:
    """One progress bar, ours: the libraries' own would draw over it."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()


def _help(kind: str) -> str:
    every = {path.stem: resolve(path) for path in sorted(RECIPES.glob("*.yaml"))}
    names = [name for name, values in every.items() if values["kind"] == kind and "stages" not in values]
    return (
        f"python -m train.{kind} RECIPE [key=value ...]\n\n"
        f"RECIPE is a file, or the name of one in train/recipes: {', '.join(names)}.\n"
        "key=value changes the recipe for this run, such as trl.max_steps=10; key=null removes a key.\n"
        "The same command goes on where a run was stopped. docs/training.md says what the keys mean and what a run writes."
    )


def command(kind: str, train: Callable[[Recipe, Run], None], argv: list[str] | None = None) -> int:
    """`python -m train.KIND RECIPE [key=value ...]`: 0 when the run is finished, 1 with a sentence on stderr, 130 when stopped."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help(kind))
        return 0 if arguments else 2
    os.environ.update(PRIVATE)
    mask = os.umask(0o077)
    try:
        recipe = read_recipe(arguments[0], arguments[1:])
        if recipe.kind != kind:
            raise RecipeError(
                f"{recipe.name} is a recipe for {recipe.kind}; run it with python -m train.{recipe.kind}."
            )
        with Run(recipe) as run:
            if not run.finished:
                os.environ["TENSORBOARD_LOGGING_DIR"] = str(run.folder / "tensorboard")
                _quiet()
                train(recipe, run)
        if run.main:
            print(f"{recipe.name} is finished; its model is in {run.folder / 'model'}.")
        return 0
    except (RecipeError, TrainingError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from the last checkpoint.", file=sys.stderr)
        return 130
    finally:
        os.umask(mask)
