"""The few entries of a matrix that are not zero."""

from torch import Tensor


def taps_of_rows(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The entries of a matrix (m, n) that are not zero, where there are few in a row.

    Returns:
        How many each row has, int64 (m,); where, int64 (m, K); and what they are, (m, K): zero where a row has fewer
        than K.
    """
    is_zero = matrix == 0
    num_taps = (~is_zero).sum(1)
    places = is_zero.int().argsort(dim=1, stable=True)[:, : max(int(num_taps.max()), 1)]
    return num_taps, places, matrix.gather(1, places)
