"""How far a long step is, and how long the rest may take, on standard error."""

import sys
from time import monotonic


class Progress:
    """A line that is rewritten each second on a terminal; in a log, a new line each half minute. `size` in the step's units."""

    def __init__(self, what: str, size: int):
        self._what, self._size = what, max(size, 1)
        self._start = self._shown = monotonic()
        self._terminal = sys.stderr.isatty()

    def show(self, done: int) -> None:
        now = monotonic()
        if now - self._shown < (1 if self._terminal else 30):
            return
        self._shown, share = now, min(done / self._size, 1)
        minutes, seconds = divmod(round((now - self._start) * (1 - share) / max(share, 1e-6)), 60)
        self._write(
            f"{self._what}: {share:.0%}, about {minutes} min {seconds:02} s left", end="" if self._terminal else "\n"
        )

    def end(self) -> None:
        self._write(f"{self._what}: done in {monotonic() - self._start:.0f} s", end="\n")

    def _write(self, line: str, end: str) -> None:
        sys.stderr.write(f"\r{line:<60}{end}" if self._terminal else f"{line}{end}")
        sys.stderr.flush()
