"""What the statistics of a layer need to have computed quickly, and who computes it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from torch import Tensor

from xinc_pl.canvas.maps.cells import GroupWeights
from xinc_pl.canvas.maps.clusters import Clusters
from xinc_pl.canvas.maps.field import Field
from xinc_pl.canvas.maps.group import MapGroup

BackendName = Literal["auto", "torch", "numba"]
BACKENDS: tuple[BackendName, ...] = ("auto", "torch", "numba")

MapSums = tuple[Tensor, Tensor, Tensor]
"""float64 (n,) each: sum, minimum and maximum over the pixels."""


class Found(NamedTuple):
    """Values inside one bin of the histogram.

    Attributes:
        bits: int32 (m,), their bit patterns.
        cells: int32 (m,), where in its map each stands, row by row.
    """

    bits: Tensor
    cells: Tensor


class Backend(ABC):
    """The loops over all values of maps. Magnitudes are float32 (n, R, C), the distinct values of n maps.

    What is added up over neurons is added to tensors that the caller holds. One backend serves several threads.
    """

    @abstractmethod
    def separable(self, rows: Tensor, columns: Tensor) -> Callable[[Tensor], Tensor]:
        """The operator that takes values (n, h, w) to ``rows`` (R, h) @ values @ ``columns``.T, (n, R, C)."""

    @abstractmethod
    def answers(self, outputs: Tensor, field: Field, unsigned: bool) -> Tensor:
        """The image's answers to kernels' outputs (n, h, w), or their absolute values, added up over colours.

        Returns:
            (n, H, W).
        """

    @abstractmethod
    def spread(self, values: Tensor, group: MapGroup, maps: Tensor, places: Tensor) -> None:
        """Write the distinct values (n, R, C) of a group's maps to ``maps[places]``, over the whole image (N, H, W)."""

    @abstractmethod
    def first_sums(
        self, magnitudes: Tensor, weights: GroupWeights, total: Tensor, counts: Tensor, lows: Tensor
    ) -> MapSums:
        """All that the first pass needs to know.

        Where a map is not finite, its maximum is not, and it may be left out of the rest.

        Args:
            magnitudes: The maps.
            weights: How often each value occurs.
            total: float64 (R, C), to which the sum over neurons is added.
            counts: int64 (NUM_BINS,), to which it is added how many values lie in each bin; or empty, if nobody asks.
            lows: int64 (NUM_BINS,), and the sum of their low bits.
        """

    @abstractmethod
    def pixels_above(self, magnitudes: Tensor, weights: GroupWeights, share: Tensor) -> Tensor:
        """How many pixels of each map lie above ``share`` (H, W): int64 (n,)."""

    @abstractmethod
    def add_change(self, magnitudes: Tensor, before: Tensor, change: Tensor) -> None:
        """Add how much the maps differ from those before, over neurons, to ``change``, float64 (R, C)."""

    @abstractmethod
    def count_above(self, magnitudes: Tensor, bits: int, above: Tensor) -> None:
        """Add how many neurons reach the bit pattern ``bits`` to ``above``, int32 (R, C)."""

    @abstractmethod
    def find(self, magnitudes: Tensor, number: int) -> Found:
        """The values inside bin ``number``."""

    @abstractmethod
    def membership(self, weights: GroupWeights, clusters: Sequence[Clusters]) -> Callable[[Tensor], Tensor]:
        """The function that takes maps to their sums over the clusters of all partitions: float64 (n, clusters)."""
