"""MIMIC-IV's hosp tables in a DuckDB work file: recorded DRGs, codes, age, sex and disposition of each stay.

Each source is read once from end to end before DuckDB parses it, because DuckDB takes a gzip file that is cut at the end of a
line for a whole one and quotes rows of the file in its messages.
"""

import codecs
import gzip
import re
import zlib
from pathlib import Path

import duckdb

from data.mimic_titles import SourceError

COLUMNS = {
    "drgcodes": ("subject_id", "hadm_id", "drg_type", "drg_code", "description"),
    "patients": ("subject_id", "gender", "anchor_age", "anchor_year"),
    "admissions": ("subject_id", "hadm_id", "admittime", "discharge_location", "hospital_expire_flag"),
    "diagnoses_icd": ("hadm_id", "seq_num", "icd_code", "icd_version"),
    "procedures_icd": ("hadm_id", "seq_num", "icd_code", "icd_version"),
}
CHUNK = 1 << 20  # bytes

# admissions.discharge_location → Medicare's patient discharge status (NUBC form locator 17). MIMIC does not tell a hospice at
# home from one in a facility, nor what a HEALTHCARE FACILITY is; neither makes a difference to an MS-DRG.
DISCHARGE_STATUS = {
    "HOME": 1,
    "ASSISTED LIVING": 1,
    "ACUTE HOSPITAL": 2,
    "SKILLED NURSING FACILITY": 3,
    "HOME HEALTH CARE": 6,
    "AGAINST ADVICE": 7,
    "DIED": 20,
    "HOSPICE": 50,
    "REHAB": 62,
    "CHRONIC/LONG TERM ACUTE CARE": 63,
    "PSYCH FACILITY": 65,
    "HEALTHCARE FACILITY": 70,
    "OTHER FACILITY": 70,
}


def find(hosp: Path, table: str) -> Path:
    """The file of a hosp table, gzipped or not. SourceError names what is missing."""
    for name in (f"{table}.csv.gz", f"{table}.csv"):
        if (hosp / name).is_file():
            return hosp / name
    raise SourceError(f"{hosp} has no {table}.csv.gz; give MIMIC-IV's hosp folder with --hosp.")


def load(db: duckdb.DuckDBPyConnection, hosp: Path) -> None:
    """Read the tables of COLUMNS into the work file, all columns as text. SourceError says what is wrong with which file."""
    for table in COLUMNS:
        load_table(db, find(hosp, table), table)


def load_table(db: duckdb.DuckDBPyConnection, path: Path, table: str) -> None:
    header = check(path)
    missing = [name for name in COLUMNS[table] if name not in header]
    if missing:
        raise SourceError(
            f"{path} has no column {', '.join(missing)}; give the {table} table of MIMIC-IV 2.0 or later."
        )
    columns = ", ".join(COLUMNS[table])
    options = "header=true, all_varchar=true, delim=',', quote='\"', escape='\"', parallel=false"
    try:
        db.execute(f"create table {table} as select {columns} from read_csv(?, {options})", [str(path)])
    except duckdb.InvalidInputException as error:  # its own words would quote a row
        line = re.search(r"on Line: (\d+)", str(error))
        place = f", line {line[1]}" if line else ""
        raise SourceError(f"{path}{place}: the CSV is broken; download the file again.") from None


def check(path: Path) -> list[str]:
    """The header of a CSV file that is whole and UTF-8 from end to end. SourceError otherwise."""
    line, first = 1, b""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    try:
        with path.open("rb") as raw:
            packed = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if path.suffix == ".gz" and not packed:
                raise SourceError(f"{path} is not a gzip file though its name says so; download it again.")
            stream = gzip.GzipFile(fileobj=raw) if packed else raw
            while chunk := stream.read(CHUNK):
                first = first or chunk
                decoder.decode(chunk)
                line += chunk.count(b"\n")
            decoder.decode(b"", final=True)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise SourceError(f"{path} is a damaged or truncated gzip file; download it again.") from None
    except UnicodeDecodeError as error:
        line += error.object[: error.start].count(b"\n")
        raise SourceError(f"{path}, line {line}: not UTF-8 text; download the file again.") from None
    except OSError as error:
        raise SourceError(f"{path} cannot be read: {error.strerror}.") from None
    header = first.partition(b"\n")[0].decode("utf-8-sig").strip()
    return [name.strip('" ') for name in header.split(",")]


STAYS = """
create table stay as
with coded as (
    select hadm_id, list(icd_code order by try_cast(seq_num as integer)) as codes,
           min(try_cast(seq_num as integer)) = 1 as has_principal
    from diagnoses_icd where icd_version = '10' and hadm_id in (select hadm_id from labelled) group by hadm_id
), operated as (
    select hadm_id, list(icd_code order by try_cast(seq_num as integer), icd_code) as procedures
    from procedures_icd where icd_version = '10' and hadm_id in (select hadm_id from labelled) group by hadm_id
)
select a.hadm_id,
       try_cast(p.anchor_age as integer) + year(try_cast(a.admittime as timestamp)) - try_cast(p.anchor_year as integer) as age,
       case when p.gender in ('M', 'F') then p.gender else 'U' end as sex,
       case when a.hospital_expire_flag = '1' then 20 else s.status end as discharge_status,
       case when c.has_principal then c.codes[1] end as pdx,
       case when c.has_principal then c.codes[2:] end as sdx,
       case when c.has_principal then coalesce(o.procedures, []) end as procedures
from admissions a
left join patients p using (subject_id)
left join discharge_status s on s.place = upper(trim(a.discharge_location))
left join coded c using (hadm_id)
left join operated o using (hadm_id)
where a.hadm_id in (select hadm_id from labelled)
"""


def stays(db: duckdb.DuckDBPyConnection) -> None:
    """Make the table `stay` (one row a hadm_id of `labelled`): age at admission in years, sex, discharge status, ICD-10 codes in
    the order of MIMIC's seq_num; codes are null where the stay was coded in ICD-9 or has no principal diagnosis."""
    db.execute("create table discharge_status (place varchar, status integer)")
    db.executemany("insert into discharge_status values (?, ?)", list(DISCHARGE_STATUS.items()))
    db.execute(STAYS)
