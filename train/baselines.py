"""What a model is to be better than, and the ceiling: answers without a language model, by the names `baseline:NAME`.

Each function takes what it learns from and gives a function from a note to its answer. None is ever shown a label but `codes`,
which is the ceiling: the grouper on the stay's own codes.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sapphire.drg.codebook import CodeBook
from sapphire.drg.grouper import ClaimError, claim_from, drg_of
from sapphire.notes import Note
from sapphire.scoring import gold_drg, note_input


class Answer(NamedTuple):
    """A DRG of the version asked for, or None; how it came about, in a sentence; its probability where one is known."""

    drg: str | None
    why: str
    confidence: float | None = None


Baseline = Callable[[Note], Answer]


def majority(training: Sequence[Note], book: CodeBook) -> Baseline:
    """The commonest DRG of the training cases, for every note."""
    (drg, count), *_ = _labels(training, book).most_common(1)
    answer = Answer(drg, "The commonest DRG of the training cases.", count / len(training))
    return lambda note: answer


def tfidf(training: Sequence[Note], book: CodeBook) -> Baseline:
    """A linear classifier of the note's words and pairs of words, weighted by rarity: LinearSVC on TF-IDF, at scikit-learn's defaults."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import LinearSVC

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2, max_features=200_000)
    classifier = make_pipeline(words, LinearSVC(random_state=0))
    classifier.fit([note_input(note) for note in training], [gold_drg(note, book).drg for note in training])
    why = "Chosen by the note's words with a linear classifier."
    return lambda note: Answer(str(classifier.predict([note_input(note)])[0]), why)


def conditions(training: Sequence[Note], book: CodeBook) -> Baseline:
    """What the condition index finds in the note, grouped; it learns nothing from `training`."""
    from sapphire.drg.grounding import baseline

    def answer(note: Note) -> Answer:
        drg, candidates = baseline(note_input(note), book.version, note.age, note.sex, note.discharge_status)
        why = "Grouped from what the condition index finds in the note."
        return Answer(drg, why, candidates[0].probability if candidates else None)

    return answer


def codes(training: Sequence[Note], book: CodeBook) -> Baseline:
    """The DRG of the stay's own codes, the ceiling of coding by rules; None where they cannot be grouped."""

    def answer(note: Note) -> Answer:
        record = {"pdx": note.pdx, "sdx": note.sdx, "procedures": note.procedures, "poa": note.poa, "age": note.age}
        record |= {"sex": note.sex, "discharge_status": note.discharge_status or 1, "version": book.version}
        try:
            drg = drg_of(claim_from(record))[0]
        except ClaimError as unfit:
            return Answer(None, str(unfit))
        return Answer(drg if drg in book.drgs else None, "Grouped from the stay's own codes.")

    return answer


BASELINES: dict[str, Callable[[Sequence[Note], CodeBook], Baseline]] = {
    "majority": majority,
    "tfidf": tfidf,
    "conditions": conditions,
    "codes": codes,
}
LEARNING = ("majority", "tfidf")  # need --train


def _labels(training: Sequence[Note], book: CodeBook) -> Counter[str]:
    return Counter(gold_drg(note, book).drg for note in training)
