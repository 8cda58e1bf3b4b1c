"""Difficulty from rollouts, DPO, and staged learning on a tiny model: who is hard, what is learnt from, and resume."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

from sapphire.completions import compose, parse  # noqa: E402
from sapphire.drg.codebook import codebook  # noqa: E402
from sapphire.rewards import SCHEMES, Outcome  # noqa: E402
from tests.training import metrics, recipe  # noqa: E402
from train import dpo, explain, grpo, sft, stages, tiny  # noqa: E402
from train.difficulty import difficulty, main, write  # noqa: E402
from train.recipe import read_recipe  # noqa: E402
from train.rows import by_difficulty, load_rows, read  # noqa: E402
from train.run import command  # noqa: E402

pytestmark = pytest.mark.torch
BOOK = codebook()


def rollouts(run: Path, groups: dict[tuple[int, str], list[Outcome | None]], scheme: str = "dense") -> Path:
    """A GRPO run's folder with these outcomes, None for a failed format, by step and case."""
    (run / "completions").mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({"recipe": {"reward": scheme}}))
    for step in {step for step, _ in groups}:
        rows = [
            {
                "step": step,
                "case_id": case,
                "completion": f"{case} answer {i} of step {step}",
                "format": 0.0 if outcome else -2.0,
                "accuracy": SCHEMES[scheme][outcome] if outcome else 0.0,
                "right": float(outcome is Outcome.FULL),
            }
            for (at, case), outcomes in groups.items()
            if at == step
            for i, outcome in enumerate(outcomes)
        ]
        pq.write_table(pa.Table.from_pylist(rows), run / "completions" / f"step-{step:06d}.parquet")
    return run


GROUPS = {
    (1, "all right"): [Outcome.FULL] * 4,
    (1, "one wrong"): [Outcome.FULL] * 3 + [Outcome.BASE],
    (1, "nothing right"): [Outcome.NOTHING] * 4,
    (1, "severity"): [Outcome.SEVERITY] * 4,
    (1, "no titles"): [Outcome.INVALID] * 4,
    (1, "no form"): [None] * 4,
    (1, "one without form"): [Outcome.NOTHING] * 3 + [None],
    (1, "learnt"): [Outcome.NOTHING] * 4,
    (2, "learnt"): [Outcome.FULL] * 4,
}


@pytest.mark.parametrize(("scheme", "hard"), [("dense", {"nothing right"}), ("strict", {"nothing right", "severity"})])
def test_easy_medium_and_hard_as_in_the_paper(tmp_path, scheme, hard):
    found = {row["case_id"]: row for row in difficulty(rollouts(tmp_path / "run", GROUPS, scheme)).to_pylist()}
    assert {case for case, row in found.items() if row["difficulty"] == "easy"} == {"all right", "learnt"}
    assert {case for case, row in found.items() if row["difficulty"] == "hard"} == hard
    assert {row["answers"] for row in found.values()} == {4} and found["learnt"]["step"] == 2
    assert found["one wrong"]["right"] == 0.75


def test_a_recipe_leaves_out_and_sorts_by_the_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    groups = {
        (1, f"stay-{drg}"): [outcome] * 4
        for drg, outcome in zip(tiny.STAYS, [Outcome.FULL, Outcome.NOTHING, Outcome.BASE] * 2, strict=False)
    }
    table = write(rollouts(tmp_path / "run", groups))
    assert main([str(tmp_path / "run")]) == 0
    assert "easy: 2  medium: 1  hard: 2  of 5 cases" in capsys.readouterr().out
    data = tiny.write_rows(tmp_path / "rows.jsonl")
    path = recipe(tmp_path / "a.yaml", "grpo", tmp_path, data, difficulty=str(table))
    kept = by_difficulty(load_rows(made := read_recipe(path, ["without=hard"])), made)
    assert [row["case_id"] for row in kept.rows] == ["stay-291", "stay-470", "stay-392"]
    made = read_recipe(path, ["order=easy to hard"])
    levels = {row["case_id"]: row["difficulty"] for row in pq.read_table(table).to_pylist()}
    order = [levels[row["case_id"]] for row in by_difficulty(load_rows(made), made).rows]
    assert order == ["easy", "easy", "medium", "hard", "hard"]


