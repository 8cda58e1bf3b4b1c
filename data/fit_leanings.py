"""Fit the classifier of `sapphire/drg/leanings.py` on notes whose DRG is known, and score each note by a classifier that never saw it."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from sapphire.drg.leanings import Classifier, Labels, Leanings, words

KEPT = 200_000  # weights; none of the others matters (cross-validated)
COMMON = 2  # notes in which a word must stand


class Labelled(NamedTuple):
    """`fold` is the part of the notes that is scored together, by what learnt from the other parts."""

    text: str
    base: str
    mdc: str
    level: str
    surgical: bool
    pdx: str
    weight: float
    fold: int


def fit(notes: Sequence[Labelled]) -> Classifier:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    counted = TfidfVectorizer(analyzer=words, sublinear_tf=True, min_df=COMMON, dtype=np.float32)
    x = counted.fit_transform([each.text for each in notes])
    importance = [each.weight for each in notes]

    def machine(labels: Sequence) -> LinearSVC:
        return LinearSVC(random_state=0).fit(x, labels, sample_weight=importance)

    by_base, by_mdc = machine([each.base for each in notes]), machine([each.mdc for each in notes])
    by_level, operated = machine([each.level for each in notes]), machine([each.surgical for each in notes])
    machines = (by_base, by_mdc, by_level, operated)
    weights = np.concatenate([each.coef_ for each in machines]).T  # words x labels
    least = np.partition(np.abs(weights), -KEPT, axis=None)[-KEPT] if weights.size > KEPT else 0.0
    kept = np.abs(weights) >= least
    owners = np.nonzero(kept)[1]
    first: dict[str, Counter[str]] = defaultdict(Counter)
    for each in notes:
        first[each.base][each.pdx] += each.weight
    bases, mdcs, levels = (tuple(each.classes_.tolist()) for each in machines[:-1])
    codes = tuple(first[base].most_common(1)[0][0] for base in bases)
    return Classifier(
        vocabulary={word: int(i) for word, i in sorted(counted.vocabulary_.items(), key=lambda item: item[1])},
        labels=Labels(bases, codes, mdcs, levels),
        rarity=counted.idf_.astype(np.float32),
        bias=np.concatenate([each.intercept_ for each in machines]).astype(np.float32),
        starts=np.concatenate([[0], kept.sum(1).cumsum()]),
        owners=owners,
        weights=weights[kept].astype(np.float32),
    )


def out_of_fold(notes: Sequence[Labelled], wanted: Collection[str]) -> dict[str, Leanings]:
    """Text → leanings by the classifier of the other folds, for the wanted texts."""
    folds = sorted({each.fold for each in notes})
    with ProcessPoolExecutor(2) as pool:
        known = pool.map(fit, ([each for each in notes if each.fold != fold] for fold in folds))
        by_fold = dict(zip(folds, known, strict=True))
    return {each.text: by_fold[each.fold].leanings(each.text) for each in notes if each.text in wanted}
