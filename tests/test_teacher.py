"""The teacher's rows: checked line by line, resumable, and no note to a strange server. The server here is a real one."""

import json
import re
import stat
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from data import teacher
from sapphire.completions import parse as read_completion
from sapphire.drg.codebook import codebook
from sapphire.engines.addresses import is_loopback
from tests.mimic_source import cases
from tests.test_claims import NOTE as STAY
from tests.test_claims import TRACE

pytest_plugins = ("tests.mimic_fixtures",)


class Teacher(BaseHTTPRequestHandler):
    """A server that speaks the OpenAI API; `answers` maps a word of the note to what it says, or to an HTTP status."""

    answers: ClassVar[dict] = {}
    seen: ClassVar[list] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).seen.append((self.path, self.headers.get("Authorization"), body))
        text = body["messages"][-1]["content"]
        answer = next((said for word, said in self.answers.items() if word in text), "I cannot say.")
        status = answer if isinstance(answer, int) else 200
        said = json.dumps(
            {"choices": [{"message": {"role": "assistant", "content": answer}}], "error": text[:200]}
        ).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    Teacher.seen = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}/v1"
    running.shutdown()
    running.server_close()


@pytest.fixture
def taught(prepared, tmp_path):
    """Three traced cases and their traces, as a Parquet file beside a subset."""
    made = [case for case in cases(prepared, "train") if case["trace"] and ", MCC, counts" in case["trace"]][:3]
    full = pq.read_table(prepared / "train.parquet")
    wanted = [case["note_id"] for case in made]
    rows = full.filter([note_id in wanted for note_id in full["note_id"].to_pylist()])
    pq.write_table(rows, tmp_path / "train.parquet")
    subsets = pq.read_table(prepared / "subsets.parquet")
    pq.write_table(
        subsets.filter([note_id in wanted for note_id in subsets["note_id"].to_pylist()]), tmp_path / "subsets.parquet"
    )
    return tmp_path / "train.parquet", made


def ask(path, url, out, *more):
    return teacher.main(["--cases", str(path), "--url", url, "--model", "teacher-7b", "--out", str(out), *more])


def word_of(case):
    """Words that stand in no other note."""
    return case["text"][-60:]


