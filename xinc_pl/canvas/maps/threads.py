"""Threads that share the work of a layer."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import torch

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch to one thread per caller for a while. The number is global, and changes a training run's bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def for_each_in_threads(
    function: Callable[[_Item], _Result], items: Sequence[_Item], num_threads: int, use: Callable[[_Result], None]
) -> None:
    """``use`` what ``function`` makes of each item, in order, and let go of it at once.

    Without gradients, and with one torch thread per thread. Only one item more than there are threads is begun before
    the next result is used, so that results that wait for their turn do not pile up.
    """

    def call(item: _Item) -> _Result:
        with torch.no_grad():  # a new thread knows nothing of its parent's
            return function(item)

    with one_torch_thread():
        if num_threads == 1:
            for item in items:
                use(call(item))
            return
        with ThreadPoolExecutor(num_threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            begun: deque[Future[_Result]] = deque()
            for item in items:
                begun.append(pool.submit(call, item))
                if len(begun) > num_threads:
                    use(begun.popleft().result())
            while begun:
                use(begun.popleft().result())


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item], num_threads: int) -> list[_Result]:
    """What ``function`` makes of each item, in order."""
    results: list[_Result] = []
    for_each_in_threads(function, items, num_threads, results.append)
    return results
