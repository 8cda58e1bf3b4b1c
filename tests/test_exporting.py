"""Export rounds: what counts, what is left out, what the files hold, and that training takes them unchanged."""

import csv
import hashlib
import json

import pyarrow.parquet as pq
import pytest

from sapphire.exporting import RoundFilters, harmless, plan, rounds, write_round
from sapphire.profiles import Profile
from sapphire.reviewing import Form, mark, open_case, save_review
from sapphire.store import open_store
from tests.stays import NOTE, THINK, stored_note, stored_prediction

ANA, BO = Profile("ana", "coder"), Profile("bo", "physician")
WITH_TEXT = RoundFilters(with_text=True)


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    store.append("note", [stored_note(f"n{i}") for i in range(6)])
    store.append("prediction", [stored_prediction(f"n{i}") for i in range(6)])
    yield store
    store.close()


def review(store, note: str, reader: Profile = ANA, **form) -> None:
    now = open_case(store, note, reader.name)
    save_review(store, now, reader, Form(**form))


def test_an_accepted_case_becomes_a_row_with_the_models_own_reasoning(store):
    review(store, "n0", drg_right=True)
    row = plan(store, WITH_TEXT).sft[0]
    assert row["case_id"] == "n0"
    assert [message["role"] for message in row["prompt"]] == ["system", "user"]
    course = NOTE[NOTE.index("The patient") : NOTE.index("\n\nDischarge")]
    assert row["prompt"][1]["content"].endswith(course)
    assert row["completion"] == [
        {"role": "assistant", "content": f"<think>{THINK}</think><answer>HEART FAILURE AND SHOCK WITH CC</answer>"}
    ]


def test_a_reviewed_baseline_teaches_by_the_plain_prompt(store):
    store.append("prediction", [stored_prediction("n0", prediction_id="b-n0", run_id="baseline", prompt="none")])
    review(store, "n0", drg_right=False, drg="291", reasoning="It is an MCC.")
    review(store, "n1", drg_right=False, drg="291", reasoning="It is an MCC.")
    of_baseline, of_model = plan(store, WITH_TEXT).sft
    assert of_baseline["prompt"] == of_model["prompt"]


def test_a_changed_case_is_taught_only_with_corrected_reasoning(store):
    review(store, "n0", drg_right=False, drg="291")
    review(store, "n1", drg_right=False, drg="291", reasoning="It is an MCC.")
    review(store, "n2", drg_right=True, step_verdicts=("right", "wrong"))
    planned = plan(store, WITH_TEXT)
    assert [row["case_id"] for row in planned.sft] == ["n1"]
    assert (
        "<think>It is an MCC.</think><answer>HEART FAILURE AND SHOCK WITH MCC</answer>"
        in planned.sft[0]["completion"][0]["content"]
    )
    assert {row["case_id"]: row["drg"] for row in planned.grpo} == {"n0": "291", "n1": "291", "n2": "292"}
    assert planned.counts["SFT rows left out, no reasoning that is right"] == 2


def test_readers_who_disagree_teach_nothing(store):
    review(store, "n0", ANA, drg_right=True)
    review(store, "n0", BO, drg_right=False, drg="291")
    planned = plan(store, WITH_TEXT)
    assert (len(planned.reviews), planned.labels, planned.sft) == (2, [], [])
    assert planned.counts["left out, reviewers name different DRGs"] == 1


def test_filters_choose_which_reviews_count(store):
    review(store, "n0", drg_right=True, accuracy=5)
    review(store, "n1", drg_right=True, accuracy=2)
    review(store, "n2", BO, decision="query")
    count = lambda **filters: len(plan(store, RoundFilters(**filters)).reviews)  # noqa: E731
    assert count() == 2
    assert count(min_accuracy=4) == 1
    assert count(decisions=("query",)) == 1
    assert count(decisions=()) == 3
    assert count(decisions=(), reviewers=("bo",)) == 1
    assert count(models=("another",)) == 0
    assert plan(store, RoundFilters(decisions=("query",))).counts["left out, no DRG given"] == 1


def test_a_round_is_written_whole_hashed_recorded_and_private(store, tmp_path):
    review(store, "n0", drg_right=True, comment="=HYPERLINK(1)")
    record = write_round(store, WITH_TEXT, "ana", tmp_path / "exports")
    folder = record["path"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(record["files"])
    for name, facts in record["files"].items():
        data = (folder / name).read_bytes()
        assert hashlib.sha256(data).hexdigest() == facts["sha256"]
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    with (folder / "reviews.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["comment"] == "'=HYPERLINK(1)"
    assert pq.read_table(folder / "reviews.parquet").to_pylist()[0]["comment"] == "=HYPERLINK(1)"
    assert [(r["round"], r["author"], r["counts"]["SFT rows"]) for r in rounds(store)] == [(1, "ana", 1)]
    assert write_round(store, WITH_TEXT, "bo", tmp_path / "exports")["round"] == 2


def test_a_text_free_round_holds_no_word_of_a_note_or_a_reader(store, tmp_path):
    review(
        store,
        "n0",
        drg_right=True,
        comment="leg edema on exam",
        reasoning="dyspnea and leg edema",
        step_verdicts=("right",),
    )
    record = write_round(store, RoundFilters(), "ana", tmp_path)
    assert "sft.jsonl" not in record["files"]
    everything = b"".join(path.read_bytes() for path in record["path"].iterdir())
    assert b"edema" not in everything
    assert b"furosemide" not in everything
    label = json.loads((record["path"] / "labels.jsonl").read_text())
    assert label["note_hash"] == hashlib.sha256(NOTE.encode()).hexdigest()


def test_time_on_a_case_runs_from_opening_to_saving(store):
    mark(store, open_case(store, "n0", "ana"), ANA, "opened")
    review(store, "n0", drg_right=True)
    assert 0 <= plan(store, RoundFilters()).reviews[0]["seconds"] < 60


def test_nothing_to_export_is_said(store, tmp_path):
    with pytest.raises(ValueError, match="No saved review or vote passes"):
        write_round(store, RoundFilters(), "ana", tmp_path)


@pytest.mark.parametrize(
    ("cell", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("+A1", "'+A1"),
        ("@x", "'@x"),
        ("\t=1", "'\t=1"),
        ("-2", "-2"),
        ("-x", "'-x"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_formulas_are_made_harmless_and_numbers_left(cell, safe):
    assert harmless(cell) == safe


@pytest.mark.torch
def test_datasets_and_trl_take_the_sft_rows_unchanged(store, tmp_path):
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from tests.tiny import save_tiny_llama

    for i in range(4):
        review(store, f"n{i}", drg_right=True)
    record = write_round(store, WITH_TEXT, "ana", tmp_path)
    rows = load_dataset("json", data_files=str(record["path"] / "sft.jsonl"), cache_dir=tmp_path / "cache")["train"]
    assert len(rows) == 4
    folder = save_tiny_llama(tmp_path / "tiny", NOTE)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    config = SFTConfig(
        output_dir=str(tmp_path / "run"), max_length=None, max_steps=1, per_device_train_batch_size=2, use_cpu=True, bf16=False,
        report_to="none", save_strategy="no", logging_steps=1,
    )  # fmt: skip
    trainer = SFTTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    assert trainer.state.log_history[0]["loss"] > 0
