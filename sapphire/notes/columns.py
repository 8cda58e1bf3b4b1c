"""From a file's columns and cells to a note's fields: what columns are usually called, and what a cell's value means.

Pure functions. A value that cannot be is a ValueError whose sentence says what was expected.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

# Usual names of each field's column, folded (lower case, letters and digits only), the likeliest first.
NAMES = {
    "text": (
        "text notetext dischargesummary dischargesummarytext dischargetext clinicalnote clinicaltext transcription notebody "
        "reporttext fulltext rawtext documenttext briefhospitalcourse hospitalcourse"
    ),
    "note_id": "noteid id rowid caseid documentid docid noteidentifier reportid noteno notenumber",
    "subject_id": "subjectid patientid patid ptid mrn medicalrecordnumber patientmrn personid",
    "hadm_id": "hadmid encounterid visitid admissionid stayid visitoccurrenceid csn accountnumber encounter",
    "age": "age patientage ageatadmission admissionage ageyears anchorage",
    "sex": "sex gender patientsex patientgender birthsex",
    "discharge_status": "dischargestatus dischargestatuscode dispositioncode dischargedispositioncode patientstatus dischargecode",
    "pdx": "pdx principaldx principaldiagnosis principaldiagnosiscode primarydx primarydiagnosis primarydiagnosiscode dx1",
    "sdx": "sdx secondarydx secondarydiagnoses secondarydiagnosiscodes secondarydxs otherdiagnoses otherdx",
    "poa": "poa presentonadmission poaindicators poaflags",
    "procedures": "procedures pcs procedurecodes pcscodes icd10pcs proccodes procs",
    "drg": "drg msdrg drgcode msdrgcode drgnumber finaldrg golddrg",
    "title": "title drgtitle drgdescription drgdesc msdrgtitle",
    "drg_version": "drgversion msdrgversion grouperversion",
    "split": "split",
    "trap": "trap traps",
    "trace": "trace",
    "source": "source",
    "credentialed": "credentialed",
}
NAMES = {field: tuple(names.split()) for field, names in NAMES.items()}
# Names that hold a note's text when no likelier name is there.
MAYBE_TEXT = frozenset(("note", "notes", "content", "body", "report", "summary", "document", "narrative"))

NOT_UTF8 = (
    "The file is not UTF-8 throughout, and such bytes were read as Windows-1252.",
    "Check signs such as é, °, ± and µ, or export the file as UTF-8.",
)
# MIMIC-IV-Note's discharge table: a file with these columns is under PhysioNet's data use agreement.
_MIMIC = frozenset(("note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"))
_NOTHING = frozenset(("", "null", "none", "nan", "na", "n/a", "<na>", "\\n", "nat"))
_SEXES = {"m": "M", "male": "M", "man": "M", "f": "F", "female": "F", "woman": "F"}
_SEXES |= dict.fromkeys(("u", "unknown", "unk", "other", "o", "x", "undifferentiated"), "U")
_AGE = re.compile(r"[>≥]?=?\s*(\d{1,3})(?:\.\d+)?\s*\+?\s*(?:-?\s*(y|mo|w|d)[a-z./ -]*)?", re.IGNORECASE)
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r\f") + b"\x7f"
_CONTROL_TABLE = dict.fromkeys(_CONTROLS)
_WINDOWS = {
    0xDC00 + byte: bytes([byte]).decode("cp1252", "replace").replace("\ufffd", chr(byte)) for byte in range(128, 256)
}


def fold(name: str) -> str:
    """What equal column names share: letters and digits, lower case."""
    return re.sub(r"[^a-z0-9]", "", str(name).lower())


def guess(columns: Iterable[str]) -> dict[str, str]:
    """Field to column, by usual names. `text` is missing when no name or several tell it."""
    by_fold: dict[str, str] = {}
    for column in columns:
        by_fold.setdefault(fold(column), column)
    found = {}
    for field, names in NAMES.items():
        present = [by_fold[name] for name in names if name in by_fold]
        if present:
            found[field] = present[0]
    if "drg" not in found and fold(found.get("title", "")) == "title":
        del found["title"]  # the document's title, not a DRG's
    maybe = [column for name, column in by_fold.items() if name in MAYBE_TEXT]
    if "text" not in found and len(maybe) == 1:
        found["text"] = maybe[0]
    return found


def is_mimic(columns: Iterable[str]) -> bool:
    """Whether a table is MIMIC-IV-Note's, whose notes are `credentialed`."""
    return set(columns) >= _MIMIC


def clean_text(raw: Any) -> tuple[str, bytes, list[tuple[str, str]]]:
    """A note's text made fit for every later step, its UTF-8, and what had to be changed as (message, remedy).

    Line ends become \\n and page breaks a line end, unsaid; NUL and other control characters are taken out, and bytes
    that are not UTF-8 are read as Windows-1252: both are said.
    """
    whole = raw if isinstance(raw, str) else _string(raw)
    changes = []
    try:
        data = whole.encode()
    except UnicodeEncodeError:
        whole, change = mend(whole)
        changes.append(change)
        data = whole.encode()
    controls = len(data) - len(data.translate(None, _CONTROLS))
    if controls:
        whole = whole.translate(_CONTROL_TABLE)
        changes.append(
            (f"{controls} control characters (such as NUL) were taken out of the text.", "Check the export.")
        )
    breaks = "\r" in whole or "\f" in whole
    if breaks:
        whole = whole.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    if "\ufffd" in whole:
        changes.append(("Letters were lost before the export: the text holds �.", "Export again as UTF-8."))
    start = whole[:100].strip()
    if (len(whole) < 100 and start.lower() in _NOTHING) or not (start or whole.strip()):
        return "", b"", changes
    return whole, (whole.encode() if controls or breaks else data), changes


