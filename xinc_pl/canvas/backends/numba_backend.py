"""The loops over all values of maps, compiled by numba, on the CPU."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from xinc_pl.canvas.backends import compiled_tallies
from xinc_pl.canvas.backends.backend import Backend, Found, MapSums
from xinc_pl.canvas.backends.compiled import Array, add_answers, apply_separable, spread
from xinc_pl.canvas.maps.bins import SHIFT
from xinc_pl.canvas.maps.cells import GroupWeights
from xinc_pl.canvas.maps.clusters import Clusters, joined
from xinc_pl.canvas.maps.field import Field
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.taps import taps_of_rows

_FEW = 4
"""Maps of fewer neurons are added up one by one, others in lanes, a multiple of it. Large images come in ones."""
_MAX_LANES = 32


class NumbaBackend(Backend):
    """Goes through each value as few times as possible."""

    def separable(self, rows: Tensor, columns: Tensor) -> Callable[[Tensor], Tensor]:
        """The few entries of each row that are not zero."""
        row_taps, row_indices, row_weights = _taps(rows)
        _, column_indices, column_weights = _taps(columns)
        column_indices = np.ascontiguousarray(column_indices.T)
        column_weights = np.ascontiguousarray(column_weights.T)

        def apply(values: Tensor) -> Tensor:
            result = values.new_empty(len(values), len(rows), len(columns))
            operators = row_taps, row_indices, row_weights, column_indices, column_weights
            apply_separable(values.contiguous().numpy(), *operators, result.numpy())
            return result

        return apply

    def answers(self, outputs: Tensor, field: Field, unsigned: bool) -> Tensor:
        """Colours side by side, and rows after one another, so that the factors of a row serve all kernels."""
        result = outputs.new_empty(len(outputs), *field.factors.shape[-2:])
        factors = (field if unsigned else field.of_sum).factors
        add_answers(
            outputs.repeat_interleave(field.scale, 2).numpy(),
            factors.numpy(),
            (field.scale, field.length, *field.start),
            unsigned,
            result.numpy(),
        )
        return result

    def spread(self, values: Tensor, group: MapGroup, maps: Tensor, places: Tensor) -> None:
        """Columns of each distinct row once, then whole rows."""
        if group.rows is None and group.columns is None:
            maps[places] = values
            return
        rows, columns = (
            torch.arange(length) if classes is None else classes
            for classes, length in zip((group.rows, group.columns), maps.shape[1:], strict=True)
        )
        spread(
            values.contiguous().numpy(),
            rows.numpy(),
            columns.numpy().astype(np.uint32),  # unsigned indices need no look whether they count from the end
            places.numpy(),
            maps.numpy(),
        )

    def first_sums(
        self, magnitudes: Tensor, weights: GroupWeights, total: Tensor, counts: Tensor, lows: Tensor
    ) -> MapSums:
        """All in one go, map by map."""
        sums, extremes = np.empty(len(magnitudes)), np.empty((2, len(magnitudes)), np.uint32)
        compiled_tallies.first_sums(
            magnitudes.contiguous().numpy(),
            magnitudes.contiguous().numpy().view(np.uint32),
            weights.cells.int().numpy(),
            total.numpy(),
            counts.numpy(),
            lows.numpy(),
            sums,
            extremes,
        )
        minimum, maximum = torch.from_numpy(extremes.view(np.float32)).double()
        return torch.from_numpy(sums), minimum, maximum

    def pixels_above(self, magnitudes: Tensor, weights: GroupWeights, share: Tensor) -> Tensor:
        """Each row is spread over the image once."""
        result = np.empty(len(magnitudes), np.int64)
        rows, columns = weights.group.rows, weights.group.columns
        compiled_tallies.pixels_above(
            magnitudes.contiguous().numpy(),
            # Unsigned indices need no look whether they count from the end.
            np.arange(weights.shape[0], dtype=np.uint32) if rows is None else rows.numpy().astype(np.uint32),
            np.empty(0, np.uint32) if columns is None else columns.numpy().astype(np.uint32),
            share.numpy(),
            result,
        )
        return torch.from_numpy(result)

    def add_change(self, magnitudes: Tensor, before: Tensor, change: Tensor) -> None:
        """Without copies of the maps."""
        compiled_tallies.add_change(_flat(magnitudes), _flat(before), change.view(-1).numpy())

    def count_above(self, magnitudes: Tensor, bits: int, above: Tensor) -> None:
        """By bit patterns."""
        compiled_tallies.count_reaching(_flat(magnitudes).view(np.uint32), bits, above.view(-1).numpy())

    def find(self, magnitudes: Tensor, number: int) -> Found:
        """Blocks of values without any are passed over quickly."""
        bits = _flat(magnitudes).view(np.uint32)
        room = max(bits.size // 64, 1)
        while True:
            found, cells = np.empty(room, np.uint32), np.empty(room, np.int32)
            num_found = compiled_tallies.find_inside(bits, number << SHIFT, found, cells)
            if num_found <= room:
                return Found(torch.from_numpy(found[:num_found].view(np.int32)), torch.from_numpy(cells[:num_found]))
            room = num_found

    def membership(self, weights: GroupWeights, clusters: Sequence[Clusters]) -> Callable[[Tensor], Tensor]:
        """By sparse sums of several neurons at a time."""
        together = joined(clusters)
        num_cells, num_clusters = weights.shape[0] * weights.shape[1], len(together.areas)
        starts, members, counts = compiled_tallies.build_membership(
            weights.cell_of_pixel().numpy(), together.cluster.numpy(), together.pixel.numpy(), num_cells, num_clusters
        )

        def sums(magnitudes: Tensor) -> Tensor:
            result = np.zeros((len(magnitudes), num_clusters))
            if len(magnitudes) < _FEW:
                compiled_tallies.sum_over_clusters_singly(_flat(magnitudes), starts, members, counts, result)
            else:
                num_lanes = min(-(-len(magnitudes) // _FEW) * _FEW, _MAX_LANES)
                compiled_tallies.sum_over_clusters(_flat(magnitudes), starts, members, counts, result, num_lanes)
            return torch.from_numpy(result)

        return sums


def _flat(magnitudes: Tensor) -> Array:
    """The values of each map in a row: (n, R * C)."""
    return magnitudes.contiguous().numpy().reshape(len(magnitudes), -1)


def _taps(matrix: Tensor) -> tuple[Array, Array, Array]:
    """Entries of each row (of m) that are not zero: their number (m,), places (m, K) and values (m, K)."""
    num_taps, places, values = (each.numpy() for each in taps_of_rows(matrix))
    # Unsigned indices need no look whether they count from the end.
    return num_taps, places.astype(np.uint32), np.ascontiguousarray(values)
