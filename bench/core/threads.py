"""Work on several threads where each operation stays on one: what pays for many short operations."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


@contextmanager
def one_thread(needed: bool = True) -> Iterator[None]:
    """Keeps torch to one thread of the processor if `needed`, and leaves the number of threads as it was.

    Threads gain short operations little, and each operation waits for all threads, which takes a
    hundred times longer than computing where other jobs want the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if needed else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`[function(item) for item in items]` on as many threads as torch may use, each operation on one of them.

    Worth it where an item is many operations that release Python's lock. No result depends on the
    number of threads.
    """
    threads = torch.get_num_threads()
    with one_thread():
        if threads == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(function, items))
