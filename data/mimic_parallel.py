"""A function over many items in other processes or threads: results in order, and never more than a few in memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def in_processes(function: Callable[[In], Out], batches: Iterable[In], processes: int) -> Iterator[Out]:
    """`function` of each batch, in the order of the batches; in this process when `processes` is 1."""
    if processes == 1:
        yield from map(function, batches)
        return
    # Forked children would inherit the locks of DuckDB's threads.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from _ordered(pool, function, batches, 2 * processes)


def in_threads(function: Callable[[In], Out], items: Iterable[In], threads: int) -> Iterator[Out]:
    """`function` of each item, in the order of the items."""
    with ThreadPoolExecutor(threads) as pool:
        yield from _ordered(pool, function, items, 2 * threads)


def _ordered(pool: Executor, function: Callable[[In], Out], items: Iterable[In], ahead: int) -> Iterator[Out]:
    waiting: deque = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
