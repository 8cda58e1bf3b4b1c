"""MIMIC-IV → cases, by the steps of the paper (arXiv 2505.21908, after DRG-LLaMA). See MIMIC.md.

python -m data.mimic --hosp DIR --notes discharge.csv.gz --out DIR [--version V | --titles FILE] [--mapping FILE]
python -m data.mimic map FILE --column NAME [--version V | --titles FILE]     # the mapping of descriptions by itself
"""

import argparse
import csv
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TextIO

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from data import mimic_tables, splits
from data.corpus_tables import TablesError, load_tables
from data.mapping import DECIDED, Match, Matcher, restructured
from data.mimic_cases import write_cases
from data.mimic_notes import Course, courses
from data.mimic_output import whole
from data.mimic_report import REASONS, Report
from data.mimic_titles import SourceError, column, read_mapping, read_titles, rows, version_titles
from data.mimic_traces import NEAREST_RULES, Rules, rules_for
from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS

MINIMUM_WORDS = 40  # a course of so many words or fewer is dropped
MEMORY = "600MB"  # of DuckDB; with Python and two processes that read notes, the whole stays within 2 GB
WHY_NOT = ("no heading tells the hospital course", "40 words or fewer", "the same text as an earlier note")
COURSE_STEPS = ("notes with a hospital course", "hospital courses of more than 40 words", "different hospital courses")
MAP_HEADER = ("raw", "drg", "title", "status", "score", "candidates")


@dataclass(frozen=True)
class Settings:
    """What a preparation is asked for."""

    hosp: Path
    notes: Path
    out: Path
    version: str
    matcher: Matcher
    split: str
    rules: Rules


def prepare(settings: Settings) -> Report:
    """Make the output folder. SourceError when a source cannot be used; an earlier output stays as it was then."""
    report = Report(settings.version, settings.split)
    with whole(settings.out) as folder:
        work = folder / "work"
        work.mkdir()
        with duckdb.connect(str(work / "stays.duckdb")) as db:
            db.execute(f"set memory_limit = '{MEMORY}'; set threads = 2; set preserve_insertion_order = false")
            db.execute("set temp_directory = ?", [str(work / "spill")])
            mimic_tables.load(db, settings.hosp)
            matches = label(db, settings, report)
            take_courses(db, settings.notes, report)
            join(db, settings, report)
            pq.write_table(split(db, settings.split, report), folder / "subsets.parquet")
            mimic_tables.stays(db)
            write_cases(db, folder, settings.rules, report)
        shutil.rmtree(work)
        with (folder / "mapping.csv").open("w", encoding="utf-8", newline="") as table:
            write_mapping(table, matches)
        report.write(folder)
    return report


def label(db: duckdb.DuckDBPyConnection, settings: Settings, report: Report) -> list[tuple[str, int, Match]]:
    """Make `labelled` (hadm_id → DRG of the version) from the HCFA rows. Returns (code, stays, match) of each description."""
    total = db.execute("select count(*) from drgcodes").fetchone()[0]
    db.execute("""create table hcfa as select distinct hadm_id, trim(drg_code) as code, description from drgcodes
                  where drg_type = 'HCFA'""")
    found = db.execute("select count(*) from hcfa").fetchone()[0]
    if not found:
        raise SourceError(
            f"{mimic_tables.find(settings.hosp, 'drgcodes')} has no row with drg_type HCFA; give MIMIC-IV's own table."
        )
    report.step("HCFA rows of drgcodes", found, {"other types (APR), or the same row again": total - found})
    described = db.execute("select code, description, count(*) from hcfa group by all order by all").fetchall()
    matches = [(code, number, settings.matcher.match(text or "", code)) for code, text, number in described]
    db.execute("create table match (code varchar, description varchar, drg varchar, title varchar)")
    db.executemany(
        "insert into match values (?, ?, ?, ?)",
        [
            (code, text, *((match.drg, match.title) if match.status in DECIDED else (None, None)))
            for (code, text, _), (_, _, match) in zip(described, matches, strict=True)
        ],
    )
    db.execute("""create table labelled as
                  select hadm_id, min(drg) as drg, min(title) as title,
                         count(distinct coalesce(drg, hcfa.code || hcfa.description)) > 1 as disputed
                  from hcfa left join match on hcfa.code = match.code and hcfa.description is not distinct from match.description
                  group by hadm_id""")
    report.mapped(matches)
    return matches


