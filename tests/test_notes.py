"""Files in, notes out: every kind of file, and what is said of what is wrong."""

import csv
import gzip
import io
import json
import os
import random
import string
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapphire.notes import Note, NotesError, Problem, preview, read_notes

TEXT = "Brief Hospital Course:\nMr. ___ was admitted with acute on chronic systolic heart failure.\nHe improved."
ENDINGS = ("csv", "tsv", "jsonl", "json", "parquet", "csv.gz", "tsv.gz", "jsonl.gz", "json.gz", "parquet.gz")


def items(source, **options) -> tuple[list[Note], list[Problem]]:
    found = list(read_notes(source, **options))
    return [item for item in found if isinstance(item, Note)], [item for item in found if isinstance(item, Problem)]


def write(path: Path, rows: list[dict]) -> Path:
    """Rows as a file of the kind that the path's ending names."""
    kind, data = path.name.split(".")[1], io.BytesIO()
    if kind in ("csv", "tsv"):
        flat = [
            {name: ";".join(cell) if isinstance(cell, list) else cell for name, cell in row.items()} for row in rows
        ]
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, rows[0], delimiter="\t" if kind == "tsv" else ",")
        writer.writeheader()
        writer.writerows(flat)
        data.write(text.getvalue().encode())
    elif kind == "jsonl":
        data.write("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode())
    elif kind == "json":
        data.write(json.dumps(rows, indent=1).encode())
    else:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), data)
    packed = path.name.endswith(".gz")
    path.write_bytes(gzip.compress(data.getvalue()) if packed else data.getvalue())
    return path


def table(tmp_path: Path, text: str, name: str = "notes.csv") -> Path:
    path = tmp_path / name
    path.write_bytes(text.encode())
    return path


# Every kind of file


texts = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufeff\ufffd", include_characters="\n\t\"',;|"),
    max_size=300,
).map(lambda text: text + " stable.")
codes = st.lists(st.sampled_from(["I5023", "N17.9", "E87.6", "J96.01"]), max_size=3)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(texts, codes, st.sampled_from("MFU"), st.integers(0, 110)),
        min_size=1,
        max_size=6,
        unique_by=lambda row: row[0],
    )
)
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read(tmp_path, ending, drawn):
    rows = [
        {"note_id": f"n{n}", "text": text, "sdx": sdx, "sex": sex, "age": age, "drg": "291"}
        for n, (text, sdx, sex, age) in enumerate(drawn)
    ]
    notes, problems = items(write(tmp_path / f"cases.{ending}", rows))
    assert problems == []
    assert [(note.note_id, note.text, list(note.sdx), note.sex, note.age, note.drg) for note in notes] == [
        tuple(row[name] for name in ("note_id", "text", "sdx", "sex", "age", "drg")) for row in rows
    ]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("name", ["upload", "upload.txt", "upload.csv", "upload.parquet", "upload.json"])
def test_the_content_tells_the_kind_where_the_name_lies(tmp_path, ending, name):
    data = write(tmp_path / f"a.{ending}", [{"note_id": str(n), "text": f"{TEXT} {n}"} for n in range(3)]).read_bytes()
    upload = io.BytesIO(data)
    upload.name = name
    notes, problems = items(upload)
    assert [note.text for note in notes] == [f"{TEXT} {n}" for n in range(3)] and problems == []
    assert not upload.closed and upload.getvalue() == data


