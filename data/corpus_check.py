"""Check the knowledge tables: codes, levels, grouping, wordings, references, and which DRGs they reach.

Called as `python -m data.corpus_tables`. Exit status 1 when there are errors. References to records that nobody has written yet
are listed apart, because several people write at once; checking everything counts them as errors.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from random import Random

from data.corpus_lookup import level, show_codes
from data.corpus_phrase import GIVEN, Phrase, Pool
from data.corpus_plan import Plan, plans, procedure_ids
from data.corpus_tables import DISPOSITIONS, KNOWLEDGE, SETTINGS, Condition, Procedure, Tables, TablesError, read_tables
from sapphire.drg.codebook import MDC_TITLES, codebook
from sapphire.drg.icd import diagnosis_title, procedure_title
from sapphire.drg.rules import is_valid

MIN_WORDS = {"principal": (8, 3), "secondary": (5, 2), "procedure": (5, 2)}
POOLS = ("story", "booked", "findings", "care", "ruled_out_by")
VERSION = codebook().version


def _highest(record: Condition | Procedure) -> str:
    """The highest level among the codes of a record's first option ("" for a procedure)."""
    if isinstance(record, Procedure):
        return ""
    return min((level(code) for code in record.codings[0].codes), key=("MCC", "CC", "none").index)


def check(tables: Tables) -> Iterator[tuple[str, str, str]]:
    """(file, record, what is wrong and what to do), over all records."""
    for record in (*tables.conditions.values(), *tables.procedures.values()):
        for problem in _problems(record):
            yield record.file, record.id, problem
    for condition in tables.principals:
        for problem in _grouping_problems(tables, condition):
            yield condition.file, condition.id, problem
    yield from _shared_words(tables)
    yield from _leaks(tables)


def _problems(record: Condition | Procedure) -> Iterator[str]:
    kind = getattr(record, "kind", "procedure")
    title = procedure_title if kind == "procedure" else diagnosis_title
    codes = [code for coding in record.codings for code in coding.codes]
    bad = [
        c
        for c in codes
        if title(c) is None or not is_valid(c, "procedure" if kind == "procedure" else "diagnosis", VERSION)
    ]
    if bad:
        yield f"{', '.join(bad)}: no billable code of FY 2026; look with --code {bad[0][:3]} or --title"
    elif getattr(record, "level", "") not in ("", cms := _highest(record)):
        yield f"level: {record.level} is written, CMS says {cms} for {', '.join(codes)} ({title(codes[0])})"
    for name, phrases, least in zip(
        ("train", "test"), (record.words.train, record.words.test), MIN_WORDS[kind], strict=True
    ):
        if len(phrases) < least:
            yield f"words: {len(phrases)} {name} wordings; a {kind} needs {least}"
    yield from _slot_problems(record)
    yield from _containment(record)
    if isinstance(record, Condition):
        yield from _condition_problems(record)


def _slot_problems(record: Condition | Procedure) -> Iterator[str]:
    given = set.intersection(*({*coding.slots} for coding in record.codings)) | (GIVEN - {"side"})
    for field in ("name", "words", *POOLS):
        value = getattr(record, field, None)
        phrases = [value] if isinstance(value, Phrase) else value.phrases if value else ()
        for phrase in phrases:
            if unknown := phrase.needs() - given:
                yield f"{field}: the slot {{{', '.join(sorted(unknown))}}} of {phrase.text!r} is set by no option of `code:`"


def _containment(record: Condition | Procedure) -> Iterator[str]:
    old = [form for phrase in (*record.words.train, record.name) for form in phrase.forms()]
    for phrase in record.words.test:
        for form in phrase.forms():
            if shared := next((text for text in old if form in text or (text in form and len(text) > 4)), None):
                yield f"test wording {phrase.text!r} and the train wording or name {shared.strip()!r} contain each other; word it anew"
                break


