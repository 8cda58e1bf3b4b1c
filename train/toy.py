"""A model and stays for studies that take minutes: `python -m train.toy`. Five DRGs, each told by a few of its own words.

A random Llama of 64 dimensions and notes of some words learn what goes with what, and nothing of medicine: with them a scaling study
shows how it runs and what it draws, not how well one codes.
"""

import argparse
import json
import random
from pathlib import Path

from sapphire.drg.codebook import DEFAULT_VERSION, codebook
from train.run import write_whole
from train.tiny import save_tiny_llama

PLACE = Path("runs/toy")
TRAIN, TEST = 400, 100
# DRG → what its notes may say; each note says three of it, and one that any note may say.
WORDS = {
    "291": "dyspnea|leg edema|BNP 4200|furosemide drip|orthopnea|EF 20%|JVD|weight up 6 kg",
    "871": "septic|lactate 5|E. coli in blood|pressors|fever 39.5|hypotensive|pus drained|meropenem",
    "470": "hip replaced|knee replaced|walks with physio|cemented stem|osteoarthritis|spinal block|new joint|bone cut",
    "392": "reflux|scope clean|nausea|loose stools|omeprazole|belching|gastritis|bland diet",
    "313": "chest pain|troponin flat|stress test normal|ECG unchanged|aspirin stopped|no stenosis|pain by touch|calcium score 0",
}
ANY = [
    "seen daily",
    "slept well",
    "family informed",
    "vitals stable",
    "labs reviewed",
    "eats well",
    "home soon",
    "no fever",
]


def cases(count: int, split: str, seed: int) -> list[dict]:
    """Stays in the columns of a case, all different draws of one seed."""
    draw, made = random.Random(f"{seed} {split}"), []
    for i in range(count):
        drg = draw.choice(list(WORDS))
        said = draw.sample(WORDS[drg].split("|"), 3) + draw.sample(ANY, 1)
        draw.shuffle(said)
        made.append(
            {
                "note_id": f"toy-{split}-{i}",
                "text": f"Hospital Course: {', '.join(said)}.",
                "age": 60,
                "sex": "F",
                "discharge_status": 1,
                "trace": "By its words.",
                "drg": drg,
                "title": codebook().drgs[drg].title,
                "drg_version": DEFAULT_VERSION,
                "split": split,
                "source": "toy (synthetic)",
            }
        )
    return made


def main() -> None:
    PLACE.mkdir(parents=True, exist_ok=True, mode=0o700)
    every = " ".join([*WORDS.values(), *ANY]).replace("|", " ")
    save_tiny_llama(PLACE / "base", f"<think></think><answer></answer> {every} " * 50, spread=0.2)
    for split, count in (("train", TRAIN), ("test", TEST)):
        rows = "".join(json.dumps(case) + "\n" for case in cases(count, split, 1))
        write_whole(PLACE / f"{split}.jsonl", rows.encode())
    print(f"{PLACE} holds base, train.jsonl and test.jsonl; now: python -m train.scaling tiny")


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    main()
