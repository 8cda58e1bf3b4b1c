"""Blind votes and step verdicts in an export round: what makes a row, what is left out, and that TRL takes it unchanged."""

import csv
import json

import pytest

from sapphire.balloting import ballots, open_ballot
from sapphire.exporting import RoundFilters, plan, reviewers, write_round
from sapphire.profiles import Profile
from sapphire.reviewing import Form, open_case, save_review
from sapphire.store import open_store
from sapphire.store.comparisons import Comparisons
from sapphire.store.votes import pair as stored_pair
from sapphire.training_rows import STEP_LABELS
from sapphire.voting import VERDICT_WORDS, draft, next_pair, vote, withdraw
from tests.stays import NOTE, THINK, stored_note
from tests.test_comparing import said

ANA, BO = Profile("ana", "coder"), Profile("bo", "physician")
WITH_TEXT = RoundFilters(with_text=True)
BETTER, WORSE = "The better reasoning.", "The worse reasoning."


@pytest.fixture
def store(tmp_path):
    store = open_store(tmp_path / "sapphire.duckdb")
    store.append("note", [stored_note(f"n{i}", drg="291") for i in range(6)])
    answers = [said(f"n{i}", "good", "291", think=BETTER) for i in range(6)]
    store.append("prediction", answers + [said(f"n{i}", "poor", "280", think=WORSE) for i in range(6)])
    open_ballot(store, Comparisons(store), "Ballot", ["good", "poor"], "ana", repeats=0.0)
    yield store
    store.close()


def judge(store, reader=ANA, says: str = "good", comment: str = "") -> str:
    """Vote on the reader's next pair: for a run, or one of the other verdicts; returns its pair_id."""
    pair = next_pair(store, Comparisons(store), ballots(store)[0], reader)
    row = stored_pair(store, pair.pair_id)
    verdict = says if says in VERDICT_WORDS else "left" if row["left_run"] == says else "right"
    draft(store, pair, reader, verdict, ["evidence"], comment)
    vote(store, pair, reader)
    return pair.pair_id


def test_a_decided_vote_is_a_preference_pair_whatever_the_side(store):
    for _ in range(6):
        judge(store)
    planned = plan(store, WITH_TEXT)
    assert planned.counts["DPO pairs"] == 6
    assert sorted(row["case_id"] for row in planned.dpo) == [f"n{i}" for i in range(6)]
    for row in planned.dpo:
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert "Acute on chronic systolic heart failure" in row["prompt"][1]["content"]
        assert row["chosen"] == [{"role": "assistant", "content": row["chosen"][0]["content"]}]
        assert BETTER in row["chosen"][0]["content"]
        assert WORSE in row["rejected"][0]["content"]


def test_ties_withdrawn_votes_and_votes_that_differ_make_no_pair(store):
    judge(store, says="tie")
    judge(store, says="both bad")
    withdraw(store, judge(store), ANA)
    judge(store)
    judge(store, BO, says="tie")
    judge(store, BO, says="tie")
    judge(store, BO)
    judge(store, BO, says="poor")
    counts = plan(store, WITH_TEXT).counts
    assert counts["votes"] == 7
    assert counts["DPO pairs"] == 1  # the third, which only bo's vote is left of
    assert counts["pairs left out, votes differ"] == 1
    assert counts["pairs left out, ties or both bad"] == 2


def test_a_preferred_answer_that_breaks_the_form_or_had_another_prompt_makes_no_pair(store):
    broken = said("n0", "broken", "291") | {"completion": "It is 291."}
    other = said("n0", "grounded", "280", prompt="grounded", think=WORSE)
    store.append("prediction", [broken, other])
    for runs in (["good", "broken"], ["good", "grounded"]):
        open_ballot(store, Comparisons(store), "Another", runs, "ana", repeats=0.0)
        judge(store, says=runs[1])
    counts = plan(store, WITH_TEXT).counts
    assert counts["DPO pairs"] == 0
    assert counts["pairs left out, the preferred answer is not well formed"] == 1
    assert counts["pairs left out, the answers had different prompts"] == 1


def test_filters_choose_readers_and_models(store):
    judge(store)
    judge(store, BO)
    count = lambda **filters: plan(store, RoundFilters(**filters)).counts.get("votes", 0)  # noqa: E731
    assert reviewers(store) == ["ana", "bo"]
    assert (count(), count(reviewers=("bo",)), count(models=("model-poor",)), count(models=("another",))) == (
        2,
        1,
        2,
        0,
    )


def test_a_round_of_votes_alone_is_written_and_without_text_holds_none(store, tmp_path):
    judge(store, comment="She had leg edema")
    plain = write_round(store, RoundFilters(), "ana", tmp_path)
    assert sorted(plain["files"]) == ["README.txt", "votes.csv"]
    everything = b"".join(path.read_bytes() for path in plain["path"].iterdir())
    for text in (b"edema", b"reasoning", b"dyspnea"):
        assert text not in everything
    with (plain["path"] / "votes.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    preferred = row["left_prediction_id"] if row["verdict"] == "left" else row["right_prediction_id"]
    assert row["preferred"] == preferred == "good-n" + row["note_id"][1]
    full = write_round(store, WITH_TEXT, "ana", tmp_path)
    assert {"dpo.jsonl", "votes.csv", "README.txt"} == set(full["files"])
    assert all((full["path"] / name).stat().st_mode & 0o777 == 0o600 for name in full["files"])
    assert "dpo.jsonl" in (full["path"] / "README.txt").read_text()


def test_verdicts_on_steps_become_labels(store):
    save_review(
        store,
        open_case(store, "n0", "ana"),
        ANA,
        Form(drg_right=True, step_verdicts=("not in the note",)),
    )
    store.append("prediction", [said("n1", "long", "291", think=THINK)])
    save_review(store, open_case(store, "n1", "ana"), ANA, Form(drg_right=True, step_verdicts=("right", None, "wrong")))
    save_review(store, open_case(store, "n2", "ana"), ANA, Form(drg_right=True))
    rows = plan(store, WITH_TEXT).steps
    assert [row["labels"] for row in rows] == [[-1], [1, 0, -1]]
    assert rows[1]["steps"] == THINK.split("\n")
    assert set(STEP_LABELS) == {"right", "wrong", "not in the note", ""}
    assert plan(store, RoundFilters()).steps == []


@pytest.mark.torch
def test_datasets_and_trl_take_the_preference_pairs_unchanged(store, tmp_path):
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    from tests.tiny import save_tiny_llama

    for _ in range(4):
        judge(store)
    record = write_round(store, WITH_TEXT, "ana", tmp_path)
    path = record["path"] / "dpo.jsonl"
    assert len([json.loads(line) for line in path.read_text().splitlines()]) == 4
    rows = load_dataset("json", data_files=str(path), cache_dir=tmp_path / "cache")["train"]
    folder = save_tiny_llama(tmp_path / "tiny", NOTE)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    config = DPOConfig(
        output_dir=str(tmp_path / "run"), max_length=None, max_steps=2, per_device_train_batch_size=2, use_cpu=True, bf16=False,
        report_to="none", save_strategy="no", logging_steps=1, learning_rate=1e-3,
    )  # fmt: skip
    trainer = DPOTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)
    trainer.train()
    first, second = trainer.state.log_history[:2]
    assert first["loss"] == pytest.approx(0.6931, abs=1e-3)  # the model is still its own reference
    assert second["rewards/margins"] > 0