def mend(value: str) -> tuple[str, tuple[str, str]]:
    """A string without lone surrogates, and what to say of it: bytes that were not UTF-8 become Windows-1252."""
    mended = value.translate(_WINDOWS)
    clean = mended.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if clean != mended:
        return clean, ("The text held half characters (lone surrogates), now �.", "Export again as UTF-8.")
    return clean, NOT_UTF8


def read_value(field: str, raw: Any) -> Any:
    """The value of a cell for a field of a note; None, or () for lists, when the cell holds nothing.

    Raises:
        ValueError: it cannot be a value of this field.
    """
    return _READERS[field](raw)


def _string(raw: Any) -> str:
    if raw is None:
        return ""
    if isinstance(raw, bytes):
        return raw.decode("utf-8", "surrogateescape")
    return str(raw)


def _word(raw: Any) -> str | None:
    word = _string(raw)
    if not word.isascii():
        word = mend(word)[0]
    word = word.translate(_CONTROL_TABLE).strip()
    return None if word.lower() in _NOTHING else word


def _identifier(raw: Any) -> str | None:
    """An id as a string. 123.0 is pandas's way of writing 123 in a column with gaps."""
    word = _word(raw)
    return re.sub(r"^(\d+)\.0$", r"\1", word) if word else None


def _age(raw: Any) -> int | None:
    word = _word(raw)
    if word is None:
        return None
    match = _AGE.fullmatch(word)
    unit = match and (match[2] or "y").lower()
    years = int(match[1]) // {"y": 1, "mo": 12, "w": 52, "d": 365}[unit] if match else -1
    if not 0 <= years <= 124:
        raise ValueError("The age is not a number of years from 0 to 124.")
    return years


def _sex(raw: Any) -> str | None:
    word = _word(raw)
    if word is not None and word.lower() not in _SEXES:
        raise ValueError("The sex is not M, F or U.")
    return _SEXES[word.lower()] if word else None


def _discharge_status(raw: Any) -> int | None:
    word = _identifier(raw)
    if word is not None and not re.fullmatch(r"0?[1-9]|[1-9]\d", word):
        raise ValueError("The discharge status is not a two-digit code (01 home, 20 died, …).")
    return int(word) if word else None


def _drg(raw: Any) -> str | None:
    word = _identifier(raw)
    match = word and re.fullmatch(
        r"(?:ms[- ]?)?(?:drg)?[ :#]*(\d{1,3})(?:\s*[-–—:]\s*[^\d\s].*|\s+[^\d\s].*)?", word, re.I
    )
    if word and not match:
        raise ValueError("The DRG is not a number of three digits.")
    return match[1].zfill(3) if match else None


def _drg_version(raw: Any) -> str | None:
    word = _word(raw)
    match = word and re.fullmatch(r"(?:ms-?drg)?\s*v?\.?\s*(\d{2})(?:\.(\d))?\d?", word, re.I)
    if word and not match:
        raise ValueError("The DRG version is not like 43.1.")
    return (f"{match[1]}.{match[2]}" if match[2] not in (None, "0") else match[1]) if match else None


def _code(raw: Any) -> str | None:
    codes = _codes(raw)
    if len(codes) > 1:
        raise ValueError("The principal diagnosis holds several codes.")
    return codes[0] if codes else None


def _codes(raw: Any) -> tuple[str, ...]:
    """ICD-10 codes of a list, or of a string with anything but letters, digits and dots between them."""
    words = raw if isinstance(raw, Sequence) and not isinstance(raw, str | bytes) else [raw]
    found = [code for word in words for code in re.findall(r"[A-Za-z0-9.]+", _word(word) or "")]
    return tuple(code.upper() for code in found if code.lower() not in _NOTHING)


def _poa(raw: Any) -> tuple[str, ...]:
    """POA indicators, "" where blank: a list, a string with ; , | or spaces between them, or one letter a code."""
    if isinstance(raw, Sequence) and not isinstance(raw, str | bytes):
        marks = [_word(mark) or "" for mark in raw]
    else:
        word = re.sub(r"[\[\]'\"()]", "", _word(raw) or "")
        marks = re.split(r"[;,|]", word) if re.search(r"[;,|]", word) else word.split() if " " in word else list(word)
    marks = [mark.strip().upper() for mark in marks]
    if not set(marks) <= set("YNUW1E") | {""}:
        raise ValueError("The POA indicators are not among Y, N, U, W, 1 and E.")
    return tuple(marks)


def _words(raw: Any) -> tuple[str, ...]:
    if isinstance(raw, Sequence) and not isinstance(raw, str | bytes):
        return tuple(word for word in map(_word, raw) if word)
    return tuple(word for word in re.split(r"[\s;,|\[\]'\"]+", _word(raw) or "") if word)


def _flag(raw: Any) -> bool:
    word = (_word(raw) or "false").lower()
    if word not in ("true", "false", "1", "0", "yes", "no", "y", "n", "t", "f"):
        raise ValueError("Credentialed is neither true nor false.")
    return word in ("true", "1", "yes", "y", "t")


_READERS = dict.fromkeys(NAMES, _word) | {
    "note_id": _identifier,
    "subject_id": _identifier,
    "hadm_id": _identifier,
    "age": _age,
    "sex": _sex,
    "discharge_status": _discharge_status,
    "drg": _drg,
    "drg_version": _drg_version,
    "pdx": _code,
    "sdx": _codes,
    "procedures": _codes,
    "poa": _poa,
    "trap": _words,
    "credentialed": _flag,
}
