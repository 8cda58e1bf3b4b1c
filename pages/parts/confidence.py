"""How sure a model is of its answer, and what the number means: said in the same way wherever it stands."""

from collections.abc import Mapping
from typing import Any

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

from pages.parts.plain import plain
from sapphire.engines import ModelCard


def confidence_column(about: str = "") -> ColumnConfig:
    """A column of `percent`s. Tenths of a percent would claim more than anybody knows."""
    return st.column_config.ProgressColumn(width=110, min_value=0, max_value=100, format="%.0f%%", help=about or None)


def percent(confidence: float | None) -> float | None:
    """A confidence (0 to 1) as the column takes it."""
    return None if confidence is None else 100 * confidence


def meaning(prediction: Mapping[str, Any], card: ModelCard | None = None) -> str:
    """What the confidence of a prediction says; `card` is its model's, which knows what it was calibrated on."""
    if prediction["raw_confidence"] is None:
        return (
            "Not calibrated: it says which of the model's answers are surer, not how many of them are right. On the grounded prompt it is the "
            "chance that the condition index gives this DRG, on the plain one and from a server the probability of the title given the "
            "reasoning, and of several answers the share that give this DRG."
        )
    data = (
        f" on {card.calibration.cases:,} cases of {plain(card.calibration.data)}" if card and card.calibration else ""
    )
    return (
        f"Calibrated{data}: of answers with this number, about so many in a hundred should be right on notes like those. "
        f"Before that it was {prediction['raw_confidence']:.0%}."
    )
