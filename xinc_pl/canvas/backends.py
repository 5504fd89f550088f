"""What the statistics of a layer need to have computed quickly, and who computes it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch
from torch import Tensor

if TYPE_CHECKING:  # rules hold a backend, and groups are theirs
    from xinc_pl.canvas.partition import Clusters
    from xinc_pl.canvas.responses import Field
    from xinc_pl.canvas.rules import MapGroup
    from xinc_pl.canvas.weights import GroupWeights

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
    def answers(self, outputs: Tensor, field: "Field", unsigned: bool) -> Tensor:
        """The image's answers to kernels' outputs (n, h, w), or their absolute values, added up over colours.

        Returns:
            (n, H, W).
        """

    @abstractmethod
    def spread(self, values: Tensor, group: "MapGroup", maps: Tensor, places: Tensor) -> None:
        """Write the distinct values (n, R, C) of a group's maps to ``maps[places]``, over the whole image (N, H, W)."""

    @abstractmethod
    def first_sums(
        self, magnitudes: Tensor, weights: "GroupWeights", total: Tensor, counts: Tensor, lows: Tensor
    ) -> MapSums:
        """All that the first pass needs to know.

        Where a map is not finite, its maximum is not, and it may be left out of the rest.

        Args:
            magnitudes: The maps.
            weights: How often each value occurs.
            total: float64 (R, C), to which the sum over neurons is added.
            counts: int64 (NUM_BINS,), to which it is added how many values lie in each bin.
            lows: int64 (NUM_BINS,), and the sum of their low bits.
        """

    @abstractmethod
    def pixels_above(self, magnitudes: Tensor, weights: "GroupWeights", share: Tensor) -> Tensor:
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
    def membership(self, weights: "GroupWeights", clusters: "Sequence[Clusters]") -> Callable[[Tensor], Tensor]:
        """The function that takes maps to their sums over the clusters of all partitions: float64 (n, clusters)."""


def select_backend(name: BackendName, device: torch.device, dtypes: set[torch.dtype]) -> Backend:
    """The backend of this name.

    Args:
        name: ``auto`` is numba where it is installed, for float32 on a CPU, and torch elsewhere.
        device: Where the network is.
        dtypes: Of its parameters.

    Raises:
        ValueError: There is no such backend, or numba was asked for and cannot be had.
    """
    if name not in BACKENDS:
        raise ValueError(f"backend is {name!r}; choose from {', '.join(BACKENDS)}")
    installed, on_cpu = find_spec("numba") is not None, device.type == "cpu"
    if name == "numba" and not installed:
        raise ValueError("backend is 'numba', which is not installed; pip install numba, or choose 'torch'")
    if name == "numba" and not on_cpu:
        raise ValueError(f"backend is 'numba', which computes on the CPU, but the network is on {device}")
    if name == "torch" or not (installed and on_cpu) or (name == "auto" and dtypes - {torch.float32}):
        from xinc_pl.canvas.torch_backend import TORCH

        return TORCH
    from xinc_pl.canvas.numba_backend import NumbaBackend  # numba takes a second to import

    return NumbaBackend()
