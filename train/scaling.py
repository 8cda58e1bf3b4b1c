"""How accuracy grows with SFT: `python -m train.scaling STUDY [key=value ...] [--launch COMMAND]`, see docs/evaluation.md.

For each size SFT on so many cases, GRPO after it, and an evaluation of both (the paper's Fig. 1B); for each ratio SFT on so many
percent of the cases and GRPO on the rest (its Fig. 5). Each step is a process of its own and is done once, so the same command goes
on where it was stopped; the figure is drawn anew after each point.

    runs/NAME/data/          links to the cases, and who is in which size and share (subsets.parquet)
    runs/NAME/evaluation/    rows of each evaluation
    runs/NAME/points.csv     a row an evaluation, with intervals; fit.json the fit; scaling.html the figure
"""

import csv
import hashlib
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from sapphire.prediction_files import OutputError
from sapphire.scaling_plots import POINTS, figure, fits
from train.measures import read_results, scores
from train.recipe import Loader, Recipe, RecipeError, merge, read_recipe
from train.rows import read
from train.run import PRIVATE, Run, TrainingError, write_whole
from train.stages import Execute, in_processes, parted, write_recipe

STUDIES = Path(__file__).parent / "studies"
ROOT = Path("runs")


@dataclass(frozen=True)
class Study:
    """`sft` and `grpo`: a recipe and changes to it. `data`: cases for GRPO; `sft_data`: what SFT learns from (cases with reasoning, or a
    teacher's rows), else the same. `sizes`: numbers of SFT cases; `grpo_cases`: how many of the others GRPO sees after each, none for all.
    `ratios`: percent of all cases for SFT. The rest is for the evaluation."""

    name: str
    sft: dict[str, Any]
    grpo: dict[str, Any]
    data: str
    test: str
    sft_data: str | None = None
    sizes: tuple[int, ...] = ()
    ratios: tuple[int, ...] = ()
    grpo_cases: int | None = None
    samples: int = 8
    temperature: float = 0.6
    max_tokens: int = 4096
    test_cases: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Point:
    """One size ("size", number of SFT cases) or one ratio ("ratio", percent), with its two recipes."""

    kind: str
    amount: int
    sft: Recipe
    grpo: Recipe
    sft_cases: int
    grpo_cases: int = field(compare=False)


