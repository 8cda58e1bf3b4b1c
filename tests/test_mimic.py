"""MIMIC-IV to cases: the paper's steps on made-up tables, and what broken sources and killed runs do."""

import csv
import gzip
import json
import resource
import stat
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest

from sapphire.drg.codebook import codebook
from tests.mimic_source import COURSE, cases, run, small, steps

COLUMNS = (
    "note_id,subject_id,hadm_id,text,age,sex,discharge_status,pdx,sdx,poa,procedures,drg,title,drg_version,split,trap,trace,"
    "source,credentialed"
)

pytest_plugins = ("tests.mimic_fixtures",)


def test_every_row_is_a_case_in_the_columns_of_all_parts(prepared):
    made = cases(prepared, "train") + cases(prepared, "test")
    assert ",".join(made[0]) == COLUMNS
    for case in made:
        assert case["credentialed"] is True
        assert case["source"] == "MIMIC-IV"
        assert codebook(case["drg_version"]).drgs[case["drg"]].title == case["title"]
        assert len(case["text"].split()) > 40
        assert "Medications on Admission" not in case["text"] and "History of Present Illness" not in case["text"]
        assert case["age"] == 67 and case["sex"] == "F"
    assert {case["split"] for case in cases(prepared, "train")} == {"train"}
    assert len({case["text"] for case in made}) == len(made)
    assert min(Counter(case["drg"] for case in made).values()) >= 2


def test_the_report_accounts_for_every_row(prepared):
    report = json.loads((prepared / "report.json").read_text())
    rows = report["steps"][1:]
    assert rows[0]["kept"] == 600
    for before, after in pairwise(rows):
        assert before["kept"] == after["kept"] + after["lost"]
    sides = report["cases"]
    assert rows[-1]["kept"] == sides["train"]["cases"] + sides["test"]["cases"]
    assert sum(report["traces"].values()) == rows[-1]["kept"]
    assert sum(number["stays"] for number in report["mapping"].values()) == 600
    text = (prepared / "report.md").read_text()
    assert f"{rows[-1]['kept']:,}" in text and "40 words or fewer" in text


