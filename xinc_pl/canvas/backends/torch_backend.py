"""The loops over all values of maps, in torch: on any device."""

import warnings
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from torch import Tensor

from xinc_pl.canvas.backends.backend import Backend, Found, MapSums
from xinc_pl.canvas.maps.bins import LOW_BITS, NUM_BINS, SHIFT, bits_of
from xinc_pl.canvas.maps.cells import GroupWeights
from xinc_pl.canvas.maps.clusters import Clusters, joined
from xinc_pl.canvas.maps.field import Field, overlap
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.taps import taps_of_rows

_PIXEL_BLOCKS = 8
"""Sums over pixels are float32 within a block of pixels and float64 across blocks."""

_MAX_TAPS = 8
"""Rows that are made of more than so many are left to a matrix product."""

_PIXELS = 4096
"""Pixels that are looked at together where maps are spread over the image."""


class TorchBackend(Backend):
    """The reference."""

    def separable(self, rows: Tensor, columns: Tensor) -> Callable[[Tensor], Tensor]:
        """Columns as a dense matrix product, rows by the few that each is made of."""
        along_rows = _few_of_each(rows)
        return lambda values: along_rows(values @ columns.T)

    def answers(self, outputs: Tensor, field: Field, unsigned: bool) -> Tensor:
        """A multiply-add for each place that a patch has in the grid of cells."""
        num_cells, _, colours, height, width = field.factors.shape
        enlarged = outputs.repeat_interleave(field.scale, 1).repeat_interleave(field.scale, 2)[:, None]
        answers = outputs.new_zeros(len(outputs), colours, height, width)
        for row, column in product(range(num_cells), repeat=2):
            to_rows, from_rows = overlap(field.start[0] + row * field.scale, height)
            to_columns, from_columns = overlap(field.start[1] + column * field.scale, width)
            answers[:, :, to_rows, to_columns].addcmul_(
                enlarged[:, :, from_rows, from_columns], field.factors[row, column][:, from_rows, from_columns]
            )
        return answers.abs_().sum(1) if unsigned else answers.sum(1)

    def spread(self, values: Tensor, group: MapGroup, maps: Tensor, places: Tensor) -> None:
        """By indexing."""
        maps[places] = group.spread(values)

    def first_sums(
        self, magnitudes: Tensor, weights: GroupWeights, total: Tensor, counts: Tensor, lows: Tensor
    ) -> MapSums:
        """Sums over pixels are float32 along columns, float64 along rows."""
        total += magnitudes.sum(0)
        if len(counts):
            _add_to_histogram(magnitudes, weights, counts, lows)
        sums = (magnitudes @ weights.columns.float()).double() @ weights.rows
        return sums, magnitudes.amin((1, 2)).double(), magnitudes.amax((1, 2)).double()

    def pixels_above(self, magnitudes: Tensor, weights: GroupWeights, share: Tensor) -> Tensor:
        """On the whole image; where values repeat, piece by piece of it, with the values of all maps side by side."""
        if weights.are_one:
            return _greater(magnitudes, share).sum(2).sum(1, dtype=torch.int64)
        side_by_side = magnitudes.flatten(1).T.contiguous()  # copied in rows, which is quick
        number = magnitudes.new_zeros(len(magnitudes), dtype=torch.int64)
        for cells, limits in zip(
            weights.cell_of_pixel().split(_PIXELS), share.flatten()[:, None].split(_PIXELS), strict=True
        ):
            number += _greater(side_by_side.index_select(0, cells), limits).sum(0).long()
        return number

    def add_change(self, magnitudes: Tensor, before: Tensor, change: Tensor) -> None:
        """In float32 among these neurons."""
        change += (magnitudes - before).abs_().sum(0)

    def count_above(self, magnitudes: Tensor, bits: int, above: Tensor) -> None:
        """By bit patterns."""
        reached = torch.ge(bits_of(magnitudes), bits, out=torch.empty_like(magnitudes))
        above += reached.sum(0).int()

    def find(self, magnitudes: Tensor, number: int) -> Found:
        """Neuron by neuron."""
        bits = bits_of(magnitudes).flatten()
        places = _places((bits >> SHIFT) == number)
        return Found(bits[places], (places % magnitudes[0].numel()).int())

    def membership(self, weights: GroupWeights, clusters: Sequence[Clusters]) -> Callable[[Tensor], Tensor]:
        """By a sparse matrix product."""
        matrix = _membership(weights, clusters)

        def sums(magnitudes: Tensor) -> Tensor:
            products = matrix @ magnitudes.flatten(1).T
            return products.view(-1, _PIXEL_BLOCKS, len(magnitudes)).sum(1, dtype=torch.float64).T

        return sums


TORCH = TorchBackend()


def _few_of_each(matrix: Tensor) -> Callable[[Tensor], Tensor]:
    """``matrix @ values`` for values (n, h, C), where few entries of each row of the matrix (R, h) are not zero."""
    _, places, weights = taps_of_rows(matrix)
    if places.shape[1] > _MAX_TAPS:
        return lambda values: torch.matmul(matrix, values)
    taps = [(places[:, tap], weights[:, tap, None].contiguous()) for tap in range(places.shape[1])]

    def apply(values: Tensor) -> Tensor:
        (first, weight), *others = taps
        result = values.index_select(1, first).mul_(weight)
        for row, weight in others:
            result.addcmul_(values.index_select(1, row), weight)
        return result

    return apply


def _greater(values: Tensor, limits: Tensor) -> Tensor:
    """1 where ``values`` are greater and 0 elsewhere, float32: quicker to add up than bool, and exact below 2**24."""
    return torch.gt(values, limits, out=torch.empty_like(values))


def _places(mask: Tensor) -> Tensor:
    """Where a flat mask is set, int64; NumPy is quick where that is rare."""
    return torch.from_numpy(np.flatnonzero(mask.numpy())) if mask.device.type == "cpu" else mask.nonzero().flatten()


def _membership(weights: GroupWeights, clusters: Sequence[Clusters]) -> Tensor:
    """Sparse float32 (clusters * blocks, cells): how many pixels of each cell lie in each cluster.

    Rows are doubled by blocks of cells, see ``_PIXEL_BLOCKS``.
    """
    num_cells = weights.shape[0] * weights.shape[1]
    together = joined(clusters)
    cell_of_pixel = weights.cell_of_pixel()
    cell = cell_of_pixel[together.pixel.to(cell_of_pixel.device)]
    row = together.cluster.to(cell.device) * _PIXEL_BLOCKS + cell * _PIXEL_BLOCKS // num_cells
    indices = torch.stack([row, cell])
    ones = torch.ones(len(row), dtype=torch.float32, device=cell.device)
    shape = (len(together.areas) * _PIXEL_BLOCKS, num_cells)
    matrix = torch.sparse_coo_tensor(indices, ones, shape, check_invariants=False).coalesce()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr()


def _add_to_histogram(magnitudes: Tensor, weights: GroupWeights, counts: Tensor, lows: Tensor) -> None:
    bits = bits_of(magnitudes).flatten()
    # Not a number is beyond the last bin; the caller learns of it from the maximum.
    bins, low = (bits >> SHIFT).clamp_max_(NUM_BINS - 1), (bits & LOW_BITS).long()
    if weights.are_one:
        counts += torch.bincount(bins, minlength=NUM_BINS)
        lows.scatter_add_(0, bins.long(), low)
    else:
        cells, bins = weights.cells.long().expand(magnitudes.shape).flatten(), bins.long()
        counts.scatter_add_(0, bins, cells)
        lows.scatter_add_(0, bins, low.mul_(cells))
