"""Notes that cannot be read as they are: each bad row and file is told in a sentence, and nothing else is lost."""

import gzip
import io
import os
import random
import string

import pyarrow
import pyarrow.parquet
import pytest

from sapphire.notes import Note, NotesError, Problem, preview, read_notes
from tests.note_files import TEXT, items, table, write

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
