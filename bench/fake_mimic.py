"""Made-up stays in the layout of MIMIC-IV's hosp tables and MIMIC-IV-Note's discharge.csv, for tests and benchmarks.

`python -m bench.fake_mimic --notes 10000 --out DIR` writes DIR/hosp/*.csv.gz and DIR/discharge.csv.gz; with `--hosp HOSP` only the
notes, one for each stay of these tables (MIMIC-IV's demo has none). Nothing in the made-up tables is of a person: codes are drawn from the code tables, DRGs are the grouper's (v37, the last year of MIMIC's ICD-10 stays) and
the text is filler around the titles of the codes. Half of the stays have ICD-9 codes, as before October 2015.
"""

import argparse
import csv
import gzip
import io
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from sapphire.drg import icd
from sapphire.drg.codebook import codebook
from sapphire.drg.grouper import Claim, drg_of

VERSION = "37"
TABLES = {
    "patients": "subject_id,gender,anchor_age,anchor_year,anchor_year_group,dod",
    "admissions": "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type,admit_provider_id,admission_location,"
    "discharge_location,insurance,language,marital_status,race,edregtime,edouttime,hospital_expire_flag",
    "drgcodes": "subject_id,hadm_id,drg_type,drg_code,description,drg_severity,drg_mortality",
    "diagnoses_icd": "subject_id,hadm_id,seq_num,icd_code,icd_version",
    "procedures_icd": "subject_id,hadm_id,seq_num,chartdate,icd_code,icd_version",
}
NOTES = "note_id,subject_id,hadm_id,note_type,note_seq,charttime,storetime,text"
PLACES = ("HOME", "HOME HEALTH CARE", "SKILLED NURSING FACILITY", "REHAB", "DIED", "")
CODES = {
    "principal": "A419 I5023 J189 N179 I2510 I214 K5720 K922 E1165 J440 I639 I480 K8590 S72001A M1711 L03115 N390 K7030 F329 "
    "F10239 R0789 I509 J9601 K5660 C3490 C189 D62 E871 G459 I10 I2699 I82401 K219 K3580 K8000 M4806 N201 O80 R55 T8140XA "
    "T82855A Z5111",
    "secondary": "N170 J9601 G9341 E43 I5023 R6521 K7200 I2699 J189 N179 E871 D62 I480 N390 J441 E440 K567 I10 E785 E119 I2510 "
    "F329 Z87891 K219 N183 Z7901",
    "procedure": "0SRC0J9 0DTJ4ZZ 0FT44ZZ 02703DZ 021109W 0QS704Z 5A1955Z 5A1935Z 30233N1 0BH17EZ 02HV33Z 0W9G3ZZ",
}
PRINCIPAL, SECONDARY, PROCEDURES = (codes.split() for codes in CODES.values())
SENTENCES = """patient was admitted with and noted to have on exam improved overnight labs notable for started stable continued
given monitored closely team discussed plan family at bedside transferred to floor without complication tolerated diet pain
controlled ambulating afebrile oxygen room air repeat imaging showed no acute change cultures pending followed held
restarted home medications discharge with follow up in clinic two weeks return precautions reviewed"""


@dataclass(frozen=True)
class Stay:
    """What one made-up stay is coded with, and how it is told."""

    pdx: str
    sdx: tuple[str, ...]
    procedures: tuple[str, ...]
    drg: str
    description: str


def stays(number: int, seed: int = 0) -> list[Stay]:
    """Different made-up stays that the grouper knows, each with its DRG in v37 and a description as HCFA abbreviates."""
    draw, found = random.Random(seed), []
    while len(found) < number:
        sdx = tuple(draw.sample(SECONDARY, draw.randint(0, 5)))
        procedures = (draw.choice(PROCEDURES),) if draw.random() < 0.35 else ()
        claim = Claim(draw.choice(PRINCIPAL), sdx, procedures, 67, "F", 1, version=VERSION)
        drg, _ = drg_of(claim)
        if drg != "999":
            found.append(Stay(claim.pdx, sdx, procedures, drg, abbreviated(codebook(VERSION).drgs[drg].title)))
    return found


