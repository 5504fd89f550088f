"""A video network of interpolation and light layers, which learns at every scale where in its cell a pixel lies."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.memory import require_memory
from xinc_pl.models.grid_nerv import LatentGrids
from xinc_pl.models.nerv import grid_size, largest_width

_EXPANSION, _KERNEL_SIZE = 4, 3
_BASE_LEVELS, _BASE_CHANNELS = 2, 2
_LOCAL_LEVELS, _LOCAL_CHANNELS = 3, 4
_GRID_BOUND = 1e-3


class BlockShape(NamedTuple):
    """Channels before and after a block, lengths and channels of its grids, width and number of its layers."""

    before: int
    after: int
    stride: int
    lengths: tuple[int, ...]
    channels: tuple[int, ...]
    hidden: int
    depth: int

    @property
    def inputs(self) -> list[int]:
        """Channels that each layer starts from."""
        return [self.before, *[self.after] * (self.depth - 1)]

    def num_parameters(self) -> int:
        """Of the grids, of what makes features of them, and of the layers."""
        grids = self.stride**2 * sum(map(math.prod, zip(self.lengths, self.channels, strict=True)))
        layers = sum(given * _KERNEL_SIZE**2 + (given + self.after) * self.hidden for given in self.inputs)
        return grids + (sum(self.channels) + 1) * self.before + layers


class HiNeRV(nn.Module):
    """Time to frame: latent grids, a stem, blocks that interpolate and refine, a head to colours at every pixel.

    Kwan et al. 2023 ("HiNeRV: Video Compression with Hierarchical Encoding-based Neural Representation") and its code.
    Features start from two base grids. A block normalises and enlarges them bilinearly, and as neighbours are then
    alike, adds features of time and of the pixel's place within its cell, from three small grids of its own; depthwise
    convolutions and MLPs follow, in residual layers. The published training computes a frame in patches; this one
    computes it whole, which is the same function. Layers add to what they start from, so that there are maps under the
    convention ``effect`` alone.

    A grid has half as many pictures, and half as many channels, as the one before; so have a block's grids channels.

    Args:
        size: Height and width of a frame; each must be a multiple of the product of the strides. On the command line it
            comes from the data.
        num_frames: Length of the clip. On the command line it comes from the data.
        model_size: Parameters to stay below: the width is the largest that does.
        strides: How much each block enlarges its input, from 1 to 5.
        width: Channels of the stem and the first block, instead of ``model_size``; each later block has half as many.
        depth: Layers of each block but the last, which has one, whose MLP does not widen.
        base_length: Pictures in the first base grid; one for four frames by default.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        size: tuple[int, int] = (128, 256),
        num_frames: int = 30,
        model_size: float = 1.0e6,
        strides: Sequence[int] = (4, 2, 2),
        width: int | None = None,
        depth: int = 3,
        base_length: int | None = None,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        if not strides or not all(1 <= stride <= 5 for stride in strides):
            raise ValueError(f"HiNeRV: strides are {tuple(strides)}; give at least one, each from 1 to 5")
        counts = {"num_frames": num_frames, "width": width, "depth": depth, "base_length": base_length}
        for name, count in (counts | {"out_channels": out_channels}).items():
            if count is not None and count < 1:
                raise ValueError(f"HiNeRV: {name} is {count}; it must be at least 1")
        self.size = (size[0], size[1])
        self.num_frames = num_frames
        self.grid = grid_size(self.size, strides, "HiNeRV")
        lengths, channels = _levels(_BASE_LEVELS, base_length or num_frames // 4, _BASE_CHANNELS)

        def num_parameters(width: int) -> int:
            shapes = _block_shapes(width, num_frames, strides, depth)
            grids = math.prod(self.grid) * sum(map(math.prod, zip(lengths, channels, strict=True)))
            ends = (sum(channels) * _KERNEL_SIZE**2 + 1) * width + (shapes[-1].after + 1) * out_channels
            return grids + ends + sum(shape.num_parameters() for shape in shapes)

        if width is None:
            need = "HiNeRV: model_size is too small; grids, and blocks of width 1, need"
            width = largest_width(num_parameters, model_size, need)
        weights = num_parameters(width)
        require_memory(4 * weights, f"HiNeRV with {weights:.3g} weights", "set model_size, width or size to less")
        shapes = _block_shapes(width, num_frames, strides, depth)
        self.grids = _grids(lengths, channels, self.grid)
        self.stem = nn.Conv2d(sum(channels), width, _KERNEL_SIZE, padding=_KERNEL_SIZE // 2)
        self.blocks = nn.ModuleList(map(HiNeRVBlock, shapes))
        self.head = nn.Linear(shapes[-1].after, out_channels)
        layers = (nn.Embedding, nn.Conv2d, nn.Linear)
        self.layer_names = {path: _name(path) for path, part in self.named_modules() if isinstance(part, layers)}
        for part in self.modules():
            if isinstance(part, nn.Conv2d | nn.Linear) and part.bias is not None:
                nn.init.zeros_(part.bias)

    def forward(self, time: Tensor) -> Tensor:
        """Frames (B, out_channels, H, W) in (0, 1) at times (B,), index / num_frames."""
        middle = time + 0.5 / self.num_frames
        features = self.stem(self.grids(middle))
        for block in self.blocks:
            features = block(features, middle)
        colours: Tensor = self.head(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return colours.sigmoid()


class HiNeRVBlock(nn.Module):
    """Norm, bilinear interpolation, what the local grids know, and layers."""

    def __init__(self, shape: BlockShape) -> None:
        super().__init__()
        self.stride = shape.stride
        self.grids = _grids(shape.lengths, shape.channels, (shape.stride, shape.stride))
        self.place = nn.Linear(sum(shape.channels), shape.before)
        self.layers = nn.ModuleList(HiNeRVLayer(given, shape.after, shape.hidden) for given in shape.inputs)

    def forward(self, features: Tensor, middle: Tensor) -> Tensor:
        """(B, before, h, w), and the middle of the frame's time (B,), to (B, after, h * stride, w * stride)."""
        height, width = features.shape[-2:]
        features = _normalised(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        features = F.interpolate(features, scale_factor=self.stride, mode="bilinear", align_corners=False)
        cell: Tensor = self.place(self.grids(middle).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        features = features + cell.repeat(1, 1, height, width)
        for layer in self.layers:
            features = layer(features)
        return features


class HiNeRVLayer(nn.Module):
    """Depthwise convolution, norm, and an MLP at every place, without biases; added to the input of the same width."""

    def __init__(self, before: int, after: int, hidden: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(before, before, _KERNEL_SIZE, padding=_KERNEL_SIZE // 2, groups=before, bias=False)
        self.widen = nn.Linear(before, hidden, bias=False)
        self.narrow = nn.Linear(hidden, after, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, before, h, w) to (B, after, h, w)."""
        branch: Tensor = _normalised(self.depthwise(features).permute(0, 2, 3, 1))
        branch = self.narrow(F.gelu(self.widen(branch))).permute(0, 3, 1, 2)
        return features + branch if features.shape == branch.shape else branch


def _normalised(features: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the last axis, which counts channels."""
    return F.layer_norm(features, features.shape[-1:], eps=1e-6)


def _block_shapes(width: int, num_frames: int, strides: Sequence[int], depth: int) -> list[BlockShape]:
    widths = [width, *(max(width >> index, 1) for index in range(len(strides)))]
    shapes = []
    for index, (before, after, stride) in enumerate(zip(widths, widths[1:], strides, strict=False)):
        levels = _levels(_LOCAL_LEVELS, num_frames, max(_LOCAL_CHANNELS >> index, 1))
        is_last = index == len(strides) - 1
        hidden = after if is_last else _EXPANSION * after
        shapes.append(BlockShape(before, after, stride, *levels, hidden, 1 if is_last else depth))
    return shapes


def _levels(num_levels: int, length: int, channels: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Lengths and channels of grids, each half of the one before; those that come to no channel are left out."""
    shares = [channels >> level for level in range(num_levels) if channels >> level]
    return tuple(max(length >> level, 1) for level in range(len(shares))), tuple(shares)


def _grids(lengths: tuple[int, ...], channels: tuple[int, ...], grid: tuple[int, int]) -> LatentGrids:
    grids = LatentGrids(lengths, channels, grid, middle=0.5)
    for weight in grids.parameters():
        nn.init.uniform_(weight, -_GRID_BOUND, _GRID_BOUND)
    return grids


def _name(path: str) -> str:
    """``block_1_layer_2_widen`` of ``blocks.0.layers.1.widen``."""
    pattern = r"(block|layer|grid)s(?:\.tables)?\.(\d+)\.?"
    return re.sub(pattern, lambda found: f"{found[1]}_{int(found[2]) + 1}_", path).rstrip("_")
