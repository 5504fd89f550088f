"""What a network is asked for, and what is known about it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

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

    def __post_init__(self) -> None:
        name = f"Instance {self.id}"
        if not isinstance(self.mask, Tensor):
            raise ValueError(f"{name}: mask is {_kind(self.mask)}; give a bool tensor (H, W)")
        if self.mask.dim() != 2 or self.mask.is_complex():
            raise ValueError(f"{name}: mask has the shape {tuple(self.mask.shape)}; give a bool tensor (H, W)")


@dataclass(frozen=True, eq=False)
class Frame:
    """One image, or one frame of a video, as a network sees it.

    Args:
        index: Position in the clip, from 0.
        inputs: What the network is called with to get this frame: coordinates (H * W, 2) for an image network,
            the time (1,) for a video network. Any nest of tensors: a tuple is the positional arguments, a dict the
            first argument.
        size: Height and width of the network's output.
        target: Floating-point (C, H, W) in [0, 1], or None if unknown: grey, RGB, or any number of channels from 1 on.
        instances: What is in the frame, if known.
        flow: (2, H, W), the displacement (x, y) in pixels from the frame before to this one, given at this frame's
            pixels; None if unknown, as for the first frame.
        name: For titles.

    Raises:
        ValueError: Names what does not fit, and says what is wanted.
    """

    index: int
    inputs: Any
    size: Size
    target: Tensor | None
    instances: tuple[Instance, ...] = ()
    flow: Tensor | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _check_whole(self)
        _check_inputs(self.inputs, f"Frame {self.index}: inputs")
        if self.target is not None:
            _check_target(self, self.target)
        if self.flow is not None:
            _check_flow(self, self.flow)
        for instance in self.instances:
            if not isinstance(instance, Instance):
                raise ValueError(f"Frame {self.index}: instances has {_kind(instance)}; give xinc_pl.Instance(...)")


def _check_whole(frame: Frame) -> None:
    if isinstance(frame.index, bool) or not isinstance(frame.index, Integral) or frame.index < 0:
        raise ValueError(f"Frame: index is {frame.index!r}; give a whole number from 0, its position in the clip")
    size = frame.size
    whole = isinstance(size, Sequence) and len(size) == 2 and all(isinstance(side, Integral) for side in size)
    if not whole or min(size) < 1:
        raise ValueError(f"Frame {frame.index}: size is {size!r}; give height and width in pixels, such as (128, 256)")


def _check_inputs(inputs: object, what: str) -> None:
    """Insist on tensors; they may lie in dicts, tuples and lists, as networks want them."""
    if isinstance(inputs, Tensor):
        return
    if hasattr(inputs, "args") and hasattr(inputs, "kwargs"):  # xinc_pl.canvas.Inputs
        inputs = [*inputs.args, *inputs.kwargs.values()]
    if isinstance(inputs, (Mapping, tuple, list)) and inputs:
        parts = inputs.values() if isinstance(inputs, Mapping) else inputs
        for part in parts:
            if isinstance(part, (Mapping, tuple, list)) or type(part).__module__ == "numpy":
                _check_inputs(part, what)
        if any(isinstance(part, (Tensor, Mapping, tuple, list)) for part in parts):
            return
    raise ValueError(f"{what} is {_kind(inputs)}; give what the network is called with, a torch.Tensor")


def _check_target(frame: Frame, target: object) -> None:
    what, wanted = f"Frame {frame.index}: target", f"(channels, {frame.size[0]}, {frame.size[1]}) in [0, 1]"
    if not isinstance(target, Tensor):
        raise ValueError(f"{what} is {_kind(target)}; give a torch.Tensor {wanted}, or None")
    if not target.is_floating_point():
        raise ValueError(f"{what} is {_dtype(target)}; give floating-point values {wanted} (bytes divided by 255)")
    if target.dim() != 3 or not len(target) or tuple(target.shape[1:]) != tuple(frame.size):
        remedy = _remedy(tuple(target.shape), frame.size)
        raise ValueError(f"{what} has the shape {tuple(target.shape)}; it has to be {wanted}{remedy}")
    low, high = (float(bound) for bound in target.detach().aminmax())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"{what} has values that are not finite; it has to be {wanted}")
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        raise ValueError(f"{what} goes from {low:.3g} to {high:.3g}; bring it to [0, 1]")


def _check_flow(frame: Frame, flow: object) -> None:
    what, wanted = f"Frame {frame.index}: flow", f"(2, {frame.size[0]}, {frame.size[1]}), in pixels"
    if not isinstance(flow, Tensor):
        raise ValueError(f"{what} is {_kind(flow)}; give a torch.Tensor {wanted}, or None")
    if not flow.is_floating_point():
        raise ValueError(f"{what} is {_dtype(flow)}; give floating-point values {wanted}")
    if tuple(flow.shape) != (2, *frame.size):
        raise ValueError(f"{what} has the shape {tuple(flow.shape)}; it has to be {wanted}")
    if not bool(torch.isfinite(flow).all()):
        raise ValueError(f"{what} has values that are not finite; put 0 where it is unknown, or give None")


_ROUNDING = 1e-3
"""How far a target may leave [0, 1]: less than what a byte can tell."""


def _kind(value: object) -> str:
    return "None" if value is None else f"of type {type(value).__module__.partition('.')[0]}.{type(value).__name__}"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


class Batch(NamedTuple):
    """What a training step gets: which frames, and how they should look.

    Attributes:
        indices: int64 (B,). Integers, because precision plugins cast every floating input.
        target: float32 (B, C, H, W) in [0, 1].
    """

    indices: Tensor
    target: Tensor


def _remedy(shape: tuple[int, ...], size: Size) -> str:
    """What to do about a target of another shape."""
    if shape == tuple(size):
        return "; a grey image has one channel: target[None]"
    if len(shape) == 3 and shape[:2] == tuple(size):
        return "; channels come first: target.permute(2, 0, 1)"
    return ""


def batch_of(frames: Sequence[Frame]) -> Batch:
    """Stack frames with targets into a batch."""
    targets = [frame.target for frame in frames if frame.target is not None]
    if len(targets) != len(frames):
        raise ValueError("a frame without target cannot be trained on")
    indices = torch.tensor([frame.index for frame in frames])
    # A single frame, which may be large, is not copied.
    return Batch(indices, torch.stack(targets) if len(targets) > 1 else targets[0][None])


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


def held_out_frames(num_frames: int, num_held_out: int) -> tuple[int, ...]:
    """Numbers of the frames that a clip is not trained on: evenly spaced, never its first or last.

    Raises:
        ValueError: There are not so many between the first and the last.
    """
    if not 0 <= num_held_out <= max(num_frames - 2, 0):
        raise ValueError(
            f"num_held_out is {num_held_out}; of {num_frames} frames 0 to {max(num_frames - 2, 0)} can be held out, "
            "for the first and the last are always trained on"
        )
    return tuple(round((index + 1) * (num_frames - 1) / (num_held_out + 1) - _TIE) for index in range(num_held_out))


_TIE = 1e-9
"""Halves are rounded down: Python would round them to even numbers."""


def psnr_from_mse(mse: Tensor) -> Tensor:
    """PSNR in dB of images with peak 1 from their mean squared errors, of any shape."""
    return -10 * torch.log10(mse)
