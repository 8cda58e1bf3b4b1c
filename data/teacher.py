"""The paper's cold start: a teacher model is shown the right DRG and writes reasoning as if it did not know it.

    python -m data.teacher --cases OUT/train.parquet --subset cold_start --url http://localhost:8000/v1 --model NAME --out FILE.jsonl

The teacher stands behind any OpenAI-compatible server (`vllm serve NAME`). Each row is an SFT row (prompt, completion, case_id)
with a verdict: teachers reason well and often get CC and MCC wrong, so every line is checked against CMS's rules and the note,
and what is false is marked, never dropped. The same command again goes on where it stopped.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from data.mimic_parallel import in_threads
from data.mimic_progress import Progress
from data.mimic_titles import SourceError
from data.mimic_traces import NEAREST_RULES, claim_of
from data.teacher_server import Refused, Server
from sapphire.completions import TAG, THINK_CLOSE, compose
from sapphire.drg import lines as grammar
from sapphire.drg.claims import Context, check, parse
from sapphire.drg.codebook import VERSIONS, fold
from sapphire.prompts import messages

COLUMNS = "note_id text age sex discharge_status pdx sdx procedures drg title drg_version credentialed".split()  # noqa: SIM905
VERDICTS = ("true", "false", "vague", "unchecked", "no answer")
BATCH = 256  # cases read at a time

TASK = """\
{question}

The MS-DRG on record for this stay is: {title}

Write the reasoning that leads to it, as if you did not know it, without naming it. Write one claim a line, each in one of these forms and nothing else. Quote the note's own words; give ICD-10 codes; say of
each secondary diagnosis whether CMS lists it as MCC, CC or none, and whether it counts for this stay.
- principal diagnosis "decompensated HFrEF": acute on chronic systolic heart failure (I50.23)
- principal procedure "DES to the LAD": PCI with one drug-eluting stent (027034Z), counts
- "SpO2 84%, 4 L by NC": acute hypoxic respiratory failure (J96.01), MCC, counts
- "Cr rose from 1.1 to 2.4": acute kidney injury (N17.9), CC, does not count: an MCC already decides
- "HTN": hypertension (I10), none
- "no PE on CTA": pulmonary embolism (I26.99), not coded: ruled out
- severity: MCC by J96.01"""


# The paper's Differential Thinking: three DRGs are weighed before one is chosen.
DIFFERENTIAL = """

After these lines, weigh three MS-DRGs, the right one among them in any place: the stay as coded and two changes that would lead elsewhere.
- candidate: TITLE, if acute kidney injury (N17.9) were not coded
- candidate: TITLE, if acute tubular necrosis (N17.0) replaced N17.9
- candidate: TITLE, if so coded
Then decide, in a last line:
- DRG: TITLE"""
WEIGHED = 3
FORMS = {
    "cot_first": TASK,
    "differential": TASK.replace(", without naming it", ", naming it only among the candidates") + DIFFERENTIAL,
}


def request(case: dict, form: str = "cot_first") -> list[dict[str, str]]:
    """The chat messages that show the teacher a case and its DRG. `form`: one of FORMS."""
    question = messages(case["text"], "plain", case["drg_version"])[-1]["content"]
    return [{"role": "user", "content": FORMS[form].format(question=question, title=case["title"].upper())}]


def row(case: dict, answer: str | None, model: str, error: str = "", form: str = "cot_first") -> dict:
    """The SFT row of a teacher's answer with what the rules say of it. `answer` None: the server gave none, `error` says why."""
    reasoning = _reasoning(answer or "")
    verdict, faults = verdict_of(case, reasoning) if reasoning else ("no answer", [error or "the answer is empty"])
    if form == "differential" and verdict == "true" and (found := candidates(reasoning)) != WEIGHED:
        verdict, faults = "vague", [f"{found} MS-DRGs are weighed, not {WEIGHED}"]
    prompt = messages(case["text"], "plain", case["drg_version"])
    said = [{"role": "assistant", "content": compose(reasoning, case["title"].upper())}] if reasoning else None
    return {
        "case_id": case["note_id"],
        "prompt": prompt,
        "completion": said,
        "drg": case["drg"],
        "drg_version": case["drg_version"],
        "verdict": verdict,
        "faults": faults,
        "teacher": model,
        "trace_form": form,
        "credentialed": case["credentialed"],
    }


def candidates(reasoning: str) -> int:
    """How many different MS-DRGs a reasoning weighs."""
    return len({fold(line.title) for line in parse(reasoning) if line.kind == grammar.CANDIDATE})


def verdict_of(case: dict, reasoning: str) -> tuple[str, list[str]]:
    """One of VERDICTS, and the faults: line number and what is wrong.

    "true": every line is a claim and true. "false": some claim is not true. "vague": no claim is
    false, but some line is none that rules can check. "unchecked": the case lacks age or sex, without which nothing groups, or
    a code counts for a reason outside the grammar.
    """
    if case["age"] is None or case["sex"] is None:
        return "unchecked", ["the case has no age or sex"]
    lines = parse(reasoning)
    rules = case["drg_version"] if case["drg_version"] in VERSIONS else NEAREST_RULES
    checkable = [line for line in lines if line.kind != grammar.DRG]
    try:
        verdicts = check(checkable, case["text"], rules, _context(case, rules))
    except KeyError:  # claims.reason_of
        return "unchecked", ["the line grammar has no words for why one of these codes counts"]
    others = iter(verdicts)
    faults, vague = [], 0
    for number, line in enumerate(lines, start=1):
        if line.kind == grammar.DRG:
            found = [] if fold(line.title) == fold(case["title"]) else ["another DRG than the one on record"]
        else:
            judged = next(others)
            vague += judged.vague
            found = [] if judged.vague else list(judged.faults)
        faults += [f"line {number}: {fault}" for fault in found]
    if faults:
        return "false", faults
    return ("vague", [f"{vague} lines that rules cannot check"]) if vague else ("true", [])


