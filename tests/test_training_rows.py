"""Training rows from what a recipe may name: the corpus, MIMIC's subsets, an export round; what is left out, and what is refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data.corpus_files import CASES
from data.corpus_files import QUESTIONS as QA
from data.sft_rows import reasoning
from sapphire.completions import parse
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import claim_from, drg_of
from sapphire.drg.lines import write
from sapphire.prompts import Case
from train.recipe import Recipe, RecipeError
from train.rows import by_difficulty, load_rows

STAYS = [  # note, principal diagnosis, others, form of the reasoning
    ("Decompensated HFrEF, BNP 4200. Cr rose from 1.0 to 2.4, ATN by urine sediment. HTN.", "I5023", ["N170", "I10"], "cot_first"),
    ("Community-acquired pneumonia of the right lower lobe. No PE on CTA. HTN on lisinopril.", "J189", ["I10"], "differential"),
    ("Acute pyelonephritis, E. coli in the urine. Type 2 diabetes on metformin.", "N10", ["B9620", "E119"], "cot_first"),
    ("Chest pain, troponin negative, stress test clean. HTN.", "R079", ["I10"], "answer_first"),
]  # fmt: skip
QUESTIONS = 5


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> Path:
    """A folder as data.corpus writes it, with four cases that the grouper labels and some questions on the code book."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for number, (text, pdx, sdx, form) in enumerate(STAYS):
        stay = {
            "age": 70,
            "sex": "M",
            "discharge_status": 1,
            "pdx": pdx,
            "sdx": sdx,
            "procedures": [],
            "drg_version": "43.1",
        }
        stay["poa"] = ["Y"] * (1 + len(sdx))
        drg = drg_of(claim_from(stay))[0]
        trace = write(reasoning(stay | {"text": text, "drg": drg, "trace": None}, Case(text, 70, "M", 1))[0])
        more = {
            "note_id": f"n{number}",
            "text": text,
            "drg": drg,
            "trace": trace,
            "trace_form": form,
            "credentialed": False,
        }
        rows.append(dict.fromkeys(CASES.names) | stay | more)
    pq.write_table(pa.Table.from_pylist(rows, schema=CASES), folder / "train.parquet")
    said = [{"role": "user", "content": "x"}], [{"role": "assistant", "content": "y"}]
    asked = [{"prompt": said[0], "completion": said[1], "case_id": f"qa-{n}", "kind": "mdc"} for n in range(QUESTIONS)]
    pq.write_table(pa.Table.from_pylist(asked, schema=QA), folder / "qa.parquet")
    return folder


def recipe(kind: str, *data: Path, **changes) -> Recipe:
    return Recipe(kind, "x", "m", tuple(map(str, data)), **changes)


def jsonl(path: Path, *rows: dict) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("trace", ["full", "short"])
@pytest.mark.parametrize("prompt", ["plain", "grounded"])
def test_cases_become_rows_whose_answer_is_their_label(cases, prompt, trace):
    found = load_rows(recipe("sft", cases / "train.parquet", prompt=prompt, trace=trace))
    drgs = {row["note_id"]: row for row in pq.read_table(cases / "train.parquet").to_pylist()}
    unshown = found.left_out.get("the note does not show what decides the DRG", [])
    assert sorted([row["case_id"] for row in found.rows] + unshown) == list(drgs)
    assert len(found.rows) == 4 if trace == "full" else len(found.rows) >= 2
    assert found.version == "43.1" and not found.credentialed
    for row in found.rows:
        parsed = parse(row["completion"][0]["content"], codebook())
        assert parsed.well_formed and parsed.drg.drg == drgs[row["case_id"]]["drg"]
        if trace == "full":
            assert parsed.think == drgs[row["case_id"]]["trace"].strip()
        assert ("An index found" in row["prompt"][-1]["content"]) == (prompt == "grounded")


def test_code_book_rows_are_mixed_in_and_what_is_too_long_is_named(cases):
    def words(chat):
        return sum(len(message["content"].split()) for message in chat)

    plain = recipe("sft", cases / "train.parquet", questions=(str(cases / "qa.parquet"),))
    everything = load_rows(plain)
    assert [file["rows"] for file in everything.files] == [len(STAYS), QUESTIONS]
    lengths = {row["case_id"]: words(row["prompt"] + row["completion"]) for row in everything.rows}
    limit = sorted(lengths.values())[-3]
    found = load_rows(plain, words, limit)
    long = {case_id for case_id, length in lengths.items() if length > limit}
    assert set(found.left_out[f"longer than {limit:,} tokens"]) == long
    assert {row["case_id"] for row in found.rows} == lengths.keys() - long
    assert f"Left out {len(long)} of the rows: longer than {limit:,} tokens" in found.told()[0]


