"""All numbers that XINC's callbacks have logged in a run, epoch by epoch."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Quantity(NamedTuple):
    """What a number is about.

    Attributes:
        callback: Who logged it.
        layer: The layer, or whatever stands in its place.
        name: What it is.
        frame: Index of the frame; -1 for what concerns them all.
    """

    callback: str
    layer: str
    name: str
    frame: int


class History:
    """Numbers by quantity and epoch; the later one counts where an epoch comes twice."""

    def __init__(self) -> None:
        self._values: dict[Quantity, dict[int, float]] = {}

    def add(self, quantity: Quantity, epoch: int, value: float) -> None:
        """Note one number."""
        self._values.setdefault(quantity, {})[epoch] = value

    def curve(self, quantity: Quantity) -> Mapping[int, float]:
        """Values by epoch, in the order of the epochs; empty for an unknown quantity."""
        return dict(sorted(self._values.get(quantity, {}).items()))

    def quantities(self) -> list[Quantity]:
        """What there are numbers of, in the order in which they first came."""
        return list(self._values)

    def rows(self) -> list[tuple[str, str, str, int, int, float]]:
        """All of it in types that a weights-only load accepts: callback, layer, name, frame, epoch, value."""
        return [(*quantity, epoch, value) for quantity, curve in self._values.items() for epoch, value in curve.items()]

    def add_rows(self, rows: Iterable[tuple[str, str, str, int, int, float]]) -> None:
        """Take up what ``rows`` of an earlier part of the run gave, before everything that is here."""
        present = self._values
        self._values = {}
        for callback, layer, name, frame, epoch, value in rows:
            self.add(Quantity(callback, layer, name, int(frame)), int(epoch), float(value))
        for quantity, curve in present.items():
            for epoch, value in curve.items():
                self.add(quantity, epoch, value)
