"""How unevenly neurons treat the clusters of a partition (Fig. 4, 16)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas import LayerStatistics

Floats = npt.NDArray[np.float64]

_RELEASED_SIGNED = ("grid", "comb", "superpixels")
"""The released code takes absolute values of deltas for the other partitions."""


@dataclass(frozen=True, eq=False)
class VarianceDistribution:
    """The variance of deltas over a partition's clusters, for every neuron of a layer.

    Attributes:
        layer: The layer's name.
        partition: What was grouped.
        num_clusters: How many clusters there are.
        variances: Float64 (n,), ascending, of all neurons whose map is not zero everywhere.
        control: Float64 (n,), ascending, the same for clusters of the same areas at shuffled pixels, which are no null.
        num_zero_maps: How many neurons are left out.
    """

    layer: str
    partition: Partition
    num_clusters: int
    variances: Floats
    control: Floats
    num_zero_maps: int

    @property
    def median(self) -> float:
        """Of the variances; NaN without any."""
        return _quantile(self.variances, 0.5)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile of the variances."""
        return _quantile(self.variances, 0.25), _quantile(self.variances, 0.75)

    @property
    def control_median(self) -> float:
        """Of the control's variances."""
        return _quantile(self.control, 0.5)


def variance_distribution(layer: str, statistics: LayerStatistics, partition: Partition) -> VarianceDistribution:
    """Collect the variances of one partition, and of its areas at shuffled pixels, from a layer's statistics.

    Args:
        layer: The layer's name.
        statistics: They hold the sums over the clusters of the partition and of its control.
        partition: The partition. With the convention ``released``, deltas are absolute for instances, colours and
            Gabor responses, as in the authors' code.
    """
    signed = partition.convention == "paper" or partition.name in _RELEASED_SIGNED
    variances, control = (
        np.sort(statistics.delta_variance(each.key, signed)[~statistics.zero_map].numpy())
        for each in (partition, partition.control)
    )
    return VarianceDistribution(
        layer=layer,
        partition=partition,
        num_clusters=len(statistics.partitions[partition.key].areas),
        variances=variances[~np.isnan(variances)],
        control=control[~np.isnan(control)],
        num_zero_maps=int(statistics.zero_map.sum()),
    )


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")
