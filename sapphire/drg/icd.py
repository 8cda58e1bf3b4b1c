"""Titles of ICD-10-CM and ICD-10-PCS codes (CMS, public domain), read when the first one is asked for.

Diagnoses are those of FY 2025 and all newer ones up to April 2026; procedures those of April 2024, so a procedure code added
since has no title here. Whether a code is in force in an MS-DRG version is for `rules.is_valid` to say.
"""

import gzip
from functools import cache
from importlib.resources import files


def normal(code: str) -> str:
    """The code as claims write it: upper case, without dots and spaces."""
    return code.upper() if code.isalnum() else "".join(code.replace(".", "").split()).upper()


def diagnosis_title(code: str) -> str | None:
    return _diagnoses().get(normal(code))


def procedure_title(code: str) -> str | None:
    title, _ = _procedures().get(normal(code), ("", ""))
    return title or None


def is_diagnosis(code: str) -> bool:
    return normal(code) in _diagnoses()


def is_procedure(code: str) -> bool:
    return normal(code) in _procedures()


def is_operating_room(code: str, version: str) -> bool:
    """Whether CMS designates the procedure an O.R. procedure in this MS-DRG version (definitions manual, Appendix E)."""
    _, versions = _procedures().get(normal(code), ("", ""))
    return versions == "all" or version in versions.split()


@cache
def _diagnoses() -> dict[str, str]:
    return dict(line.split("\t") for line in _lines("icd10cm.tsv.gz"))


@cache
def _procedures() -> dict[str, tuple[str, str]]:
    rows = (line.split("\t") for line in _lines("icd10pcs.tsv.gz"))
    return {code: (title, versions) for code, title, versions in rows}


def _lines(name: str) -> list[str]:
    return gzip.decompress(files("sapphire.drg").joinpath("tables", name).read_bytes()).decode().splitlines()
