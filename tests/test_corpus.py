"""The open corpus: true labels and reasoning, quotes that stand in the notes, new wording in test, the same bytes each time."""

import re
from collections import Counter
from random import Random

import duckdb
import pyarrow.parquet as pq
import pytest

from data import corpus, corpus_cases, corpus_natural, corpus_qa
from data.corpus_cases import recipe
from data.corpus_check import all_plans
from data.corpus_draw import FLOOR, deal, shares
from data.corpus_drawing import Drawing, Pools
from data.corpus_files import CASES
from data.corpus_frames import HOLES, Frames, Segment, holes_of, sentences
from data.corpus_names import stale
from data.corpus_noise import Noise
from data.corpus_phrase import Phrase, Pool, fold, pool
from data.corpus_plan import Plan, procedure_ids
from data.corpus_tables import TablesError, load_tables
from data.corpus_verify import faults
from data.natural import faults as natural_faults
from data.natural import records
from data.sft_rows import model_case
from sapphire.drg.claims import parse, write
from sapphire.drg.codebook import codebook
from sapphire.drg.coding import Coded, code_as_a_coder
from sapphire.notes import hospital_course
from sapphire.prompts import messages

CASES_CHECKED = 2_000
NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="session")
def made():
    return recipe(CASES_CHECKED, seed=7, test_share=0.25)


@pytest.fixture(scope="session")
def cases(made):
    return list(corpus_cases.cases(made))


# ---------------------------------------------------------------- what a case claims is true


def test_labels_quotes_and_every_line_are_true(cases):
    assert [(case["note_id"], fault) for case in cases for fault in faults(case)] == []


def test_a_false_case_is_found(cases):
    case = next(case for case in cases if case["sdx"] and ", CC, counts" in case["trace"])
    other = next(drg for drg in codebook().family(case["drg"]) if drg.drg != case["drg"])
    assert any("label" in fault for fault in faults(case | {"drg": other.drg, "title": other.title}))
    assert any(
        "CMS's level is CC" in fault
        for fault in faults(case | {"trace": case["trace"].replace(", CC, counts", ", MCC, counts")})
    )
    assert any("quote" in fault for fault in faults(case | {"text": "Nothing of the kind."}))


def test_traces_are_written_as_they_are_read(cases):
    assert all(write(parse(case["trace"])) == case["trace"] for case in cases)


