"""The bins of the histogram: ranges of a float32's bit pattern, which for non-negative values has the values' order."""

import torch
from torch import Tensor

SHIFT = 15
"""Bits of a float32 that a bin spans: 256 bins per octave."""
NUM_BINS = 0x7F800000 >> SHIFT
"""Bins of the finite values."""
LOW_BITS = (1 << SHIFT) - 1
"""What of a bit pattern tells values within a bin apart."""


def bits_of(magnitudes: Tensor) -> Tensor:
    """Bit patterns of non-negative float32 values: int32."""
    return magnitudes.contiguous().view(torch.int32)


def float_of_bits(bits: Tensor) -> Tensor:
    """The reverse: float32."""
    return bits.to(torch.int32).view(torch.float32)


def edges_of(first: int, last: int) -> Tensor:
    """Lower edges of the bins ``first`` to ``last``, and the upper edge of the last: float64."""
    return float_of_bits(torch.arange(first, last + 2) << SHIFT).double()


def sums_of(counts: Tensor, lows: Tensor) -> Tensor:
    """Sums of the values in each bin, exact up to one rounding.

    Values within a bin are equally spaced, so that integers tell all about them: neither the order of the values nor
    how they were divided among threads matters.

    Args:
        counts: int64 (NUM_BINS,), how many values.
        lows: int64 (NUM_BINS,), the sum of their low bits.
    """
    starts = torch.arange(NUM_BINS) << SHIFT
    lower = float_of_bits(starts).double()
    spacing = float_of_bits(starts + 1).double() - lower
    return counts.cpu().double() * lower + lows.cpu().double() * spacing
