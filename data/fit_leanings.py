"""Fit the classifier of `sapphire/drg/leanings.py` on notes whose DRG is known, and score each note by a classifier that never saw it."""

from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from sapphire.drg.leanings import Classifier, Leaning, words

KEPT = 150_000  # weights; half as many do as well (cross-validated), none of the others matters
COMMON = 2  # notes in which a word must stand


class Labelled(NamedTuple):
    """`fold` is the part of the notes that is scored together, by what learnt from the other parts."""

    text: str
    base: str
    pdx: str
    weight: float
    fold: int


def fit(notes: Sequence[Labelled]) -> Classifier:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    counted = TfidfVectorizer(analyzer=words, sublinear_tf=True, min_df=COMMON, dtype=np.float32)
    x = counted.fit_transform([each.text for each in notes])
    machine = LinearSVC(random_state=0)
    machine.fit(x, [each.base for each in notes], sample_weight=[each.weight for each in notes])
    weights = machine.coef_.T  # V words x B bases
    least = np.partition(np.abs(weights), -KEPT, axis=None)[-KEPT] if weights.size > KEPT else 0.0
    kept = np.abs(weights) >= least
    owners = np.nonzero(kept)[1]
    first: dict[str, Counter[str]] = defaultdict(Counter)
    for each in notes:
        first[each.base][each.pdx] += each.weight
    bases = tuple(machine.classes_.tolist())
    return Classifier(
        vocabulary={word: int(i) for word, i in sorted(counted.vocabulary_.items(), key=lambda item: item[1])},
        bases=bases,
        codes=tuple(first[base].most_common(1)[0][0] for base in bases),
        rarity=counted.idf_.astype(np.float32),
        bias=machine.intercept_.astype(np.float32),
        starts=np.concatenate([[0], kept.sum(1).cumsum()]),
        owners=owners,
        weights=weights[kept].astype(np.float32),
    )


def out_of_fold(notes: Sequence[Labelled], wanted: Collection[str]) -> dict[str, dict[str, Leaning]]:
    """Text → leanings by the classifier of the other folds, for the wanted texts."""
    folds = sorted({each.fold for each in notes})
    with ProcessPoolExecutor(2) as pool:
        known = pool.map(fit, ([each for each in notes if each.fold != fold] for fold in folds))
        by_fold = dict(zip(folds, known, strict=True))
    return {each.text: by_fold[each.fold].leanings(each.text) for each in notes if each.text in wanted}
