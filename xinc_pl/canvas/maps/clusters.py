"""Groups of pixels, checked and brought to one form."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.maps.window import Window


@dataclass(frozen=True, eq=False)
class Clusters:
    """Membership of pixels in the clusters of one partition, in sparse form.

    Attributes:
        cluster: int64 (E,), for each entry the cluster.
        pixel: int64 (E,), and the pixel, row by row.
        areas: int64 (K,), pixels of each cluster.
    """

    cluster: Tensor
    pixel: Tensor
    areas: Tensor

    @cached_property
    def _by_pixel(self) -> "Clusters":
        """The same, sorted by pixel."""
        if bool((self.pixel.diff() >= 0).all()):
            return self
        order = self.pixel.argsort(stable=True)
        return Clusters(self.cluster[order], self.pixel[order], self.areas)

    def within(self, window: Window, width: int) -> "Clusters":
        """The memberships of the pixels in a window of an image so wide; areas are those of the whole image."""
        every, (top, bottom), (left, right) = self._by_pixel, window.rows, window.columns
        bounds = torch.tensor([top * width + left, (bottom - 1) * width + right])
        start, stop = torch.searchsorted(every.pixel, bounds).tolist()
        row, column = every.pixel[start:stop] // width - top, every.pixel[start:stop] % width - left
        inside = (column >= 0) & (column < right - left)
        pixel = row * (right - left) + column
        return Clusters(every.cluster[start:stop][inside], pixel[inside], self.areas)


def joined(partitions: Sequence[Clusters]) -> Clusters:
    """Several partitions as one, the clusters of each numbered after those of the ones before."""
    starts = torch.tensor([0, *(len(each.areas) for each in partitions)]).cumsum(0).tolist()
    return Clusters(
        torch.cat([each.cluster + start for each, start in zip(partitions, starts, strict=False)]),
        torch.cat([each.pixel for each in partitions]),
        torch.cat([each.areas for each in partitions]),
    )


def clusters_of(partition: Tensor, name: str, size: tuple[int, int]) -> Clusters:
    """Check a partition.

    Args:
        partition: A label per pixel, integers 0 to K - 1 (H, W); or masks bool (K, H, W), which may overlap.
        name: For messages.
        size: Height and width of the maps.

    Raises:
        ValueError: The shape is another, a label is negative or missing, or a mask is empty.
    """
    # Not as_tensor, which warns of NumPy arrays that cannot be written to.
    partition = partition.cpu() if isinstance(partition, Tensor) else torch.tensor(partition)
    if tuple(partition.shape[-2:]) != tuple(size) or partition.ndim not in (2, 3):
        raise ValueError(
            f"partition {name!r} has shape {tuple(partition.shape)}, but the maps are {size[0]}x{size[1]}; give labels "
            "(H, W) or masks (K, H, W)"
        )
    if partition.ndim == 3:
        if partition.dtype != torch.bool:
            raise ValueError(f"partition {name!r} is 3-dimensional with values of {partition.dtype}; masks are bool")
        cluster, pixel = partition.flatten(1).nonzero().unbind(1)
        num_clusters = len(partition)
    else:
        if partition.is_floating_point() or partition.is_complex() or partition.dtype == torch.bool:
            raise ValueError(f"partition {name!r} has labels of {partition.dtype}; they must be integers")
        cluster = partition.flatten().long()
        if int(cluster.min()) < 0:
            raise ValueError(f"partition {name!r} has the label {int(cluster.min())}; labels count from 0")
        pixel = torch.arange(len(cluster))
        num_clusters = int(cluster.max()) + 1
        if num_clusters > len(cluster):  # too many even to count: numbers of a data set, say
            raise ValueError(
                f"partition {name!r} has the label {num_clusters - 1}, but only {len(cluster)} pixels; number the "
                "clusters without gaps"
            )
    areas = torch.bincount(cluster, minlength=num_clusters)
    if num_clusters == 0 or int(areas.min()) == 0:
        empty = (areas == 0).nonzero().flatten().tolist()
        raise ValueError(f"partition {name!r} has no pixel in cluster {empty[:5]}; number the clusters without gaps")
    return Clusters(cluster, pixel, areas)