def read_study(path: str | Path, changes: Sequence[str] = ()) -> Study:
    """A study from a YAML file, or by its name in train/studies, with `key=value` changes. RecipeError says what is wrong."""
    path = Path(path)
    if not path.exists() and (STUDIES / f"{path}.yaml").exists():
        path = STUDIES / f"{path}.yaml"
    try:
        values = {"name": f"scaling-{path.stem}"} | yaml.load(path.read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise RecipeError(f"There is no study {path} ({error.strerror}); those here are in {STUDIES}.") from error
    except (yaml.YAMLError, TypeError) as error:
        raise RecipeError(f"{path} is no study: {' '.join(str(error).split())}.") from error
    for change in changes:
        key, sign, value = change.partition("=")
        if not sign:
            raise RecipeError(f"{change!r} changes nothing; write key=value, such as sizes=[8,16].")
        values = merge(values, {key: yaml.load(value, Loader)})
    known = [each.name for each in fields(Study)]
    if unknown := sorted(values.keys() - set(known)):
        raise RecipeError(f"{path} sets {', '.join(unknown)}, which no study has; its keys are {', '.join(known)}.")
    if missing := [key for key in ("sft", "grpo", "data", "test") if not values.get(key)]:
        raise RecipeError(f"{path} gives no {missing[0]}; add it.")
    for key in ("sizes", "ratios"):
        values[key] = tuple(sorted(set(values.get(key) or ())))
    if not values["sizes"] + values["ratios"] or not all(0 < share < 100 for share in values["ratios"]):
        raise RecipeError(f"{path} needs sizes (numbers of cases) or ratios (percent, 1 to 99).")
    return Study(**values)


def lay_out(study: Study) -> list[Point]:
    """Write the study's data folder, and return its points. The cases of a size are among those of every larger one; a hash decides, not
    the order of the file. RecipeError when there are too few cases."""
    folder = ROOT / study.name
    (folder / "data").mkdir(parents=True, exist_ok=True, mode=0o700)
    _same_study(study, folder)
    links = {
        name: _link(folder / "data", name, path)
        for name, path in (("sft", study.sft_data or study.data), ("grpo", study.data))
    }
    learnable = _ordered(
        (_id(row) for row in read(links["sft"]) if row.get("trace") or row.get("completion")), study.seed
    )
    rewarded = _ordered((_id(row) for row in read(links["grpo"]) if row.get("drg")), study.seed)
    largest = max(study.sizes, default=0)
    if largest > len(learnable):
        raise RecipeError(
            f"A size of {largest:,} needs as many cases with reasoning; {links['sft'].resolve()} has {len(learnable):,}."
        )
    taken = set(learnable[:largest])
    pool = [case for case in rewarded if case not in taken][: study.grpo_cases]
    if study.sizes and (not pool or (study.grpo_cases and len(pool) < study.grpo_cases)):
        raise RecipeError(
            f"GRPO needs {study.grpo_cases or 1:,} cases beside {largest:,} for SFT; there are {len(pool):,}. Lower sizes or grpo_cases."
        )
    columns: dict[str, set[str]] = {"grpo": set(pool)} if study.sizes else {}
    points = []
    for size in study.sizes:
        columns[f"size_{size}"] = set(learnable[:size])
        points.append(_point(study, "size", size, links, f"size_{size}", "grpo", columns))
    for share in study.ratios:
        learnt = set(learnable[: round(len(learnable) * share / 100)])
        columns |= {f"ratio_{share}": learnt, f"rest_{share}": {case for case in rewarded if case not in learnt}}
        points.append(_point(study, "ratio", share, links, f"ratio_{share}", f"rest_{share}", columns))
    _write_subsets(folder / "data" / "subsets.parquet", columns)
    return points


def _point(
    study: Study, kind: str, amount: int, links: dict[str, Path], learnt: str, rest: str, columns: dict[str, set[str]]
) -> Point:
    name = f"{study.name}-{kind}-{amount}"
    sft, grpo = (read_recipe(each["recipe"], each.get("changes", ())) for each in (study.sft, study.grpo))
    sft = replace(sft, name=f"{name}-sft", data=(str(links["sft"]),), subset={learnt: True}, limit=None)
    grpo = replace(
        grpo,
        name=f"{name}-grpo",
        data=(str(links["grpo"]),),
        subset={rest: True},
        limit=None,
        model=str(ROOT / sft.name / "model"),
    )
    return Point(kind, amount, sft, grpo, len(columns[learnt]), len(columns[rest]))


def run(study: Study, execute: Execute) -> Path:
    """Do what is left of the study, point by point, and return its folder."""
    points, folder = lay_out(study), ROOT / study.name
    (folder / "evaluation").mkdir(exist_ok=True, mode=0o700)
    for point in points:
        for recipe in (point.sft, point.grpo):
            _train(recipe, folder, execute)
            out = _rows_of(folder, recipe)
            if not out.exists():
                execute(
                    "train.evaluate", [str(ROOT / recipe.name / "model"), study.test, "--out", str(out), *_asked(study)]
                )
        draw(folder, study.name, collected(study, points))
    return folder


def _asked(study: Study) -> list[str]:
    asked = {
        "samples": study.samples,
        "temperature": study.temperature,
        "max-tokens": study.max_tokens,
        "cases": study.test_cases,
    }
    return [word for name, value in asked.items() if value is not None for word in (f"--{name}", str(value))]


def _train(recipe: Recipe, folder: Path, execute: Execute) -> None:
    with Run(recipe, ROOT) as run:
        finished = run.finished
    if not finished:
        execute(f"train.{recipe.kind}", [str(write_recipe(recipe, folder / f"{recipe.name}.json"))])


def collected(study: Study, points: Sequence[Point]) -> list[dict[str, Any]]:
    """A row for each evaluation that is done: kind, amount, stage, numbers of cases, and DRG Pass@1, Pass@k and Maj@k with intervals, in
    percent. Only whole points, so that both curves end together."""
    rows = []
    for point in points:
        files = [_rows_of(ROOT / study.name, recipe) for recipe in (point.sft, point.grpo)]
        if not all(file.exists() for file in files):
            continue
        for stage, file in zip(("SFT", "GRPO"), files, strict=True):
            results = read_results(file)
            row = {
                "kind": point.kind,
                "amount": point.amount,
                "stage": stage,
                "sft_cases": point.sft_cases,
                "grpo_cases": point.grpo_cases,
            }
            row |= {
                "test": results.about["data"]["file"],
                "test_cases": len(results.note_ids),
                "k": results.k,
                "run": results.run,
            }
            for (target, measure), value in scores(results).items():
                if target == "drg":
                    row |= {
                        f"{measure}{end}": 100 * bound
                        for end, bound in zip(("", "_low", "_high"), value[:3], strict=True)
                    }
            rows.append(row)
    return rows


def draw(folder: Path, name: str, rows: Sequence[dict[str, Any]]) -> None:
    """Write points.csv, fit.json and scaling.html of what is done so far."""
    if not rows:
        return
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    table.writeheader()
    table.writerows(rows)
    write_whole(folder / POINTS, text.getvalue().encode())
    fitted, unit = fits(rows), {"unit": "percentage points a doubling of SFT cases"}
    said = {stage: found._asdict() | unit for stage, found in fitted.items() if found}
    write_whole(folder / "fit.json", json.dumps(said, indent=1).encode())
    made = figure(name, rows, fitted).update_layout(template="plotly_white")
    write_whole(folder / "scaling.html", made.to_html(include_plotlyjs=True, config={"displaylogo": False}).encode())


def _rows_of(folder: Path, recipe: Recipe) -> Path:
    return folder / "evaluation" / f"{recipe.name}.parquet"


def _same_study(study: Study, folder: Path) -> None:
    said = json.dumps(asdict(study), indent=1)
    path = folder / "study.json"
    if path.exists() and path.read_text(encoding="utf-8") != said:
        raise RecipeError(f"{folder} holds a study with other settings; give name=OTHER, or remove the folder.")
    write_whole(path, said.encode())


def _link(folder: Path, name: str, path: str) -> Path:
    source = Path(path).resolve()
    if not source.exists():
        raise RecipeError(f"There are no cases at {path}; name the study's data.")
    link = folder / f"{name}{source.suffix}"
    link.unlink(missing_ok=True)
    link.symlink_to(source)
    return link


def _id(row: dict[str, Any]) -> str:
    return str(row.get("case_id") or row.get("note_id"))


def _ordered(cases, seed: int) -> list[str]:
    return sorted(set(cases), key=lambda case: hashlib.blake2b(f"{seed} {case}".encode(), digest_size=8).digest())


def _write_subsets(path: Path, columns: dict[str, set[str]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    every = sorted(set().union(*columns.values()))
    table = pa.table(
        {"note_id": every} | {name: [case in members for case in every] for name, members in columns.items()}
    )
    part = path.with_name(path.name + ".part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        pq.write_table(table, file)
    part.replace(path)


def main(argv: list[str] | None = None) -> int:
    arguments, launch = parted(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(
            'python -m train.scaling STUDY [key=value ...] [--launch "accelerate launch --config_file FILE"]   see docs/evaluation.md'
        )
        return 0 if arguments else 2
    os.environ.update(PRIVATE)
    os.umask(0o077)
    try:
        folder = run(read_study(arguments[0], arguments[1:]), in_processes(launch))
    except (RecipeError, TrainingError, OutputError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; the same command goes on from here.", file=sys.stderr)
        return 130
    print(f"{folder / 'scaling.html'} shows the figure, {folder / 'points.csv'} holds the rows behind it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