@pytest.mark.parametrize("name", ["one.txt", "one.md", "one.note", "one.text", "one", "one.txt.gz"])
def test_a_text_file_is_one_note_named_after_it(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(gzip.compress(TEXT.encode()) if name.endswith("gz") else TEXT.encode())
    assert list(read_notes(str(path))) == [Note("one", TEXT, source=name)]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_delimiters_and_line_ends(tmp_path, delimiter, line_end):
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end)
    writer.writerows([["Note ID", "Note Text"], ["a", TEXT + delimiter + '"quoted"'], ["b", "second note"]])
    notes, problems = items(table(tmp_path, text.getvalue()))
    assert [(note.note_id, note.text) for note in notes] == [("a", TEXT + delimiter + '"quoted"'), ("b", "second note")]
    assert problems == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_encodings(tmp_path, encoding):
    path = tmp_path / "notes.csv"
    path.write_bytes("id,text\n1,Ménière’s, 38 °C\n".replace("s, 38", "s 38").encode(encoding))
    notes, problems = items(path)
    assert [note.text for note in notes] == ["Ménière’s 38 °C"] and problems == []


def test_windows_1252_is_read_and_said_once(tmp_path):
    path = tmp_path / "notes.csv"
    path.write_bytes(b"id,text\n1,plain\n2,M\xe9ni\xe8re\x92s at 38 \xb0C\n3,\xb5g and caf\xc3\xa9\n")
    notes, problems = items(path)
    assert [note.text for note in notes] == ["plain", "Ménière’s at 38 °C", "µg and café"]
    assert [(problem.row, problem.kept) for problem in problems] == [(2, True)] and "Windows-1252" in problems[
        0
    ].message
    assert preview(path).encoding == "windows-1252"


def test_unquoted_tsv_with_quotes_in_it(tmp_path):
    lines = ["id\ttext", '1\t"Patient states" he is well', '2\t6" incision, healed', '3\t"', "4\tlast"]
    notes, problems = items(table(tmp_path, "\n".join(lines) + "\n", "notes.tsv"))
    assert [note.text for note in notes] == [line.split("\t")[1] for line in lines[1:]] and problems == []


def test_cells_longer_than_csv_allows_by_default(tmp_path):
    long = "word " * 60_000
    notes, _ = items(table(tmp_path, f'id,text\n1,"{long}"\n'))
    assert notes[0].text == long


def test_html_and_script_stay_text(tmp_path):
    text = "<script>alert('x')</script> <b>CHF</b> & =HYPERLINK(\"http://x\")"
    (note,), problems = items(write(tmp_path / "a.csv", [{"note_id": "1", "text": text}]))
    assert note.text == text and problems == []


# Columns


def test_mimic_layout_needs_no_help_and_is_credentialed(tmp_path):
    header = ["note_id", "subject_id", "hadm_id", "note_type", "note_seq", "charttime", "storetime", "text"]
    row = ["10000032-DS-21", "10000032", "22595853", "DS", "21", "2180-05-07 00:00:00", "2180-05-09 15:26:00", TEXT]
    path = write(tmp_path / "discharge.csv.gz", [dict(zip(header, row, strict=True))])
    (note,), problems = items(path)
    assert problems == [] and note == Note(
        "10000032-DS-21", TEXT, "10000032", "22595853", source="discharge.csv.gz", credentialed=True
    )
    assert preview(path).credentialed


@pytest.mark.parametrize(
    ("header", "field", "column"),
    [
        ("Row ID,Discharge Summary", "text", "Discharge Summary"),
        ("MRN,Encounter-ID,NOTE_TEXT", "subject_id", "MRN"),
        ("MRN,Encounter-ID,NOTE_TEXT", "hadm_id", "Encounter-ID"),
        ("note_id,description,medical_specialty,sample_name,transcription,keywords", "text", "transcription"),
        ("text,Gender,MS-DRG,Disposition Code,PDX,Secondary Dx,PCS", "procedures", "PCS"),
        ("text,Gender,MS-DRG,Disposition Code,PDX,Secondary Dx,PCS", "drg", "MS-DRG"),
        ("text,Gender,MS-DRG,Disposition Code,PDX,Secondary Dx,PCS", "discharge_status", "Disposition Code"),
        ("id,Report", "text", "Report"),
        ("id,text,Report", "text", "text"),
    ],
)
def test_usual_column_names(tmp_path, header, field, column):
    seen = preview(table(tmp_path, f"{header}\n{',' * header.count(',')}\n"))
    assert seen.clear and seen.mapping[field] == column


