"""Stratified shares of cases: train and test, SFT and GRPO, DRG-Small and the cold start, all from one seed.

Which case falls into a share is decided by a hash of seed, purpose and case, so neither the order of rows nor the number of
processes changes it. Sizes follow the reference scripts: a share of n cases is rounded up, and DRGs get their part of it by
largest remainder.
"""

import math
from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import TypeVar

SEED = 42
TEST_SHARE = 0.10
RATIOS = (5, 25, 50, 75, 90, 95)  # per cent of train for SFT, the rest for GRPO (paper, Table 2)
COLD_START_SHARE, SMALL_SHARE = 0.01, 0.20  # DRG-Small is a share of what the rare DRGs and the cold start leave
SMALL_MINIMUM, RATIO_MINIMUM = 5, 2  # cases in train below which a DRG is rare for the one or the other

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Labelled:
    """What a split needs of a case. `patient` None counts as a patient of its own."""

    note_id: str
    patient: str | None
    drg: str


def drop_rare(cases: Sequence[Labelled], minimum: int) -> tuple[list[Labelled], list[Labelled]]:
    """The cases whose DRG has at least `minimum` of them, and the others."""
    counts = count(cases)
    kept = [case for case in cases if counts[case.drg] >= minimum]
    return kept, [case for case in cases if counts[case.drg] < minimum]


def test_by_case(cases: Sequence[Labelled], share: float = TEST_SHARE, seed: int = SEED) -> set[str]:
    """note_ids of the test side, stratified by DRG as in the paper: a patient may stand on both sides."""
    return draw(cases, share, f"{seed} test")


def test_by_patient(cases: Sequence[Labelled], share: float = TEST_SHARE, seed: int = SEED) -> set[str]:
    """note_ids of the test side, stratified by DRG as far as whole patients allow: a patient stands on one side.

    From the rarest DRG to the commonest, patients in hash order join the test side while their cases fit into what the DRG
    may still give. A patient with stays of several DRGs is placed by the rarest of them.
    """
    wanted = allot(count(cases), share, f"{seed} test")
    patients: dict[str, list[Labelled]] = defaultdict(list)
    for case in cases:
        patients[case.patient or case.note_id].append(case)
    members: dict[str, set[str]] = defaultdict(set)
    for patient, stays in patients.items():
        for stay in stays:
            members[stay.drg].add(patient)
    placed: set[str] = set()
    chosen: set[str] = set()
    for drg in sorted(members, key=lambda drg: (wanted[drg], drg)):
        for patient in in_order(members[drg] - placed, f"{seed} test {drg}"):
            placed.add(patient)
            needed = count(patients[patient])
            if all(number <= wanted[other] for other, number in needed.items()):
                chosen.add(patient)
                for other, number in needed.items():
                    wanted[other] -= number
    return {stay.note_id for patient in chosen for stay in patients[patient]}


def subsets(train: Sequence[Labelled], seed: int = SEED) -> dict[str, list]:
    """What each train case belongs to, in the order of `train`.

    `sft_5` … `sft_95`: "sft" or "grpo" in that per cent of train for SFT, None for a DRG with one case in train.
    `cold_start`: 1% for the ablations, and `drg_small`: 20% of what is left, both without DRGs of fewer than five cases.
    """
    common, rare = drop_rare(train, RATIO_MINIMUM)
    single = {case.note_id for case in rare}
    columns: dict[str, list] = {}
    for ratio in RATIOS:
        sft = draw(common, ratio / 100, f"{seed} sft {ratio}")
        columns[f"sft_{ratio}"] = [
            None if case.note_id in single else "sft" if case.note_id in sft else "grpo" for case in train
        ]
    common, _ = drop_rare(train, SMALL_MINIMUM)
    cold = draw(common, COLD_START_SHARE, f"{seed} cold start")
    rest = [case for case in common if case.note_id not in cold]
    small = draw(rest, SMALL_SHARE, f"{seed} small")
    return columns | {
        name: [case.note_id in ids for case in train] for name, ids in (("cold_start", cold), ("drg_small", small))
    }


def draw(cases: Sequence[Labelled], share: float, purpose: str) -> set[str]:
    """note_ids of a share of the cases, stratified by DRG."""
    numbers = allot(count(cases), share, purpose)
    by_drg: dict[str, list[str]] = defaultdict(list)
    for case in cases:
        by_drg[case.drg].append(case.note_id)
    return {note_id for drg, note_ids in by_drg.items() for note_id in in_order(note_ids, purpose)[: numbers[drg]]}


def allot(counts: dict[str, int], share: float, purpose: str) -> dict[str, int]:
    """How many of each DRG a share takes: its part rounded down, and what is missing to the whole (rounded up) to the largest
    remainders. A DRG never gives its last case while another can give one."""
    exact = {drg: number * share for drg, number in counts.items()}
    taken = {drg: math.floor(value) for drg, value in exact.items()}
    missing = math.ceil(round(sum(counts.values()) * share, 9)) - sum(taken.values())
    ranked = sorted(
        counts,
        key=lambda drg: (taken[drg] + 1 >= counts[drg], taken[drg] - exact[drg], _hash(purpose, drg)),
    )
    for drg in ranked[:missing]:
        taken[drg] += 1
    return taken


def count(cases: Iterable[Labelled]) -> dict[str, int]:
    """Cases of each DRG."""
    counts: dict[str, int] = defaultdict(int)
    for case in cases:
        counts[case.drg] += 1
    return dict(counts)


def in_order(keys: Iterable[Key], purpose: str) -> list[Key]:
    """The keys in an order that only their names and the purpose decide."""
    return sorted(keys, key=lambda key: _hash(purpose, str(key)))


def _hash(purpose: str, key: str) -> bytes:
    return blake2b(f"{purpose}\0{key}".encode(), digest_size=12).digest()
