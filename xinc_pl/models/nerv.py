"""The video network of the paper: time to frame, through convolutions and pixel shuffles."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.memory import require_memory
from xinc_pl.models.encodings import TimeEncoding

_REDUCTION = 1.2  # each block is narrower than the one before by this factor
_MIN_WIDTH = 6


class NeRVBlock(nn.Module):
    """Convolution to stride**2 times the channels, pixel shuffle, GELU."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * stride**2, kernel_size, padding=kernel_size // 2)
        self.stride = stride

    def forward(self, features: Tensor) -> Tensor:
        """(B, in_channels, h, w) to (B, out_channels, h * stride, w * stride)."""
        return F.gelu(F.pixel_shuffle(self.conv(features), self.stride))


class NeRV(nn.Module):
    """Time to frame: an encoding, a stem that spans a small grid, blocks that enlarge it, a head to colours.

    Without arguments this is the paper's network of 978,557 parameters for frames of 128x256.

    Args:
        size: Height and width of a frame; each must be a multiple of the product of the strides.
        model_size: Parameters to aim for: the first width follows from it by the authors' rule.
        strides: How much each block enlarges its input, from 1 to 5.
        kernel_sizes: Odd kernel size of each block, or one for all.
        head_kernel_size: Odd kernel size of the last convolution.
        width: First width, instead of ``model_size``.
        levels: Frequencies of the time encoding.
        base: Ratio of neighbouring frequencies of the time encoding.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        size: tuple[int, int] = (128, 256),
        model_size: float = 1.0e6,
        strides: Sequence[int] = (4, 2, 2),
        kernel_sizes: int | Sequence[int] = 3,
        head_kernel_size: int = 3,
        width: int | None = None,
        levels: int = 80,
        base: float = 1.25,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        kernels = [kernel_sizes] * len(strides) if isinstance(kernel_sizes, int) else list(kernel_sizes)
        _check_arguments(strides, [*kernels, head_kernel_size])
        if levels < 1 or (width is not None and width < 1):
            raise ValueError(f"NeRV: levels is {levels} and width is {width}; they must be at least 1")
        if out_channels < 1:
            raise ValueError(f"NeRV: out_channels is {out_channels}; it must be at least 1")
        self.size = (size[0], size[1])
        self.grid = grid_size(self.size, strides)
        if width is None:
            width = first_width(model_size, self.grid, strides, kernels, levels)
        widths = block_widths(width, len(strides))
        self.encoding = TimeEncoding(levels, base)
        weights = 2 * levels * width * math.prod(self.grid) + sum(
            before * after * kernel**2 * stride**2
            for before, after, kernel, stride in zip(widths, widths[1:], kernels, strides, strict=False)
        )
        require_memory(4 * weights, f"NeRV with {weights:.3g} weights", "set model_size, width or size to less")
        self.stem = nn.Conv2d(2 * levels, width * math.prod(self.grid), 1)
        self.blocks = nn.ModuleList(
            NeRVBlock(before, after, kernel, stride)
            for before, after, kernel, stride in zip(widths, widths[1:], kernels, strides, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, head_kernel_size, padding=head_kernel_size // 2)
        self.layer_names = {f"blocks.{i}.conv": f"block_{i + 1}" for i in range(len(strides))} | {"head": "head"}

    def forward(self, time: Tensor) -> Tensor:
        """Frames (B, out_channels, H, W) in (0, 1) at times (B,); give the times in float64."""
        encoded = self.encoding(time).to(self.stem.weight.device, self.stem.weight.dtype)
        features = F.gelu(self.stem(encoded[:, :, None, None])).view(len(time), -1, *self.grid)
        for block in self.blocks:
            features = block(features)
        return torch.tanh(self.head(features)) * 0.5 + 0.5


def grid_size(size: tuple[int, int], strides: Sequence[int], name: str = "NeRV") -> tuple[int, int]:
    """Height and width of the grid that blocks of these strides enlarge to the size.

    Args:
        size: Height and width of a frame.
        strides: Of the blocks.
        name: Of the network, for the message.

    Raises:
        ValueError: The strides do not divide the size.
    """
    stride = math.prod(strides)
    if size[0] % stride or size[1] % stride or min(size) < 1:
        nearest = tuple(max(round(side / stride), 1) * stride for side in size)
        raise ValueError(
            f"{name}: the strides {tuple(strides)} multiply to {stride}, which does not divide the size "
            f"{size[0]}x{size[1]}; use {nearest[0]}x{nearest[1]}, or other strides"
        )
    return size[0] // stride, size[1] // stride


def first_width(
    model_size: float, grid: tuple[int, int], strides: Sequence[int], kernel_sizes: Sequence[int], levels: int
) -> int:
    """The width that gives about ``model_size`` parameters, by the authors' rule (S 6.1, released code).

    The larger root of a x**2 + b x = model_size, rounded down: a counts the blocks' weights, b the stem's.

    Raises:
        ValueError: The budget does not even allow a width of one.
    """
    a = sum(
        stride**2 * kernel**2 / _REDUCTION ** (2 * index)
        for index, (stride, kernel) in enumerate(zip(strides, kernel_sizes, strict=True))
    )
    a /= _REDUCTION
    b = 2 * levels * math.prod(grid)
    width = int((math.sqrt(b * b + 4 * a * model_size) - b) / (2 * a)) if model_size > 0 else 0
    if width < 1:
        raise ValueError(f"NeRV: model_size {model_size:g} is too small; the stem alone needs {b} parameters")
    return width


def largest_width(size_of: Callable[[int], float], model_size: float, smallest: str) -> int:
    """The largest width whose network stays within ``model_size``.

    Args:
        size_of: Parameters for a width; they grow with it.
        model_size: What they must not exceed.
        smallest: What there is at a width of one, for the message: ``HNeRV: ...; ... need``.

    Raises:
        ValueError: Not even a width of one does; or it is no number, or infinite.
    """
    if not math.isfinite(model_size):
        raise ValueError(f"{smallest.split(':')[0]}: model_size is {model_size}; give a number of parameters")
    if size_of(1) > model_size:
        raise ValueError(f"{smallest} {size_of(1) - model_size:,.0f} more")
    low, high = 1, 2
    while size_of(high) <= model_size:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size_of(middle) <= model_size else (low, middle)
    return low


def block_widths(width: int, num_blocks: int, min_width: int = _MIN_WIDTH) -> list[int]:
    """Channels before the first and after every block, each max(round(before / 1.2), min_width)."""
    widths = [width]
    for _ in range(num_blocks):
        widths.append(max(round(widths[-1] / _REDUCTION), min_width))
    return widths


def _check_arguments(strides: Sequence[int], kernel_sizes: Sequence[int]) -> None:
    if len(kernel_sizes) != len(strides) + 1:
        raise ValueError(
            f"NeRV: {len(kernel_sizes) - 1} kernel_sizes for {len(strides)} strides; give one per block, or one for all"
        )
    if not strides or not all(1 <= stride <= 5 for stride in strides):
        raise ValueError(f"NeRV: strides are {tuple(strides)}; give at least one, each from 1 to 5")
    if not all(kernel >= 1 and kernel % 2 for kernel in kernel_sizes):
        raise ValueError(f"NeRV: kernel sizes are {tuple(kernel_sizes)}; each must be odd")