def test_a_teachers_rows_are_checked_and_the_false_ones_marked(taught, server, tmp_path, monkeypatch, capsys):
    path, made = taught
    monkeypatch.setenv("SAPPHIRE_TEACHER_KEY", "secret")
    Teacher.answers = {
        word_of(made[0]): f"<think>hm</think>{made[0]['trace']}",
        word_of(made[1]): made[1]["trace"].replace(", MCC, counts", ", CC, counts", 1),
        word_of(made[2]): "The patient was very ill, so this DRG fits.",
    }
    assert ask(path, server, tmp_path / "rows.jsonl") == 0
    rows = {row["case_id"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").open())}
    verdicts = [rows[case["note_id"]]["verdict"] for case in made]
    assert verdicts == ["true", "false", "vague"]
    assert any("CMS's level is MCC" in fault for fault in rows[made[1]["note_id"]]["faults"])
    for case in made:
        row = rows[case["note_id"]]
        assert [message["role"] for message in row["prompt"]] == ["system", "user"]
        assert case["title"] not in row["prompt"][1]["content"]  # the answer stays with the teacher
        parsed = read_completion(row["completion"][0]["content"], codebook("37"))
        assert parsed.well_formed and parsed.drg.drg == case["drg"]
        assert row["credentialed"] is True
    assert all(authorization == "Bearer secret" for _, authorization, _ in Teacher.seen)
    assert all(path == "/v1/chat/completions" and body["model"] == "teacher-7b" for path, _, body in Teacher.seen)
    assert all(
        case["title"] in body["messages"][0]["content"]
        for case, (_, _, body) in zip(made, sorted_by(made), strict=True)
    )
    said = capsys.readouterr()
    assert "true: 1  false: 1  vague: 1" in said.out
    assert not any(word_of(case) in said.out + said.err for case in made)
    assert stat.S_IMODE((tmp_path / "rows.jsonl").stat().st_mode) == 0o600


def test_a_teacher_that_weighs_three_drgs_is_told_so_and_held_to_it(taught, server, tmp_path):
    path, made = taught
    out = tmp_path / "rows.jsonl"
    Teacher.answers = {word_of(case): case["trace"] for case in made}
    assert ask(path, server, out, "--form", "differential") == 0
    rows = [json.loads(line) for line in out.open()]
    assert all("weigh three MS-DRGs" in body["messages"][0]["content"] for _, _, body in Teacher.seen)
    assert {(row["trace_form"], row["verdict"]) for row in rows} == {("differential", "vague")}
    assert all(row["faults"] == ["0 MS-DRGs are weighed, not 3"] for row in rows)


@pytest.mark.parametrize("weighed", [2, 3])
def test_three_different_drgs_that_the_changes_lead_to_are_a_differential(weighed):
    case = {
        "text": STAY,
        "age": 70,
        "sex": "M",
        "discharge_status": 1,
        "pdx": None,
        "sdx": [],
        "procedures": [],
        "drg": "286",
    }
    case |= {"title": codebook().drgs["286"].title, "drg_version": "43.1", "note_id": "n", "credentialed": False}
    so_coded = f"- candidate: {case['title'].upper()}, if so coded"
    more = "- candidate: HEART FAILURE AND SHOCK WITH MCC, if left heart catheterization with coronary angiography (4A023N7) were not coded"
    answer = "\n".join([TRACE.rpartition("\n")[0], so_coded, *[more] * (weighed - 2), TRACE.rpartition("\n")[2]])
    made = teacher.row(case, answer, "t", form="differential")
    assert (made["verdict"], made["trace_form"]) == ("true" if weighed == 3 else "vague", "differential"), made[
        "faults"
    ]


def sorted_by(made):
    return [next(seen for seen in Teacher.seen if word_of(case) in seen[2]["messages"][0]["content"]) for case in made]


def test_a_teacher_goes_on_where_it_stopped(taught, server, tmp_path):
    path, made = taught
    out = tmp_path / "rows.jsonl"
    Teacher.answers = {word_of(case): case["trace"] for case in made}
    assert ask(path, server, out) == 0
    whole = out.read_bytes()
    lines = whole.splitlines(keepends=True)
    out.write_bytes(lines[0] + lines[1][:50])  # killed while writing the second row
    Teacher.seen = []
    assert ask(path, server, out) == 0
    assert out.read_bytes() == whole
    assert len(Teacher.seen) == 2


def test_a_refused_request_is_a_row_and_a_dead_server_a_sentence(taught, server, tmp_path, capsys, monkeypatch):
    path, made = taught
    Teacher.answers = {word_of(made[0]): 400} | {word_of(case): case["trace"] for case in made[1:]}
    assert ask(path, server, tmp_path / "rows.jsonl") == 0
    rows = {row["case_id"]: row for row in map(json.loads, (tmp_path / "rows.jsonl").open())}
    refused = rows[made[0]["note_id"]]
    assert (refused["verdict"], refused["completion"]) == ("no answer", None)
    assert refused["faults"] == ["the server refuses the request (HTTP status 400)"]
    monkeypatch.setattr("data.teacher_server.PAUSE", 0)
    capsys.readouterr()
    assert ask(path, "http://127.0.0.1:9/v1", tmp_path / "other.jsonl") == 2
    assert re.search(
        r"does not answer \(\w+\); start the server, then give the same command again\.", capsys.readouterr().err
    )
    Teacher.answers = {word_of(case): 401 for case in made}
    assert ask(path, server, tmp_path / "other.jsonl") == 2
    assert "the key in SAPPHIRE_TEACHER_KEY" in capsys.readouterr().err


def test_credentialed_notes_stay_on_this_machine_without_the_users_word(taught, server, tmp_path, capsys):
    path, _ = taught
    assert ask(path, "http://example.invalid/v1", tmp_path / "rows.jsonl") == 2
    said = capsys.readouterr().err
    assert "these cases are credentialed" in said and "--agreement" in said
    assert (tmp_path / "rows.jsonl").read_text() == ""
    assert ask(path, "ftp://localhost/v1", tmp_path / "rows.jsonl") == 2
    assert "is no address of a server" in capsys.readouterr().err
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "LOCALHOST", "127.9.9.9")] == [True] * 5
    assert not any(map(is_loopback, ("10.0.0.1", "localhost.evil.org", "0.0.0.0", "example.com")))


def test_a_teacher_takes_a_subset(taught, server, tmp_path, capsys):
    path, made = taught
    Teacher.answers = {word_of(case): case["trace"] for case in made}
    assert ask(path, server, tmp_path / "rows.jsonl", "--subset", "sft_50") == 0
    chosen = [
        row["note_id"] for row in pq.read_table(path.with_name("subsets.parquet")).to_pylist() if row["sft_50"] == "sft"
    ]
    assert [json.loads(line)["case_id"] for line in (tmp_path / "rows.jsonl").open()] == chosen
    assert ask(path, server, tmp_path / "rows.jsonl", "--subset", "sft_42") == 2
    assert "has no subset sft_42; there are sft_5, sft_25" in capsys.readouterr().err
