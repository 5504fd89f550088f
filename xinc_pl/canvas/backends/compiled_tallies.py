"""Sums and counts over all values of maps, compiled by numba."""

from typing import Any

import numpy as np

from xinc_pl.canvas.backends.compiled import Array, compiled
from xinc_pl.canvas.maps.bins import LOW_BITS, SHIFT

_NEURONS = 32
"""Sums over neurons are float32 among so many of them, float64 beyond."""
_SCAN = 32
"""Values that are looked through at once for one inside a bin, which is rare."""
_INFINITY = np.uint32(0x7F800000)


@compiled
def first_sums(
    maps: Array,
    bits: Array,
    counts_of_cells: Array,
    total: Array,
    counts: Array,
    lows: Array,
    sums: Array,
    extremes: Array,
) -> None:
    """Totals, histogram, and sums and extremes of each map. Maps that are not finite are not in the histogram.

    Args:
        maps: float32 (n, R, C), not negative.
        bits: uint32 (n, R, C), the same memory.
        counts_of_cells: int32 (R, C), pixels per cell.
        total: float64 (R, C), to which the sum over neurons is added.
        counts: int64 (NUM_BINS,), to which it is added how many pixels' values lie in each bin; or empty.
        lows: int64 (NUM_BINS,), and the sum of their low bits.
        sums: float64 (n,), set.
        extremes: uint32 (2, n), set to the bits of the minima and maxima.
    """
    num_neurons, num_rows, num_columns = maps.shape
    partial = np.zeros((num_rows, num_columns), np.float32)
    for neuron in range(num_neurons):
        least, largest = np.uint32(0xFFFFFFFF), np.uint32(0)
        map_sum: Any = np.float64(0)
        for row in range(num_rows):
            values, patterns, cells, sum_here = maps[neuron, row], bits[neuron, row], counts_of_cells[row], partial[row]
            row_sum: Any = np.float32(0)
            for column in range(num_columns):
                sum_here[column] += values[column]
                row_sum += values[column] * np.float32(cells[column])
            map_sum += row_sum
            for column in range(num_columns):
                least, largest = min(least, patterns[column]), max(largest, patterns[column])
        sums[neuron] = map_sum
        extremes[0, neuron], extremes[1, neuron] = least, largest
        if largest < _INFINITY and len(counts) > 0:
            for row in range(num_rows):
                patterns, cells = bits[neuron, row], counts_of_cells[row]
                for column in range(num_columns):
                    pattern, count = patterns[column], np.int64(cells[column])
                    place = np.uint64(pattern >> SHIFT)
                    counts[place] += count
                    lows[place] += count * np.int64(pattern & LOW_BITS)
        if (neuron + 1) % _NEURONS == 0 or neuron + 1 == num_neurons:
            total += partial
            partial[:] = 0


@compiled
def num_greater(values: Array, limits: Array) -> int:
    """How many of ``values`` are greater than the one of ``limits`` in the same place, float32 (W,) both."""
    count: Any = np.int32(0)
    for column in range(len(limits)):
        count += np.int32(values[column] > limits[column])
    return count  # type: ignore[no-any-return]


@compiled
def pixels_above(maps: Array, rows: Array, columns: Array, share: Array, result: Array) -> None:
    """How many pixels of each map lie above ``share``.

    Args:
        maps: float32 (n, R, C).
        rows: uint32 (H,), the class of each row.
        columns: uint32 (W,), likewise; empty where each is its own.
        share: float32 (H, W).
        result: int64 (n,), set.
    """
    line = np.empty(share.shape[1], np.float32)
    for neuron in range(maps.shape[0]):
        total = 0
        for row in range(share.shape[0]):
            source = maps[neuron, rows[row]]
            if len(columns) == 0:
                total += num_greater(source, share[row])
            else:
                if row == 0 or rows[row] != rows[row - 1]:
                    for column in range(len(columns)):
                        line[column] = source[columns[column]]
                total += num_greater(line, share[row])
        result[neuron] = total


@compiled
def add_change(maps: Array, before: Array, change: Array) -> None:
    """Add abs(maps - before), float32 (n, D) each, summed over neurons, to ``change``, float64 (D,)."""
    partial = np.zeros(maps.shape[1], np.float32)
    for neuron in range(maps.shape[0]):
        now, then = maps[neuron], before[neuron]
        for cell in range(len(partial)):
            partial[cell] += abs(now[cell] - then[cell])
        if (neuron + 1) % _NEURONS == 0 or neuron + 1 == maps.shape[0]:
            change += partial
            partial[:] = 0


@compiled
def count_reaching(bits: Array, limit: int, above: Array) -> None:
    """Add how many of ``bits``, uint32 (n, D), reach ``limit``, over neurons, to ``above``, int32 (D,)."""
    lowest = np.uint32(limit)
    partial = np.zeros(bits.shape[1], np.int32)
    for neuron in range(bits.shape[0]):
        patterns = bits[neuron]
        for cell in range(len(partial)):
            partial[cell] += np.int32(patterns[cell] >= lowest)
    above += partial


