"""Files in, notes out: every kind of file, and what is said of what is wrong."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sapphire.notes import Note, NotesError, preview, read_notes
from tests.note_files import TEXT, items, table, write

ENDINGS = ("csv", "tsv", "jsonl", "json", "parquet", "csv.gz", "tsv.gz", "jsonl.gz", "json.gz", "parquet.gz")


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
