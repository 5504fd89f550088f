"""The formula of a kernel's map as it stands in the text (P 3.2), in double precision and with nothing clever.

For the self-check: it shares nothing with the operators by which maps are made.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.activation import Activation
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.steps import Step, StepKind


def plain_map(layer: Layer, later: Sequence[Layer], neuron: int) -> Tensor:
    """The map of one kernel: repeat, re-arrange and mask, then a box mean for every later layer (h, w)."""
    operands = layer.kind.in_double_precision(layer.operands)
    num_inputs, num_outputs = layer.neuron_shape
    output = neuron % num_outputs
    (term,) = layer.kind.terms(operands, torch.tensor([neuron], device=layer.weight.device))
    values = term[:, output : output + 1]
    if operands.bias is not None:
        values = values + operands.bias[output] / num_inputs
    for stage in layer.stages:
        if isinstance(stage, Activation):
            if later:
                values = _doubled(stage).of_channel(_channel(stage, output, num_outputs), stage.num_channels)(values)
        elif stage.kind is StepKind.PIXEL_SHUFFLE:
            values = _at_phase(values, output, stage.upscale_factor)
        else:
            values = stage(values)
    for number, following in enumerate(later):
        values = _mean(following, values)
        for stage in following.stages:
            if isinstance(stage, Activation):
                values = _doubled(stage)(values) if number < len(later) - 1 else values
            elif stage.kind is StepKind.PIXEL_SHUFFLE:
                factor = stage.upscale_factor
                values = values.repeat_interleave(factor, 2).repeat_interleave(factor, 3)
            else:
                values = stage(values)
    result: Tensor = values[0, 0]
    return result


def _channel(stage: Activation, output: int, num_outputs: int) -> int:
    return output * stage.num_channels // num_outputs


def _doubled(activation: Activation) -> Activation:
    return Activation(tuple(map(_doubled_step, activation.steps)))


def _doubled_step(step: Step) -> Step:
    return step.with_parameters(lambda each: each.double() if each.is_floating_point() else each)


def _at_phase(values: Tensor, output: int, factor: int) -> Tensor:
    """Values at the pixels of the kernel's phase, and zero at the others."""
    cells = values.new_zeros(1, factor**2, *values.shape[2:])
    cells[:, output % factor**2] = values[:, 0]
    return F.pixel_shuffle(cells, factor)


def _mean(layer: Layer, values: Tensor) -> Tensor:
    """The mean of what a layer's taps bring to each place; places outside the image hold zero."""
    if layer.function is F.conv2d:
        size = layer.weight.shape[-1]
        return F.avg_pool2d(values, size, 1, size // 2)
    ones = values.new_ones(1, 1, *layer.weight.shape[2:])
    sums: Tensor = layer.function(values, ones, None, **layer.options)
    return sums / _num_taps(layer, 0, sums.shape[2])[:, None] / _num_taps(layer, 1, sums.shape[3])


def _num_taps(layer: Layer, axis: int, length: int) -> Tensor:
    """How many taps of a transposed convolution bring something to each row (axis 0) or column (axis 1)."""

    def option(name: str, default: int) -> int:
        value = layer.options.get(name, default)
        return int(value if isinstance(value, int) else value[axis if len(value) > 1 else 0])

    stride, padding, dilation = option("stride", 1), option("padding", 0), option("dilation", 1)
    counts = [
        sum((place + padding - dilation * tap) % stride == 0 for tap in range(layer.weight.shape[2 + axis]))
        for place in range(length)
    ]
    return torch.tensor(counts, dtype=torch.float64, device=layer.weight.device).clamp_min(1)