def test_an_unclear_text_column_is_asked_for(tmp_path):
    path = table(tmp_path, f'key,Befund,Report,Notes\nk1,"{TEXT * 3}",radiology,none yet\n')
    with pytest.raises(NotesError, match=r"notes.csv: it is unclear .* 'key', 'Befund', 'Report', 'Notes'.*columns="):
        read_notes(path)
    seen = preview(path)
    assert not seen.clear and seen.mapping["text"] == "Befund" and seen.count == 1
    assert seen.columns == ("key", "Befund", "Report", "Notes") and seen.rows[0]["Befund"].endswith("…")
    (note,), problems = items(path, columns={"text": "Befund", "note_id": "key"})
    assert (note.note_id, note.text, problems) == ("k1", TEXT * 3, [])


def test_columns_that_are_not_there(tmp_path):
    path = table(tmp_path, "id,text\n1,a note\n")
    with pytest.raises(NotesError, match="no column 'Text'; it has 'id', 'text'"):
        read_notes(path, columns={"text": "Text"})
    with pytest.raises(NotesError, match="'body' is no field of a note"):
        read_notes(path, columns={"body": "text"})


def test_a_document_title_is_no_drg_title(tmp_path):
    (note,), _ = items(table(tmp_path, "id,title,text\n1,Discharge Summary,a note\n"))
    assert note.title is None


def test_ids_are_made_where_there_are_none_and_stay_the_same(tmp_path):
    path = table(tmp_path, "text\nfirst note\n\nsecond note\n", "ward 7.csv")
    ids = [note.note_id for note in read_notes(path)]
    assert ids == ["ward 7-1", "ward 7-3"] == [note.note_id for note in read_notes(path)]


def test_a_column_may_be_refused_as_id(tmp_path):
    path = table(tmp_path, "id,text\nward,first\nward,second\n")
    notes, (problem,) = items(path)
    assert len(notes) == 1 and "id ward was given to another text in row 1" in problem.message and not problem.kept
    assert [note.note_id for note in read_notes(path, columns={"note_id": None})] == ["notes-1", "notes-2"]


def test_json_names_that_come_late_are_read(tmp_path):
    rows = [{"text": f"note number {n} " + "x" * 2000} for n in range(50)] + [{"text": "the last note", "age": 67}]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert list(read_notes(path))[-1].age == 67


# Values


def test_values_are_read_as_people_write_them(tmp_path):
    header = "id,text,age,sex,discharge status code,pdx,sdx,poa,pcs,ms_drg,drg_version"
    rows = [
        'a,note one,67.0,Male,1,I50.23,N17.9|E87.6 D62,YNY,"0BH17EZ, 5A1955Z",DRG 291 - HEART FAILURE,v43.1',
        "b,note two,>89,female,06,i5023,\"['N17.9', 'E87.6']\",Y;;N,,291.0,43.0",
        "c,note three,14 months,u,,,,,,3,",
        "d,note four,NULL,NaN,N/A,,,,,,",
    ]
    notes, problems = items(table(tmp_path, "\n".join([header, *rows]) + "\n"))
    assert problems == []
    assert [(note.age, note.sex, note.discharge_status) for note in notes] == [
        (67, "M", 1),
        (89, "F", 6),
        (1, "U", None),
        (None, None, None),
    ]
    assert [(note.pdx, note.sdx, note.poa, note.procedures) for note in notes] == [
        ("I50.23", ("N17.9", "E87.6", "D62"), ("Y", "N", "Y"), ("0BH17EZ", "5A1955Z")),
        ("I5023", ("N17.9", "E87.6"), ("Y", "", "N"), ()),
        (None, (), (), ()),
        (None, (), (), ()),
    ]
    assert [(note.drg, note.drg_version) for note in notes] == [
        ("291", "43.1"),
        ("291", "43"),
        ("003", None),
        (None, None),
    ]