def take_courses(db: duckdb.DuckDBPyConnection, notes: Path, report: Report) -> None:
    """Make `course` from the notes: hospital courses of more than 40 words, of equal ones the first of the file."""
    db.execute(
        "create table course (row integer, note_id varchar, subject_id varchar, hadm_id varchar, text varchar, words integer)"
    )
    seen: set[bytes] = set()
    lost = dict.fromkeys(WHY_NOT, 0)
    total = 0
    for batch in courses(notes):
        total += len(batch)
        kept = []
        for course in batch:
            why = _why_not(course, seen)
            if why:
                lost[why] += 1
            else:
                kept.append(course)
        if kept:
            columns = dict(zip(Course._fields, zip(*kept, strict=True), strict=True))
            _take(db, "insert into course", columns)
    report.step("notes read", total, {})
    for step, (why, number) in zip(COURSE_STEPS, lost.items(), strict=True):
        total -= number
        report.step(step, total, {why: number})
    twice = db.execute("select note_id from course group by note_id having count(*) > 1 limit 1").fetchone()
    if twice:
        raise SourceError(f"{notes}: note_id {twice[0]} stands on two different notes; download the file again.")


def _why_not(course: Course, seen: set[bytes]) -> str | None:
    """The one of WHY_NOT that drops the course, or None; remembers its text."""
    if course.text is None:
        return WHY_NOT[0]
    if course.words <= MINIMUM_WORDS:
        return WHY_NOT[1]
    digest = blake2b(course.text.encode(), digest_size=16).digest()
    if digest in seen:
        return WHY_NOT[2]
    seen.add(digest)
    return None


def _take(db: duckdb.DuckDBPyConnection, statement: str, columns: dict[str, Sequence]) -> None:
    """Give columns of Python values to a statement. (Relations' own insert_into and create hide that a disk is full.)"""
    db.register("given", pa.table(columns))
    db.execute(f"{statement} select * from given")
    db.unregister("given")


def join(db: duckdb.DuckDBPyConnection, settings: Settings, report: Report) -> None:
    """Make `kase` (row → note, hadm_id, DRG) of the courses whose stay has one DRG that at least two courses have."""
    counts = db.execute("""select count(*) filter (coalesce(c.hadm_id, '') = ''),
                                  count(*) filter (c.hadm_id <> '' and l.hadm_id is null),
                                  count(*) filter (l.disputed),
                                  count(*) filter (not l.disputed and l.drg is null)
                           from course c left join labelled l using (hadm_id)""").fetchone()
    db.execute("""create table kase as select row, note_id, subject_id, hadm_id, drg, title
                  from course join labelled using (hadm_id) where not disputed and drg is not null""")
    kept = db.execute("select count(*) from kase").fetchone()[0]
    if not kept:
        raise SourceError(
            f"No note of {settings.notes} belongs to a stay with a mapped HCFA DRG in {settings.hosp}; "
            "give notes and tables of the same MIMIC-IV release."
        )
    report.step("joined with the stay by hadm_id", kept, dict(zip(REASONS, counts, strict=True)))
    db.execute("delete from kase where drg in (select drg from kase group by drg having count(*) < 2)")
    left = db.execute("select count(*) from kase").fetchone()[0]
    report.step("DRGs seen at least twice", left, {"the only case of its DRG": kept - left})


def split(db: duckdb.DuckDBPyConnection, by: str, report: Report) -> pa.Table:
    """Add the column `split` to `kase`; returns the table of subsets: of each train case, what it belongs to."""
    cases = [
        splits.Labelled(*row) for row in db.execute("select note_id, subject_id, drg from kase order by row").fetchall()
    ]
    choose = splits.test_by_patient if by == "patient" else splits.test_by_case
    test = choose(cases)
    train = [case for case in cases if case.note_id not in test]
    sides = {"note_id": [c.note_id for c in cases], "split": ["test" if c.note_id in test else "train" for c in cases]}
    _take(db, "create table side as", sides)
    subsets = splits.subsets(train)
    report.split(cases, test, subsets)
    return pa.table({"note_id": [case.note_id for case in train]} | subsets)


