"""Evaluations of models and baselines: the rows, the measures against plain loops, resume, what is printed, and the app's intake."""

import json
import stat
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from data.demo import cases as demo_cases
from sapphire.completions import compose
from sapphire.drg.codebook import codebook
from sapphire.engines import Completion, ModelCard
from sapphire.importing import import_files
from sapphire.metrics import maj_at_k, pass_at_k, severity_key
from sapphire.notes import Note
from sapphire.prediction_files import OutputError, Part
from sapphire.scoring import Scored
from sapphire.store import open_store
from sapphire.taking_in import take_in
from tests.test_claims import NOTE as STAY
from tests.test_claims import TRACE
from tests.tiny import save_tiny_llama
from train import compare
from train.baselines import BASELINES
from train.evaluate import Job, Sampling, evaluate, main
from train.evaluation_rows import SCHEMA, rows
from train.measures import calibration, groups, means, paired_tests, read_results, scores, shared
from train.tables import comparison, report

BOOK = codebook()
DRGS = list(BOOK.drgs.values())
CARD = ModelCard("model-a", "llama.cpp", "nowhere")
ABOUT = {
    "n": 4, "temperature": 0.6, "top_p": 0.95, "seed": 0, "constrained": False, "max_tokens": 4096, "command": "python -m …", "versions": {"sapphire": "1"},
    "model": {"name": "model-a", "kind": "llama.cpp", "prompt": "plain"},
    "data": {"file": "test.parquet", "sha256": "0" * 64, "notes": 40, "without_label": 0, "cases": 40, "drawn": None, "sources": {"open corpus": 40}, "credentialed": False},
}  # fmt: skip
ONCE = Sampling(n=1, temperature=0.0, constrained=False)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The fictional demo notes with their codes and DRGs, as a file."""
    path = tmp_path_factory.mktemp("demo") / "demo.jsonl"
    path.write_text("\n".join(map(json.dumps, demo_cases())))
    return path


def answered(note: Note, drgs, think="Fluid overload.") -> Scored:
    texts = [compose(think, BOOK.drgs[drg].title.upper()) if drg else "no form" for drg in drgs]
    return Scored(note, tuple(Completion(text, (), think[:60], 20, 1.0, None) for text in texts))


def write(path, scored, about=ABOUT, card=CARD):
    with Part(path, "run-a", SCHEMA, about) as part:
        for each, gold in scored:
            part.append(rows(each, card, gold, "run-a"))
        part.finish()
    return path


def random_run(seed: int, skill: float, cases=40, n=4):
    """Random answers with some right, some of the right family, some without a DRG; two stays a patient, some without an answer."""
    draw = np.random.default_rng(seed)
    for i in range(cases):
        gold = DRGS[np.random.default_rng(i).integers(len(DRGS))]
        near = [each.drg for each in BOOK.family(gold.drg)]
        kinds = draw.choice(4, n, p=[skill, 0.2, 0.2, 0.6 - skill])
        drgs = [(gold.drg, draw.choice(near), None, DRGS[draw.integers(len(DRGS))].drg)[kind] for kind in kinds]
        note = Note(
            f"n{i}",
            "Some words.",
            subject_id=f"p{i // 2}",
            drg=gold.drg,
            drg_version="43.1",
            trap=("history_of",) * (i % 2),
        )
        yield (Scored(note, (), "The note is too long."), gold) if i == 7 else (answered(note, drgs), gold)


def test_measures_are_what_plain_loops_give(tmp_path):
    path = write(tmp_path / "a.parquet", random_run(1, 0.4))
    found = scores(read_results(path))
    expected = {}
    for scored, gold in random_run(1, 0.4):
        predicted = [
            BOOK.by_title(c.text.partition("<answer>")[2].removesuffix("</answer>")) for c in scored.completions
        ]
        predicted += [None] * (4 - len(predicted))  # what could not be answered is wrong
        for target, key in (("drg", lambda d: d.drg), ("base", lambda d: d.base_id), ("severity", severity_key)):
            said = [key(drg) if drg else None for drg in predicted]
            right = said.count(key(gold))
            for name, value in (
                ("pass_1", right / 4),
                ("pass_k", pass_at_k(4, right, 4)),
                ("maj_k", maj_at_k(said, key(gold))),
            ):
                expected.setdefault((target, name), []).append(value)
    assert {cell: found[cell].estimate for cell in found} == pytest.approx(
        {cell: np.mean(v) for cell, v in expected.items()}
    )
    assert all(each.n == 40 and each.low <= each.estimate <= each.high for each in found.values())
    assert (
        found["drg", "pass_1"].method == "wilson" and found["drg", "pass_1"].low < found["drg", "pass_1"].estimate - 0.1
    )


def test_means_and_groups_count_what_they_say(tmp_path):
    results = read_results(write(tmp_path / "a.parquet", random_run(1, 0.4)))
    answers = [drg for scored, _ in random_run(1, 0.4) for drg in scored.completions]
    found = means(results)
    assert found["no_drg"].estimate == pytest.approx(sum(c.text == "no form" for c in answers) / len(answers))
    assert found["format"].estimate == pytest.approx(1 - found["no_drg"].estimate)
    assert found["true_lines"] is None  # without age and sex nothing groups
    by_trap = groups(results, "trap")
    assert {name: len(places) for name, places in by_trap.items()} == {"history_of": 20, "no trap": 20}
    by_count = groups(results, "frequency", Counter({results.gold[0].drg: 12}))
    assert list(by_count) == ["never seen", "10 to 99"] and 0 in by_count["10 to 99"]
    assert sum(map(len, groups(results, "mdc").values())) == 40


def test_confidence_is_set_against_being_right(tmp_path):
    several = read_results(write(tmp_path / "several.parquet", random_run(3, 0.4)))
    sure, right = [], []
    for one, gold in random_run(3, 0.4):
        drgs = Counter(parse_drg for text in one.completions if (parse_drg := _said(text)))
        if drgs:
            (drg, votes), *_ = drgs.most_common(1)
            sure.append(votes / 4)
            right.append(drg == gold.drg)
    found = calibration(several)
    assert found.n == len(sure)
    assert found.brier == pytest.approx(np.mean((np.array(sure) - right) ** 2))
    by_share = {share: [r for s, r in zip(sure, right, strict=True) if s == share] for share in set(sure)}
    gaps = sum(len(hits) * abs(np.mean(hits) - share) for share, hits in by_share.items()) / len(sure)
    assert found.error == pytest.approx(gaps)  # four samples: each share is in a bin of its own
    assert "calibration error" in report(several)
    once = write(
        tmp_path / "once.parquet",
        ((Scored(each.note, each.completions[:1]), gold) for each, gold in random_run(3, 0.4)),
        ABOUT | {"n": 1},
    )
    assert calibration(read_results(once)) is None  # nothing came with a confidence


def _said(completion: Completion) -> str | None:
    return next((drg.drg for drg in DRGS if f"<answer>{drg.title.upper()}</answer>" in completion.text), None)


def test_the_lines_of_reasoning_are_judged_against_note_and_stay(tmp_path):
    drg = "286"  # circulatory disorders except AMI, with cardiac catheterization with MCC
    note = Note("n", STAY, age=70, sex="M", drg=drg, drg_version="43.1")
    gold = BOOK.drgs[note.drg]
    true, false = (rows(answered(note, [note.drg], think), CARD, gold, "r")[0] for think in (TRACE, "It is clear."))
    assert (true["true_lines"], false["true_lines"]) == (1.0, 0.0)
    assert (true["borne_out"], false["borne_out"]) == (1.0, 0.0)
    other = replace(note, pdx="I509", sdx=("N170",), procedures=("4A023N7",))
    [told] = rows(answered(other, [other.drg], TRACE), CARD, gold, "r")
    assert told["true_lines"] < told["borne_out"] == 1.0  # the note says so, this stay's coder did not
    assert (true["outcome"], true["reward"], true["drg"]) == ("full", 2.0, drg)


def test_what_is_printed_names_what_was_measured_on_what(tmp_path):
    text = report(read_results(write(tmp_path / "a.parquet", random_run(1, 0.4))), ["mdc", "trap"])
    for part in ("model-a (llama.cpp), prompt plain, MS-DRG version 43.1", "test.parquet, 40 cases of 20 patients", "open corpus (synthetic)",
                 "4 samples a case, temperature 0.6", "unconstrained", "sapphire 1", "python -m …", "Pass@4", "Maj@4", "1 cases (an error",
                 "MIMIC-IV, other data: not comparable", "DRG-LLaMA-7B", "history of", "base DRG is wrong in"):  # fmt: skip
        assert part in text, part
    assert "Some words" not in text


def test_a_better_model_is_told_from_a_worse_one_on_the_same_cases(tmp_path):
    runs = {
        name: read_results(write(tmp_path / f"{name}.parquet", random_run(seed, skill)))
        for name, seed, skill in (("a", 1, 0.1), ("b", 2, 0.5), ("c", 3, 0.1))
    }
    found = {(test.name, test.target, test.measure): test for test in paired_tests(runs)}
    assert len(found) == 2 * 3 * 3
    assert found["b", "drg", "pass_1"].p_holm < 0.05 < found["c", "drg", "pass_1"].p_holm
    difference = scores(runs["b"])["drg", "pass_1"].estimate - scores(runs["a"])["drg", "pass_1"].estimate
    assert found["b", "drg", "pass_1"].paired.difference.estimate == pytest.approx(difference)
    text = comparison(runs)
    assert "40 cases; p by cluster bootstrap" in text and "of 0 cases" not in text


def test_runs_are_compared_on_the_cases_they_share(tmp_path, capsys):
    paths = [
        write(tmp_path / "a.parquet", random_run(1, 0.4)),
        write(tmp_path / "b.parquet", list(random_run(2, 0.4))[10:]),
    ]
    runs = compare.read_runs(paths)
    assert [len(places) for places in shared(runs).values()] == [30, 30]
    assert [runs[name].note_ids[places[0]] for name, places in shared(runs).items()] == ["n10", "n10"]
    assert compare.main([str(path) for path in paths]) == 0
    assert "30 cases; p by" in capsys.readouterr().out
    assert compare.main([str(paths[0]), str(paths[0])]) == 2
    assert "named twice" in capsys.readouterr().err


def test_the_ceiling_is_the_grouper_on_the_stays_own_codes(demo, tmp_path):
    out = evaluate(Job("baseline:codes", demo, ONCE), tmp_path / "out.parquet")
    results = read_results(out)
    assert len(results.note_ids) == len(demo_cases())
    assert scores(results)["drg", "pass_1"].estimate == 1
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_baselines_learn_from_training_cases_only():
    training = [
        Note(f"t{i}", f"{word} {i} treated", drg=drg, drg_version="43.1")
        for word, drg in (("pneumonia", "195"), ("cellulitis", "603"))
        for i in range(6)
    ]
    training += [Note("t", "pneumonia again treated", drg="195", drg_version="43.1")]
    common, words = (BASELINES[name](training, BOOK) for name in ("majority", "tfidf"))
    notes = [Note("a", "cellulitis treated", drg="001"), Note("b", "pneumonia treated", drg="001")]
    assert [common(note).drg for note in notes] == ["195", "195"] and common(notes[0]).confidence == 7 / 13
    assert [words(note).drg for note in notes] == ["603", "195"]
    assert BASELINES["codes"]([], BOOK)(notes[0]).drg is None  # no codes, no answer


def test_killed_in_the_middle_the_same_command_goes_on(demo, tmp_path):
    job, whole = Job("baseline:majority", demo, ONCE, train=demo, cases=20), tmp_path / "whole.parquet"
    evaluate(job, whole)
    done = []

    def kill(event):
        done.append(event)
        if len([each for each in done if isinstance(each, Scored)]) == 5:
            raise KeyboardInterrupt

    out = tmp_path / "out.parquet"
    with pytest.raises(KeyboardInterrupt):
        evaluate(job, out, progress=kill)
    assert not out.exists()
    done.clear()
    evaluate(job, out, progress=done.append)
    assert done[0] == 15
    assert len([each for each in done if isinstance(each, Scored)]) == 15
    ours, theirs = (pq.read_table(path).drop_columns(["seconds"]) for path in (out, whole))
    assert ours.equals(theirs) and ours.num_rows == 20
    done.clear()
    assert evaluate(job, out, progress=done.append) == out and not done  # done is done
    with pytest.raises(OutputError, match="another evaluation"):
        evaluate(Job("baseline:majority", demo, ONCE, train=demo, cases=21), out)


@pytest.mark.torch
def test_a_model_is_asked_as_told_and_its_file_goes_into_the_app(demo, tmp_path, capsys):
    model = save_tiny_llama(tmp_path / "tiny", demo_cases()[0]["text"])
    asked = [str(model), str(demo), "--cases", "2", "--samples", "2", "--temperature", "1", "--max-tokens", "130"]
    free, bound = tmp_path / "free.parquet", tmp_path / "bound.parquet"
    assert main([*asked, "--out", str(free)]) == 0
    shown = capsys.readouterr()
    assert "unconstrained" in shown.out and "Pass@2" in shown.out and "tiny (transformers)" in shown.out
    assert main([*asked, "--constrained", "--out", str(bound)]) == 0
    assert "CONSTRAINED" in capsys.readouterr().out
    written = {path: pq.read_table(path).to_pylist() for path in (free, bound)}
    assert [row["sample"] for row in written[free]] == [0, 1] * 2
    assert not any(row["forced"] for row in written[free]) and all(row["tokens"] <= 130 for row in written[free])
    assert all(row["drg"] and row["forced"] and row["confidence"] for row in written[bound])

    store = open_store(tmp_path / "sapphire.duckdb")
    import_files(store, [demo], "ana")
    report = take_in(store, bound, "ana")
    assert (report.notes, report.predictions, report.problems) == (2, 4, [])
    event = store.read("SELECT * FROM run_event WHERE kind = 'started'")[0]
    assert json.loads(event["sampling"]) | {"n": 2, "temperature": 1.0, "constrained": True} == json.loads(
        event["sampling"]
    )
    assert [row["drg"] for row in store.read("SELECT drg FROM prediction ORDER BY note_id, sample")] == [
        row["drg"] for row in sorted(written[bound], key=lambda row: (row["note_id"], row["sample"]))
    ]
    store.close()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["baseline:magic"], "There is no baseline 'magic'"),
        (["baseline:majority"], "name their file with --train"),
        (["baseline:conditions", "--vllm"], "leave --vllm out"),
        (["nowhere.gguf"], "nowhere.gguf"),
        (["x", "--temperature", "0"], "give --samples 1"),
        (["x", "--samples", "0"], "1 or more"),
        (["x", "--out", "a.csv"], "must end in .parquet"),
        (["x", "--by", "frequency"], "--train"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(demo, capsys, arguments, says):
    assert main([arguments[0], str(demo), *arguments[1:]]) == 2
    assert says in capsys.readouterr().err


def test_notes_without_labels_are_told(tmp_path, capsys):
    path = tmp_path / "notes.jsonl"
    path.write_text('{"note_id": "a", "text": "Pneumonia, treated."}')
    assert main(["baseline:codes", str(path), "--out", str(tmp_path / "o.parquet")]) == 2
    assert "no note with a DRG of version 43.1" in capsys.readouterr().err
    assert main(["baseline:codes", str(tmp_path / "gone.jsonl")]) == 2
    with pytest.raises(OutputError, match="no file of train"):
        read_results(path)


def test_a_baseline_goes_on_where_other_files_of_the_working_folder_changed(demo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job, out = Job("baseline:majority", demo, ONCE, train=demo, cases=2), tmp_path / "out.parquet"
    evaluate(job, out)
    (tmp_path / "new.txt").write_text("of something else")
    assert evaluate(job, out) == out