def _condition_problems(record: Condition) -> Iterator[str]:
    pools = {field: getattr(record, field) for field in POOLS}
    if booked := pools.pop("booked"):
        if not record.procedures:
            yield "booked: no procedure to come for; such a story belongs to `story`"
        if not (record.story.train and record.story.test):
            yield "booked: `story` needs a train and a test phrase for stays without the procedure"
        pools["story"] = Pool(record.story.train + booked.train, record.story.test + booked.test)
    for field, found in pools.items():
        if found and not (len(found.train) >= 2 and found.test):
            yield f"{field}: needs 2 train phrases and 1 test phrase, has {len(found.train)} and {len(found.test)}"
    if record.kind == "principal" and not (record.findings and record.care):
        yield "a principal condition needs findings and care"
    for field in ("procedures", "severity", "goes"):
        if sum(getattr(record, field).values()) > 1.0001:
            yield f"{field}: the shares add up to {sum(getattr(record, field).values()):.2f}; they may not exceed 1"
    if unknown := set(record.goes) - set(DISPOSITIONS):
        yield f"goes: {', '.join(unknown)} unknown; write one of {', '.join(DISPOSITIONS)}"
    if unknown := set(record.pool) - set(SETTINGS):
        yield f"pool: {', '.join(unknown)} unknown; write one of {', '.join(SETTINGS)}"
    for field in ("history", "family"):
        code = getattr(record, field)
        if code not in ("", "none") and diagnosis_title(code) is None:
            yield f"{field}: {code} is no billable code of FY 2026"


def _grouping_problems(tables: Tables, record: Condition) -> Iterator[str]:
    wanted = record.mdc
    reached = Counter(plan.drg for plan in plans(tables, record))
    book = codebook().drgs
    if bad := sorted(set(reached) - set(book) | set(reached) & {"998", "999"}):
        yield f"groups to {', '.join(bad)}: ungroupable as a principal diagnosis, or sex or age do not fit"
    medical = [plan for plan in plans(tables, record) if not plan.procedures and plan.drg in book]
    if medical and not any(book[plan.drg].mdc == wanted for plan in medical):
        yield f"mdc: the file says {wanted}, the grouper {book[medical[0].drg].mdc} ({MDC_TITLES[book[medical[0].drg].mdc]})"


def _shared_words(tables: Tables) -> Iterator[tuple[str, str, str]]:
    owners: dict[str, list[Condition | Procedure]] = defaultdict(list)
    for record in (*tables.conditions.values(), *tables.procedures.values()):
        for form in {form for phrase in record.words.phrases for form in phrase.forms(ranges=True)}:
            owners[form].append(record)
    for form, records in owners.items():
        if len(records) > 1:
            ids = ", ".join(record.id for record in records)
            for record in records:
                yield record.file, record.id, f"the wording {form.strip()!r} names several records: {ids}"


def _leaks(tables: Tables) -> Iterator[tuple[str, str, str]]:
    """Test phrases that stand in a train phrase of any record or of the style tables."""

    def pools(record) -> Iterable[Pool]:
        return (found for name in ("words", *POOLS) if (found := getattr(record, name, None)))

    records = (*tables.conditions.values(), *tables.procedures.values())
    train = "\n".join(form for r in records for p in pools(r) for phrase in p.train for form in phrase.forms())
    for record in records:
        for phrase in (phrase for found in pools(record) for phrase in found.test):
            if shared := next((form for form in phrase.forms() if form in train), None):
                yield (
                    record.file,
                    record.id,
                    f"the test phrase {shared.strip()!r} stands in a train phrase; word it anew",
                )


def open_references(tables: Tables) -> dict[str, set[str]]:
    """Ids named somewhere that no record has → the records that name them."""
    missing: dict[str, set[str]] = defaultdict(set)
    for record in tables.conditions.values():
        for name in (*record.with_, *record.differential, *record.rivals, *record.siblings):
            if name not in tables.conditions:
                missing[name].add(record.id)
        for name in (part for key in (*record.procedures, *record.extras) for part in procedure_ids(key)):
            if name not in tables.procedures:
                missing[f"{name} (procedure)"].add(record.id)
    return missing


