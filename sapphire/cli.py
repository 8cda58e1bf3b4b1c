"""`sapphire …`: the same jobs as the pages, on the command line.

Each subcommand is a function that adds its parser and a function that runs it and returns the exit status. What a
subcommand needs is imported inside the latter, so that `sapphire --help` is quick.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from sapphire.cli_database import add_export, add_import, add_import_predictions
from sapphire.cli_predict import add_predict


class Parser(argparse.ArgumentParser):
    """An argument parser that says what is wrong in one line instead of printing the whole usage."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(prog="sapphire", description="MS-DRG coding from clinical notes: predict, check, review, export.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (add_import, add_import_predictions, add_predict, add_export, add_group):
        add(commands)
    args = parser.parse_args(argv)
    try:
        # A title may hold letters that a plain terminal cannot show.
        sys.stdout.reconfigure(errors="replace")
        return args.run(args)
    except BrokenPipeError:
        # The reader, `head` for one, has seen enough; Python would complain once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130


def fail(message: str) -> int:
    print(f"sapphire: {message}", file=sys.stderr)
    return 2


def add_group(commands) -> None:
    parser = commands.add_parser(
        "group",
        help="group claims to MS-DRGs by CMS's rules, and say which codes count",
        description="Group one claim given by its codes, or a file of claims, by CMS's rules.",
    )
    one = parser.add_argument_group("one claim")
    one.add_argument("--pdx", metavar="CODE", help="principal diagnosis, ICD-10-CM, with or without dot")
    one.add_argument("--sdx", metavar="CODE", action="extend", nargs="+", default=[], help="secondary diagnoses")
    one.add_argument("--proc", metavar="CODE", action="extend", nargs="+", default=[], help="procedures, ICD-10-PCS")
    one.add_argument("--age", type=int, help="years at admission")
    one.add_argument("--sex", help="M, F or U (unknown)")
    one.add_argument("--status", type=int, default=1, help="discharge status: 1 home (default), 20 died, …")
    one.add_argument(
        "--poa",
        metavar="YNUW",
        action="extend",
        nargs="+",
        default=[],
        help="present on admission: one letter a diagnosis, the principal's first, . where not known (YYN or Y Y N)",
    )
    one.add_argument("--hospital-status", metavar="STATUS", help="EXEMPT or NOT_EXEMPT from POA reporting, or UNKNOWN")
    one.add_argument("--version", help="MS-DRG version, 36 to 43.1 (default 43.1)")
    parser.add_argument(
        "--file", metavar="FILE", help="claims as JSON Lines, - for standard input; one line out a claim"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run_group)


def run_group(args: argparse.Namespace) -> int:
    from sapphire.drg.grouper import ClaimError, claim_from, group

    if args.file is not None:
        return _group_file(args) if args.pdx is None else fail("give either --file or --pdx, not both.")
    record = {
        "pdx": args.pdx,
        "sdx": _codes(args.sdx),
        "procedures": _codes(args.proc),
        "age": args.age,
        "sex": args.sex,
        "discharge_status": args.status,
        "poa": [letter.replace(".", "") for word in args.poa for letter in word.replace(",", "")],
        "hospital_status": args.hospital_status,
        "version": args.version,
    }
    try:
        grouping = group(claim_from(record))
    except ClaimError as unfit:
        return fail(str(unfit))
    print(_as_json(grouping) if args.json else _as_text(grouping))
    return 0


def _codes(words: list[str]) -> list[str]:
    return [code for word in words for code in word.split(",") if code.strip()]


def _group_file(args: argparse.Namespace) -> int:
    import json
    from contextlib import nullcontext

    from sapphire.claim_lines import answers

    try:
        with nullcontext(sys.stdin.buffer) if args.file == "-" else open(args.file, "rb") as source:
            if b"\0" in source.peek(1024)[:1024]:
                return fail(f"{args.file} is not a text file; give claims as JSON Lines, one object a line.")
            for found in answers(source):
                print(json.dumps(found) if args.json else _line(found))
    except BrokenPipeError:
        raise  # what broke is the way out, not the file
    except OSError as broken:
        return fail(f"{args.file} cannot be read: {broken.strerror}.")
    return 0


def _line(found: dict) -> str:
    return f"{found['id']}\t{found['drg']}\t{found['title'] or 'not grouped'}\t{found['error'] or ''}".rstrip()


def _as_json(grouping) -> str:
    import dataclasses
    import json

    return json.dumps(dataclasses.asdict(grouping), indent=2)


def _as_text(grouping) -> str:
    known = [f"weight {grouping.weight:.4f}", f"GMLOS {grouping.gmlos} days"] if grouping.weight is not None else []
    mdc = f"MDC {grouping.mdc} {grouping.mdc_title}".strip() if grouping.mdc else "no MDC"
    lines = [
        f"MS-DRG {grouping.drg}  {grouping.title}",
        "  " + ", ".join([mdc, *([grouping.type] if grouping.type else []), *known]),
        f"  base: {grouping.base}; severity: {grouping.level}",
        f"  version {grouping.version}{' (approximate)' if grouping.approximate else ''}, "
        f"return code {grouping.return_code}, POA reporting {grouping.hospital_status}",
        "",
        "Diagnoses",
        f"  pdx    {grouping.principal.code:8}      {_named(grouping.principal)}",
        *(line for diagnosis in grouping.diagnoses for line in _diagnosis_lines(diagnosis)),
    ]
    if grouping.procedures:
        lines += [
            "",
            "Procedures",
            *(line for procedure in grouping.procedures for line in _procedure_lines(procedure)),
        ]
    return "\n".join([*lines, "", *(f"Note: {remark}" for remark in grouping.remarks)]).rstrip()


def _mark(code) -> str:
    return "sole" if code.sole else "counts" if code.counts else "-"


def _named(diagnosis) -> str:
    return (diagnosis.title or "(no title)") + (f" (POA {diagnosis.poa})" if diagnosis.poa else "")


def _diagnosis_lines(diagnosis) -> list[str]:
    level = diagnosis.level if diagnosis.level != "none" else ""
    return [f"  {_mark(diagnosis):7}{diagnosis.code:8} {level:4} {_named(diagnosis)}", f"{'':23}{diagnosis.why}"]


def _procedure_lines(procedure) -> list[str]:
    kind = "O.R." if procedure.is_or else ""
    changed = f"; without it the DRG is {procedure.drg_without}" if procedure.sole else ""
    return [f"  {_mark(procedure):7}{procedure.code:8} {kind:4} {procedure.title or '(no title)'}{changed}"]


if __name__ == "__main__":
    sys.exit(main())
