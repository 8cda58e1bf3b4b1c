"""Sapphire: MS-DRG coding from clinical notes."""

__version__ = "0.1.0"