def write_mapping(table: TextIO, matches: list[tuple[str, int, Match]]) -> None:
    """All descriptions, those that need a person first: what they became, the nearest titles, why the text cannot decide."""
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["drg_code", "stays", *MAP_HEADER, "reason"])
    for code, number, match in sorted(matches, key=lambda m: (m[2].status in DECIDED, -m[1], m[0])):
        writer.writerow([code, number, *cells(match), restructured(match.raw) or ""])


def cells(match: Match) -> list[str]:
    """A match as cells under MAP_HEADER; titles as in the title list."""
    near = " | ".join(f"{c.drg} {c.title} ({c.score:.2f})" for c in match.candidates)
    return [match.raw, match.drg, match.title, match.status, f"{match.score:.3f}", near]


def map_file(path: Path, name: str, code_name: str | None, matcher: Matcher, out: TextIO) -> None:
    """Write one CSV row for each row of the file, in its order; equal descriptions are matched once."""
    header, body = rows(path)
    place = column(path, header, name)
    code_place = column(path, header, code_name) if code_name else None
    known: dict[tuple[str, str | None], Match] = {}
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(MAP_HEADER)
    for _, row in body:
        key = (row[place], row[code_place] if code_place is not None else None)
        if key not in known:
            known[key] = matcher.match(*key)
        writer.writerow(cells(known[key]))


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when done, 2 when a source cannot be used (one sentence on standard error)."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        status = _map(argv[1:]) if argv[:1] == ["map"] else _prepare(argv)
        sys.stdout.flush()
        return status
    except (SourceError, TablesError) as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader, head for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _prepare(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m data.mimic",
        description="Make cases of MIMIC-IV and MIMIC-IV-Note by the paper's steps.",
        epilog="python -m data.mimic map --help: the mapping of DRG descriptions by itself. All of this is explained in data/MIMIC.md.",
    )
    parser.add_argument("--hosp", type=Path, required=True, help="MIMIC-IV's hosp folder")
    parser.add_argument("--notes", type=Path, required=True, help="MIMIC-IV-Note's discharge.csv.gz")
    parser.add_argument("--out", type=Path, required=True, help="folder to write; it appears whole or not at all")
    parser.add_argument(
        "--split",
        choices=("patient", "case"),
        default="patient",
        help="patient: all stays of a patient on one side (default); case: the paper's",
    )
    _add_titles(parser)
    arguments = parser.parse_args(argv)
    load_tables()  # the words that traces quote: if the tables are broken, say so before the long work
    version, matcher = _matcher(arguments)
    rules = rules_for(version, version if version in VERSIONS else NEAREST_RULES, matcher)
    report = prepare(Settings(arguments.hosp, arguments.notes, arguments.out, version, matcher, arguments.split, rules))
    print(report.markdown())
    return 0


def _map(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m data.mimic map",
        description="Map DRG descriptions to one version's DRGs; CSV on standard output.",
    )
    parser.add_argument("file", type=Path, help="CSV or TSV, gzipped or not")
    parser.add_argument("--column", required=True, help="column of the descriptions")
    parser.add_argument("--code-column", help="column of the recorded DRG numbers, which help to decide")
    _add_titles(parser)
    arguments = parser.parse_args(argv)
    _, matcher = _matcher(arguments)
    map_file(arguments.file, arguments.column, arguments.code_column, matcher, sys.stdout)
    return 0


def _add_titles(parser: argparse.ArgumentParser) -> None:
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--version", choices=VERSIONS, default=DEFAULT_VERSION, help="MS-DRG version to map to")
    which.add_argument(
        "--titles", type=Path, help="title list to map to: CSV or TSV with the columns DRG and Description"
    )
    parser.add_argument("--titles-version", default="34", help="version of --titles (default: 34, the paper's)")
    parser.add_argument(
        "--mapping", type=Path, help="descriptions decided by hand: raw_description, DRG_34_description"
    )


def _matcher(arguments: argparse.Namespace) -> tuple[str, Matcher]:
    titles = read_titles(arguments.titles) if arguments.titles else version_titles(arguments.version)
    matcher = Matcher(titles)
    if arguments.mapping:
        matcher.decide(read_mapping(arguments.mapping, matcher))
    return (arguments.titles_version if arguments.titles else arguments.version), matcher


if __name__ == "__main__":
    sys.exit(main())
