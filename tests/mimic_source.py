"""Made-up MIMIC sources and what `data.mimic` makes of them, shared by the tests of its parts."""

import csv
import gzip
import json

import pyarrow.parquet as pq

from bench.fake_mimic import NOTES, TABLES
from data import mimic

COURSE = (
    "Patient admitted with {0}. " + "She was treated and improved over the next days without event and went home. " * 5
)


def run(source, out, *more):
    return mimic.main(
        [
            "--hosp",
            str(source / "hosp"),
            "--notes",
            str(source / "discharge.csv.gz"),
            "--out",
            str(out),
            "--version",
            "37",
            *more,
        ]
    )


def cases(out, side):
    return pq.read_table(out / f"{side}.parquet").to_pylist()


def table(folder, name, rows, header=None):
    """Write one gzipped table."""
    folder.mkdir(parents=True, exist_ok=True)
    with gzip.open(folder / f"{name}.csv.gz", "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow((header or TABLES[name]).split(","))
        writer.writerows(rows)


def small(folder, notes, drgs, codes=()):
    """A tiny source: notes as (hadm_id, text), drgs as (hadm_id, code, description), codes as (hadm_id, seq, code, version)."""
    stays = sorted({hadm for hadm, *_ in drgs} | {hadm for hadm, _ in notes if hadm})
    table(folder / "hosp", "patients", [[hadm, "F", 60, 2150, "", ""] for hadm in stays])
    table(
        folder / "hosp",
        "admissions",
        [[hadm, hadm, "2155-03-01 10:00:00", *[""] * 5, "HOME", *[""] * 6, 0] for hadm in stays],
    )
    table(folder / "hosp", "drgcodes", [[hadm, hadm, "HCFA", code, text, "", ""] for hadm, code, text in drgs])
    table(folder / "hosp", "diagnoses_icd", [[hadm, hadm, seq, code, version] for hadm, seq, code, version in codes])
    table(folder / "hosp", "procedures_icd", [])
    rows = [
        [f"{hadm}-DS-{i}", hadm, hadm, "DS", 1, "", "", f"Brief Hospital Course:\n{text}\n\nDischarge Diagnosis:\nX\n"]
        for i, (hadm, text) in enumerate(notes)
    ]
    table(folder, "discharge", rows, NOTES)
    return folder


def steps(out):
    return {step["step"]: step for step in json.loads((out / "report.json").read_text())["steps"]}