def abbreviated(title: str) -> str:
    """A title in HCFA's manner: W, W/O, &, CATH, PROC, cut to 75 characters."""
    for word, short in (("WITHOUT", "W/O"), ("WITH", "W"), ("AND", "&"), ("CATHETERIZATION", "CATH")):
        title = f" {title.upper()} ".replace(f" {word} ", f" {short} ").strip()
    return (title if len(title) <= 60 else title.replace("PROCEDURES", "PROC").replace("SYSTEM", "SYS"))[:75]


def write(out: Path, notes: int, seed: int = 0, characters: int = 10_000) -> None:
    """Write hosp tables and discharge.csv.gz with so many notes of about so many characters each. Same seed, same bytes."""
    draw = random.Random(seed)
    pool = stays(min(notes, 1500), seed)
    weights = [1 / (1 + i % 150) for i in range(len(pool))]
    every_drg = [drg for drg in codebook(VERSION).drgs.values() if drg.drg < "998"]
    filler = [" ".join(draw.choices(SENTENCES.split(), k=draw.randint(8, 25))) for _ in range(5000)]
    (out / "hosp").mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:
        tables = {name: _writer(files, out / "hosp" / f"{name}.csv.gz", header) for name, header in TABLES.items()}
        discharge = _writer(files, out / "discharge.csv.gz", NOTES)
        seen_patients: set[int] = set()
        for number in range(notes):
            subject, hadm = 10_000_000 + int(number * 0.55), 20_000_000 + number * 7
            stay = draw.choices(pool, weights)[0]
            if subject not in seen_patients:
                seen_patients.add(subject)
                tables["patients"].writerow([subject, "F", 67, 2180, "2014 - 2016", ""])
            _write_stay(tables, subject, hadm, stay, draw, every_drg)
            text = _text(stay, draw, filler, characters)
            time = "2180-05-09 00:00:00"
            discharge.writerow([f"{subject}-DS-{number}", subject, hadm, "DS", number, time, time, text])


def write_notes(out: Path, hosp: Path, seed: int = 0, characters: int = 10_000) -> None:
    """Write discharge.csv.gz for the stays of existing tables, each note around the titles of the stay's ICD-10 codes."""
    draw = random.Random(seed)
    filler = [" ".join(draw.choices(SENTENCES.split(), k=draw.randint(8, 25))) for _ in range(2000)]
    codes: dict[str, list[str]] = {}
    for table in ("diagnoses_icd", "procedures_icd"):
        with gzip.open(hosp / f"{table}.csv.gz", "rt", newline="") as file:
            for row in sorted(csv.DictReader(file), key=lambda row: int(row["seq_num"])):
                if row["icd_version"] == "10":
                    codes.setdefault(row["hadm_id"], []).append(row["icd_code"])
    out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files, gzip.open(hosp / "admissions.csv.gz", "rt", newline="") as admissions:
        discharge = _writer(files, out / "discharge.csv.gz", NOTES)
        for number, row in enumerate(csv.DictReader(admissions)):
            told = codes.get(row["hadm_id"]) or ["R69"]
            text = _text(Stay(told[0], tuple(told[1:]), (), "", ""), draw, filler, characters)
            time = "2180-05-09 00:00:00"
            discharge.writerow(
                [f"{row['subject_id']}-DS-{number}", row["subject_id"], row["hadm_id"], "DS", 1, time, time, text]
            )


def _writer(files: ExitStack, path: Path, header: str):
    raw = files.enter_context(path.open("wb"))
    packed = files.enter_context(gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=1, mtime=0))
    writer = csv.writer(
        files.enter_context(io.TextIOWrapper(packed, encoding="utf-8", newline="")), lineterminator="\n"
    )
    writer.writerow(header.split(","))
    return writer


