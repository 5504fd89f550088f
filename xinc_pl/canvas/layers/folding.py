"""Fold what only scales and shifts a layer's channels, such as a batch norm, into the layer's weight and bias."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind


def folded(layer: Layer) -> Layer:
    """The layer that computes the same with the affine steps per channel right behind it in its weight and bias.

    Pixel shuffles and interpolations may stand between, for they commute with such steps: the weights of every
    interpolation add up to one.
    """
    if layer.function not in _OUTPUT_AXIS:
        return layer
    kept: list[Step] = []
    for index, step in enumerate(layer.steps):
        if affine := _affine(step):
            layer = _scaled(layer, *affine)
        elif step.kind in SPATIAL or step.kind is StepKind.MOVE:
            kept.append(step)
        else:
            kept.extend(layer.steps[index:])
            break
    if len(kept) == len(layer.steps):
        return layer
    return replace(layer, steps=tuple(kept), output=layer.call(layer.input))


def _affine(step: Step) -> tuple[Tensor, Tensor] | None:
    """Scale and shift of every channel, float64 (C,); None if that is not all that the step does."""
    axis = step.channel_axis
    if step.kind is not StepKind.PER_CHANNEL or axis is None:
        return None
    step = step.with_parameters(lambda parameter: parameter.double() if parameter.is_floating_point() else parameter)
    shape = [1] * step.data.ndim
    shape[axis] = step.data.shape[axis]
    zero = torch.zeros(shape, dtype=torch.float64, device=step.data.device)
    shift = step(zero.clone())
    scale = step(zero + 1) - shift
    probe = torch.linspace(-3, 3, zero.numel() + 2, dtype=torch.float64, device=zero.device)[1:-1].view(shape)
    for values in (probe, -probe):
        if not torch.allclose(step(values.clone()), values * scale + shift, rtol=1e-9, atol=1e-9):
            return None
    return scale.flatten(), shift.flatten()


def _scaled(layer: Layer, scale: Tensor, shift: Tensor) -> Layer:
    """The layer with its output channels scaled and shifted; (C,), or fewer after a pixel shuffle has joined some."""
    outputs = layer.output.shape[layer.channel_axis]
    scale, shift = (each.repeat_interleave(outputs // len(each)) for each in (scale, shift))
    shape = [1] * layer.weight.ndim
    shape[_OUTPUT_AXIS[layer.function]] = outputs
    weight = layer.weight.double() * scale.view(shape)
    bias = shift if layer.bias is None else layer.bias.double() * scale + shift
    return replace(layer, weight=weight.to(layer.weight.dtype), bias=bias.to(layer.weight.dtype))


_OUTPUT_AXIS = {F.linear: 0, F.conv2d: 0, F.conv_transpose2d: 1}
"""Which axis of the weight counts the outputs."""