def test_typical_reasoning_is_short(cases):
    lengths = sorted(len(case["trace"]) for case in cases)
    assert lengths[len(lengths) // 2] <= 900


def test_all_forms_styles_and_traps_occur(cases):
    assert set(Counter(case["trace_form"] for case in cases)) == {"cot_first", "answer_first", "differential"}
    assert {case["note_form"] for case in cases} == {"course", "summary"}
    assert {case["style"] for case in cases} == set(load_tables().style["styles"])
    traps = Counter(trap for case in cases for trap in case["trap"])
    for trap in (
        "history_of", "family_history", "resolved", "ruled_out", "one_word_apart", "probable_at_discharge", "two_principals",
        "excluded_cc", "died_mcc", "procedure_decides", "ventilation_96h", "combination_code",
    ):  # fmt: skip
        assert traps[trap] >= 5, trap


def test_every_form_of_reasoning_begins_as_its_name_says(cases):
    for case in cases:
        first, last = case["trace"].split("\n")[0], case["trace"].split("\n")[-1]
        assert first.startswith("- DRG: ") == (case["trace_form"] == "answer_first")
        assert last.startswith("- DRG: ") == (case["trace_form"] == "differential")
        assert case["trace"].count("- candidate: ") == (3 if case["trace_form"] == "differential" else 0)


# ---------------------------------------------------------------- notes


def test_notes_are_of_the_length_of_real_ones(cases):
    words = sorted(len(case["text"].split()) for case in cases)
    assert words[0] >= 80 and words[-1] <= 450


def test_notes_differ(cases):
    texts = Counter(case["text"] for case in cases)
    assert max(texts.values()) == 1
    courses = [case["text"] for case in cases if case["note_form"] == "course"]
    beginnings = Counter(" ".join(text.split()[:8]) for text in courses)
    assert max(beginnings.values()) < 0.015 * len(courses)


def test_no_slot_is_left_open_and_nothing_is_doubled(cases):
    for case in cases:
        assert not re.search(r"[{}]|\bNone\b(?=[a-z])| ,|\.\.(?!\.)", case["text"]), case["text"]


def test_the_hospital_course_of_a_summary_is_found(cases):
    summaries = [case["text"] for case in cases if case["note_form"] == "summary"]
    found = [text for text in summaries if (span := hospital_course(text)) and span[1] - span[0] < len(text)]
    assert len(found) / len(summaries) > 0.9


def test_what_test_says_is_never_said_in_train(cases):
    told = " ".join(plainly(case["text"]) for case in cases if case["split"] != "test")
    tables = load_tables()
    records = (*tables.conditions.values(), *tables.procedures.values())
    pools = [found for record in records for name in ("words", "story", "booked", "findings", "care", "ruled_out_by")
             if (found := getattr(record, name, None))]  # fmt: skip
    forms = {plainly(form) for found in pools for phrase in found.test for form in phrase.forms(16)}
    assert [form for form in forms if len(form.split()) > 1 and form in told] == []
    frames = [part for phrase in style_phrases("test") for part in phrase.parts if isinstance(part, str)]
    long = {fold(part) for part in frames if len(part.split()) >= 5}
    assert [part for part in long if part in told] == []


def plainly(text: str) -> str:
    """Folded, without numbers and full stops at a word's end."""
    return re.sub(r"\.(?= )", "", fold(NUMBER.sub("#", text)))


def style_phrases(split: str) -> list[Phrase]:
    style = load_tables().style
    texts = [text for blocks in style["frames"].values() for text in blocks.values()]
    texts += [*style["close"].values(), *style["fillers"].values()]
    texts += [style[name] for name in ("history", "family", "ruled_out", "resolved", "uncertain")]
    return [phrase for text in texts for phrase in pool(text).of(split)]


def test_every_frame_can_be_filled():
    needed = {
        "opening": {"story"}, "intro": {"story"}, "pmh": {"list"}, "minors": {"list"}, "minor": {"list"}, "findings": {"findings"},
        "copied": {"findings"}, "care": {"care"}, "more_care": {"care"}, "denial": {"denial"}, "denials": {"denial"},
        "backgrounds": {"denial"}, "recovery": set(), "greeting": set(), "regards": set(), "noise": set(), "noise_child": set(),
        "noise_died": set(),
    }  # fmt: skip
    for split in ("train", "test"):
        frames = Frames(load_tables(), split)
        for style, blocks in load_tables().style["frames"].items():
            for block in blocks:
                assert any(holes_of(f) <= needed.get(block, {"it"}) for f in frames.of(style, block)), (
                    split,
                    style,
                    block,
                )


def test_a_sentence_begins_with_a_capital_and_a_name_keeps_its_own():
    written = sentences([Segment("he rested. "), Segment("eGFR fell", "x"), Segment(". "), Segment("he left.")])
    assert "".join(segment.text for segment in written) == "He rested. eGFR fell. He left."


def test_noise_contradicts_neither_codes_nor_what_is_written():
    noise = Noise(load_tables())
    assert "Na" not in noise.free(["E871"], "") and "Mg" not in noise.free([], "Mg 1.1, repleted")
    assert "Mg" in noise.free(["E871"], "")


# ---------------------------------------------------------------- what is drawn


def test_rare_drgs_get_their_floor_and_common_ones_stay_common():
    plans = [
        Plan("a", (), "none", "home", 1000.0, "291"),
        Plan("b", (), "none", "home", 0.01, "290"),
        Plan("c", (), "none", "home", 500.0, "871"),
    ]
    share = shares(plans)
    assert sum(share.values()) == pytest.approx(1) and share["290"] == pytest.approx(FLOOR)
    assert share["291"] == pytest.approx(2 * share["871"])
    dealt = Counter(deal(plans, 20_000, 7))
    assert dealt[1] == pytest.approx(FLOOR * 20_000, abs=1)
    assert deal(plans, 100, 7) == deal(plans, 100, 7) != deal(plans, 100, 8)


def test_nothing_weighs_that_is_not_coded(cases):
    """A ruled-out, past or family condition never stands among the codes."""
    for case in cases:
        codes = {case["pdx"], *case["sdx"], *case["procedures"]}
        for item in case["evidence"]:
            assert (item["says"] == "present") == bool(codes & set(item["codes"]))


def test_present_on_admission_is_said_of_every_diagnosis(cases):
    assert all(len(case["poa"]) == 1 + len(case["sdx"]) and set(case["poa"]) <= {"Y", "N"} for case in cases)
    assert all(case["poa"][0] == "Y" for case in cases)
    assert any("N" in case["poa"] for case in cases)


@pytest.mark.parametrize(
    ("written", "coded"),
    [
        ("N186 I10", "I120 N186"),
        ("N186 I10 I5032", "I132 N186 I5032"),
        ("I5033 I10 N184", "I130 I5033 N184"),
        ("J9601 J80", "J80"),
        ("J9621 J80", "J80 J9611"),
        ("K3184 E119", "E1143 K3184"),
        ("E1010 K3184", "E1010 K3184 E1043"),
        ("M86171 E119", "E1169 M86171"),
        ("E119 N1831 I739 R739", "E1122 N1831 E1165 E1151"),
        ("N186 N02B9 E119", "N186 N02B9 E119"),
        ("M4626 A419 N179", "A419 M4626 N179 R6520"),
        ("J9601 A419 J189", "A419 J9601 J189 R6520"),
        ("M4626 A419-", "M4626 A419"),
        ("T8144XA A419 R7881", "T8144XA A419"),
        ("I200 I2510", "I25110"),
        ("I214 I2489 R0902", "I214 R0902"),
        ("N390 N10 I959 R571", "N10 R571"),
        ("K562 K567 D649 D62", "K562 D62"),
        ("J189 R0902 J9601", "J189 J9601"),
    ],
)
def test_codes_are_joined_and_sequenced_as_the_guidelines_say(written, coded):
    """A minus: arose in hospital."""
    plain = [Coded(code.rstrip("-"), code, "N" if code.endswith("-") else "Y") for code in written.split()]
    assert " ".join(item.code for item in code_as_a_coder(load_tables().rules, plain)) == coded


def test_who_came_for_an_operation_had_it(made, cases):
    """Stories that say so are told only where the plan has a procedure; both kinds of stay occur."""
    tables = load_tables()
    told = Counter()
    for case, dealt in zip(cases, made.dealt, strict=True):
        plan = made.plans[dealt]
        booked = [plainly(form) for p in tables.conditions[plan.condition].booked.phrases for form in p.forms()]
        if booked:
            text = re.sub(r"\badm\b", "admitted", plainly(case["text"]))
            told[bool(plan.procedures), any(form in text for form in booked)] += 1
    assert told[False, True] == 0
    assert min(told[True, True], told[True, False], told[False, False]) >= 5


def test_a_comorbidity_that_is_also_a_principal_condition_brings_no_procedure():
    tables = load_tables()
    pools, rng = Pools(tables), Random(1)
    plan = next(p for p in all_plans(tables) if p.condition == "sepsis_postprocedural" and not p.procedures)
    for drawing in (Drawing(pools, plan, rng) for _ in range(200)):
        assert tables.conditions["sepsis"] in drawing.chosen and tables.conditions["sepsis"].procedures
        own = [drawing.record, *(other for other in drawing.chosen if other.kind == "secondary")]
        allowed = {name for other in own for key in (*other.procedures, *other.extras) for name in procedure_ids(key)}
        assert {mention.record.id for mention in drawing.mentions if mention.role == "procedure"} <= allowed


# ---------------------------------------------------------------- files


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("corpus") / "open"
    assert corpus.main(["--cases", "120", "--seed", "3", "--out", str(out)]) == 0
    return out


def test_the_same_seed_gives_the_same_bytes(folder, tmp_path):
    again = tmp_path / "again"
    assert corpus.main(["--cases", "120", "--seed", "3", "--out", str(again)]) == 0
    assert {p.name: p.read_bytes() for p in again.iterdir()} == {p.name: p.read_bytes() for p in folder.iterdir()}


def test_the_number_of_processes_changes_nothing(made, cases):
    assert [made.maker.case(number) for number in (0, 777, CASES_CHECKED - 1)] == [cases[0], cases[777], cases[-1]]


def test_duckdb_and_datasets_read_the_files(folder):
    rows = duckdb.sql(f"select split, count(*) from read_parquet('{folder}/t*.parquet') group by all").fetchall()
    assert dict(rows).keys() == {"train", "test"}
    assert pq.read_schema(folder / "train.parquet").equals(CASES)
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "parquet", data_files=str(folder / "qa.parquet"), split="train", cache_dir=str(folder.parent / "cache")
    )
    assert [message["role"] for message in loaded[0]["prompt"]] == ["system", "user"]
    assert loaded[0]["completion"][0]["role"] == "assistant"