@compiled
def find_inside(bits: Array, start: int, found: Array, cells: Array) -> int:
    """Collect the bit patterns in the bin that starts at ``start``.

    Args:
        bits: uint32 (n, D).
        start: Of the bin.
        found: uint32 (m,), set as far as it goes.
        cells: int32 (m,), set to the place in 0 to D - 1 of each.

    Returns:
        How many there are, which may be more than m.
    """
    first, width = np.uint32(start), np.uint32(LOW_BITS + 1)
    num_found = 0
    for neuron in range(bits.shape[0]):
        patterns = bits[neuron]
        for begin in range(0, len(patterns), _SCAN):
            piece = patterns[begin : begin + _SCAN]
            num_inside: Any = np.int32(0)
            for place in range(len(piece)):
                # Below the bin the difference wraps around, and is large.
                num_inside += np.int32(np.uint32(piece[place] - first) < width)
            if num_inside > 0:
                for place in range(len(piece)):
                    if np.uint32(piece[place] - first) < width:
                        if num_found < len(found):
                            found[num_found] = piece[place]
                            cells[num_found] = begin + place
                        num_found += 1
    return num_found


@compiled
def build_membership(cell_of_pixel: Array, clusters: Array, pixels: Array, num_cells: int, num_clusters: int) -> Any:  # noqa: ANN401
    """Which clusters the pixels of each cell lie in.

    Args:
        cell_of_pixel: int64 (P,).
        clusters: int64 (E,), memberships: of a pixel in a cluster.
        pixels: int64 (E,).
        num_cells: D.
        num_clusters: Of all partitions.

    Returns:
        int64 (D + 1,), where each cell's entries start; int32 (M,), their clusters; float32 (M,), how many pixels.
    """
    starts = np.zeros(num_cells + 1, np.int64)
    for entry in range(len(pixels)):
        starts[cell_of_pixel[pixels[entry]] + 1] += 1
    starts = np.cumsum(starts)
    order, filled = np.empty(len(pixels), np.int32), starts[:-1].copy()
    for entry in range(len(pixels)):
        cell = cell_of_pixel[pixels[entry]]
        order[filled[cell]] = clusters[entry]
        filled[cell] += 1
    places = np.full(num_clusters, -1, np.int64)
    counts = np.zeros(len(pixels), np.float32)
    merged, num_merged = np.zeros(num_cells + 1, np.int64), 0
    for cell in range(num_cells):
        for entry in range(starts[cell], starts[cell + 1]):
            cluster = order[entry]
            if places[cluster] < merged[cell]:
                places[cluster] = num_merged
                order[num_merged] = cluster
                num_merged += 1
            counts[places[cluster]] += 1
        merged[cell + 1] = num_merged
    return merged, order[:num_merged].copy(), counts[:num_merged].copy()


@compiled
def sum_over_clusters_singly(maps: Array, starts: Array, clusters: Array, counts: Array, result: Array) -> None:
    """As ``sum_over_clusters``, neuron by neuron."""
    for neuron in range(maps.shape[0]):
        values, sums = maps[neuron], result[neuron]
        for cell in range(len(values)):
            value = np.float64(values[cell])
            for entry in range(starts[cell], starts[cell + 1]):
                sums[np.uint32(clusters[entry])] += np.float64(counts[entry]) * value


@compiled
def sum_over_clusters(
    maps: Array, starts: Array, clusters: Array, counts: Array, result: Array, num_lanes: int
) -> None:
    """Sums of maps over clusters, in float64.

    Args:
        maps: float32 (n, D).
        starts: int64 (D + 1,), as from ``build_membership``.
        clusters: int32 (M,).
        counts: float32 (M,).
        result: float64 (n, clusters), zeros, set.
        num_lanes: How many neurons to take at a time. Not a constant: the compiler would unroll the innermost loop
            instead of making vectors of it, at half the speed.
    """
    num_neurons, num_cells = maps.shape
    tile = np.zeros((_SCAN, num_lanes), np.float64)
    partial = np.zeros((result.shape[1], num_lanes), np.float64)
    for first in range(0, num_neurons, num_lanes):
        num_used = min(num_lanes, num_neurons - first)
        for begin in range(0, num_cells, _SCAN):
            num_here = min(_SCAN, num_cells - begin)
            for lane in range(num_used):
                values = maps[first + lane]
                for place in range(num_here):
                    tile[place, lane] = values[begin + place]
            for place in range(num_here):
                values = tile[place]
                for entry in range(starts[begin + place], starts[begin + place + 1]):
                    sums, count = partial[np.uint32(clusters[entry])], np.float64(counts[entry])
                    for lane in range(num_lanes):
                        sums[lane] += count * values[lane]
        for cluster in range(result.shape[1]):
            for lane in range(num_used):
                result[first + lane, cluster] = partial[cluster, lane]
        partial[:] = 0
