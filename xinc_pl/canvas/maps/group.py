"""Maps of neurons that repeat the same rows and columns, made a few at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from torch import Tensor

CHUNK_VALUES = 1 << 20
"""How many float32 values of maps are made at a time on a CPU: 4 MiB, which stay in its caches.

Of half as many, threads spend a quarter of their time on waiting for the interpreter's lock.
"""

CHUNK_VALUES_ON_ACCELERATOR = 1 << 26
"""The same on a GPU: 256 MiB, enough to keep it busy."""


@dataclass(frozen=True, eq=False)
class MapGroup:
    """Neurons whose maps repeat the same rows and columns, and how to make these maps.

    A map of a group consists of R x C distinct values, spread over the H x W pixels of the image. Everything that sums
    over pixels works on the distinct values and counts how often each occurs.

    Attributes:
        neurons: int64 (n,).
        signed: Makes maps of some of them: int64 (m,) to float32 (m, R, C).
        values_per_neuron: How many values are alive for each neuron while maps are made.
        rows: int64 (H,): the class of each row of the image; None if every row is its own.
        columns: int64 (W,), likewise.
        unsigned: Makes magnitudes, where these are not just the absolute values of the maps.
    """

    neurons: Tensor
    signed: Callable[[Tensor], Tensor]
    values_per_neuron: int
    rows: Tensor | None = None
    columns: Tensor | None = None
    unsigned: Callable[[Tensor], Tensor] | None = None

    def magnitudes(self, neurons: Tensor) -> Tensor:
        """Magnitudes of the maps of some neurons (m,): float32 (m, R, C)."""
        return self.signed(neurons).abs_() if self.unsigned is None else self.unsigned(neurons)

    def parts(self) -> Iterator[Tensor]:
        """The neurons, so many at a time that their maps stay small."""
        budget = CHUNK_VALUES if self.neurons.device.type == "cpu" else CHUNK_VALUES_ON_ACCELERATOR
        if len(self.neurons):
            yield from self.neurons.split(max(budget // max(self.values_per_neuron, 1), 1))

    def spread(self, values: Tensor) -> Tensor:
        """Distinct values (..., R, C) over the whole image: (..., H, W)."""
        if self.rows is not None:
            values = values.index_select(-2, self.rows)
        if self.columns is not None:
            values = values.index_select(-1, self.columns)
        return values
