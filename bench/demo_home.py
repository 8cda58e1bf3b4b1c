"""A home to be photographed: demo notes with the answers of two runs, and what made-up readers say of them.

The answers are the model's and the baseline's own. Readers, reviews and votes are **made up**: they are drawn from a seed around the
recorded DRG, so that the pages have something to show. Nobody of these names read these notes.
"""

import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from data.demo import cases
from data.demo import main as load_demo
from sapphire.balloting import ballots, open_ballot
from sapphire.engines import Sampling
from sapphire.exporting import RoundFilters, write_round
from sapphire.models import default_model
from sapphire.paths import database, exports_dir
from sapphire.preferences import BOTH_BAD, LEFT, RIGHT, TIE
from sapphire.profiles import Profile, save_profile
from sapphire.reasoning_checks import HOLDS
from sapphire.reviewing import Case, Form, checked, mark, open_case, save_draft, save_review
from sapphire.rewards import total
from sapphire.running import Runner
from sapphire.store import Store, open_store
from sapphire.store.comparisons import DIFFERENT, CaseFilters, Comparisons
from sapphire.taking_in import take_in
from sapphire.voting import Pair, draft, next_pair, open_pair, vote

ANA, BO, CHI = Profile("Ana Ruiz", "coder"), Profile("Bo Lindqvist", "cdi"), Profile("Chi Ng", "advisor")


@dataclass(frozen=True)
class Scene:
    """What the pages are asked to show: numbers of notes, and the runs, the baseline first."""

    review: int
    reward: int
    compare: int
    runs: tuple[str, str]


def fill(notes: int) -> Scene:
    """The home's database: demo notes, the answers of both runs to the first of them, made-up reviews and votes, one export."""
    if load_demo():
        raise SystemExit("The demo notes could not be loaded.")
    asked = cases()[:notes]
    store = open_store(database())
    for reader in (CHI, BO, ANA):
        save_profile(store, reader)
    names = [case["note_id"] for case in asked]
    runs = baseline(store, asked), model(store, names)
    comparisons = Comparisons(store)
    chosen = picked(store, names)
    review(store, [name for name in names if name not in chosen], chosen[0])
    differing = comparisons.first(runs, CaseFilters(agreements=DIFFERENT))
    ballot(store, comparisons, runs, "different DRG" if differing else "any")
    write_round(store, RoundFilters(with_text=True), ANA.name, exports_dir())
    compared = differing or comparisons.first(runs, CaseFilters())
    scene = Scene(*(comparisons.note_named(name)["seq"] for name in chosen), compared["note_seq"], runs)
    store.close()
    return scene


def baseline(store: Store, asked: list[dict]) -> str:
    """The answers of the condition index, as a file of `train.evaluate` brings them in; returns the run."""
    from train.evaluate import Job, evaluate

    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "demo.jsonl")
        data.write_text("".join(json.dumps(case) + "\n" for case in asked))
        rows = evaluate(Job("baseline:conditions", data, Sampling(constrained=False)), Path(folder, "rows.parquet"))
        return take_in(store, rows, ANA.name).runs[0]


def model(store: Store, names: list[str]) -> str:
    """The answers of the default model, as the app asks for them; returns the run."""
    from tqdm import tqdm

    card, runner = default_model(), Runner(store)
    run = runner.start(names, card.name, card.location, Sampling(timeout=600), ANA.name)  # the machine may be busy
    with tqdm(total=run.total, unit=" notes", desc=card.name) as bar:
        while run.active:
            time.sleep(0.2)
            bar.update(run.done - bar.n)
        bar.update(run.done - bar.n)
    runner.close()
    if run.state != "finished" or run.failed:
        raise SystemExit(f"{card.name} failed at {run.failed} of {run.total} notes. {run.message}")
    return run.run_id


def picked(store: Store, names: list[str]) -> tuple[str, str]:
    """The notes of two pictures. The review: right, by steps that bear the answer out, as many as the page shows without scrolling. The
    reward: an answer that is partly right, else the next best."""
    answered = [open_case(store, name, ANA.name) for name in names]
    shown = max(answered, key=clearness).note["note_id"]
    others = [case for case in answered if case.note["note_id"] != shown]
    partly = max(others, key=lambda case: (0 < total(case.terms) < 2, right(case)))
    return shown, partly.note["note_id"]


def clearness(case: Case) -> tuple:
    """How well a case shows what a review is: four steps and the form below them fit into the window."""
    found = checked(case)
    held = sum(step.state == HOLDS for step in found.steps)
    return right(case), 0 < held == len(found.steps), found.drg == case.predicted, held if held <= 4 else 0


def right(case: Case) -> bool:
    return case.predicted is not None and case.predicted == case.gold


def judged(case: Case, random: Random) -> Form:
    """What a made-up reader says of an answer: the recorded DRG is right, the ratings lie around what that suggests."""
    verdicts = tuple("right" if step.state == HOLDS else "wrong" for step in checked(case).steps)
    around = 4 if right(case) else 2
    helpfulness, accuracy = (max(1, min(5, around + random.choice((-1, 0, 0, 1)))) for _ in range(2))
    form = Form(right(case), helpfulness=helpfulness, accuracy=accuracy, step_verdicts=verdicts)
    if form.drg_right:
        return form
    decision = random.choice(("change", "change", "query"))
    kind = "base" if case.predicted is None or case.predicted.base_id != case.gold.base_id else "severity"
    return replace(form, drg=case.gold.drg, error_category=kind, decision=decision)


def review(store: Store, names: list[str], drafted: str) -> None:
    """Three readers save reviews, so that some cases are read by all and some are left; one review is a draft yet."""
    random, third = Random(0), max(1, len(names) // 3)
    for reader, read in ((ANA, names[: 2 * third]), (BO, names[third // 2 : 2 * third]), (CHI, names[: third + 1])):
        for name in read:
            case = open_case(store, name, reader.name)
            mark(store, case, reader, "opened")
            mark(store, case, reader, "revealed")
            save_review(store, case, reader, judged(case, random))
    mark(store, open_case(store, names[-1], ANA.name), ANA, "flagged")
    case = open_case(store, drafted, ANA.name)
    mark(store, case, ANA, "revealed")
    save_draft(store, case, ANA, judged(case, random))


def ballot(store: Store, comparisons: Comparisons, runs: tuple[str, str], pool: str) -> None:
    """A ballot between the runs: two readers vote for what was recorded, the third has made up her mind."""
    open_ballot(store, comparisons, "First reading", runs, ANA.name, pool)
    known, random = ballots(store)[0], Random(0)
    for reader in (BO, CHI):
        while pair := next_pair(store, comparisons, known, reader, random):
            say(store, pair, reader)
            vote(store, open_pair(store, pair.pair_id), reader)
    if pair := next_pair(store, comparisons, known, ANA, random):
        say(store, pair, ANA)


def say(store: Store, pair: Pair, reader: Profile) -> None:
    recorded = {case["note_id"]: case["drg"] for case in cases()}[pair.note["note_id"]]
    left, right_ = (answer.drg is not None and answer.drg.drg == recorded for answer in (pair.left, pair.right))
    verdict = {(True, False): LEFT, (False, True): RIGHT, (True, True): TIE}.get((left, right_), BOTH_BAD)
    draft(store, pair, reader, verdict, ["principal", "evidence"] if left != right_ else [], "")
