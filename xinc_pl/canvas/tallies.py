"""What is added up while the maps of a layer stream by, in torch.

Two passes make the same maps twice, because nothing of the size neurons x pixels is kept. The first finds each pixel's
total and, in a histogram over the upper bits of the values, the narrow bin in which each threshold lies. The second
knows both, and so can count.
"""

import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.partition import Clusters
from xinc_pl.canvas.rules import MapGroup
from xinc_pl.canvas.statistics import Histogram

_SHIFT = 15
"""Bits of a float32 that a bin of the histogram spans: 256 bins per octave."""
_NUM_BINS = (0x7F800000 >> _SHIFT) + 1
_MAX_CANDIDATES = 1 << 24
"""How many values near a threshold are remembered; more, and a third pass counts instead."""
_PIXEL_BLOCKS = 8
"""Sums over pixels are float32 within a block of pixels and float64 across blocks."""


class GroupWeights:
    """How often each distinct value of a group's maps occurs in the image.

    Args:
        group: The group.
        shape: Rows R and columns C of distinct values.
    """

    def __init__(self, group: MapGroup, shape: tuple[int, int]) -> None:
        device = group.neurons.device
        self.group = group
        self.shape = shape
        self.rows = _multiplicity(group.rows, shape[0], device)
        self.columns = _multiplicity(group.columns, shape[1], device)

    @cached_property
    def are_one(self) -> bool:
        """Whether every value occurs once."""
        return bool((self.rows == 1).all()) and bool((self.columns == 1).all())

    @cached_property
    def cells(self) -> Tensor:
        """float64 (R, C): pixels per cell."""
        return self.rows[:, None] * self.columns

    def sum_over_pixels(self, values: Tensor) -> Tensor:
        """Sums over the image of distinct values (n, R, C): float64 (n,)."""
        return (values @ self.columns.to(values.dtype)).double() @ self.rows

    def cell_of_pixel(self) -> Tensor:
        """int64 (H * W,): the cell of each pixel."""
        rows = torch.arange(self.shape[0], device=self.rows.device) if self.group.rows is None else self.group.rows
        columns = (
            torch.arange(self.shape[1], device=self.rows.device) if self.group.columns is None else self.group.columns
        )
        return (rows[:, None] * self.shape[1] + columns).flatten()


class FirstPass:
    """Totals, sums, extremes and histogram of one layer of one frame.

    Args:
        num_neurons: N.
        size: Height and width.
        device: Where the maps are.
    """

    def __init__(self, num_neurons: int, size: tuple[int, int], device: torch.device) -> None:
        self.total = torch.zeros(size, dtype=torch.float64, device=device)
        self.sum, self.minimum, self.maximum = (
            torch.zeros(num_neurons, dtype=torch.float64, device=device) for _ in range(3)
        )
        self.counts = torch.zeros(_NUM_BINS, dtype=torch.float64, device=device)
        self.sums = torch.zeros(_NUM_BINS, dtype=torch.float64, device=device)

    def add(self, group: GroupWeights, neurons: Tensor, magnitudes: Tensor) -> None:
        """Take in the maps (n, R, C) of some neurons."""
        # So few neurons at a time that their float32 sum is good; float64 carries it on.
        self.total += group.group.spread(magnitudes.sum(0).double())
        self.sum[neurons] = group.sum_over_pixels(magnitudes)
        self.minimum[neurons] = magnitudes.amin((1, 2)).double()
        self.maximum[neurons] = magnitudes.amax((1, 2)).double()
        bins = _bits(magnitudes).flatten() >> _SHIFT
        values = magnitudes.double().flatten()
        if group.are_one:
            self.counts += torch.bincount(bins, minlength=_NUM_BINS)
            self.sums += torch.bincount(bins, values, minlength=_NUM_BINS)
        else:
            weights = group.cells.expand(magnitudes.shape).flatten()
            self.counts += torch.bincount(bins, weights, minlength=_NUM_BINS)
            self.sums += torch.bincount(bins, weights * values, minlength=_NUM_BINS)

    def histogram(self) -> Histogram:
        """The distribution, without the empty bins at both ends."""
        used = self.counts.nonzero().flatten().cpu()
        first, last = int(used[0]), int(used[-1])
        edges = _float_of_bits(torch.arange(first, last + 2) << _SHIFT)
        counts, sums = (bins[first : last + 1].cpu() for bins in (self.counts, self.sums))
        return Histogram(edges.double(), counts.round().long(), sums)


