"""How unevenly neurons treat the clusters of a partition (Fig. 4, 16), beside the same clusters in the wrong places."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.moved_clusters import MovableClusters, given, nulls_within, shifted_nulls
from xinc_pl.analysis.nulls import Null, cells, other_parts, shift_offsets
from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas import LayerCanvas, LayerTotals

Floats = npt.NDArray[np.float64]

NUM_SHIFTS = 24
"""Of a partition, while a network trains: the smallest p is 1 / 25."""
NUM_COMPARED = 128
"""Neurons of a layer that a null is about."""

_RELEASED_SIGNED = ("grid", "comb", "superpixels")
"""The released code takes absolute values of deltas for the other partitions."""


@dataclass(frozen=True)
class Explained:
    """The median variance of deltas that is left when the pixels of objects change places with others like them.

    Attributes:
        colour: With pixels of the same cluster of colours.
        place: With pixels of the same of 8 by 16 cells.
    """

    colour: float
    place: float


@dataclass(frozen=True, eq=False)
class VarianceDistribution:
    """The variance of deltas over a partition's clusters, for every neuron of a layer.

    Attributes:
        layer: The layer's name.
        partition: What was grouped.
        num_clusters: How many clusters there are.
        variances: Float64 (n,), ascending, of all neurons whose map is not zero everywhere.
        num_zero_maps: How many neurons are left out.
        null: The median variance of a sample of neurons, and the same with the clusters shifted; None for partitions
            that a shift leaves as they are.
        shuffled: Float64 (n,), ascending, the variances for clusters of the same areas at shuffled pixels, if asked
            for. These are no null.
        num_in_layer: How many neurons the layer has, where these are a sample of them; else None.
    """

    layer: str
    partition: Partition
    num_clusters: int
    variances: Floats
    num_zero_maps: int
    null: Null | None = None
    shuffled: Floats | None = None
    num_in_layer: int | None = None

    @property
    def median(self) -> float:
        """Of the variances; NaN without any."""
        return _quantile(self.variances, 0.5)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Lower and upper quartile of the variances."""
        return _quantile(self.variances, 0.25), _quantile(self.variances, 0.75)


def variance_distribution(
    layer: str, totals: LayerTotals, partition: Partition, null: Null | None = None
) -> VarianceDistribution:
    """Collect the variances of one partition from a layer's totals.

    Args:
        layer: The layer's name.
        totals: They hold the sums over the clusters of the partition, and perhaps of its areas at shuffled pixels.
        partition: The partition. With the convention ``released``, deltas are absolute for instances, colours and
            Gabor responses, as in the authors' code.
        null: As from ``variance_nulls``.
    """
    shuffled = _variances(totals, partition.control) if partition.control.key in totals.partitions else None
    return VarianceDistribution(
        layer=layer,
        partition=partition,
        num_clusters=len(totals.partitions[partition.key].areas),
        variances=_variances(totals, partition),
        num_zero_maps=int(totals.zero_map.sum()),
        null=null,
        shuffled=shuffled,
        num_in_layer=totals.num_in_layer if totals.num_neurons < totals.num_in_layer else None,
    )


def movable(labels: Mapping[Partition, Tensor]) -> Mapping[Partition, MovableClusters]:
    """The partitions that can be tested, laid out once for all layers; not those that a shift leaves as they are.

    Args:
        labels: Of each partition, labels (H, W) or masks bool (K, H, W).
    """
    return {each: MovableClusters.of(own, _is_signed(each)) for each, own in labels.items() if not each.is_regular}


def compared_magnitudes(canvas: LayerCanvas, num_neurons: int = NUM_COMPARED, seed: int = 0) -> Tensor:
    """What nulls are about: float32 (n, H, W), of the layer's own sample of so many neurons for this seed."""
    return canvas.magnitudes(torch.from_numpy(sample_neurons(canvas.num_neurons, num_neurons, seed)))


def variance_nulls(
    magnitudes: Tensor, clusters: Mapping[Partition, MovableClusters], num_shifts: int = NUM_SHIFTS, seed: int = 0
) -> Mapping[Partition, Null]:
    """The nulls of partitions: cyclic shifts and, as another, shifts within the frame.

    Args:
        magnitudes: As from ``compared_magnitudes``.
        clusters: As from ``movable``.
        num_shifts: How many shifts of each kind; p cannot be smaller than 1 / (1 + ``num_shifts``).
        seed: Of the shifts.
    """
    if not clusters:
        return {}
    size, partitions = (magnitudes.shape[1], magnitudes.shape[2]), list(clusters.values())
    around = shifted_nulls(magnitudes, partitions, shift_offsets(size, num_shifts, seed))
    within = nulls_within(magnitudes, partitions, other_parts(size, num_shifts, seed))
    return {each: replace(null, also=other) for each, null, other in zip(clusters, around, within, strict=True)}


def explained(magnitudes: Tensor, instances: MovableClusters, colours: Tensor, seed: int = 0) -> Explained:
    """What colour alone, and place alone, explain of the variance of deltas of objects.

    Args:
        magnitudes: As from ``compared_magnitudes``.
        instances: The objects.
        colours: Labels (H, W) of colours.
        seed: Of the permutations.
    """
    places = cells((magnitudes.shape[1], magnitudes.shape[2]))
    return Explained(*given(magnitudes, instances, [colours.numpy(), places], seed))


def _is_signed(partition: Partition) -> bool:
    return partition.convention == "paper" or partition.name in _RELEASED_SIGNED


def _variances(totals: LayerTotals, partition: Partition) -> Floats:
    """Ascending, of the neurons that have one."""
    found = totals.delta_variance(partition.key, _is_signed(partition))[~totals.zero_map].numpy()
    return np.asarray(np.sort(found[~np.isnan(found)]), dtype=np.float64)


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")