def reachable(tables: Tables) -> dict[str, set[str]]:
    """DRG → ids of the principal conditions that reach it."""
    out: dict[str, set[str]] = defaultdict(set)
    for plan in all_plans(tables):
        out[plan.drg].add(plan.condition)
    return out


def all_plans(tables: Tables) -> list[Plan]:
    return [plan for condition in tables.principals for plan in plans(tables, condition)]


def sample_lines(tables: Tables, name: str, count: int = 10) -> Iterator[str]:
    rng = Random(1)
    records = [r for r in (*tables.conditions.values(), *tables.procedures.values()) if not name or r.file == name]
    for record in rng.sample(records, min(count, len(records))):
        slots = {
            **rng.choice(record.codings).slots,
            "age": "67",
            "man": "woman",
            "he": "she",
            "his": "her",
            "him": "her",
        }
        fields = [f for f in ("story", "words", "findings", "care") if getattr(record, f, None)]
        drawn = (rng.choice(getattr(record, f).phrases).render(rng, slots) for f in fields)
        yield f"  {record.id} [{record.name.render(rng, slots)}]: {' | '.join(drawn)}"


def _show_drgs(tables: Tables, only: str) -> None:
    reached, book = reachable(tables), codebook().drgs
    for mdc in dict.fromkeys(drg.mdc for drg in book.values()):
        if only and mdc != only:
            continue
        members = [drg for drg in book.values() if drg.mdc == mdc]
        print(
            f"\nMDC {mdc or '-'} {MDC_TITLES[mdc]}: {sum(d.drg in reached for d in members)} of {len(members)} DRGs reached"
        )
        for drg in members:
            by = ", ".join(sorted(reached[drg.drg])[:4]) if drg.drg in reached else "-"
            print(f"  {drg.drg} {drg.title[:90]}: {by}")
    print(f"\n{len(reached)} DRGs reached by {len(tables.principals)} principal conditions")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m data.corpus_tables", description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="show the findings of this file only")
    parser.add_argument(
        "--drgs", nargs="?", const="", metavar="MDC", help="which DRGs the tables reach, in one MDC or all"
    )
    parser.add_argument("--drg", help="the records that reach this DRG")
    parser.add_argument("--code", default="", help="codes that begin so, with title and CMS level")
    parser.add_argument("--title", default="", help="codes whose official title holds these words")
    options = parser.parse_args(arguments)
    if options.code or options.title:
        show_codes(options.code, options.title)
        return 0
    try:
        tables, problems = read_tables()
    except TablesError as error:
        print(error)
        return 1
    if options.drg:
        print("\n".join(sorted(reachable(tables).get(options.drg, {"no record reaches it"}))))
        return 0
    if options.drgs is not None:
        _show_drgs(tables, options.drgs)
        return 0
    return _report(tables, problems, options.file)


def _report(tables: Tables, problems: list[str], path: str | None) -> int:
    name = "/".join(path.rsplit("/", 2)[-2:]) if path else ""
    if name and not (KNOWLEDGE / name).exists():
        print(f"{path} is not under data/knowledge; name a file of principal/, secondary/ or procedures/")
        return 1
    errors = [p for p in problems if p.startswith(name)]
    errors += [f"{file}: {record}: {text}" for file, record, text in check(tables) if file.startswith(name)]
    missing = open_references(tables)
    print("\n".join(errors))
    if not name and missing:
        errors += list(missing)
    for reference, users in sorted(missing.items()):
        if not name or users & {r.id for r in tables.conditions.values() if r.file == name}:
            print(f"open reference {reference}: named by {', '.join(sorted(users))}; nobody has written it yet")
    counts = Counter(condition.kind for condition in tables.conditions.values())
    print("Samples:", *sample_lines(tables, name), sep="\n")
    print(
        f"{counts['principal']} principal, {counts['secondary']} secondary conditions, {len(tables.procedures)} procedures"
    )
    print(f"{len(errors)} errors{' in ' + name if name else ''}")
    return 1 if errors else 0
