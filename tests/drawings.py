"""Drawings that another process can import."""

import os

from matplotlib.figure import Figure

from xinc_pl.plots.figures import MARGIN, Sheet


def drawn(words: str, width: int = 200) -> Figure:
    """Some words."""
    sheet = Sheet(width, 60)
    sheet.words(words, MARGIN, 10)
    return sheet.figure


def who() -> Figure:
    """As wide as the number of the process that draws it."""
    return drawn("", 100 + os.getpid() % 1000)


class CannotBeSent(Exception):  # noqa: N818 - it is about what happens to it
    """An error that cannot be unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


def fail(error: Exception | None) -> Figure:
    """Raises an error; None for one that cannot be sent."""
    raise CannotBeSent(1, 2) if error is None else error