def _write_stay(tables: dict, subject: int, hadm: int, stay: Stay, draw: random.Random, every_drg: list) -> None:
    place, old = draw.choice(PLACES), draw.random() < 0.5
    day = "2180-05-01 10:00:00"
    died = int(place == "DIED")
    tables["admissions"].writerow(
        [
            subject,
            hadm,
            day,
            "2180-05-09 15:00:00",
            "",
            "URGENT",
            "P1",
            "EMERGENCY ROOM",
            place,
            "",
            "",
            "",
            "",
            "",
            "",
            died,
        ]
    )
    other = draw.choice(every_drg)
    drg, description = (other.drg, abbreviated(other.title)) if old else (stay.drg, stay.description)
    tables["drgcodes"].writerow([subject, hadm, "HCFA", int(drg), description, "", ""])
    tables["drgcodes"].writerow([subject, hadm, "APR", 720, "Septicemia & Disseminated Infections", 3, 2])
    codes = ["4280", "5849", "2761"] if old else [stay.pdx, *stay.sdx]
    for place_in_list, code in enumerate(codes, 1):
        tables["diagnoses_icd"].writerow([subject, hadm, place_in_list, code, 9 if old else 10])
    for place_in_list, code in enumerate(() if old else stay.procedures, 1):
        tables["procedures_icd"].writerow([subject, hadm, place_in_list, "2180-05-02", code, 10])


def _text(stay: Stay, draw: random.Random, filler: list[str], characters: int) -> str:
    codes = (stay.pdx, *stay.sdx)
    said = [icd.diagnosis_title(code) or icd.procedure_title(code) or f"condition {code}" for code in codes]
    problems = "\n".join(f"# {title}: {draw.choice(filler)}. {draw.choice(filler)}." for title in said)
    course = f"___ year old woman. {draw.choice(filler)}.\n\n{problems}\n\n" + ". ".join(draw.choices(filler, k=12))
    if draw.random() < 0.05:
        course = "Uneventful stay."
    results = _lines(draw, filler, max(0, characters - len(course) - 2500))
    heading = draw.choices(
        ["Brief Hospital Course:", "BRIEF HOSPITAL COURSE:", "Hospital Course", "Synopsis of events"], [90, 5, 3, 2]
    )[0]
    return (
        f" \nName:  ___                    Unit No:   ___\n \nAdmission Date:  ___              Discharge Date:   ___\n \n"
        f"Date of Birth:  ___             Sex:   F\n \nService: MEDICINE\n \nAllergies: \nPenicillins\n \nAttending: ___\n \n"
        f"Chief Complaint:\n{draw.choice(filler)}\n \nMajor Surgical or Invasive Procedure:\nNone\n\n \n"
        f'History of Present Illness:\n{_lines(draw, filler, 1200)}\n\nPast Medical History:\nHTN, "borderline" DM\n\n'
        f"Social History:\n___\nFamily History:\nFather with CAD\n \nPhysical Exam:\nADMISSION EXAM:\nVS: 98.2 120/70 88 18 97%RA\n"
        f"\nPertinent Results:\n{results}\n \n{heading}\n{course}\n \nMedications on Admission:\n1. Aspirin 81 mg PO DAILY\n"
        f"\nDischarge Medications:\n1. Aspirin 81 mg PO DAILY\n \nDischarge Disposition:\nHome\n \nDischarge Diagnosis:\n"
        f"{said[0]}\n\nDischarge Condition:\nMental Status: Clear and coherent.\n \nDischarge Instructions:\nDear Ms. ___,\n"
        f"{draw.choice(filler)}.\n \nFollowup Instructions:\n___\n"
    )


def _lines(draw: random.Random, filler: list[str], characters: int) -> str:
    return "\n".join(_until(draw, filler, characters))


def _until(draw: random.Random, filler: list[str], characters: int) -> Iterator[str]:
    while characters > 0:
        line = draw.choice(filler)
        characters -= len(line) + 1
        yield line


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fake_mimic", description=__doc__.partition("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--notes", type=int, help="number of discharge notes")
    what.add_argument("--hosp", type=Path, help="existing hosp tables to write notes for")
    parser.add_argument("--out", type=Path, required=True, help="folder to write hosp/ and discharge.csv.gz into")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    if arguments.hosp:
        write_notes(arguments.out, arguments.hosp, arguments.seed)
    else:
        write(arguments.out, arguments.notes, arguments.seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
