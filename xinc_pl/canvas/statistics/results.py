"""What is known about a whole layer (docs/method.md, section 3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Histogram(NamedTuple):
    """How the values of all maps of a layer are distributed: N x P values.

    Attributes:
        edges: float64 (B + 1,), ascending; a bin holds its lower edge, not its upper one.
        counts: int64 (B,), how many values lie in each bin.
        sums: float64 (B,), what they add up to.
    """

    edges: Tensor
    counts: Tensor
    sums: Tensor


class ClusterSums(NamedTuple):
    """How much of each map lies in each cluster of a partition.

    Attributes:
        areas: int64 (K,), pixels of each cluster.
        sum: float64 (N, K), over the pixels of each cluster.
    """

    areas: Tensor
    sum: Tensor

    @property
    def mean(self) -> Tensor:
        """float64 (N, K), over the pixels of each cluster."""
        return self.sum / self.areas


class NeuronVectors(NamedTuple):
    """Neurons as points.

    Attributes:
        neurons: int64 (M,), the rows (of the statistics) that have a vector.
        vectors: float64 (M, K), in [0, 1].
    """

    neurons: Tensor
    vectors: Tensor


@dataclass(frozen=True, eq=False)
class LayerTotals:
    """Sums of the magnitudes A = abs(M) of the N maps of a layer over P = H * W pixels: what one pass can tell.

    On the CPU; sums are float64.

    Attributes:
        neurons: int64 (N,), which neurons of the layer the rows below are: all, or a sample.
        num_in_layer: How many neurons the layer has.
        size: Height H and width W.
        total: (H, W), sum of A over neurons.
        sum: (N,), sum of A over pixels.
        minimum: (N,), over pixels.
        maximum: (N,), over pixels.
        zero_map: bool (N,), whether the map is zero everywhere.
        zero_input: bool (N,), whether the neuron's own input is zero everywhere. Neither implies the other.
        partitions: How much lies in each cluster, by the partition's name.
    """

    neurons: Tensor
    num_in_layer: int
    size: tuple[int, int]
    total: Tensor
    sum: Tensor
    minimum: Tensor
    maximum: Tensor
    zero_map: Tensor
    zero_input: Tensor
    partitions: Mapping[str, ClusterSums]

    @property
    def num_neurons(self) -> int:
        """N."""
        return len(self.neurons)

    def delta(self, name: str, signed: bool = True) -> Tensor:
        """(actual - expected) / expected contribution of each neuron to each cluster (Eq. 2).

        Expected is the cluster's share of the area. The released code takes absolute values, except for its grid.

        Args:
            name: The partition's name.
            signed: False for absolute values.

        Returns:
            float64 (N, K); rows of neurons whose map is zero everywhere are NaN.
        """
        areas, sums = self._partition(name)
        expected = self.sum[:, None] * (areas.double() / (self.size[0] * self.size[1]))
        delta = torch.where(self.zero_map[:, None], torch.nan, (sums - expected) / expected)
        return delta if signed else delta.abs()

    def delta_variance(self, name: str, signed: bool = True) -> Tensor:
        """Variance, unbiased, of ``delta`` over the clusters (Fig. 4).

        Returns:
            float64 (N,); NaN for zero maps, and for all neurons where the partition has only one cluster.
        """
        delta = self.delta(name, signed)
        num_clusters = delta.shape[1]
        if num_clusters < 2:
            return torch.full((self.num_neurons,), torch.nan, dtype=torch.float64)
        return delta.var(dim=1)

    def vectors(self, name: str) -> NeuronVectors:
        """Mean per cluster of each map after it has been scaled to [0, 1] (Fig. 10).

        Neurons with a constant map (zero everywhere, or not) have no vector.
        """
        spread = self.maximum - self.minimum
        neurons = (spread > 0).nonzero().flatten()
        means = self._partition(name).mean[neurons]
        vectors = (means - self.minimum[neurons, None]) / spread[neurons, None]
        # The mean of a map that is all but constant may be rounded to outside of its range.
        return NeuronVectors(neurons, vectors.clamp(0, 1))

    def _partition(self, name: str) -> ClusterSums:
        if name not in self.partitions:
            known = ", ".join(self.partitions) or "none"
            raise KeyError(f"these statistics have no partition {name!r}; there are: {known}")
        return self.partitions[name]


@dataclass(frozen=True, eq=False)
class LayerStatistics(LayerTotals):
    """All that is known about the magnitudes of a whole layer: its ``LayerTotals``, and what a second pass counts.

    Counts are int64.

    Attributes:
        pixels_per_neuron: int64 (N,), how many pixels a neuron contributes more than an average share to:
            A(p) / total(p) > 1 / N (P 4.4, Fig. 6).
        thresholds: For each mass x, the value tau_x where the largest values first add up to (1 - x) of all
            (Fig. 7, 18).
        neurons_per_pixel: For each mass x, (H, W): the share of neurons with A > tau_x.
        histogram: The distribution of A (Fig. 18).
        change: (H, W), sum over neurons of how much A differs from the frame before (Fig. 9); None for a first frame.
    """

    pixels_per_neuron: Tensor
    thresholds: Mapping[float, float]
    neurons_per_pixel: Mapping[float, Tensor]
    histogram: Histogram
    change: Tensor | None = None
