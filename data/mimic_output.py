"""A folder that appears whole or not at all: everything is written into OUT.part, which takes OUT's place at the end."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from data.mimic_titles import SourceError

REPORT = "report.json"  # by this file an earlier output of ours is known


@contextmanager
def whole(out: Path) -> Iterator[Path]:
    """The folder to write into; it becomes `out` when the block ends without an exception, and is removed otherwise.

    SourceError when `out` is there and no earlier output of this program, or when another run is writing it. All that is
    written is for the owner alone (mode 600, folders 700).
    """
    out = out.absolute()
    if out.exists() and not (out.is_dir() and ((out / REPORT).is_file() or not any(out.iterdir()))):
        raise SourceError(
            f"{out} exists and is no output of this program; name a folder that does not exist yet with --out."
        )
    part = out.with_name(out.name + ".part")
    lock = _locked(part.with_name(part.name + ".lock"), out)
    mask = os.umask(0o077)
    try:
        shutil.rmtree(part, ignore_errors=True)
        _make(part)
        yield part
        _replace(out, part)
    except (OSError, duckdb.IOException, duckdb.OutOfMemoryException, duckdb.TransactionException) as error:
        trouble = str(error).partition("\n")[0].rstrip(".")
        raise SourceError(
            f"{out} cannot be written: {trouble}; free space there or name another folder with --out."
        ) from error
    finally:
        os.umask(mask)
        shutil.rmtree(part, ignore_errors=True)
        Path(lock.name).unlink()
        lock.close()


def _locked(path: Path, out: Path):
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SourceError(f"Another run is writing {out}; wait for it or name another folder with --out.") from None
    except OSError as error:
        raise SourceError(f"{out} cannot be written: {error.strerror}; name another folder with --out.") from None
    return lock


def _make(folder: Path) -> None:
    try:
        folder.mkdir()
    except OSError as error:
        raise SourceError(f"{folder} cannot be made: {error.strerror}; name another folder with --out.") from None


def _replace(out: Path, part: Path) -> None:
    """Put `part` where `out` is. A crash between the two renames leaves the earlier output as OUT.old."""
    old = out.with_name(out.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if out.exists():
        out.rename(old)
    part.rename(out)
    shutil.rmtree(old, ignore_errors=True)