def test_a_prompt_of_grpo_leaves_room_for_its_completion():
    from train.grpo import _longest_prompt

    def longest(context, max_tokens=None, **config):
        given = {"max_completion_length": 400, "use_vllm": True, "vllm_max_model_length": None} | config
        return _longest_prompt(recipe("grpo", Path("x"), max_tokens=max_tokens), SimpleNamespace(**given), context)

    assert longest(None) is None
    assert longest(2000) == 1600
    assert longest(2000, 1000) == 1000
    assert longest(2000, vllm_max_model_length=1200) == 800  # vLLM would cut the completion, and nobody would be told
    assert longest(2000, vllm_max_model_length=1200, use_vllm=False) == 1600
    with pytest.raises(RecipeError, match=r"vllm_max_model_length holds 300 in all"):
        longest(2000, vllm_max_model_length=300)


def test_grpo_rows_hold_the_label_and_for_the_grounded_reward_the_stay(cases):
    row = load_rows(recipe("grpo", cases / "train.parquet")).rows[0]
    assert set(row) == {"prompt", "case_id", "drg", "drg_version"}
    assert row["drg"] not in row["prompt"][-1]["content"].split()
    row = load_rows(recipe("grpo", cases / "train.parquet", grounded=0.0)).rows[0]
    assert row["text"] and row["pdx"] and isinstance(row["age"], int)


def test_a_form_of_reasoning_and_a_subset_of_mimic(cases, tmp_path):
    table = pq.read_table(cases / "train.parquet")
    forms = load_rows(recipe("sft", cases / "train.parquet", trace_form="differential"))
    assert [row["case_id"] for row in forms.rows] == ["n1"]
    pq.write_table(table, tmp_path / "train.parquet")
    ids = table.column("note_id").to_pylist()
    sides = ["sft" if number % 3 else "grpo" for number in range(len(ids))]
    pq.write_table(pa.table({"note_id": ids, "sft_90": sides}), tmp_path / "subsets.parquet")
    found = load_rows(recipe("grpo", tmp_path / "train.parquet", subset={"sft_90": "grpo"}))
    assert [row["case_id"] for row in found.rows] == ids[::3]


def test_an_export_round_and_its_credentialed_cases(tmp_path):
    rows = [
        {"prompt": [{"role": "user", "content": "x"}], "case_id": str(n), "drg": "291", "drg_version": "43.1"}
        for n in (1, 2)
    ]
    path = jsonl(tmp_path / "grpo.jsonl", *rows)
    assert not load_rows(recipe("grpo", path)).credentialed
    jsonl(tmp_path / "labels.jsonl", {"case_id": "1", "credentialed": False}, {"case_id": "2", "credentialed": True})
    assert load_rows(recipe("grpo", path)).credentialed
    assert not load_rows(recipe("grpo", path, limit=1)).credentialed
    assert load_rows(recipe("grpo", path, limit=1, credentialed=True)).credentialed


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"drg": "9999"}, r"rows.jsonl, row 2 has DRG '9999'"),
        ({"drg_version": "34"}, r"row 2 is of MS-DRG version 34, of which there is no code book"),
        ({"drg_version": "40"}, r"mix MS-DRG versions 40, 43.1"),
    ],
)
def test_labels_that_cannot_be_are_refused_by_file_and_row(tmp_path, row, words):
    good = {"prompt": [{"role": "user", "content": "x"}], "case_id": "a", "drg": "291", "drg_version": "43.1"}
    with pytest.raises(RecipeError, match=words):
        load_rows(recipe("grpo", jsonl(tmp_path / "rows.jsonl", good, good | row)))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(RecipeError, match=r"none.jsonl cannot be read \(No such file"):
        load_rows(recipe("sft", tmp_path / "none.jsonl"))
    (tmp_path / "bad.parquet").write_bytes(b"nothing")
    with pytest.raises(RecipeError, match=r"bad.parquet cannot be read"):
        load_rows(recipe("sft", tmp_path / "bad.parquet"))
    (tmp_path / "bad.jsonl").write_text('{"prompt": 1}\n{"pro')
    with pytest.raises(RecipeError, match=r"bad.jsonl, line 2 is no JSON"):
        load_rows(recipe("sft", tmp_path / "bad.jsonl"))
    with pytest.raises(RecipeError, match=r"No row is left .* no completion \(1\)"):
        load_rows(recipe("sft", jsonl(tmp_path / "teacher.jsonl", {"prompt": [], "completion": None, "case_id": "a"})))


def test_curriculum_by_a_table_of_difficulties(tmp_path):
    message = [{"role": "user", "content": "x"}]
    path = jsonl(
        tmp_path / "rows.jsonl",
        *({"prompt": message, "case_id": c, "drg": "291", "drg_version": "43.1"} for c in "abcd"),
    )
    table = jsonl(
        tmp_path / "difficulty.jsonl",
        *({"case_id": c, "difficulty": d} for c, d in zip("abc", ["hard", "easy", "medium"], strict=True)),
    )

    def ids(**settings):
        asked = recipe("grpo", path, **settings)
        return "".join(row["case_id"] for row in by_difficulty(load_rows(asked), asked).rows)

    assert ids(difficulty=str(table), without=("hard",)) == "bcd"
    assert ids(difficulty=str(table), without=("easy", "hard")) == "cd"
    assert ids(difficulty=str(table), order="easy to hard") == "bcda"
    with pytest.raises(RecipeError, match="name the table"):
        ids(without=("hard",))
