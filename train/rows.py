"""Training rows from what a recipe names: files of cases (corpus, MIMIC) or of rows in TRL's form (an export round, a teacher's).

Rows stay in memory: `datasets` would otherwise leave a copy of the notes in its cache. What is left out is counted and told.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.sft_rows import model_case, reasoning
from sapphire.completions import compose
from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS, codebook
from sapphire.drg.lines import write
from sapphire.prompts import messages
from train.recipe import Recipe, RecipeError

# What the grounded reward needs of a case beside its note.
STAY = ("age", "sex", "discharge_status", "pdx", "sdx", "procedures")


@dataclass
class Rows:
    """Rows for TRL, `left_out` reason → case_ids, and where they come from: path, SHA-256 and rows of each file."""

    rows: list[dict[str, Any]]
    version: str
    credentialed: bool
    files: list[dict[str, Any]]
    left_out: dict[str, list[str]] = field(default_factory=dict)

    def told(self) -> list[str]:
        """A line for each reason why rows are left out, with at most three case_ids. No text of a note is in it."""
        shown = {
            reason: ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "") for reason, ids in self.left_out.items()
        }
        return [
            f"Left out {len(ids):,} of the rows: {reason} ({shown[reason]})" for reason, ids in self.left_out.items()
        ]


def load_rows(
    recipe: Recipe,
    tokens: Callable[[list[dict]], int] | None = None,
    longest: int | None = None,
    progress: Callable[[Iterator[dict], Path], Iterator[dict]] = lambda rows, path: rows,
) -> Rows:
    """The rows of a recipe, in file order.

    `tokens` counts a list of chat messages; rows of more than `longest` are left out, never cut. RecipeError when a file cannot
    be read, a DRG is unknown, versions are mixed or nothing is left.
    """
    make = _sft_row if recipe.kind == "sft" else _grpo_row
    wanted = _subset(recipe)
    found = Rows([], "", recipe.credentialed, [])
    versions: Counter[str] = Counter()

    def take(path: Path, mixed_in: bool) -> None:
        before, marked = len(found.rows), _credentialed_cases(path)
        for number, raw in enumerate(progress(read(path), path), 1):
            case_id = str(raw.get("case_id") or raw.get("note_id") or f"{path.name}:{number}")
            if wanted is not None and not mixed_in and case_id not in wanted:
                continue
            if recipe.limit and not mixed_in and len(found.rows) >= recipe.limit:
                break
            row, why = make(raw, case_id, recipe, f"{path}, row {number}")
            if row and longest and tokens(row["prompt"] + row.get("completion", [])) > longest:
                row, why = None, f"longer than {longest:,} tokens"
            if row is None:
                found.left_out.setdefault(why, []).append(case_id)
                continue
            found.credentialed |= bool(raw.get("credentialed")) or case_id in marked
            versions.update([row.pop("version")] if not mixed_in else [])
            found.rows.append(row)
        found.files.append({"path": str(path), "sha256": sha256(path), "rows": len(found.rows) - before})

    for path in recipe.data:
        take(Path(path), False)
    if not found.rows:
        raise RecipeError(f"No row is left to train on in {', '.join(recipe.data)}: {_reasons(found.left_out)}.")
    if len(versions) > 1:
        raise RecipeError(
            f"The data mix MS-DRG versions {', '.join(sorted(versions))}; a model has one, so train on one."
        )
    found.version = next(iter(versions))
    for path in recipe.questions:
        take(Path(path), True)
    return found


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet or JSON Lines file, one after another. RecipeError names the file and what is wrong."""
    import pyarrow.parquet as pq

    try:
        if path.suffix == ".parquet":
            for batch in pq.ParquetFile(path).iter_batches(1_000):
                yield from batch.to_pylist()
            return
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise RecipeError(f"{path}, line {number} is no JSON; give JSON Lines or Parquet.") from error
    except (OSError, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise RecipeError(f"{path} cannot be read ({reason}); give a Parquet or JSON Lines file.") from error


def _sft_row(raw: dict, case_id: str, recipe: Recipe, where: str) -> tuple[dict | None, str]:
    if "prompt" in raw:
        if not raw.get("completion"):
            return None, "no completion"
        version = raw.get("drg_version") or DEFAULT_VERSION
        return {"prompt": raw["prompt"], "completion": raw["completion"], "case_id": case_id, "version": version}, ""
    if not raw.get("trace") and (recipe.trace == "full" or not raw.get("pdx") or raw.get("poa") is None):
        return None, "no reasoning"
    if recipe.trace_form and raw.get("trace_form") != recipe.trace_form:
        return None, f"the reasoning is not of the form {recipe.trace_form}"
    title = _drg(raw, where).title.upper()
    if recipe.trace == "full":
        think = raw["trace"]
    else:
        lines, shown = reasoning(raw, model_case(raw), recipe.trace)
        if not shown:
            return None, "the note does not show what decides the DRG"
        think = write(lines)
    completion = [{"role": "assistant", "content": compose(think, title)}]
    return {**_question(raw, case_id, recipe), "completion": completion}, ""


def _grpo_row(raw: dict, case_id: str, recipe: Recipe, where: str) -> tuple[dict | None, str]:
    if not raw.get("drg"):
        return None, "no DRG"
    drg = _drg(raw, where)
    if "prompt" in raw:
        row = {"prompt": raw["prompt"], "case_id": case_id, "version": drg.version}
    else:
        row = _question(raw, case_id, recipe)
    row |= {"drg": drg.drg, "drg_version": drg.version}
    if recipe.grounded is not None:
        row |= {"text": raw.get("text")} | {name: raw.get(name) for name in STAY}
    return row, ""


def _question(raw: dict, case_id: str, recipe: Recipe) -> dict:
    """The prompt of a case, on what the app too would put before the model."""
    version = raw["drg_version"]
    return {"prompt": messages(model_case(raw), recipe.prompt, version), "case_id": case_id, "version": version}


def _drg(raw: dict, where: str):
    version, number = raw.get("drg_version") or DEFAULT_VERSION, str(raw.get("drg"))
    if version not in VERSIONS:
        raise RecipeError(
            f"{where} is of MS-DRG version {version}, of which there is no code book; use {', '.join(VERSIONS)}."
        )
    drg = codebook(version).drgs.get(number)
    if drg is None:
        raise RecipeError(f"{where} has DRG {number!r}, which MS-DRG version {version} does not know; mend the row.")
    return drg


def _subset(recipe: Recipe) -> set[str] | None:
    """The note_ids that `subset` asks for, from the subsets.parquet beside the cases."""
    if not recipe.subset:
        return None
    path = Path(recipe.data[0]).parent / "subsets.parquet"
    return {
        row["note_id"] for row in read(path) if all(row.get(column) == value for column, value in recipe.subset.items())
    }


def _credentialed_cases(path: Path) -> set[str]:
    """The cases of an export round that its labels call credentialed: its rows in TRL's form do not say it."""
    labels = path.parent / "labels.jsonl"
    if path.suffix != ".jsonl" or not labels.exists() or path.name == labels.name:
        return set()
    return {row["case_id"] for row in read(labels) if row.get("credentialed")}


def _reasons(left_out: dict[str, list[str]]) -> str:
    return "; ".join(f"{reason} ({len(ids):,})" for reason, ids in left_out.items()) or "the files are empty"


def sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise RecipeError(f"{path} cannot be read ({error.strerror}).") from error


def by_difficulty(rows: Rows, recipe: Recipe) -> Rows:
    """Curriculum: the rows without those of a difficulty in `without`, and from easy to hard where `order` says so.

    The table `recipe.difficulty` has the columns case_id and difficulty (easy, medium, hard); a case that it lacks is medium.
    """
    if not recipe.difficulty:
        if recipe.without or recipe.order != "shuffled":
            raise RecipeError(
                "The recipe sorts by difficulty; name the table with difficulty=FILE (python -m train.difficulty)."
            )
        return rows
    known = {row["case_id"]: row["difficulty"] for row in read(Path(recipe.difficulty))}
    rank = {"easy": 0, "medium": 1, "hard": 2}
    for name in recipe.without:
        gone = [row["case_id"] for row in rows.rows if known.get(row["case_id"], "medium") == name]
        rows.left_out |= {f"{name}, by {recipe.difficulty}": gone} if gone else {}
    rows.rows = [row for row in rows.rows if known.get(row["case_id"], "medium") not in recipe.without]
    if recipe.order == "easy to hard":
        rows.rows.sort(key=lambda row: rank[known.get(row["case_id"], "medium")])
    if not rows.rows:
        raise RecipeError(f"Without {', '.join(recipe.without)} no case is left; leave out less.")
    rows.files.append({"path": recipe.difficulty, "sha256": sha256(Path(recipe.difficulty)), "rows": len(known)})
    return rows
