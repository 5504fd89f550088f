"""What the tools of the command line share: how they read their words, and how they are interrupted."""

import argparse
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from xinc_pl.runs import RunError

TRUST = (
    "import and run the classes that the runs' config.yaml name, whosever they are: needed for a network, a loss or "
    "data of your own; anything could happen with a folder from somebody else. Without it only classes of xinc_pl, "
    "torch.nn and torch.optim are made, and nothing in a folder is run"
)


class ToolParser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others."""

    def error(self, message: str) -> NoReturn:
        """Raise what would have been printed after a page of usage."""
        raise RunError(f"{message}; see {self.prog} --help")


@contextmanager
def undivided() -> Iterator[None]:
    """Let Ctrl-C wait until this is done, so that what belongs together is written together or not at all."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if received:
        raise KeyboardInterrupt
