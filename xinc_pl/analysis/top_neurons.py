"""The neurons that care most for an object or another cluster, beside the same cluster in the wrong places."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.nulls import Floats, Null, middle, other_parts, shift_offsets
from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas import LayerCanvas, LayerTotals
from xinc_pl.frames import Frame

NUM_COMPARED = 128
"""Neurons of a layer that a null is about."""
_ROUNDING = 1e-9
"""Share of a map's sum: less outside of a cluster is what rounding leaves of nothing."""


@dataclass(frozen=True, eq=False)
class TopNeurons:
    """The neurons that come first in one cluster.

    Attributes:
        name: The cluster's.
        mask: bool (H, W), its pixels.
        by_ratio: int64 (k,), the neurons whose mean contribution inside is the largest multiple of that elsewhere.
        ratios: Float64 (k,), these multiples, descending; infinite for a neuron that contributes nowhere else.
        by_sum: int64 (k,), the neurons that contribute most inside.
        shares: Float64 (k,), of all that the layer's neurons contribute inside, descending.
    """

    name: str
    mask: npt.NDArray[np.bool_]
    by_ratio: npt.NDArray[np.int64]
    ratios: Floats
    by_sum: npt.NDArray[np.int64]
    shares: Floats


def inside_over_outside(inside: Tensor, whole: Tensor, areas: Tensor, num_pixels: int) -> Tensor:
    """Mean contribution inside of clusters over the mean elsewhere.

    Args:
        inside: Float64 (N, K), sums of each neuron over the pixels of each cluster.
        whole: Float64 (N,), sums over all pixels.
        areas: (K,), pixels of each cluster.
        num_pixels: Of the picture.

    Returns:
        Float64 (N, K). Infinite where a neuron contributes nowhere else; NaN for a zero map, and for a cluster of no
        pixel or of all.
    """
    outside = whole[:, None] - inside
    is_none = outside <= _ROUNDING * whole[:, None]
    ratios = (inside / areas) / (outside / (num_pixels - areas))
    ratios = torch.where(is_none, torch.inf, ratios)
    exists = (whole[:, None] > 0) & (areas > 0) & (areas < num_pixels)
    return torch.where(exists, ratios, torch.nan)


def top_neurons(
    totals: LayerTotals, partition: Partition, names: Sequence[str], labels: Tensor, k: int
) -> tuple[TopNeurons, ...]:
    """The first neurons of every cluster, from sums that are known already. Of equal neurons the first counts.

    Args:
        totals: The layer's; they hold the sums over the partition's clusters.
        partition: The partition.
        names: Of its clusters.
        labels: Its labels (H, W) or masks bool (K, H, W).
        k: How many neurons of each cluster; fewer where fewer have a ratio, or contribute.
    """
    sums = totals.partitions[partition.key]
    ratios = inside_over_outside(sums.sum, totals.sum, sums.areas, totals.size[0] * totals.size[1])
    found = []
    for cluster, (name, mask) in enumerate(zip(names, masks_of(labels), strict=True)):
        inside = sums.sum[:, cluster]
        by_ratio, by_sum = _first(ratios[:, cluster].nan_to_num(nan=-1.0, posinf=torch.inf), k), _first(inside, k)
        found.append(
            TopNeurons(
                name,
                mask.numpy(),
                totals.neurons[by_ratio].numpy(),
                ratios[by_ratio, cluster].numpy(),
                totals.neurons[by_sum].numpy(),
                (inside[by_sum] / inside.sum()).numpy(),
            )
        )
    return tuple(found)


def ratio_null(canvas: LayerCanvas, labels: Tensor, k: int, num_shifts: int, seed: int) -> Null:
    """How much a layer's top neurons prefer clusters to elsewhere, beside the same clusters in wrong places.

    Picking the largest of many makes any ratio large, so that the null picks anew for every shift: the number is the
    median, over clusters, of the k-th largest ratio of a sample of neurons.

    Args:
        canvas: The layer's.
        labels: The clusters: labels (H, W) or masks bool (K, H, W).
        k: Which of the largest ratios.
        num_shifts: How many cyclic shifts; and, as another null, how many shifts within the frame.
        seed: Of neurons and shifts.
    """
    size = canvas.size
    neurons = torch.from_numpy(sample_neurons(canvas.num_neurons, NUM_COMPARED, seed))
    magnitudes, masks = canvas.magnitudes(neurons).cpu(), masks_of(labels)
    around = [masks.roll(offset, (-2, -1)) for offset in shift_offsets(size, num_shifts, seed).tolist()]
    rows, columns = middle(size)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    starts = other_parts(size, num_shifts, seed).tolist()
    within = [masks[:, top : top + height, left : left + width] for top, left in starts]
    inner = _null(magnitudes[:, rows, columns], masks[:, rows, columns], within, k)
    return replace(_null(magnitudes, masks, around, k), also=inner)


def _null(magnitudes: Tensor, masks: Tensor, moved: Sequence[Tensor], k: int) -> Null:
    rows = magnitudes.flatten(1).double()
    draws = [_kth_ratio(rows, each, k) for each in (masks, *moved)]
    return Null(draws[0], np.array(draws[1:], dtype=np.float64))


def _kth_ratio(rows: Tensor, masks: Tensor, k: int) -> float:
    """Median over clusters of the k-th largest ratio; NaN where none has so many."""
    columns = masks.flatten(1).double()
    ratios = inside_over_outside(rows @ columns.T, rows.sum(1), columns.sum(1), columns.shape[1])
    if len(ratios) < k:
        return float("nan")
    largest = ratios.nan_to_num(nan=-1.0, posinf=torch.inf).topk(k, dim=0).values[-1]
    return float(largest[largest >= 0].quantile(0.5)) if bool((largest >= 0).any()) else float("nan")


def masks_of(labels: Tensor) -> Tensor:
    """Masks bool (K, H, W) of clusters, from labels (H, W) without gaps or from masks."""
    return labels if labels.dim() == 3 else labels == torch.arange(int(labels.max()) + 1)[:, None, None]


def cluster_names(partition: Partition, frame: Frame, num_clusters: int) -> tuple[str, ...]:
    """What to call the clusters of a partition in a frame, in their order: ``car 3`` and ``other``, or ``rgb 7``."""
    if partition.name != "instances":
        return tuple(f"{partition.name} {index}" for index in range(num_clusters))
    names = [f"{each.category} {each.id}" for each in frame.instances if bool(each.mask.any())]
    return (*names, "other")[:num_clusters]


def _first(values: Tensor, k: int) -> Tensor:
    """Places of the k largest of the values from 0 on."""
    order = values.sort(descending=True, stable=True).indices[:k]
    return order[values[order] > 0]
