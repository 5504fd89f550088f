"""Threads that share the work of a layer."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def in_threads(
    function: Callable[[_Item], _Result], items: Sequence[_Item], num_threads: int, use: Callable[[_Result], None]
) -> None:
    """``use`` what ``function`` makes of each item, in order, and let go of it at once.

    Without gradients, and with one torch thread per thread.
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
            for result in pool.map(call, items):
                use(result)