def test_a_patient_stands_on_one_side_unless_asked_otherwise(made_up, prepared, tmp_path):
    train, test = ({case["subject_id"] for case in cases(prepared, side)} for side in ("train", "test"))
    assert train and test and not train & test
    assert run(made_up, tmp_path / "by_case", "--split", "case") == 0
    report = json.loads((tmp_path / "by_case" / "report.json").read_text())
    assert report["cases"]["patients on both sides"] > 0
    total = report["cases"]["train"]["cases"] + report["cases"]["test"]["cases"]
    assert report["cases"]["test"]["cases"] == -(-total // 10)


def test_the_same_sources_give_the_same_bytes_and_only_the_owner_reads_them(made_up, prepared, tmp_path):
    assert run(made_up, tmp_path / "again") == 0
    names = sorted(path.name for path in prepared.iterdir())
    assert names == ["mapping.csv", "report.json", "report.md", "subsets.parquet", "test.parquet", "train.parquet"]
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (prepared / name).read_bytes(), name
        assert stat.S_IMODE((prepared / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(prepared.stat().st_mode) == 0o700


def test_steps_drop_what_the_paper_drops_and_say_why(tmp_path):
    hf, sepsis = ("292", "HEART FAILURE & SHOCK W CC"), ("871", "SEPTICEMIA OR SEVERE SEPSIS W/O MV 96+ HOURS W MCC")
    long = [COURSE.format(word) for word in ("dyspnea", "edema", "fever", "chills", "cough", "pain", "rash", "fall")]
    notes = [
        *((1, long[0]), (2, long[1]), (3, long[2]), (4, long[3])),
        (5, "Too short."),
        (6, long[0]),  # the text of stay 1 again
        (7, long[4]),  # no HCFA DRG
        (8, long[5]),  # two DRGs
        (9, long[6]),  # a description that maps to nothing
        ("", long[7]),  # no stay
        (10, COURSE.format("the only one of its DRG")),
    ]
    drgs = [
        (1, *hf),
        (2, *hf),
        (3, *sepsis),
        (4, *sepsis),
        (5, *hf),
        (6, *hf),
        (8, *hf),
        (8, *sepsis),
        (9, "154", "NASAL TRAUMA & DEFORMITY W CC"),
    ]
    small(tmp_path, notes, [*drgs, (10, "885", "PSYCHOSES")])
    assert run(tmp_path, tmp_path / "out") == 0
    made = cases(tmp_path / "out", "train") + cases(tmp_path / "out", "test")
    assert sorted(case["hadm_id"] for case in made) == ["1", "2", "3", "4"]
    lost = {name: step["why"] for name, step in steps(tmp_path / "out").items()}
    assert lost["hospital courses of more than 40 words"] == {"40 words or fewer": 1}
    assert lost["different hospital courses"] == {"the same text as an earlier note": 1}
    assert list(lost["joined with the stay by hadm_id"].values()) == [1, 1, 1, 1]
    assert lost["DRGs seen at least twice"] == {"the only case of its DRG": 1}
    unmapped = next(csv.DictReader((tmp_path / "out" / "mapping.csv").open()))
    assert (unmapped["raw"], unmapped["status"], unmapped["stays"]) == (
        "NASAL TRAUMA & DEFORMITY W CC",
        "unmappable",
        "1",
    )


def test_40_words_are_dropped_and_41_kept(tmp_path):
    drg = ("885", "PSYCHOSES")
    words = [" ".join(f"{stem}{i}" for i in range(n)) for stem, n in (("a", 40), ("b", 41), ("c", 41))]
    small(tmp_path, list(enumerate(words, 1)), [(i, *drg) for i in (1, 2, 3)])
    assert run(tmp_path, tmp_path / "out") == 0
    made = cases(tmp_path / "out", "train") + cases(tmp_path / "out", "test")
    assert sorted(case["hadm_id"] for case in made) == ["2", "3"]


BROKEN = [
    ("discharge.csv.gz", lambda data: data[: len(data) // 2], "truncated gzip"),
    ("discharge.csv.gz", lambda data: gzip.decompress(data), "is not a gzip file though its name says so"),
    ("discharge.csv.gz", lambda data: gzip.compress(gzip.decompress(data).replace(b"text", b"body", 1)), "has no column text"),
    ("discharge.csv.gz", lambda data: gzip.compress(gzip.decompress(data).replace(b"improved", b"impr\xe9ved", 1)), "not UTF-8"),
    ("discharge.csv.gz", lambda data: gzip.compress(gzip.decompress(data)[:-300]), "cut off there"),
    ("discharge.csv.gz", None, "does not exist"),
    ("hosp/drgcodes.csv.gz", lambda data: data[:-9], "truncated gzip"),
    ("hosp/drgcodes.csv.gz", lambda data: gzip.compress(gzip.decompress(data).replace(b"HCFA", b"APR")), "no row with drg_type HCFA"),
    ("hosp/drgcodes.csv.gz", lambda data: gzip.compress(gzip.decompress(data).replace(b"description", b"text", 1)), "has no column description"),
    ("hosp/admissions.csv.gz", lambda data: gzip.compress(gzip.decompress(data).replace(b"HOME", b"H\xffME", 1)), "not UTF-8"),
    ("hosp/diagnoses_icd.csv.gz", lambda data: gzip.compress(gzip.decompress(data) + b"1,2\n"), "the CSV is broken"),
    ("hosp/patients.csv.gz", None, "has no patients.csv.gz"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "spoil", "says"), BROKEN)
def test_a_broken_source_gives_one_sentence_and_leaves_the_earlier_output(made_up, tmp_path, capsys, name, spoil, says):
    folder = tmp_path / "copy"
    for path in [*(made_up / "hosp").iterdir(), made_up / "discharge.csv.gz"]:
        copy = folder / path.relative_to(made_up)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    earlier = tmp_path / "out"
    earlier.mkdir()
    (earlier / "report.json").write_text("{}")
    if spoil:
        (folder / name).write_bytes(spoil((folder / name).read_bytes()))
    else:
        (folder / name).unlink()
    assert run(folder, earlier) == 2
    said = capsys.readouterr()
    assert said.out == ""
    sentence = said.err.strip().splitlines()[-1]
    assert says in sentence and sentence.endswith(".") and str(folder) in sentence
    assert "improved" not in said.err and "Traceback" not in said.err  # nothing of a note
    assert [path.name for path in earlier.iterdir()] == ["report.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "out"]


def test_an_empty_join_says_what_does_not_belong_together(tmp_path, capsys):
    small(tmp_path, [(1, COURSE.format("x"))], [(2, "885", "PSYCHOSES")])
    assert run(tmp_path, tmp_path / "out") == 2
    assert "give notes and tables of the same MIMIC-IV release" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_is_replaced_only_whole_and_strangers_never(made_up, prepared, tmp_path, capsys):
    stranger = tmp_path / "documents"
    stranger.mkdir()
    (stranger / "thesis.txt").write_text("mine")
    assert run(made_up, stranger) == 2
    assert "is no output of this program" in capsys.readouterr().err
    assert (stranger / "thesis.txt").read_text() == "mine"
    again = tmp_path / "again"
    assert run(made_up, again) == 0
    (again / "report.md").write_text("old")
    assert run(made_up, again) == 0
    assert (again / "report.md").read_text() == (prepared / "report.md").read_text()


def test_a_killed_run_leaves_the_earlier_output_and_the_next_one_works(made_up, tmp_path):
    target = tmp_path / "out"
    assert run(made_up, target) == 0
    before = (target / "train.parquet").read_bytes()
    command = [
        sys.executable,
        "-m",
        "data.mimic",
        "--hosp",
        str(made_up / "hosp"),
        "--notes",
        str(made_up / "discharge.csv.gz"),
    ]
    running = subprocess.Popen(
        [*command, "--version", "37", "--out", str(target)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "out.part").exists() and running.poll() is None:
        pass
    running.kill()
    running.wait()
    assert (target / "train.parquet").read_bytes() == before
    assert run(made_up, target) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_full_disk_is_a_sentence_and_leaves_nothing_behind(made_up, tmp_path):
    command = [
        sys.executable,
        "-m",
        "data.mimic",
        "--hosp",
        str(made_up / "hosp"),
        "--notes",
        str(made_up / "discharge.csv.gz"),
    ]
    done = subprocess.run(
        [*command, "--version", "37", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        # No file may grow beyond 100 kB: what a full disk does, without one.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr.splitlines()[-1] and "free space there" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
