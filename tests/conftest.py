"""What several test files share."""

from pathlib import Path

import pytest

from sapphire.engines import Engine, load
from sapphire.models import install_smollm2
from sapphire.paths import models_dir


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The folder of the embedded model, as `make setup` leaves it; fetched if it is not there."""
    return install_smollm2(models_dir(), print)


@pytest.fixture(scope="session")
def engine(smollm2: Path) -> Engine:
    """The embedded model, loaded once for all tests."""
    engine = load(smollm2)
    yield engine
    engine.close()
