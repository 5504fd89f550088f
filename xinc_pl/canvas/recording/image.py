"""The image in what a network returns."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from xinc_pl.canvas.errors import DissectionError

Selection = str | int | Sequence[str | int] | Callable[[Any], Tensor]
"""Which part of what a network returns is the image: a key, an index, a path of them, or a function of the result."""


def selected(result: Any, output: Selection | None) -> Tensor:  # noqa: ANN401 - whatever a network returns
    """The image among what a network returns.

    Raises:
        ValueError: There is nothing of that name, or what is there is no tensor.
    """
    if callable(output):
        result = output(result)
        if not isinstance(result, Tensor):
            raise ValueError(f"output(result) gives a {type(result).__name__}; it has to give the image, a tensor")
    elif output is not None:
        for step in [output] if isinstance(output, str | int) else output:
            result = _entry(result, step)
    if not isinstance(result, Tensor):
        keys = f" with {', '.join(map(repr, result))}" if isinstance(result, Mapping) else ""
        raise ValueError(
            f"the network returns a {type(result).__name__}{keys}; say with output=... which entry is the image"
        )
    return result


def _entry(result: Any, step: str | int) -> Any:  # noqa: ANN401
    if isinstance(result, Tensor):
        raise ValueError(f"the network returns one tensor, which has no entry {step!r}; leave output out")
    try:
        return result[step]
    except (KeyError, IndexError, TypeError) as error:
        if isinstance(step, str) and hasattr(result, step):  # a dataclass or the like
            return getattr(result, step)
        raise ValueError(f"the network's output has no entry {step!r}: it is a {type(result).__name__}") from error


_FEW = 4
"""Channels that an image of unknown size may have."""

_SHAPES = "(C, H, W), (1, C, H, W), (H, W, C) or (H, W), or with a size also (H * W, C), (H * W,) or (C, H * W)"


def size_of(image: Tensor) -> tuple[int, int]:
    """Height and width of an image: (1, C, H, W), (C, H, W), (H, W, C) or (H, W).

    Raises:
        ValueError: The shape does not tell.
    """
    shape = tuple(image.shape)
    if len(shape) == 4:
        return shape[2], shape[3]
    if len(shape) == 3 and (shape[0] <= _FEW) != (shape[2] <= _FEW):
        return shape[1:] if shape[0] <= _FEW else shape[:2]
    if len(shape) == 2 and min(shape) > _FEW:
        return shape
    raise ValueError(f"the network's output of shape {shape} does not tell the image's size; give size=")


def as_image(output: Tensor, size: tuple[int, int]) -> Tensor:
    """A network's output as an image (C, H, W).

    Pixels in a row stand row by row. Axes of length 1 may stand anywhere.

    Args:
        output: (C, H, W), (1, C, H, W), (1, C, 1, H, W), (H, W, C), (H, W), (H * W, C), (1, H * W, C), (H * W,) or
            (C, H * W).
        size: Height H and width W.

    Raises:
        DissectionError: It has another shape.
    """
    height, width = size
    sides = [side for side in output.shape if side > 1]
    wanted = [side for side in size if side > 1]
    num_channels = output.numel() // max(height * width, 1)
    own = [num_channels] if num_channels > 1 else []
    pixels = [height * width] if height * width > 1 else []
    is_last = output.ndim > 0 and output.shape[-1] == num_channels
    if output.ndim == 4 and output.shape[2:] == (height, width) and sides == own + wanted:
        return output.reshape(num_channels, height, width)
    if is_last and sides in (wanted + own, pixels + own):
        return output.reshape(-1, num_channels).T.reshape(num_channels, height, width)
    if sides in (own + wanted, own + pixels):
        return output.reshape(num_channels, height, width)
    if output.ndim == 4 and output.shape[0] > 1 and output.shape[2:] == (height, width):
        raise DissectionError(
            f"the network returns {output.shape[0]} images; it is dissected one frame at a time, with a batch of one"
        )
    turned = [side for side in (width, height) if side > 1]
    if height != width and (sides[-2:] == turned or sides[:2] == turned):
        raise DissectionError(
            f"the network's output has shape {tuple(output.shape)}, but the size is {height}x{width}; size is height, "
            "width"
        )
    raise DissectionError(
        f"the network's output has shape {tuple(output.shape)}, which is no image of {height}x{width} pixels: it may "
        f"be {_SHAPES}; or output= may be a function that makes one of the result"
    )
