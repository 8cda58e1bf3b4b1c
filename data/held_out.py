"""What the words of the training notes by hand speak for, by classifiers that never saw them.

    leanings(note_id) -> Leanings | None     # None for a note that the shipped classifier did not learn from

A training prompt shows these instead of what `sapphire/drg/leanings.py` says: that learnt from these very notes, so with it the first candidate's
base DRG is right for 98% of them, and for 78% with classifiers that never saw the note or another of its writer. A model trained on such prompts would
learn to repeat the first candidate. `data/natural/held_out.npz` is made by `python -m data.fit_ranking`.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from sapphire.drg.grounding import UNLIKE
from sapphire.drg.leanings import Labels, Leanings, packed, unpacked

STEPS = 64  # of one byte in a score of 1; most are between -1 and 1
TABLE = Path(__file__).parent / "natural" / "held_out.npz"


def save(notes: Sequence[tuple[str, Leanings]], labels: Labels, path: Path = TABLE) -> None:
    """Note_ids with their leanings; `labels` are those of the shipped classifier."""
    np.savez_compressed(
        path,
        notes=packed(note_id for note_id, _ in notes),
        scores=np.round(np.array([_scores(said, labels) for _, said in notes]) * STEPS).clip(-128, 127).astype(np.int8),
        **labels.packed(),
    )


def _scores(said: Leanings, labels: Labels) -> list[float]:
    return [
        *(said.bases[base].score if base in said.bases else UNLIKE for base in labels.bases),
        *(said.mdcs.get(mdc, UNLIKE) for mdc in labels.mdcs),
        *(said.levels.get(level, UNLIKE) for level in labels.levels),
        said.surgical,
    ]


@cache
def _table(path: Path = TABLE) -> tuple[dict[str, np.ndarray], Labels]:
    """Note_id → scores; and what these are of."""
    with np.load(path) as table:
        notes = dict(zip(unpacked(table["notes"]), table["scores"].astype(np.float32) / STEPS, strict=True))
        return notes, Labels.unpacked(table)


def leanings(note_id: str) -> Leanings | None:
    notes, labels = _table()
    return labels.leanings(notes[note_id].tolist()) if note_id in notes else None
