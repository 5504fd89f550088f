"""The variance of deltas for clusters in the wrong places: a partition's null (docs/method.md, section 4b)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from xinc_pl.analysis.nulls import Integers, Null, middle, permuted_within

_CHUNK_VALUES = 1 << 20
"""How many values of maps, and how many places of pixels, are laid out at a time: 8 MiB at most, near the caches."""


@dataclass(frozen=True, eq=False)
class MovableClusters:
    """A partition whose clusters can be moved. Where they have been moved to is kept, for the next maps.

    Attributes:
        labels: int64 (H, W), from 0 on without gaps, or masks bool (K, H, W), which may overlap.
        pixel: int64 (E,), pixels row by row, those of one cluster together.
        areas: int64 (K,), pixels of each cluster.
        signed: Whether deltas keep their sign.
    """

    labels: Tensor
    pixel: Tensor
    areas: Tensor
    signed: bool
    _shifted: dict[tuple[int, ...], Tensor] = field(default_factory=dict, init=False, repr=False)
    _parts: "dict[tuple[int, ...], MovableClusters]" = field(default_factory=dict, init=False, repr=False)
    _permuted: dict[tuple[int, bytes], Tensor] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def of(cls, labels: Tensor, signed: bool = True) -> "MovableClusters":
        """Of labels (H, W) from 0 on without gaps, or masks bool (K, H, W), which may overlap."""
        if labels.ndim == 3:
            cluster, pixel = labels.flatten(1).nonzero().unbind(1)
        else:
            pixel = labels.flatten().argsort(stable=True)
            cluster = labels.flatten()[pixel]
        return cls(labels, pixel, torch.bincount(cluster), signed)

    def shifted(self, offset: Sequence[int]) -> Tensor:
        """``pixel`` after a cyclic shift, rows down and columns right: int32."""
        height, width = self.labels.shape[-2:]
        down, right = (int(step) for step in offset)
        if (down, right) not in self._shifted:
            moved = (self.pixel // width + down) % height * width + (self.pixel % width + right) % width
            self._shifted[down, right] = moved.int()
        return self._shifted[down, right]

    def permuted(self, strata: Integers, seed: int) -> Tensor:
        """``pixel`` after a seeded permutation that leaves each pixel in its stratum, a number per pixel (H, W)."""
        place = seed, strata.tobytes()
        if place not in self._permuted:
            order = torch.from_numpy(permuted_within(strata.ravel(), np.random.default_rng(seed)))
            self._permuted[place] = order[self.pixel].int()
        return self._permuted[place]

    def part(self, top: int, left: int, height: int, width: int) -> "MovableClusters":
        """A part of the frame, without clusters that have no pixel there."""
        place = top, left, height, width
        if place not in self._parts:
            cut = self.labels[..., top : top + height, left : left + width]
            present = cut[cut.flatten(1).any(1)] if cut.ndim == 3 else cut.unique(return_inverse=True)[1]
            self._parts[place] = MovableClusters.of(present, self.signed)
        return self._parts[place]


def shifted_nulls(magnitudes: Tensor, partitions: Sequence[MovableClusters], offsets: Integers) -> tuple[Null, ...]:
    """The median over neurons of the variance of deltas, and the same with each partition's clusters shifted.

    Args:
        magnitudes: (n, H, W), of a sample of neurons.
        partitions: The partitions.
        offsets: int64 (m, 2), the shifts, as from ``nulls.shift_offsets``.

    Returns:
        For each partition a null of m draws.
    """
    moved = [[each.shifted(offset) for each in partitions] for offset in ((0, 0), *offsets)]
    medians = _medians(magnitudes, partitions, moved)
    return tuple(Null(float(column[0]), column[1:]) for column in medians.T)


def nulls_within(magnitudes: Tensor, partitions: Sequence[MovableClusters], places: Integers) -> tuple[Null, ...]:
    """The same median in the middle of the maps, and there again with the clusters of other parts of the frame.

    Args:
        magnitudes: (n, H, W), of a sample of neurons.
        partitions: The partitions.
        places: int64 (m, 2), where other parts start, as from ``nulls.other_parts``.

    Returns:
        For each partition a null of m draws.
    """
    rows, columns = middle((magnitudes.shape[1], magnitudes.shape[2]))
    size = rows.stop - rows.start, columns.stop - columns.start
    starts = [(rows.start, columns.start), *((int(top), int(left)) for top, left in places)]
    parts = [[each.part(*start, *size) for start in starts] for each in partitions]
    variances = []
    for rows_of_some in _rows(magnitudes[:, rows, columns]):
        own = [[_variance(_deltas(rows_of_some, part), part.signed)[0] for part in each] for each in parts]
        variances.append(torch.stack([torch.stack(each) for each in own]))
    medians = torch.cat(variances, dim=2).nanquantile(0.5, dim=2).numpy()
    return tuple(Null(float(each[0]), each[1:]) for each in medians)


def _deltas(rows: Tensor, clusters: MovableClusters) -> Tensor:
    """Of clusters where they are: (1, K, n)."""
    (sums,) = _sums(rows, clusters.areas, [[clusters.pixel]])
    return (sums / clusters.areas[:, None]).double()


def given(magnitudes: Tensor, clusters: MovableClusters, strata: Sequence[Integers], seed: int) -> list[float]:
    """The medians over neurons of the variance of deltas that is left when pixels are permuted within strata.

    It tells how much of the variance of, say, objects their colours alone explain. It is no null: within a stratum the
    pixels are shuffled, which any contiguous clusters beat.

    Args:
        magnitudes: (n, H, W), of a sample of neurons.
        clusters: What is permuted.
        strata: int64 (H, W) each, which pixels may change places: clusters of like colour, or places.
        seed: Of the permutation. So many pixels change places that another one gives all but the same.
    """
    medians = _medians(magnitudes, [clusters], [[clusters.permuted(each, seed)] for each in strata])
    return [float(median) for median in medians[:, 0]]


def _medians(
    magnitudes: Tensor, partitions: Sequence[MovableClusters], arrangements: Sequence[Sequence[Tensor]]
) -> npt.NDArray[np.float64]:
    """Of the variances of deltas, for each arrangement of each partition's pixels: (arrangements, partitions)."""
    if not partitions:
        return np.empty((len(arrangements), 0))
    areas = torch.cat([each.areas for each in partitions])
    variances = []
    for rows in _rows(magnitudes):
        deltas = torch.cat(list(_sums(rows, areas, arrangements))) / areas[:, None]
        columns = deltas.double().split([len(each.areas) for each in partitions], dim=1)
        variances.append(torch.stack([_variance(c, e.signed) for c, e in zip(columns, partitions, strict=True)], dim=1))
    return torch.cat(variances, dim=2).nanquantile(0.5, dim=2).numpy()


