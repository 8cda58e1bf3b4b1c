"""Published figures to stand beside ours: all on MIMIC-IV, which is other data, so never comparable with what is measured here.

Sapphire paper: arXiv 2505.21908v2, Tables 1 to 3. Percent; None where nothing is reported.
"""

from typing import NamedTuple

Scores = tuple[float | None, float | None, float | None]  # Pass@1, Pass@8, Maj@8
NOTHING: Scores = (None, None, None)


class Published(NamedTuple):
    name: str
    drg: Scores
    base: Scores = NOTHING  # the paper's principal diagnosis
    severity: Scores = NOTHING  # the paper's CC/MCC


REMARK = "on MIMIC-IV, other data: not comparable"

REFERENCES = (
    Published("DRG-Sapphire, full data, best run", (54.8, 60.3, 54.9), (64.4, 68.1, 64.7), (59.9, 64.9, 60.4)),
    Published("DRG-LLaMA-7B", (53.9, None, None)),
)

# One 1% cold start and GRPO on DRG-Small, one change a row.
TABLE_1 = (
    Published("vanilla GRPO, dense reward", (38.5, 48.2, 39.3), (52.5, 58.5, 53.4), (47.8, 60.0, 49.0)),
    Published("neutral resampling", (20.3, 41.9, 38.1), (27.0, 52.5, 50.5), (25.6, 52.6, 48.0)),
    Published("positive resampling", (39.2, 44.8, 39.6), (52.9, 56.4, 53.3), (48.3, 55.6, 49.0)),
    Published("CoT-First", (35.5, 52.2, 37.4), (50.9, 59.6, 52.4), (46.3, 66.7, 48.4)),
    Published("Differential Thinking", (30.2, 47.3, 33.9), (46.7, 57.0, 50.9), (40.6, 63.0, 45.2)),
    Published("DAPO loss", (40.1, 48.0, 40.6), (53.8, 58.5, 54.3), (49.4, 59.1, 50.3)),
    Published("Dr. GRPO loss", (37.5, 47.6, 38.1), (50.9, 57.2, 51.4), (48.8, 60.7, 49.8)),
    Published("Dr. GRPO advantage", (38.5, 51.9, 39.6), (53.4, 60.5, 54.3), (47.6, 63.6, 49.1)),
    Published("no KL", (39.8, 42.4, 39.9), (53.6, 55.2, 53.7), (49.1, 52.3, 49.3)),
    Published("KL decay", (38.2, 42.0, 38.3), (52.2, 54.7, 52.4), (48.8, 53.7, 49.0)),
    Published("strict reward", (40.1, 49.1, 40.9), (52.8, 58.1, 53.7), (47.6, 59.0, 48.8)),
    Published("balanced reward", (38.1, 51.3, 40.0), (52.1, 60.4, 53.8), (48.2, 64.0, 50.7)),
    Published("without easy", (35.8, 51.9, 37.6), (50.3, 59.2, 51.7), (46.6, 65.8, 48.7)),
    Published("without hard", (40.4, 46.6, 40.7), (53.2, 56.5, 53.7), (49.5, 57.2, 50.1)),
    Published("without easy and hard", (38.7, 48.2, 39.4), (52.9, 58.1, 53.4), (48.3, 59.9, 49.3)),
    Published("easy to hard", (29.4, 51.7, 32.7), (43.4, 58.6, 46.5), (40.8, 68.5, 44.3)),
    Published("staged SFT", (39.3, 49.1, 40.0), (52.9, 59.2, 53.8), (46.0, 58.6, 47.1)),
    Published("staged DPO", (29.3, 46.1, 31.2), (43.8, 54.3, 45.5), (43.1, 64.2, 45.7)),
)

# DRG scores by the share of the full data (percent) that goes to SFT, the rest to GRPO; "best" is DAPO loss, strict reward, KL decay.
TABLE_2: dict[int, dict[str, Scores]] = {
    50: {"SFT": (44.6, 75.3, 50.9), "vanilla GRPO": (52.8, 64.2, 53.9), "best": (53.7, 59.1, 53.9)},
    75: {
        "SFT": (46.5, 76.2, 52.8),
        "vanilla GRPO": (53.5, 64.9, 54.6),
        "best": (54.6, 60.6, 54.9),
        "best, no decay": (54.0, 65.3, 55.0),
        "best, no hard": (54.4, 58.1, 54.5),
        "best, no easy or hard": (54.7, 58.8, 54.8),
    },
    90: {
        "SFT": (10.5, 41.4, 35.7),
        "vanilla GRPO": (54.1, 65.2, 55.0),
        "best": (54.6, 62.2, 54.9),
        "best, no decay": (54.2, 66.9, 55.4),
        "best, no hard": (54.8, 60.3, 54.9),
        "best, no easy or hard": (54.5, 61.4, 54.8),
    },
    95: {
        "SFT": (47.0, 76.9, 53.3),
        "vanilla GRPO": (53.5, 67.7, 55.2),
        "best": (54.4, 64.9, 55.1),
        "best, no decay": (53.0, 69.4, 55.1),
        "best, no hard": (54.3, 62.8, 54.7),
        "best, no easy or hard": (52.9, 69.3, 54.9),
    },
}

# Of 9,537 cases that all three get wrong, percent with a wrong principal diagnosis, a wrong CC/MCC, and both.
TABLE_3_CASES = 9_537
TABLE_3 = {
    "cold-start SFT": (85.1, 64.2, 47.4),
    "with GRPO": (80.4, 63.1, 41.1),
    "DRG-Sapphire": (74.9, 62.7, 33.6),
}