class Bracket:
    """Where a threshold lies: the bin in which the values from the top first add up to the wanted share.

    Args:
        first: The finished first pass.
        mass: x; the threshold is reached at (1 - x) of the whole.
    """

    def __init__(self, first: FirstPass, mass: float) -> None:
        from_top = first.sums.flip(0).cumsum(0).flip(0)
        self.target = (1 - mass) * float(from_top[0])
        self.bin = int((from_top >= self.target).nonzero()[-1]) if self.target > 0 else _NUM_BINS - 1
        self.sum_above = float(from_top[self.bin + 1]) if self.bin + 1 < _NUM_BINS else 0.0
        self.num_inside = int(first.counts[self.bin])

    def threshold(self, bits: Tensor, counts: Tensor) -> float:
        """The exact threshold.

        Args:
            bits: int64 (n,), distinct values inside the bin, as bit patterns.
            counts: float64 (n,), how often each occurs in the image.
        """
        if not len(bits):
            return 0.0
        order = bits.argsort(descending=True)
        values = _float_of_bits(bits[order])
        reached = self.sum_above + (values.double() * counts[order]).cumsum(0) >= self.target
        # Rounding may leave the last value a little short of the target.
        return float(values[int(reached.nonzero()[0]) if bool(reached.any()) else -1])


class SecondPass:
    """Counts and sums per cluster, for which the first pass had to be finished.

    Args:
        first: The finished first pass.
        masses: Which thresholds.
        clusters: The partitions.
    """

    def __init__(self, first: FirstPass, masses: Sequence[float], clusters: Mapping[str, Clusters]) -> None:
        num_neurons, device = len(first.sum), first.total.device
        self.share = (first.total / num_neurons).float()
        self.brackets = {mass: Bracket(first, mass) for mass in masses}
        self.pixels_per_neuron = torch.zeros(num_neurons, dtype=torch.int64, device=device)
        self.above = {mass: torch.zeros(first.total.shape, dtype=torch.int64, device=device) for mass in masses}
        self.change: Tensor | None = None
        self._candidates: dict[float, list[tuple[Tensor, Tensor, GroupWeights]]] = {mass: [] for mass in masses}
        self._fine = {
            mass: torch.zeros(1 << _SHIFT, dtype=torch.float64, device=device)
            for mass, bracket in self.brackets.items()
            if bracket.num_inside > _MAX_CANDIDATES
        }
        self.cluster_sums = torch.zeros(
            num_neurons, sum(len(each.areas) for each in clusters.values()), dtype=torch.float64, device=device
        )
        self._clusters = tuple(clusters.values())
        self._membership: tuple[GroupWeights, Tensor] | None = None

    @property
    def needs_third_pass(self) -> bool:
        """Whether so many values lie in one bin that they have to be counted once the threshold is known."""
        return bool(self._fine)

    def add(self, group: GroupWeights, neurons: Tensor, magnitudes: Tensor, before: Tensor | None) -> None:
        """Take in the maps (n, R, C) of some neurons, and those of the frame before."""
        image = group.group.spread(magnitudes)
        self.pixels_per_neuron[neurons] = (image > self.share).sum((1, 2))
        if before is not None:
            change = group.group.spread((magnitudes - before).abs().sum(0).double())
            self.change = change if self.change is None else self.change + change
        bits = _bits(magnitudes)
        bins = bits >> _SHIFT
        for mass, bracket in self.brackets.items():
            self.above[mass] += group.group.spread((bins > bracket.bin).sum(0))
            inside = bins == bracket.bin
            if mass in self._fine:
                weights = group.cells.expand(bits.shape)[inside]
                low = bits[inside] & ((1 << _SHIFT) - 1)
                self._fine[mass] += torch.bincount(low, weights, minlength=1 << _SHIFT)
            else:
                cells = inside.flatten(1).nonzero()[:, 1]
                self._candidates[mass].append((bits[inside], cells, group))
        if self._clusters:
            self.cluster_sums[neurons] = self._sum_over_clusters(group, magnitudes)

    def finish(self) -> dict[float, float]:
        """The exact thresholds. Completes ``above`` with the values inside the bins, unless a third pass has to."""
        thresholds = {}
        for mass, bracket in self.brackets.items():
            if mass in self._fine:
                low = self._fine[mass].nonzero().flatten()
                thresholds[mass] = bracket.threshold((bracket.bin << _SHIFT) + low, self._fine[mass][low])
                continue
            candidates = self._candidates[mass]
            weights = [group.cells.flatten()[cells] for _, cells, group in candidates]
            bits = torch.cat([bits for bits, _, _ in candidates])
            distinct, inverse = bits.long().unique(return_inverse=True)
            counts = torch.zeros(len(distinct), dtype=torch.float64, device=bits.device)
            counts.index_add_(0, inverse, torch.cat(weights))
            thresholds[mass] = bracket.threshold(distinct, counts)
            for inside, cells, group in candidates:
                above = torch.bincount(cells[_float_of_bits(inside) > thresholds[mass]], minlength=group.cells.numel())
                self.above[mass] += group.group.spread(above.view(group.shape))
        return thresholds

    def restart_counts(self) -> None:
        """Prepare the third pass for the masses that need it."""
        for mass in self._fine:
            self.above[mass].zero_()

    def count_above(self, group: GroupWeights, magnitudes: Tensor, thresholds: Mapping[float, float]) -> None:
        """Third pass: count the values above the thresholds."""
        for mass in self._fine:
            self.above[mass] += group.group.spread((magnitudes > thresholds[mass]).sum(0))

    def _sum_over_clusters(self, group: GroupWeights, magnitudes: Tensor) -> Tensor:
        """float64 (n, clusters of all partitions)."""
        if self._membership is None or self._membership[0] is not group:
            self._membership = group, _membership(group, self._clusters)
        matrix = self._membership[1]
        sums = matrix @ magnitudes.flatten(1).T
        return sums.view(-1, _PIXEL_BLOCKS, len(magnitudes)).sum(1, dtype=torch.float64).T


