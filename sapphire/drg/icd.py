"""Titles of ICD-10-CM and ICD-10-PCS codes, FY 2026 (CMS, public domain), read when the first one is asked for.

A code of another year may have no title here; whether a code is valid in an MS-DRG version is the grouper's to say.
"""

import gzip
from functools import cache
from importlib.resources import files


def normal(code: str) -> str:
    """The code as claims write it: upper case, without dots and spaces."""
    return "".join(code.replace(".", "").split()).upper()


def diagnosis_title(code: str) -> str | None:
    return _titles("icd10cm.tsv.gz").get(normal(code))


def procedure_title(code: str) -> str | None:
    return _titles("icd10pcs.tsv.gz").get(normal(code))


def is_diagnosis(code: str) -> bool:
    return normal(code) in _titles("icd10cm.tsv.gz")


def is_procedure(code: str) -> bool:
    return normal(code) in _titles("icd10pcs.tsv.gz")


@cache
def _titles(name: str) -> dict[str, str]:
    text = gzip.decompress(files("sapphire.drg").joinpath("tables", name).read_bytes()).decode()
    return dict(line.split("\t") for line in text.splitlines())
