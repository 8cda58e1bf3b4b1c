"""Which stays a corpus holds: how many cases each plan gets, with a floor for rare DRGs.

A DRG's share is what its plans weigh together, but not less than FLOOR of all cases; shares above the floor give what that takes,
in proportion. Cases are dealt to plans evenly spaced (systematic sampling), so that a rare DRG gets its floor and not a Poisson
number around it.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from random import Random

from data.corpus_plan import Plan

FLOOR = 0.0005  # of all cases; 25 of 50,000, because not every stay ends in the DRG that was planned


def shares(plans: Sequence[Plan]) -> dict[str, float]:
    """DRG → its share of all cases; they add up to 1."""
    weights: dict[str, float] = defaultdict(float)
    for plan in plans:
        weights[plan.drg] += plan.weight
    rare: set[str] = set()
    while True:
        rest = sum(weight for drg, weight in weights.items() if drg not in rare)
        left = max(1 - FLOOR * len(rare), 0.0)
        below = {drg for drg, weight in weights.items() if drg not in rare and weight / rest * left < FLOOR}
        if not below:
            return {drg: FLOOR if drg in rare else weight / rest * left for drg, weight in weights.items()}
        if len(rare | below) == len(weights):
            return dict.fromkeys(weights, 1 / len(weights))
        rare |= below


def deal(plans: Sequence[Plan], cases: int, seed: int) -> list[int]:
    """The index of the plan of each case, in the order of the cases."""
    share = shares(plans)
    total: dict[str, float] = defaultdict(float)
    for plan in plans:
        total[plan.drg] += plan.weight
    # Plans of one DRG stand together, so that even spacing gives each DRG its number.
    order = sorted(range(len(plans)), key=lambda i: (plans[i].drg, i))
    bounds = list(accumulate(share[plans[i].drg] * plans[i].weight / total[plans[i].drg] for i in order))
    rng = Random(f"deal {seed}")
    offset = rng.random()
    dealt = [
        order[min(bisect_right(bounds, (case + offset) / cases * bounds[-1]), len(order) - 1)] for case in range(cases)
    ]
    rng.shuffle(dealt)
    return dealt