def test_numbers_and_lists_of_parquet(tmp_path):
    rows = [
        {"hadm_id": 1.0, "text": "one note", "age": 67, "sdx": ["N179"], "credentialed": True, "trap": ["ruled_out"]},
        {"hadm_id": None, "text": "other note", "age": None, "sdx": None, "credentialed": False, "trap": []},
    ]
    first, second = read_notes(write(tmp_path / "a.parquet", rows))
    assert (first.hadm_id, first.age, first.sdx, first.credentialed, first.trap) == (
        "1",
        67,
        ("N179",),
        True,
        ("ruled_out",),
    )
    assert (second.hadm_id, second.age, second.sdx, second.credentialed) == (None, None, (), False)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("age", "old", "age is not a number"),
        ("age", "430", "age is not a number"),
        ("sex", "1", "sex is not M, F or U"),
        ("drg", "999999", "DRG is not a number of three digits"),
        ("drg", "012x", "DRG is not a number of three digits"),
        ("drg", "765", "DRG 765 is not in MS-DRG version 43.1"),
        ("drg_version", "newest", "DRG version is not like 43.1"),
        ("discharge_status", "Home", "discharge status is not"),
        ("poa", "yes;no", "POA indicators"),
        ("pdx", "I10 E119", "principal diagnosis holds several"),
        ("credentialed", "maybe", "neither true nor false"),
    ],
)
def test_a_value_that_cannot_be_is_left_out_and_said(tmp_path, column, cell, words):
    (note,), (problem,) = items(table(tmp_path, f"id,text,{column}\n1,a note,{cell}\n"))
    assert words in problem.message and problem.remedy and problem.row == 1 and problem.kept
    assert getattr(note, column) == getattr(Note("", ""), column)


def test_a_drg_is_checked_against_its_own_version(tmp_path):
    path = table(tmp_path, "id,text,drg,drg_version\n1,first,246,37\n2,second,246,43.1\n3,third,246,34\n")
    notes, problems = items(path)
    assert [note.drg for note in notes] == ["246", None, "246"]
    assert [problem.row for problem in problems] == [2]


# Rows that are wrong


def test_each_bad_row_is_named_and_ends_nothing(tmp_path):
    rows = [
        "id,text,age",
        "1,good,50",
        "2,,50",
        "3,good,50",
        "1,another text,50",
        ",no id,50",
        "7,short",
        "8",
        "9,a comma, unquoted,50",
        '10,"<p>fine</p>",50,,',
        "11,   ,50",
        "12,last,50",
    ]
    notes, problems = items(table(tmp_path, "\n".join(rows) + "\n"))
    assert [note.note_id for note in notes] == ["1", "notes-5", "7", "10", "12"]
    assert {problem.row: (problem.kept, problem.message) for problem in problems if problem.row != 7} == {
        2: (False, "The text is empty."),
        3: (False, "The text is the same as in row 1."),
        4: (False, "The id 1 was given to another text in row 1."),
        5: (True, "The id is missing; the note is called notes-5."),
        6: (True, "The row has only 2 of 3 cells."),
        8: (False, "The row has 4 cells but the header 3, so a cell was cut."),
        10: (False, "The text is empty."),
    }
    assert [problem.kept for problem in problems if problem.row == 7] == [False, False]
    assert str(problems[0]) == "notes.csv, row 2: The text is empty. Fill it in or delete the row."


def test_control_characters_are_taken_out_and_said(tmp_path):
    notes, (problem,) = items(table(tmp_path, "id,text\n1,chest\x00 pain\x07\n2,page\x0cbreak\n"))
    assert [note.text for note in notes] == ["chest pain", "page\nbreak"]
    assert problem.row == 1 and problem.kept and problem.message.startswith("2 control characters")


