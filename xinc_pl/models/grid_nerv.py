"""A video network that starts from latent grids at several rates in time."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xinc_pl.memory import require_memory
from xinc_pl.models.nerv import NeRVBlock, block_widths, grid_size


class LatentGrids(nn.Module):
    """Features (B, channels, h, w) at times (B,), interpolated from grids of several lengths.

    Lee et al. 2023 ("FFNeRV", section 3.3): a grid of length T holds T latent pictures, the first for time 0, and time
    t lies at t T in it; between two pictures features are interpolated linearly, before the first and after the last
    they stay. Those of all grids are concatenated.

    Args:
        lengths: Pictures in each grid.
        channels: Of all grids together, where the first ones take what does not divide evenly; or of each.
        grid: Height and width.
        middle: Where in its share of the clip a picture lies: 0 at the beginning, as in FFNeRV, 0.5 in the middle.
    """

    def __init__(
        self, lengths: Sequence[int], channels: int | Sequence[int], grid: tuple[int, int], middle: float = 0.0
    ) -> None:
        super().__init__()
        self.lengths, self.grid, self.middle = tuple(lengths), grid, middle
        if isinstance(channels, int):
            shares = [channels // len(lengths) + (index < channels % len(lengths)) for index in range(len(lengths))]
        else:
            shares = list(channels)
        # A row for each place at each time: the columns are the channels, which are the neurons.
        tables = [nn.Embedding(length * math.prod(grid), share) for length, share in zip(lengths, shares, strict=True)]
        for table, length, share in zip(tables, lengths, shares, strict=True):
            # Xavier's rule for a tensor (length, share, h, w), as in the published code.
            bound = math.sqrt(6 / (math.prod(grid) * (length + share)))
            nn.init.uniform_(table.weight, -bound, bound)
        self.tables = nn.ModuleList(tables)

    def forward(self, time: Tensor) -> Tensor:
        """Interpolate all grids at times (B,)."""
        device = next(self.tables.parameters()).device
        return torch.cat(
            [
                self._interpolated(table, time.to(device) * length - self.middle, length)
                for table, length in zip(self.tables, self.lengths, strict=True)
            ],
            dim=1,
        )

    def _interpolated(self, table: nn.Module, place: Tensor, length: int) -> Tensor:
        # Times are sums and quotients: what should be a whole number may lie a rounding below it.
        place = (place + 1e-6).clamp(0, length - 1)
        before = place.floor().long()
        part = (place - before)[:, None, None, None]
        first, second = self._picture(table, before), self._picture(table, (before + 1).clamp(max=length - 1))
        return first * (1 - part).to(first.dtype) + second * part.to(first.dtype)

    def _picture(self, table: nn.Module, index: Tensor) -> Tensor:
        """Pictures (B, channels, h, w) by their numbers (B,)."""
        places = torch.arange(math.prod(self.grid), device=index.device).view(self.grid)
        picture: Tensor = table(index[:, None, None] * math.prod(self.grid) + places)
        return picture.permute(0, 3, 1, 2)


class GridNeRV(nn.Module):
    """Time to frame: latent grids at several rates in time, then NeRV's blocks and head.

    What is seen at a time is learnt by latent pictures near it, instead of being made from an encoding of time as in
    ``NeRV``: the grids of FFNeRV (Lee et al. 2023), without its flow between frames and its grouped convolutions.

    Args:
        size: Height and width of a frame; each must be a multiple of the product of the strides.
        lengths: Latent pictures in each grid. A grid as long as the clip has one for every frame.
        width: Channels of all grids together, and the first block's inputs.
        strides: How much each block enlarges its input, from 1 to 5.
        kernel_size: Odd kernel size of the blocks and the head.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        size: tuple[int, int] = (128, 256),
        lengths: Sequence[int] = (8, 15, 30),
        width: int = 48,
        strides: Sequence[int] = (4, 2, 2),
        kernel_size: int = 3,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        if not strides or not all(1 <= stride <= 5 for stride in strides):
            raise ValueError(f"GridNeRV: strides are {tuple(strides)}; give at least one, each from 1 to 5")
        if not lengths or min(lengths) < 1 or width < len(lengths) or out_channels < 1:
            raise ValueError(
                f"GridNeRV: lengths are {tuple(lengths)}, width is {width} and out_channels {out_channels}; give at "
                "least one length, all at least 1, and a channel for each"
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"GridNeRV: kernel_size is {kernel_size}; it must be odd")
        self.size = (size[0], size[1])
        self.grid = grid_size(self.size, strides, "GridNeRV")
        widths = block_widths(width, len(strides))
        weights = sum(lengths) * width * math.prod(self.grid) + sum(
            before * after * kernel_size**2 * stride**2
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        require_memory(4 * weights, f"GridNeRV with {weights:.3g} weights", "set width, lengths or size to less")
        self.encoding = LatentGrids(lengths, width, self.grid)
        self.blocks = nn.ModuleList(
            NeRVBlock(before, after, kernel_size, stride)
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, kernel_size, padding=kernel_size // 2)
        self.layer_names = {f"encoding.tables.{index}": f"grid_{length}" for index, length in enumerate(lengths)}
        self.layer_names |= {f"blocks.{i}.conv": f"block_{i + 1}" for i in range(len(strides))} | {"head": "head"}

    def forward(self, time: Tensor) -> Tensor:
        """Frames (B, out_channels, H, W) in (0, 1) at times (B,)."""
        features: Tensor = self.encoding(time)
        for block in self.blocks:
            features = block(features)
        return torch.tanh(self.head(features)) * 0.5 + 0.5
