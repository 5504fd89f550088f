"""What a network is asked for, and what is known about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, eq=False)
class Instance:
    """One object, or one region without objects, in one frame.

    Args:
        id: Identifies the object over all frames of a clip.
        category: What it is, e.g. ``"car"``. Several instances may share one.
        is_thing: True for countable objects (a car), False for stuff (the sky).
        mask: bool (H, W), its visible pixels.
    """

    id: int
    category: str
    is_thing: bool
    mask: Tensor


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, or one frame of a video, as a network sees it.

    Args:
        index: Position in the clip, from 0.
        inputs: What the network is called with to get this frame: coordinates (H * W, 2) for an image network,
            the time (1,) for a video network.
        size: Height and width of the network's output.
        target: (C, H, W) in [0, 1], or None if unknown: grey, RGB, or any number of channels from 1 on.
        instances: What is in the frame, if known.
        flow: (2, H, W), the displacement (x, y) in pixels from the frame before to this one, given at this frame's
            pixels; None if unknown, as for the first frame.
        name: For titles.
    """

    index: int
    inputs: Tensor
    size: Size
    target: Tensor | None
    instances: tuple[Instance, ...] = ()
    flow: Tensor | None = None
    name: str = ""

    def __post_init__(self) -> None:
        if self.target is not None:
            _check_channels(self.target, self.size, f"frame {self.index}")


class Batch(NamedTuple):
    """What a training step gets: which frames, and how they should look.

    Attributes:
        indices: int64 (B,). Integers, because precision plugins cast every floating input.
        target: float32 (B, C, H, W) in [0, 1].
    """

    indices: Tensor
    target: Tensor


def _check_channels(target: Tensor, size: Size, name: str) -> None:
    shape = tuple(target.shape)
    if len(shape) == 3 and shape[0] >= 1 and shape[1:] == tuple(size):
        return
    remedy = f"give (channels, {size[0]}, {size[1]})"
    if shape == tuple(size):
        remedy = "a grey image has one channel: target[None]"
    elif len(shape) == 3 and shape[:2] == tuple(size):
        remedy = "channels come first: target.permute(2, 0, 1)"
    raise ValueError(f"{name}: the target is {shape}, but the frame is {size[0]}x{size[1]}; {remedy}")


def batch_of(frames: Sequence[Frame]) -> Batch:
    """Stack frames with targets into a batch."""
    targets = [frame.target for frame in frames if frame.target is not None]
    if len(targets) != len(frames):
        raise ValueError("a frame without target cannot be trained on")
    return Batch(torch.tensor([frame.index for frame in frames]), torch.stack(targets))


def pixel_coordinates(size: Size) -> Tensor:
    """Row-major pixel coordinates of an image: float32 (H * W, 2), ((row, column) / (max(H, W) - 1) - 0.5) * 2.

    The longer side spans [-1, 1]; the shorter one keeps the aspect ratio and starts at -1 as well. Every operation
    is in float32, as in the published code: Fourier features enlarge the rounding to 1e-5, which trained weights
    then expect.
    """
    height, width = size
    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32), torch.arange(width, dtype=torch.float32), indexing="ij"
    )
    return (torch.stack([rows, columns], dim=-1).reshape(-1, 2) / max(height - 1, width - 1, 1) - 0.5) * 2


def frame_time(index: Tensor, num_frames: int) -> Tensor:
    """Times of frames, index / num_frames in [0, 1): float64, same shape as ``index``."""
    return index.to(torch.float64) / num_frames


def psnr_from_mse(mse: Tensor) -> Tensor:
    """PSNR in dB of images with peak 1 from their mean squared errors, of any shape."""
    return -10 * torch.log10(mse)
