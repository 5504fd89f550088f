"""A video network whose decoder starts from what an encoder has seen of the frame."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.memory import require_memory
from xinc_pl.models.nerv import NeRVBlock, block_widths, grid_size, largest_width

_MIN_WIDTH = 12
_LAYER_SCALE = 1e-6


class HNeRV(nn.Module):
    """Time to frame, through the frame itself: an encoder makes a small embedding of it, a decoder the frame again.

    Chen et al. 2023 ("HNeRV: A Hybrid Neural Representation for Videos") and its code. The representation is the
    decoder with one embedding per frame; the encoder, a ConvNeXt of one block per stage, makes the embeddings while it
    trains. The decoder is a 1x1 convolution with GELU, NeRV's blocks with kernels of 1, 3, 5, 5 ..., and a head; each
    block is narrower than the one before by 1.2, down to 12 channels. The encoder undoes the decoder's strides.

    The clip is kept in the network, as a buffer that is saved with the weights: ``VideoINR`` gives it by ``see``. At a
    time between two frames, what the decoder gets is the mean of their embeddings, weighted by nearness.

    The encoder adds its input to what it makes of it, so that only the decoder is a chain of layers: the whole network
    has maps under the convention ``effect``, and ``dissect(network.decoder, network.embed(time))`` under every one.

    Args:
        size: Height and width of a frame; each must be a multiple of the product of the strides. On the command line it
            comes from the data.
        num_frames: Length of the clip. On the command line it comes from the data.
        model_size: Parameters of the decoder, and numbers in all embeddings, to stay below: the first width is the
            largest that does.
        strides: How much each block of the decoder enlarges its input, from 1 to 5.
        width: First width of the decoder, instead of ``model_size``.
        encoder_width: Channels of all stages of the encoder but the last.
        embedding_channels: Channels of the embedding.
        out_channels: Colours per pixel.
    """

    clip: Tensor

    def __init__(
        self,
        size: tuple[int, int] = (128, 256),
        num_frames: int = 30,
        model_size: float = 1.0e6,
        strides: Sequence[int] = (4, 4, 2, 2),
        width: int | None = None,
        encoder_width: int = 64,
        embedding_channels: int = 16,
        out_channels: int = 3,
    ) -> None:
        super().__init__()
        if not strides or not all(1 <= stride <= 5 for stride in strides):
            raise ValueError(f"HNeRV: strides are {tuple(strides)}; give at least one, each from 1 to 5")
        counts = {"num_frames": num_frames, "encoder_width": encoder_width, "out_channels": out_channels}
        counts |= {"embedding_channels": embedding_channels} | ({} if width is None else {"width": width})
        for name, count in counts.items():
            if count < 1:
                raise ValueError(f"HNeRV: {name} is {count}; it must be at least 1")
        self.size = (size[0], size[1])
        self.grid = grid_size(self.size, strides, "HNeRV")
        require_memory(
            4 * num_frames * out_channels * size[0] * size[1],
            f"HNeRV with {num_frames} frames",
            "set num_frames to less",
        )
        kernels = [min(2 * index + 1, 5) for index in range(len(strides))]
        if width is None:
            embeddings = num_frames * embedding_channels * self.grid[0] * self.grid[1]
            width = largest_width(
                lambda width: decoder_size(width, embedding_channels, strides, kernels, out_channels) + embeddings,
                model_size,
                "HNeRV: model_size is too small; the embeddings, and a decoder of width 1, need",
            )
        widths = block_widths(width, len(strides), _MIN_WIDTH)
        self.register_buffer("clip", torch.zeros(num_frames, out_channels, *self.size))
        self.encoder = _encoder(out_channels, encoder_width, embedding_channels, list(reversed(strides)))
        self.decoder = HNeRVDecoder(embedding_channels, widths, strides, kernels, out_channels)
        self.layer_names = {f"decoder.{path}": name for path, name in self.decoder.layer_names.items()}

    def see(self, clip: Tensor) -> None:
        """Take the frames that the encoder makes embeddings of.

        Args:
            clip: (num_frames, out_channels, H, W) in [0, 1].

        Raises:
            ValueError: It has another shape.
        """
        if clip.shape != self.clip.shape:
            raise ValueError(
                f"HNeRV is made for a clip (frames, channels, height, width) of {tuple(self.clip.shape)}, and gets "
                f"{tuple(clip.shape)}; make num_frames, channels and size the same"
            )
        with torch.no_grad():
            self.clip.copy_(clip)

    def embed(self, time: Tensor) -> Tensor:
        """Embeddings (B, embedding_channels, h, w) at times (B,)."""
        place = (time.to(torch.float64) * len(self.clip)).clamp(0, len(self.clip) - 1)
        before = place.floor()
        part = (place - before).to(self.clip.dtype)[:, None, None, None]
        embedding: Tensor = self.encoder(self.clip[before.long()])
        if bool((part == 0).all()):
            return embedding
        after: Tensor = self.encoder(self.clip[place.ceil().long()])
        return embedding * (1 - part) + after * part

    def forward(self, time: Tensor) -> Tensor:
        """Frames (B, out_channels, H, W) in (0, 1) at times (B,), index / num_frames."""
        frames: Tensor = self.decoder(self.embed(time.to(self.clip.device)))
        return frames


class HNeRVDecoder(nn.Module):
    """Embedding to frame: a 1x1 convolution, NeRV's blocks, a head to colours.

    Args:
        embedding_channels: Of its input.
        widths: Channels before the first block and after each.
        strides: How much each block enlarges its input.
        kernel_sizes: Of each block.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        embedding_channels: int,
        widths: Sequence[int],
        strides: Sequence[int],
        kernel_sizes: Sequence[int],
        out_channels: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(embedding_channels, widths[0], 1)
        self.blocks = nn.ModuleList(
            NeRVBlock(before, after, kernel, stride)
            for before, after, kernel, stride in zip(widths, widths[1:], kernel_sizes, strides, strict=False)
        )
        self.head = nn.Conv2d(widths[-1], out_channels, 3, padding=1)
        blocks = {f"blocks.{index}.conv": f"block_{index + 1}" for index in range(len(strides))}
        self.layer_names = {"stem": "stem", **blocks, "head": "head"}

    def forward(self, embedding: Tensor) -> Tensor:
        """Frames (B, out_channels, H, W) in (0, 1) of embeddings (B, embedding_channels, h, w)."""
        features = F.gelu(self.stem(embedding))
        for block in self.blocks:
            features = block(features)
        return torch.tanh(self.head(features)) * 0.5 + 0.5