def _rows(magnitudes: Tensor) -> Iterator[Tensor]:
    """Maps over their mean, less 1, pixel by pixel, of some neurons at a time: float32 (H * W, n).

    Deltas are their means over clusters, which lose little to rounding. NaN for a map that is zero everywhere.
    """
    for part in magnitudes.split(max(_CHUNK_VALUES // magnitudes[0].numel(), 1)):
        values = part.cpu().flatten(1)
        yield (values / values.mean(1, keepdim=True, dtype=torch.float64).float() - 1).T.contiguous()


def _sums(rows: Tensor, areas: Tensor, arrangements: Sequence[Sequence[Tensor]]) -> Iterator[Tensor]:
    """Sums of rows (P, n) over clusters, for some arrangements at a time: (arrangements, K, n)."""
    num_pixels = int(areas.sum())
    at_once = max(_CHUNK_VALUES // num_pixels, 1)
    for first in range(0, len(arrangements), at_once):
        some = arrangements[first : first + at_once]
        starts = areas.repeat(len(some)).cumsum(0) - areas.repeat(len(some))
        with torch.no_grad():
            pixels = torch.cat([pixel for arrangement in some for pixel in arrangement])
            yield embedding_bag(pixels, rows, starts, mode="sum").view(len(some), len(areas), -1)


def _variance(deltas: Tensor, signed: bool) -> Tensor:
    """Unbiased, over clusters: (arrangements, K, n) to (arrangements, n); NaN where there is but one cluster."""
    if deltas.shape[1] < 2:
        return torch.full_like(deltas[:, 0], torch.nan)
    return (deltas if signed else deltas.abs()).var(dim=1)