def test_lone_surrogates_of_json_become_replacement_characters(tmp_path):
    (note,), problems = items(table(tmp_path, '{"text": "half \\ud83d of a sign"}\n', "a.jsonl"))
    assert note.text == "half � of a sign" and problems[0].kept
    note.text.encode()


def test_a_quote_never_closed_does_not_swallow_rows_in_silence(tmp_path):
    notes, (problem,) = items(table(tmp_path, 'id,text\n1,fine\n2,"never closed\n3,swallowed\n4,swallowed too\n'))
    assert [note.note_id for note in notes] == ["1"]
    assert problem.row == 2 and "quote in lines 3 to 5 is not closed" in problem.message and not problem.kept


def test_a_note_too_long_for_any_model(tmp_path):
    notes, (problem,) = items(table(tmp_path, f"id,text\n1,{'pain ' * 100_001}\n2,{'pain ' * 100_000}\n"))
    assert [note.note_id for note in notes] == ["2"] and "100,001 words" in problem.message


def test_json_lines_that_are_none(tmp_path):
    lines = [
        '{"text": "one note"}',
        "{broken",
        "[1, 2]",
        "",
        '{"text": ["a", "list"]}',
        '{"text": "raw\ttab"}',
        '{"note": "x"}',
    ]
    notes, problems = items(table(tmp_path, "\n".join(lines), "a.jsonl"))
    assert [note.text for note in notes] == ["one note", "raw\ttab"]
    assert [problem.row for problem in problems] == [2, 3, 5, 7] and not any(problem.kept for problem in problems)


# Files that are wrong


