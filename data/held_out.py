"""What the words of the training notes by hand speak for, by classifiers that never saw them.

    leanings(note_id) -> {base DRG's title: Leaning} | None     # None for a note that the shipped classifier did not learn from

A training prompt shows these instead of what `sapphire/drg/leanings.py` says: that learnt from these very notes, so with it the first candidate's
base DRG is right for 91% of them, and for 60% of notes by hand that it never saw. A model trained on such prompts would
learn to repeat the first candidate. `data/natural/held_out.npz` is made by `python -m data.fit_ranking`.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np

from sapphire.drg.grounding import UNLIKE
from sapphire.drg.leanings import Classifier, Leaning, packed, unpacked

TABLE = Path(__file__).parent / "natural" / "held_out.npz"


def save(notes: Sequence[tuple[str, Mapping[str, Leaning]]], known: Classifier, path: Path = TABLE) -> None:
    """Note_ids with their leanings; bases and their codes are those of the shipped classifier."""
    scores = [[said[base].score if base in said else UNLIKE for base in known.bases] for _, said in notes]
    np.savez_compressed(
        path,
        notes=packed(note_id for note_id, _ in notes),
        bases=packed(known.bases),
        codes=packed(known.codes),
        scores=np.array(scores, np.float16),
    )


@cache
def _table(path: Path = TABLE) -> tuple[dict[str, np.ndarray], tuple[str, ...], tuple[str, ...]]:
    with np.load(path) as table:
        notes = dict(zip(unpacked(table["notes"]), table["scores"].astype(np.float32), strict=True))
        return notes, unpacked(table["bases"]), unpacked(table["codes"])


def leanings(note_id: str) -> dict[str, Leaning] | None:
    notes, bases, codes = _table()
    if note_id not in notes:
        return None
    return dict(zip(bases, map(Leaning, notes[note_id].tolist(), codes), strict=True))
