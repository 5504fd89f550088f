"""How functions are compiled by numba, and the operators that carry maps to the image.

They let go of Python's lock. Of the liberties of fast mathematics they take those that leave NaN alone.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Compile at the first call; keep the result in a folder, where one can be written to."""
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract", "nsz", "reassoc", "arcp"}}
    result: Callable[_Parameters, _Result]
    try:
        result = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no folder for the cache
        result = numba.njit(**options)(function)
    return result


@compiled
def apply_separable(
    values: Array,
    row_taps: Array,
    row_indices: Array,
    row_weights: Array,
    column_indices: Array,
    column_weights: Array,
    result: Array,
) -> None:
    """Sparse operators along rows and columns.

    Args:
        values: (n, h, w).
        row_taps: int64 (R,), how many rows each row of the result comes from.
        row_indices: uint32 (R, K), which.
        row_weights: (R, K), with which weights.
        column_indices: uint32 (K', C), which columns each column of the result comes from.
        column_weights: (K', C), with which weights; zero for none.
        result: (n, R, C).
    """
    num_rows, num_columns = result.shape[1], result.shape[2]
    wide = np.empty((values.shape[1], num_columns), values.dtype)
    for neuron in range(values.shape[0]):
        for row in range(values.shape[1]):
            source, target = values[neuron, row], wide[row]
            indices, weights = column_indices[0], column_weights[0]
            for column in range(num_columns):
                target[column] = weights[column] * source[indices[column]]
            for tap in range(1, column_indices.shape[0]):
                indices, weights = column_indices[tap], column_weights[tap]
                for column in range(num_columns):
                    target[column] += weights[column] * source[indices[column]]
        for row in range(num_rows):
            target = result[neuron, row]
            taps = row_taps[row]
            if taps == 0:
                target[:] = 0
            elif taps == 1:
                first, weight = wide[row_indices[row, 0]], row_weights[row, 0]
                for column in range(num_columns):
                    target[column] = weight * first[column]
            else:
                first, weight = wide[row_indices[row, 0]], row_weights[row, 0]
                second, second_weight = wide[row_indices[row, 1]], row_weights[row, 1]
                for column in range(num_columns):
                    target[column] = weight * first[column] + second_weight * second[column]
                for tap in range(2, taps):
                    first, weight = wide[row_indices[row, tap]], row_weights[row, tap]
                    for column in range(num_columns):
                        target[column] += weight * first[column]


@compiled
def add_answers(
    outputs: Array, factors: Array, geometry: tuple[int, int, int, int], unsigned: bool, result: Array
) -> None:
    """Sums over colours of a field's answers, or of their absolute values.

    Args:
        outputs: (n, h, W), columns repeated ``scale`` times.
        factors: (T, T, colours, H, W).
        geometry: Scale, length of a patch's side, row and column where the first patch starts.
        unsigned: Whether absolute values are added up.
        result: (n, H, W).
    """
    scale, length, top, left = geometry
    num_cells, _, num_colours, height, width = factors.shape
    answers = np.empty((num_colours, width), result.dtype)
    for row in range(height):
        for kernel in range(result.shape[0]):
            answers[:] = 0
            for cell_row in range(num_cells):
                source_row = row - top - cell_row * scale
                # Beyond a patch's last row there are only zeros.
                if 0 <= source_row < height and cell_row * scale + source_row % scale < length:
                    for cell_column in range(num_cells):
                        shift = left + cell_column * scale
                        first, last = max(shift, 0), max(width + min(shift, 0), max(shift, 0))
                        source = outputs[kernel, source_row // scale, first - shift : last - shift]
                        for colour in range(num_colours):
                            factor = factors[cell_row, cell_column, colour, source_row, first - shift : last - shift]
                            target = answers[colour, first:last]
                            for column in range(target.size):
                                target[column] += source[column] * factor[column]
            target = result[kernel, row]
            target[:] = 0
            for colour in range(num_colours):
                answer = answers[colour]
                for column in range(width):
                    target[column] += abs(answer[column]) if unsigned else answer[column]


@compiled
def spread(values: Array, rows: Array, columns: Array, places: Array, maps: Array) -> None:
    """Distinct values over the whole image.

    Args:
        values: (n, R, C).
        rows: int64 (H,), the class of each row.
        columns: uint32 (W,), the class of each column.
        places: int64 (n,), where each map goes.
        maps: (N, H, W).
    """
    height, width = maps.shape[1:]
    first = np.full(values.shape[1], -1, np.int64)
    for row in range(height - 1, -1, -1):
        first[rows[row]] = row
    for number in range(len(places)):
        image = maps[places[number]]
        for row in range(height):
            target, earlier = image[row], first[rows[row]]
            if earlier < row:
                source = image[earlier]
                for column in range(width):
                    target[column] = source[column]
            else:
                source = values[number, rows[row]]
                for column in range(width):
                    target[column] = source[columns[column]]
