"""Where Sapphire keeps what is a user's own: models, the database, exports.

`SAPPHIRE_HOME` names the folder (default `.sapphire` in the working folder), `SAPPHIRE_DB` a database elsewhere. Folders
are made when first asked for, readable by this user alone (mode 700), because notes and predictions lie in them.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ABANDONED = 86_400  # seconds after which a scratch folder is one that a kill left


def home() -> Path:
    """The folder that holds all the others, as an absolute path."""
    return _made(Path(os.environ.get("SAPPHIRE_HOME") or ".sapphire").expanduser().absolute())


def models_dir() -> Path:
    """One folder a model."""
    return _made(home() / "models")


def exports_dir() -> Path:
    """One folder a round."""
    return _made(home() / "exports")


def runs_dir() -> Path:
    """Where training puts its runs, one folder each: SAPPHIRE_RUNS, else `runs` in the working folder. Not made here: `train` does."""
    return Path(os.environ.get("SAPPHIRE_RUNS") or "runs").expanduser().absolute()


def database() -> str:
    """The database's file, or a `quack:host:port` address when SAPPHIRE_DB gives one."""
    return os.environ.get("SAPPHIRE_DB") or str(home() / "sapphire.duckdb")


def _made(folder: Path) -> Path:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def renewed(target: Path) -> Iterator[Path]:
    """An empty folder that takes the target's place at the end, whole or not at all: after an error the target is as it was.

    What else lies beside the empty folder is thrown away, and so is what a kill left there a day ago or earlier.
    """
    for left in target.parent.glob(".install-*"):
        if time.time() - left.stat().st_mtime > ABANDONED:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=".install-", dir=target.parent) as work:
        new = _made(Path(work, "new"))
        yield new
        if target.exists():
            shutil.rmtree(target)
        os.replace(new, target)
