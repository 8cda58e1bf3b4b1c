"""A pytest plugin: one made-up MIMIC source, prepared once a session."""

import pytest

from bench.fake_mimic import write
from tests.mimic_source import run


@pytest.fixture(scope="session")
def made_up(tmp_path_factory):
    """Tables and notes of 600 made-up stays."""
    folder = tmp_path_factory.mktemp("mimic")
    write(folder, 600, seed=3, characters=1500)
    return folder


@pytest.fixture(scope="session")
def prepared(made_up):
    """What `data.mimic` makes of them, split by patient, in v37."""
    folder = made_up / "out"
    assert run(made_up, folder) == 0
    return folder