class ConvNeXtBlock(nn.Module):
    """Depthwise 7x7, layer norm, and an MLP of four times the width at every place, added to the input.

    Liu et al. 2022 ("A ConvNet for the 2020s"); the branch is scaled by a weight per channel that starts at 1e-6.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.widen = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.full((channels,), _LAYER_SCALE))

    def forward(self, features: Tensor) -> Tensor:
        """(B, channels, h, w) to the same."""
        branch = self.norm(self.depthwise(features).permute(0, 2, 3, 1))
        branch = self.scale * self.narrow(F.gelu(self.widen(branch)))
        out: Tensor = features + branch.permute(0, 3, 1, 2)
        return out


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (B, C, h, w), at every place."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, h, w) to the same."""
        return super().forward(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


def _encoder(channels: int, width: int, embedding_channels: int, strides: Sequence[int]) -> nn.Sequential:
    """ConvNeXt: at every stage a convolution of the stride's size and one block; norms between, as in its paper."""
    widths = [channels, *[width] * (len(strides) - 1), embedding_channels]
    stages: list[nn.Module] = []
    for index, (before, after, stride) in enumerate(zip(widths, widths[1:], strides, strict=False)):
        smaller = nn.Conv2d(before, after, stride, stride)
        stages += [smaller, ChannelNorm(after)] if index == 0 else [ChannelNorm(before), smaller]
        stages.append(ConvNeXtBlock(after))
    encoder = nn.Sequential(*stages)
    for part in encoder.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.trunc_normal_(part.weight, std=0.02)
            assert part.bias is not None
            nn.init.zeros_(part.bias)
    return encoder


def decoder_size(
    width: int, embedding_channels: int, strides: Sequence[int], kernels: Sequence[int], channels: int
) -> int:
    """Parameters of stem, blocks and head."""
    widths = block_widths(width, len(strides), _MIN_WIDTH)
    blocks = sum(
        (before * kernel**2 + 1) * after * stride**2
        for before, after, kernel, stride in zip(widths, widths[1:], kernels, strides, strict=False)
    )
    return (embedding_channels + 1) * width + blocks + (9 * widths[-1] + 1) * channels