def _context(case: dict, rules: str) -> Context:
    claim = claim_of(case, rules) if case["pdx"] else None
    codes = frozenset((claim.pdx, *claim.sdx, *claim.procedures)) if claim else None
    return Context(case["age"], case["sex"], case["discharge_status"] or 1, codes)


def _reasoning(answer: str) -> str:
    """The answer without a thinking model's own thoughts, and without our tags."""
    return TAG.sub("", answer.rpartition(THINK_CLOSE)[2].partition("<answer>")[0]).strip()


def cases(path: Path, subset: str | None, columns: list[str] = COLUMNS) -> Iterator[dict]:
    """The cases of a Parquet file, or those of a subset (a column of subsets.parquet beside it). SourceError if it has none."""
    import pyarrow.parquet as pq

    chosen = _subset(path.with_name("subsets.parquet"), subset) if subset else None
    try:
        table = pq.ParquetFile(path)
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path} is no Parquet file that can be read ({type(error).__name__}); give cases of data.mimic."
        ) from None
    missing = [name for name in COLUMNS if name not in table.schema_arrow.names]
    if missing:
        raise SourceError(f"{path} has no column {', '.join(missing)}; give cases of data.mimic or data.corpus.")
    for batch in table.iter_batches(BATCH, columns=columns):
        yield from (case for case in batch.to_pylist() if chosen is None or case["note_id"] in chosen)


def _subset(path: Path, name: str) -> set[str]:
    import pyarrow.parquet as pq

    if not path.is_file():
        raise SourceError(f"{path} does not exist; --subset needs it beside the cases.")
    table = pq.read_table(path)
    if name == "note_id" or name not in table.column_names:
        known = ", ".join(column for column in table.column_names if column != "note_id")
        raise SourceError(f"{path} has no subset {name}; there are {known}.")
    pairs = zip(table["note_id"].to_pylist(), table[name].to_pylist(), strict=True)
    return {note_id for note_id, value in pairs if value in (True, "sft")}


def finished(out: Path) -> set[str]:
    """case_ids of the rows written so far; a row that a crash cut off is removed from the file."""
    if not out.exists():
        return set()
    done, whole = set(), 0
    with out.open("rb") as lines:
        for line in lines:
            try:
                done.add(json.loads(line)["case_id"])
            except (ValueError, KeyError, TypeError):
                if line.endswith(b"\n"):
                    raise SourceError(
                        f"{out} holds other rows than this program's; name another file with --out."
                    ) from None
                break
            whole += len(line)
    os.truncate(out, whole)
    return done


def teach(
    source: Path, subset: str | None, server: Server, out: Path, parallel: int, form: str = "cot_first"
) -> Counter:
    """Ask for every case that has no row yet; append rows in the order of the cases. Returns how many have which verdict."""
    done = finished(out)
    counts: Counter = Counter()
    progress = Progress(
        "reasoning written", sum(case["note_id"] not in done for case in cases(source, subset, ["note_id"]))
    )
    waiting = (case for case in cases(source, subset) if case["note_id"] not in done)

    def ask(case: dict) -> dict:
        server.permit(case["credentialed"])
        try:
            return row(case, server.chat(request(case, form)), server.model, form=form)
        except Refused as refusal:
            return row(case, None, server.model, str(refusal), form)

    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w", encoding="utf-8") as file:
        for number, made in enumerate(in_threads(ask, waiting, parallel), start=1):
            file.write(json.dumps(made, ensure_ascii=False) + "\n")
            file.flush()
            counts[made["verdict"]] += 1
            progress.show(number)
    progress.end()
    return counts


def main(argv: list[str] | None = None) -> int:
    """Exit status 0 when all cases have a row, 2 when a source or the server cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m data.teacher", description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=Path, required=True, help="Parquet of cases, as data.mimic writes it")
    parser.add_argument(
        "--subset", help="a column of subsets.parquet beside the cases: cold_start, drg_small, sft_90 …"
    )
    parser.add_argument("--url", required=True, help="OpenAI-compatible server, such as http://localhost:8000/v1")
    parser.add_argument("--model", required=True, help="name of the model on the server")
    parser.add_argument("--out", type=Path, required=True, help="JSON Lines to write or to go on with")
    parser.add_argument(
        "--form",
        choices=FORMS,
        default="cot_first",
        help="differential: weigh three MS-DRGs first (default: cot_first)",
    )
    parser.add_argument("--parallel", type=int, default=16, help="requests under way at once (default: 16)")
    parser.add_argument(
        "--agreement",
        action="store_true",
        help="I assert that my data-use agreement allows sending credentialed notes to this server",
    )
    arguments = parser.parse_args(argv)
    try:
        server = Server(arguments.url, arguments.model, os.environ.get("SAPPHIRE_TEACHER_KEY"), arguments.agreement)
        counts = teach(arguments.cases, arguments.subset, server, arguments.out, arguments.parallel, arguments.form)
    except SourceError as error:
        print(error, file=sys.stderr)
        return 2
    print("  ".join(f"{verdict}: {counts[verdict]:,}" for verdict in VERDICTS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
