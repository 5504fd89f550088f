"""All numbers that XINC's callbacks have logged in a run, epoch by epoch."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor


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
        # Checkpoints may come after every epoch, new numbers seldom.
        self._tensors: dict[Quantity, tuple[Tensor, Tensor]] = {}

    def add(self, quantity: Quantity, epoch: int, value: float) -> None:
        """Note one number."""
        self._values.setdefault(quantity, {})[epoch] = value
        self._tensors.pop(quantity, None)

    def curve(self, quantity: Quantity) -> Mapping[int, float]:
        """Values by epoch, in the order of the epochs; empty for an unknown quantity."""
        return dict(sorted(self._values.get(quantity, {}).items()))

    def quantities(self) -> list[Quantity]:
        """What there are numbers of, in the order in which they first came."""
        return list(self._values)

    def rows(self) -> list[tuple[str, str, str, int, int, float]]:
        """All of it: callback, layer, name, frame, epoch, value."""
        return [(*quantity, epoch, value) for quantity, curve in self._values.items() for epoch, value in curve.items()]

    def state(self) -> list[tuple[str, str, str, int, Tensor, Tensor]]:
        """All of it for a checkpoint, in types that a weights-only load accepts and that stay small in long runs.

        For every quantity its four parts, and its epochs (int64) and values (float64).
        """
        for quantity, curve in self._values.items():
            if quantity not in self._tensors:
                values = torch.tensor(list(curve.values()), dtype=torch.float64)
                self._tensors[quantity] = torch.tensor(list(curve)), values
        return [(*quantity, *self._tensors[quantity]) for quantity in self._values]

    def add_state(self, state: Iterable[tuple[str, str, str, int, Tensor, Tensor]]) -> None:
        """Take up the ``state`` of an earlier part of the run, before everything that is here."""
        present = self._values
        self._values, self._tensors = {}, {}
        for callback, layer, name, frame, epochs, values in state:
            points = zip(epochs.tolist(), values.tolist(), strict=True)
            self._values[Quantity(callback, layer, name, int(frame))] = dict(points)
        for quantity, curve in present.items():
            for epoch, value in curve.items():
                self.add(quantity, epoch, value)