def test_the_card_counts_what_is_there(folder):
    card = (folder / "README.md").read_text()
    assert f"| train.parquet | {pq.read_metadata(folder / 'train.parquet').num_rows} |" in card
    assert all((folder / name).exists() for name in re.findall(r"\]\((\w+\.svg)\)", card))


def test_a_folder_that_is_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert corpus.main(["--cases", "5", "--out", str(tmp_path)]) == 2
    assert "no corpus" in capsys.readouterr().err and (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_stopped_run_leaves_the_finished_corpus(folder, monkeypatch):
    before = (folder / "train.parquet").read_bytes()
    monkeypatch.setattr(corpus, "write_card", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        corpus.main(["--cases", "10", "--out", str(folder)])
    assert (folder / "train.parquet").read_bytes() == before


def test_tables_with_an_open_reference_are_refused_in_one_sentence(monkeypatch, capsys):
    monkeypatch.setattr(corpus_cases, "open_references", lambda tables: {"gout": {"knee_pain"}})
    assert corpus.main(["--cases", "5", "--verify"]) == 2
    assert "gout" in capsys.readouterr().err
    with pytest.raises(TablesError):
        recipe(5, 7, 0.1)


def test_wrong_numbers_are_refused(capsys):
    for argv in (["--cases", "0", "--verify"], ["--cases", "5"], ["--test-share", "2", "--verify"]):
        with pytest.raises(SystemExit):
            corpus.main(argv)


def test_the_names_of_the_tables_are_those_that_the_checker_knows():
    assert not stale(load_tables()), "run python -m data.corpus_names"


# ---------------------------------------------------------------- code book and notes by hand


def test_code_book_questions_have_right_answers():
    rows = list(corpus_qa.rows(load_tables()))
    book = codebook()
    listed = [
        row["completion"][0]["content"]
        for row in rows
        if row["kind"] == "mdc" and "all MS-DRGs" in row["prompt"][1]["content"]
    ]
    assert sorted(title for text in listed for title in text.split("\n")) == sorted(
        drg.title.upper() for drg in book.drgs.values()
    )
    said = {row["prompt"][1]["content"]: row["completion"][0]["content"] for row in rows}
    assert said["What is the title of MS-DRG 291?"] == "HEART FAILURE AND SHOCK WITH MCC"
    assert said["As a secondary diagnosis, is acute kidney injury (N17.9) an MCC, a CC or neither?"].startswith(
        "It is a CC "
    )
    assert len(said) == len(rows)


@pytest.fixture(scope="session")
def natural():
    return {split: list(corpus_natural.cases(split)) for split in corpus_natural.SPLITS}


def test_traces_of_natural_notes_are_true_where_there_are_any(natural):
    traced = [case for rows in natural.values() for case in rows if case["trace"]]
    assert sum(bool(case["trace"]) for case in natural["train"]) > 0.95 * len(natural["train"])
    for case in traced:
        quotes = [item["quote"] for item in case["evidence"]]
        assert quotes and all(
            re.search(r"\s+".join(map(re.escape, q.split())), case["text"], re.IGNORECASE) for q in quotes
        )


def test_notes_by_hand_are_labelled_by_the_grouper_and_stand_in_one_split_only():
    notes = {split: list(records(corpus_natural.FOLDER / split)) for split in corpus_natural.SPLITS}
    assert (len(notes["dev"]), len(notes["test"])) == (155, 100)
    everything = [note for found in notes.values() for note in found]
    assert [(note["id"], fault) for note in everything for fault in natural_faults(note)] == []
    assert max(Counter(note["id"] for note in everything).values()) == 1
    note = notes["train"][0]
    newer = note | {"sdx": [*note["sdx"], "Z84.1"], "poa": [*note["poa"], "Y"]}  # a heading since its codes were split
    assert natural_faults(newer) == ["Z841 is no code of version 43.1, which ignores it"]
    assert "not in the text" in natural_faults(note | {"shown": {note["pdx"]: "words of another note"}})[0]
    assert "no code of the stay" in natural_faults(note | {"shown": {"Z99.89": note["text"].split()[0]}})[0]
    assert all(note["id"].startswith(f"natural-{split}-") for split, found in notes.items() for note in found)
    assert len({note["drg"] for note in everything}) >= 250 and len({note["drg"] for note in notes["dev"]}) >= 45


def test_natural_test_and_dev_share_no_sentence_with_what_is_trained_on(natural, cases):
    told = {split: {s for case in found for s in long_sentences(case["text"])} for split, found in natural.items()}
    trained = told["train"] | {s for case in cases for s in long_sentences(case["text"])}
    assert (told["test"] & (trained | told["dev"]), told["dev"] & trained) == (set(), set())


def long_sentences(text: str) -> set[str]:
    """Sentences of eight words or more, folded."""
    pieces = re.split(r"(?<=[.!?;])\s+|\n", text)
    return {found for piece in pieces if len((found := fold(piece)).split()) >= 8}


def test_nothing_of_the_label_reaches_a_prompt(cases):
    """The plain prompt holds no title and no code. The grounded one names what the grouper makes of the note's own words, the
    right DRG often among it: it must be the same whatever the label is."""
    for case in cases[:50]:
        asked = messages(case["text"], "plain")[1]["content"]
        assert case["title"].upper() not in asked and case["pdx"] not in asked
    for case in cases[:10]:
        relabelled = {**case, "drg": "795", "title": "NORMAL NEWBORN", "pdx": "Z38.00", "sdx": [], "trace": None}
        ours, other = (messages(model_case(each), "grounded") for each in (case, relabelled))
        assert ours == other


def test_pools_of_one_split_stand_apart():
    found = pool("a / b\ntest: c")
    assert isinstance(found, Pool) and [p.text for p in found.of("test")] == ["c"] and "it" in HOLES