def _membership(group: GroupWeights, clusters: Sequence[Clusters]) -> Tensor:
    """Sparse float32 (clusters * blocks, cells): how many pixels of each cell lie in each cluster.

    Rows are doubled by blocks of cells, see ``_PIXEL_BLOCKS``.
    """
    num_cells = group.cells.numel()
    offsets = [0]
    for each in clusters:
        offsets.append(offsets[-1] + len(each.areas))
    cell_of_pixel = group.cell_of_pixel()
    cluster = torch.cat([each.cluster + offset for each, offset in zip(clusters, offsets, strict=False)])
    pixel = torch.cat([each.pixel for each in clusters])
    cell = cell_of_pixel[pixel.to(cell_of_pixel.device)]
    row = cluster.to(cell.device) * _PIXEL_BLOCKS + cell * _PIXEL_BLOCKS // num_cells
    indices = torch.stack([row, cell])
    ones = torch.ones(len(row), dtype=torch.float32, device=cell.device)
    shape = (offsets[-1] * _PIXEL_BLOCKS, num_cells)
    matrix = torch.sparse_coo_tensor(indices, ones, shape, check_invariants=False).coalesce()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr()


def _multiplicity(classes: Tensor | None, length: int, device: torch.device) -> Tensor:
    if classes is None:
        return torch.ones(length, dtype=torch.float64, device=device)
    return torch.bincount(classes, minlength=length).double()


def _bits(magnitudes: Tensor) -> Tensor:
    """Bit patterns of non-negative float32 values, which have their order."""
    return magnitudes.contiguous().view(torch.int32)


def _float_of_bits(bits: Tensor) -> Tensor:
    return bits.to(torch.int32).view(torch.float32)
