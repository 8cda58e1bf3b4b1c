"""A function over batches in other processes: results in order, and never more than a few batches in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def ordered(function: Callable[[In], Out], batches: Iterable[In], processes: int) -> Iterator[Out]:
    """`function` of each batch, in the order of the batches; in this process when `processes` is 1."""
    if processes == 1:
        yield from map(function, batches)
        return
    # Forked children would inherit the locks of DuckDB's threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting: deque = deque()
        for batch in batches:
            waiting.append(pool.submit(function, batch))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