def test_a_folder_without_rollouts_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    (tmp_path / "run.json").write_text('{"recipe": {"reward": "dense"}}')
    assert main([str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "no folder of a GRPO run" in told and "no rollouts yet" in told


def test_reasoning_becomes_a_row_without_the_hint(tmp_path):
    row = tiny.rows()[0] | {"rejected": "<think>a</think><answer>SYNCOPE AND COLLAPSE</answer>", "credentialed": True}
    asked = explain.shown_the_answer(row)
    assert asked[:-1] == row["prompt"][:-1] and asked[-1]["content"].startswith(row["prompt"][-1]["content"])
    assert BOOK.drgs["291"].title.upper() in asked[-1]["content"] and BOOK.drgs["291"].title.upper() not in str(
        row["prompt"]
    )
    text = "<think>BNP is high.</think><answer>SYNCOPE AND COLLAPSE</answer>"
    pair = explain.learnt_from(row, text, "dpo")
    assert (
        pair["prompt"] == row["prompt"] and pair["credentialed"] and pair["rejected"][0]["content"] == row["rejected"]
    )
    good = parse(pair["chosen"][0]["content"], BOOK)
    assert (good.think, good.drg.drg, good.well_formed) == ("BNP is high.", "291", True)
    assert explain.learnt_from(row, text, "sft")["completion"] == pair["chosen"]
    assert explain.learnt_from(row, "I do not know.", "dpo") is None
    assert explain.learnt_from(row, "<think>BNP is", "sft") is None  # cut off at the limit of tokens


@pytest.fixture(scope="module")
def taught(tmp_path_factory) -> Path:
    """A model that knows the five stays of train.tiny, and gives another DRG where one is on record; and the stays under these
    other labels, which are hard for it."""
    place = tmp_path_factory.mktemp("stages")
    labels = dict(zip(tiny.STAYS, ("313", "392", "291", "871", "470"), strict=True))
    wrong = [
        row | {"drg": labels[row["drg"]], "case_id": f"{row['case_id']}-{i}"} for i in range(2) for row in tiny.rows()
    ]
    shown = []
    for row in wrong[:5]:
        answer = compose(row["prompt"][0]["content"], BOOK.drgs[row["drg"]].title.upper())
        shown.append(
            row | {"prompt": explain.shown_the_answer(row), "completion": [{"role": "assistant", "content": answer}]}
        )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        tiny.main()
        for name, rows in (("wrong", wrong), ("taught", tiny.rows() + shown)):
            Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        changes = [
            "data=taught.jsonl",
            "batch_size=10",
            "trl.per_device_train_batch_size=10",
            "trl.max_steps=32",
            "trl.save_steps=32",
        ]
        assert command("sft", sft.train, ["tiny-sft", *changes]) == 0
    return place


LEARN = {"sft": sft.train, "dpo": dpo.train}


@pytest.mark.parametrize("learn", ["dpo", "sft"])
def test_two_phases_learn_from_their_hard_cases_and_go_on_where_stopped(taught, tmp_path, monkeypatch, learn):
    monkeypatch.chdir(tmp_path)
    own = {"phases": 2 if learn == "dpo" else 1, "learn": learn, "learning_rate": 1e-3, "epochs": 1, "batch_size": 2,
           "trl": {"per_device_train_batch_size": 2, "gradient_checkpointing": False, "save_steps": 1, "optim": "adamw_torch", "max_steps": 2}}  # fmt: skip
    trl = {"max_steps": 1, "temperature": 0.2, "learning_rate": 1e-6, "max_completion_length": 64}
    path = recipe(
        Path("staged.yaml"),
        "grpo",
        taught / "runs/tiny-sft/model",
        taught / "wrong.jsonl",
        stages=own,
        trl=trl,
        batch_size=20,
    )
    path.write_text(path.read_text().replace('"per_device_train_batch_size": 4', '"per_device_train_batch_size": 20'))
    done, stop = [], []

    def execute(module, arguments):
        done.append((module, Path(arguments[0]).name))
        if len(done) in stop:
            raise KeyboardInterrupt
        kind = module.removeprefix("train.")
        run = {"explain": lambda: explain.main(arguments), "grpo": lambda: command("grpo", grpo.train, arguments)}
        assert run.get(kind, lambda: command(learn, LEARN[learn], arguments))() == 0

    stop.append(3)
    with pytest.raises(KeyboardInterrupt):
        stages.staged(read_recipe(path), execute)
    stop.clear()
    done.clear()
    model = stages.staged(read_recipe(path), execute)
    assert [module for module, _ in done[:1]] == [
        f"train.{learn}"
    ]  # GRPO and reasoning of the first phase are not done again
    phases = json.loads(Path("runs/staged/stages.json").read_text())
    assert len(phases) == own["phases"] and all(phase["hard"] and phase["rows"] for phase in phases)
    assert sum(phase["cases"] for phase in phases) == 10
    assert model == f"runs/staged-phase-{own['phases']}-{learn}/model" and Path(model, "model.json").exists()
    assert len(metrics(Path(model).parent)) == 2
    if learn == "dpo":
        pairs = list(read(Path("runs/staged/phase-2-explained.jsonl")))
        assert all(pair["chosen"] != pair["rejected"] and "on record" not in str(pair["prompt"]) for pair in pairs)
        second = json.loads(Path("runs/staged-phase-2-grpo/run.json").read_text())
        assert second["model"] == "runs/staged-phase-1-dpo/model"
    done.clear()
    assert stages.staged(read_recipe(path), execute) == model and not done


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (["stages=null"], "has no stages"),
        (["stages.learn=ppo"], "sft or dpo"),
        (["stages.epochs=null"], "gives no stages.epochs"),
        (["stages.extra=1"], "stages have"),
    ],
)
def test_stages_that_cannot_be_are_one_sentence(tmp_path, monkeypatch, capsys, changes, says):
    monkeypatch.chdir(tmp_path)
    assert stages.main(["table1-staged-dpo", *changes]) == 1
    assert says in capsys.readouterr().err


def test_pairs_that_cannot_be_trained_on_are_told(tmp_path):
    pair = {
        "prompt": [{"role": "user", "content": "x"}],
        "chosen": [{"role": "assistant", "content": "a"}],
        "rejected": [{"role": "assistant", "content": "b"}],
    }
    path = tmp_path / "pairs.jsonl"
    rows = [
        pair,
        pair | {"rejected": pair["chosen"], "case_id": "same"},
        pair | {"chosen": [{"role": "assistant", "content": "long"}], "case_id": "long"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = read_recipe("dpo", [f"data={path}", "model=x"])
    found = dpo.load_pairs(made, lambda chat: sum(len(message["content"]) for message in chat), 3)
    assert len(found.rows) == 1 and sorted(case for cases in found.left_out.values() for case in cases) == [
        "long",
        "same",
    ]
    path.write_text(json.dumps({"prompt": "x", "completion": "y"}))
    with pytest.raises(ValueError, match="no chosen, rejected"):
        dpo.load_pairs(made, len, None)
