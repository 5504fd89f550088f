"""How the image answers, to first order, to a single value inside a chain of convolutions.

Derivatives of activations differ from place to place, so that there is an answer for every channel and position. But it
is short: a value is felt only in a patch of pixels around it. Patches are put together from the output backwards: those
of the values that a convolution received are sums of those of its results, weighted by the kernel.

The map of a kernel is then its outputs times their patches, added up. Kernels of one output channel share patches.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.maps.field import Field, overlap
from xinc_pl.canvas.maps.threads import in_threads

MOST_VALUES = 1 << 26
"""Patches of all channels are kept at most so large: 256 MiB of float32."""


@dataclass(frozen=True)
class Reach:
    """Where a value is felt: from pixel q * scale + start on, if q is its row or column, in ``length`` pixels."""

    scale: int = 1
    start: int = 0
    length: int = 1

    def before(self, layer: Layer) -> "Reach":
        """Of what ``layer`` receives, if this is the reach of its results behind the pixel shuffle."""
        scale, size = self.scale * layer.upscale, layer.weight.shape[-1]
        spread = (size - 1) * scale + (layer.upscale - 1) * self.scale
        return Reach(scale, self.start - size // 2 * scale, spread + self.length)


class _Patches(ABC):
    """The answers to all values of a layer, behind its pixel shuffle by r, but for the derivative of the output.

    A channel's are (r**2, colours, length, length, h, w): by phase of the pixel shuffle, place in the patch, and row
    and column before the pixel shuffle.
    """

    @abstractmethod
    def mixed(self, weight: Tensor, phase: int) -> Tensor:
        """Sums over channels, weighted by (C, n), of the patches of a phase: (n, colours, length, length, h, w)."""


@dataclass(frozen=True, eq=False)
class _LastPatches(_Patches):
    """Where one layer follows, or none: patches are the same everywhere, up to a factor.

    Attributes:
        patch: (C, colours, length, length).
        slope: (r**2, C, h, w).
    """

    patch: Tensor
    slope: Tensor

    def of_channel(self, channel: int) -> Tensor:
        """Patches of one channel."""
        return self.patch[channel, :, :, :, None, None] * self.slope[:, channel, None, None, None]

    def mixed(self, weight: Tensor, phase: int) -> Tensor:
        factors = weight[:, :, None] * self.patch.flatten(1)[:, None]
        sums = factors.flatten(1).T @ self.slope[phase].flatten(1)
        return sums.view(-1, *self.patch.shape[1:], *self.slope.shape[2:])


@dataclass(frozen=True, eq=False)
class _KeptPatches(_Patches):
    """Of all channels: (r**2, C, colours, length, length, h, w)."""

    values: Tensor

    def mixed(self, weight: Tensor, phase: int) -> Tensor:
        return (weight.T @ self.values[phase].flatten(1)).view(-1, *self.values.shape[2:])


@dataclass(frozen=True, eq=False)
class _SummedPatches:
    """Those of a layer's channels, one at a time, put together from those of the next layer's results.

    Attributes:
        slope: Derivative of the activation: (C, h * r, w * r).
        upscale: r.
        following: The next layer.
        after: Patches of its results.
        reach: Where these lie.
    """

    slope: Tensor
    upscale: int
    following: Layer
    after: _Patches
    reach: Reach

    def of_channel(self, channel: int) -> Tensor:
        """Patches of one channel."""
        patches = self._received(channel).mul_(self.slope[channel])
        by_phase = F.pixel_unshuffle(patches.flatten(0, 2), self.upscale)
        result: Tensor = by_phase.unflatten(0, (*patches.shape[:3], self.upscale**2)).movedim(3, 0)
        return result

    def kept(self, num_threads: int) -> _KeptPatches:
        """Those of all channels."""
        shape = self.of_channel(0).shape
        values = self.slope.new_empty(shape[0], len(self.slope), *shape[1:])

        def write(channel: int) -> None:
            values[:, channel] = self.of_channel(channel)

        in_threads(write, range(len(self.slope)), num_threads)
        return _KeptPatches(values)

    def _received(self, channel: int) -> Tensor:
        """Patches of what the next layer received: (colours, length, length, rows, columns)."""
        layer, inner, reach = self.following, self.reach.length, self.reach.before(self.following)
        size, stride = layer.weight.shape[-1], layer.upscale
        height, width = self.slope.shape[-2:]
        weight = layer.weight[:, channel].reshape(-1, stride**2, size**2)
        patches: Tensor | None = None
        for phase in range(stride**2):
            by_tap = self.after.mixed(weight[:, phase], phase).unflatten(0, (size, size))
            if patches is None:
                patches = by_tap.new_zeros(by_tap.shape[2], reach.length, reach.length, height, width)
            for row, column in product(range(size), repeat=2):
                # Tap (row, column) brings a value to the result so many rows and columns before its own.
                to_rows, from_rows = overlap(row - size // 2, height)
                to_columns, from_columns = overlap(column - size // 2, width)
                top = (size - 1 - row) * reach.scale + phase // stride * self.reach.scale
                left = (size - 1 - column) * reach.scale + phase % stride * self.reach.scale
                target = patches[:, top : top + inner, left : left + inner, to_rows, to_columns]
                target += by_tap[row, column, :, :, :, from_rows, from_columns]
        assert patches is not None
        return patches


def fields_of(
    stages: Sequence[Layer], slopes: Sequence[Tensor], num_threads: int = 1
) -> Callable[[int, int], Field] | None:
    """The answers to the output channels of a chain's first layer, by channel and phase of its pixel shuffle.

    The patches of layers between the first and the last two are put together here and kept as long as the function is;
    the layer's own, when they are asked for. Several threads may ask. Their number does not change a bit.

    Args:
        stages: The layer and those after it: convolutions, each with a pixel shuffle or none.
        slopes: Derivative of each stage's activation behind its pixel shuffle: (C, h, w) each.
        num_threads: How many threads may put patches together.

    Returns:
        The function, or None if the patches would take too much memory.
    """
    if any(_num_values(stages, slopes, at) > MOST_VALUES for at in range(len(stages))):
        return None
    own: _LastPatches | _SummedPatches = _last_patches(stages, slopes)
    for at in reversed(range(len(stages) - 2)):
        after = own.kept(num_threads) if isinstance(own, _SummedPatches) else own
        own = _SummedPatches(slopes[at], stages[at].upscale, stages[at + 1], after, _reach(stages[at + 2 :]))
    reach, stride = _reach(stages[1:]), stages[0].upscale

    # Each thread goes through one channel after the other.
    patches = lru_cache(num_threads)(own.of_channel)

    @lru_cache(num_threads)
    def field(channel: int, phase: int) -> Field:
        return _field(patches(channel)[phase], slopes[-1], reach, stride, phase)

    return field


def _reach(later: Sequence[Layer]) -> Reach:
    """Of values that these layers follow."""
    return reduce(Reach.before, reversed(later), Reach())


def _num_values(stages: Sequence[Layer], slopes: Sequence[Tensor], at: int) -> int:
    """How large the patches of a layer are: of all channels where they are kept, otherwise of one."""
    num_channels = len(slopes[at]) if 0 < at < len(stages) - 2 else 1
    return num_channels * slopes[at][0].numel() * len(slopes[-1]) * _reach(stages[at + 1 :]).length ** 2


def _last_patches(stages: Sequence[Layer], slopes: Sequence[Tensor]) -> _LastPatches:
    """Of the last layer but one; of the last, if there is no other."""
    last = stages[-1]
    if len(stages) == 1:
        patch, slope = torch.eye(len(slopes[0])).to(slopes[0])[:, :, None, None], torch.ones_like(slopes[0])
    else:
        stride, size = last.upscale, last.weight.shape[-1]
        # A patch has a pixel for every tap, last tap first, and phase.
        taps = last.weight.flip(2, 3).unflatten(0, (-1, stride, stride))
        patch = taps.permute(3, 0, 4, 1, 5, 2).reshape(last.weight.shape[1], -1, size * stride, size * stride)
        slope = slopes[-2]
    by_phase = F.pixel_unshuffle(slope[:, None], stages[-2:][0].upscale).transpose(0, 1).contiguous()
    return _LastPatches(patch, by_phase)


def _field(patches: Tensor, slope: Tensor, reach: Reach, stride: int, phase: int) -> Field:
    """From the patches of one channel and phase (colours, length, length, h, w), and the output's derivative."""
    scale = reach.scale * stride
    num_cells = -(-reach.length // scale)
    missing = num_cells * scale - reach.length
    cells = F.pad(patches, (0, 0, 0, 0, 0, missing, 0, missing))
    colours, *_, height, width = cells.shape
    cells = cells.view(colours, num_cells, scale, num_cells, scale, height, width)
    factors = cells.permute(1, 3, 0, 5, 2, 6, 4).reshape(num_cells, num_cells, colours, height * scale, width * scale)
    start = reach.start + phase // stride * reach.scale, reach.start + phase % stride * reach.scale
    for row, column in product(range(num_cells), repeat=2):
        to_rows, from_rows = overlap(start[0] + row * scale, slope.shape[1])
        to_columns, from_columns = overlap(start[1] + column * scale, slope.shape[2])
        factors[row, column][:, from_rows, from_columns] *= slope[:, to_rows, to_columns]
    return Field(factors, scale, start, reach.length)
