"""Where in the image the values of a layer lie."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind
from xinc_pl.canvas.recording.image import as_image


@dataclass(frozen=True, eq=False)
class Placement:
    """Where the image's values come from.

    Attributes:
        size: Height H and width W of the image.
        pixels: int64 (H * W,), for each pixel of the image, row by row, which of the last layer's it is; None if they
            are the same, in order.
        channels: int64 (C,), which of the last layer's outputs the image's channels are.
    """

    size: tuple[int, int]
    pixels: Tensor | None
    channels: Tensor

    def placed(self, values: Tensor) -> Tensor:
        """Values at the last layer's pixels (..., P) as an image (..., H, W)."""
        if self.pixels is not None:
            values = values.index_select(-1, self.pixels.to(values.device))
        return values.reshape(*values.shape[:-1], *self.size)


def placement_of(layer: Layer, size: tuple[int, int]) -> Placement:
    """What the moves after the last layer of a chain make of its outputs.

    Raises:
        DissectionError: They give no image, or pixels of some channels other places than those of others.
    """
    steps, start = layer.steps, layer.output
    spatial = [index for index, step in enumerate(steps) if step.kind in SPATIAL]
    if spatial:
        steps, start = steps[spatial[-1] + 1 :], steps[spatial[-1]].result
    values, num_channels = _numbered(layer, start)
    image = as_image(_moved(values, steps), size).flatten(1)
    pixels, channels = image // num_channels, image % num_channels
    if not (pixels == pixels[:1]).all() or not (channels == channels[:, :1]).all():
        raise DissectionError(
            f"what follows {layer.name} moves pixels of some channels elsewhere than those of others, so that a "
            "neuron's map has no one place for each"
        )
    in_order = start.numel() // num_channels == image.shape[1] and torch.equal(pixels[0], torch.arange(image.shape[1]))
    return Placement(size, None if in_order else pixels[0], channels[:, 0])


def keep_places(layer: Layer, following: Layer) -> bool:
    """Whether each pixel's outputs are the next layer's inputs in the same order, whatever moves stand between.

    For layers of pixels by channels.
    """
    kind, next_kind = layer.kind, following.kind
    if not any(step.kind is StepKind.MOVE for step in layer.steps) and layer.output.shape == following.input.shape:
        own, received = (
            _untouched(layer.output.shape, lambda values: kind.pixels(layer.operands, values)),
            _untouched(layer.output.shape, lambda values: next_kind.input_pixels(following.operands, values)),
        )
        if own is not None and own == received:
            return True
    values, num_outputs = _numbered(layer, layer.output)
    moved = _moved(values, layer.steps)
    if moved.shape != following.input.shape or moved.numel() != values.numel():
        return False
    arranged = following.kind.input_pixels(following.operands, moved)
    return arranged.shape[-1] == num_outputs and torch.equal(arranged.flatten(), torch.arange(values.numel()))


def _untouched(shape: Sequence[int], arrange: Callable[[Tensor], Tensor]) -> torch.Size | None:
    """The shape that a tensor is given, if its values stay in their order; None if they move.

    Told from where they lie in memory, so that no value is looked at: there may be many.
    """
    values = torch.empty(shape, dtype=torch.uint8)
    arranged = arrange(values)
    stayed = arranged.is_contiguous() and arranged.data_ptr() == values.data_ptr()
    return arranged.shape if stayed and arranged.numel() == values.numel() else None


def channel_axis_at(layer: Layer, index: int) -> int | None:
    """Which axis of what a step receives counts the layer's channels; None if there is no such axis."""
    if layer.is_convolution:
        return layer.channel_axis
    numbers, num_channels = _numbered(layer, layer.output)
    channels = _moved(numbers, layer.steps[:index]) % num_channels
    for axis in range(channels.ndim):
        along = torch.arange(num_channels).view([-1 if other == axis else 1 for other in range(channels.ndim)])
        if channels.shape[axis] == num_channels and torch.equal(channels, along.expand(channels.shape)):
            return axis
    return None


def _numbered(layer: Layer, values: Tensor) -> tuple[Tensor, int]:
    """A tensor of the same shape that numbers its values, pixel by pixel and channel by channel; and how many channels.

    ``values`` is the layer's output, or what a spatial step made of it.
    """
    arranged = layer.kind.pixels(layer.operands, torch.arange(values.numel()).view(values.shape))
    numbers = torch.empty(values.numel(), dtype=torch.int64)
    numbers[arranged.flatten()] = torch.arange(values.numel())
    return numbers.view(values.shape), arranged.shape[1]


def moves_cancel(steps: Sequence[Step]) -> bool:
    """Whether moves among the steps cancel, up to each step that looks at places."""
    run: list[Step] = []
    for step in steps:
        if step.kind is StepKind.MOVE:
            run.append(step)
        elif step.kind in SPATIAL:
            if not _cancel(run):
                return False
            run = []
    return _cancel(run)


def _cancel(moves: Sequence[Step]) -> bool:
    if all(move.call.name == "contiguous" for move in moves):
        return True
    before, after = moves[0].data.shape, moves[-1].result.shape
    if before != after:
        return False
    places = torch.arange(before.numel())
    return torch.equal(_moved(places.view(before), moves).flatten(), places)


def _moved(values: Tensor, steps: Sequence[Step]) -> Tensor:
    """Values behind all moves among some steps."""
    for step in steps:
        if step.kind is StepKind.MOVE:
            values = step(values)
    return values
