"""Many short torch operations in parallel: several threads, of which each computes alone."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def one_thread(needed: bool = True) -> Iterator[None]:
    """Limits torch to one thread inside the `with` block; restores the number of threads after it.

    Short operations gain little from several threads. Each operation waits for all of them, which
    takes a hundred times longer than the computation where other jobs use the cores too.

    Args:
        needed: whether to limit the threads at all.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if needed else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Applies a function to items in parallel, on as many threads as torch may use.

    Each call computes on one thread. That pays where a call consists of many operations that
    release Python's global interpreter lock. No result depends on the number of threads.

    Args:
        function: computes the result of one item.
        items: what it is applied to.

    Returns:
        The results in the order of the items.
    """
    threads = torch.get_num_threads()
    with one_thread():
        if threads == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, items))
