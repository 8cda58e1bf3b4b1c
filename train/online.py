"""Online difficulty filtering, which the paper leaves open: a group without signal gives its place to a case where signal is likelier.

Cases are seen once an epoch, so difficulty is estimated by DRG: the share p of right completions so far, from a prior of one
half. Where rewards hang on being right, their variance within a group is largest at p = 1/2, so cases are drawn by p (1 - p).
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence


class Estimate:
    """How often completions of each DRG were right; starts empty and is kept with each checkpoint."""

    def __init__(self, counts: dict[str, list[float]] | None = None):
        self.counts: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0], counts or {})  # right, all

    def learn(self, drgs: Iterable[str], right: Iterable[float]) -> None:
        for drg, value in zip(drgs, right, strict=True):
            count = self.counts[drg]
            count[0] += value
            count[1] += 1

    def signal(self, drg: str) -> float:
        """p (1 - p), above 0 and at most 1/4, which is what an unseen DRG has."""
        right, seen = self.counts.get(drg, (0.0, 0.0))
        share = (right + 1) / (seen + 2)
        return share * (1 - share)

    def draw(self, drgs: Sequence[str], count: int, chance: random.Random) -> list[int]:
        """Indices of `count` cases, given the DRG of each, by their signal; a case may come twice."""
        return chance.choices(range(len(drgs)), [self.signal(drg) for drg in drgs], k=count)