def test_rows_before_a_break_are_read_and_then_it_is_said(tmp_path):
    draw = random.Random(3)
    rows = [{"note_id": str(n), "text": "".join(draw.choices(string.printable[:90], k=3000))} for n in range(200)]
    whole = write(tmp_path / "a.csv.gz", rows).read_bytes()
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(whole[: len(whole) // 2])
    found, reader = [], read_notes(broken)
    with pytest.raises(NotesError, match=r"broken.csv.gz breaks off after row \d+: its gzip is damaged"):
        found.extend(iter(reader.__next__, None))
    assert 50 < len(found) < 150 and [note.text for note in found] == [row["text"] for row in rows[: len(found)]]
    assert len(preview(broken).rows) == 5 and preview(broken).count is None


def test_damage_within_gzip_is_said(tmp_path):
    data = bytearray(gzip.compress(os.urandom(300_000).hex().encode()))
    data = bytearray(
        gzip.compress(b"id,text\n" + b"".join(b"%d,%s\n" % (n, os.urandom(500).hex().encode()) for n in range(500)))
    )
    data[len(data) // 2 : len(data) // 2 + 50] = bytes(50)
    (tmp_path / "a.csv.gz").write_bytes(data)
    with pytest.raises(NotesError, match="damaged or incomplete"):
        list(read_notes(tmp_path / "a.csv.gz"))


def broken_files() -> dict[str, tuple[bytes, str]]:
    parquet = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": ["a note"]}), parquet)
    noise = random.Random(1).randbytes(5000)
    return {
        "empty.csv": (b"", "empty.csv is empty"),
        "blank.csv": (b" \n\n", "blank.csv is empty"),
        "empty.csv.gz": (gzip.compress(b""), "is empty"),
        "noise.csv": (noise, "binary data"),
        "noise.txt": (noise, "binary data"),
        "program.csv": (b"\x7fELF\x02\x01\x01" + bytes(9) + b"text,id\n" + bytes(300), "binary data"),
        "noise.csv.gz": (b"\x1f\x8b" + noise, "cannot be unpacked"),
        "noise.parquet": (noise, "binary data"),
        "text.parquet": (TEXT.encode(), "ends in .parquet but holds none"),
        "text.jsonl": (TEXT.encode(), "ends in .jsonl but holds none"),
        "cut.parquet": (parquet.getvalue()[:-20], "damaged Parquet"),
        "cut.parquet.gz": (gzip.compress(parquet.getvalue())[:-30], "damaged Parquet"),
        "cut.json": (b'[{"text": "a note"}, {"text": ', "not valid JSON"),
        "doc.csv": (b"%PDF-1.7\n%\xe2\xe3", "is a PDF"),
        "old.csv": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Office file"),
        "cda.csv": (b'<?xml version="1.0"?><ClinicalDocument/>', "is XML"),
        "rich.txt": (b"{\\rtf1\\ansi Hello}", "is RTF"),
        "twice.csv.gz": (gzip.compress(gzip.compress(b"id,text\n1,a\n")), "gzip inside gzip"),
        "values.csv": (f'"{TEXT}",12\n"{TEXT}",13\n'.encode(), "has no header row"),
    }


@pytest.mark.parametrize("name", broken_files())
def test_a_file_that_cannot_be_read_is_told_in_one_sentence(tmp_path, name):
    data, words = broken_files()[name]
    (tmp_path / name).write_bytes(data)
    for read in (lambda path: list(read_notes(path)), preview):
        with pytest.raises(NotesError) as caught:
            read(tmp_path / name)
        assert name in str(caught.value) and words in str(caught.value) and str(caught.value).endswith(".")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("xl/workbook.xml", "an Excel workbook; save it as CSV"),
        ("word/document.xml", "Word"),
        ("a.csv", "a zip archive; unpack"),
    ],
)
def test_office_and_zip_files(tmp_path, inside, words):
    import zipfile

    with zipfile.ZipFile(tmp_path / "notes.csv", "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr(inside, "<x/>")
    with pytest.raises(NotesError, match=words):
        read_notes(tmp_path / "notes.csv")


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(NotesError, match=r"nowhere.csv does not exist"):
        read_notes(tmp_path / "nowhere.csv")
    with pytest.raises(NotesError, match="is a folder; name the files in it"):
        read_notes(tmp_path)
    with pytest.raises(NotesError, match="cannot be opened"):
        read_notes("a\0b.csv")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = table(tmp_path, "id,text\n1,a\n")
    path.chmod(0)
    with pytest.raises(NotesError, match="may not be read"):
        read_notes(path)


def test_a_header_without_rows_is_said(tmp_path):
    notes, (problem,) = items(table(tmp_path, "id,text\n"))
    assert notes == [] and problem.row is None and "no rows" in problem.message


@pytest.mark.parametrize("name", ["huge.txt", "huge.csv"])
def test_a_text_of_many_megabytes_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes((b"id,text\n1," if name.endswith("csv") else b"") + b"pain and fever " * 1_200_000)
    with pytest.raises(NotesError, match=r"huge.* of over 16,000,000 characters"):
        list(read_notes(path))


def test_memory_does_not_grow_with_the_file(tmp_path):
    import tracemalloc

    path = tmp_path / "long.csv"
    with path.open("w") as file:
        file.write("id,text\n")
        for n in range(3000):
            file.write(f'{n},"{n} {"pain and fever, " * 600}"\n')
    tracemalloc.start()
    count = sum(1 for _ in read_notes(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3000 and path.stat().st_size > 25_000_000 and peak < 3_000_000


def test_repeated_notes_are_kept_when_asked_for_and_told(tmp_path):
    path = write(
        tmp_path / "notes.jsonl",
        [{"note_id": "a", "text": "same"}, {"note_id": "b", "text": "same"}, {"note_id": "c", "text": ""}],
    )
    found = list(read_notes(path, repeated=True))
    assert [item.note_id for item in found if isinstance(item, Note)] == ["a", "b"]
    problems = [item for item in found if isinstance(item, Problem)]
    assert [(item.row, item.kept, item.note_id) for item in problems] == [(2, True, None), (3, False, "c")]
