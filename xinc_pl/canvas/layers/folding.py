"""Fold what only scales and shifts a layer's channels, such as a batch norm, into the layer's weight and bias."""

import torch
from torch import Tensor

from xinc_pl.canvas.layers.convolution import ConvolutionKind, is_transposed
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind


def folded(layer: Layer) -> Layer:
    """The layer that computes the same with the affine steps right behind it in its weight and bias.

    Be it a number, a tensor of one value or one for each channel, or a batch norm. Pixel shuffles and interpolations
    may stand between, for they commute with such steps: the weights of every interpolation add up to one.
    """
    if _output_axis(layer) is None:
        return layer
    kept: list[Step] = []
    steps = layer.steps
    for index, step in enumerate(steps):
        if affine := _affine(step):
            layer = _scaled(layer, *affine, (*kept, *steps[index + 1 :]))
        elif step.kind in SPATIAL or step.kind is StepKind.MOVE:
            kept.append(step)
        else:
            break
    return layer


def _output_axis(layer: Layer) -> int | None:
    """Which axis of the weight counts the outputs; None if that is not one axis alone."""
    if isinstance(layer.kind, ConvolutionKind):
        return int(is_transposed(layer.operands)) if layer.options.get("groups", 1) == 1 else None
    if isinstance(layer.kind, ProductKind):
        first, second, _ = layer.options["axes"]
        outputs = [axis for axis, letter in enumerate(second) if letter not in first]
        return outputs[0] if len(outputs) == 1 else None
    return None


def _affine(step: Step) -> tuple[Tensor, Tensor] | None:
    """Scale and shift, float64 (C,) or (1,); None if that is not all that the step does."""
    axis = step.channel_axis if step.kind is StepKind.PER_CHANNEL else 0
    if step.kind not in (StepKind.PER_CHANNEL, StepKind.ELEMENTWISE) or axis is None:
        return None
    shape = [1] * step.data.ndim
    if step.kind is StepKind.PER_CHANNEL:
        shape[axis] = step.data.shape[axis]
    step = step.with_parameters(lambda parameter: parameter.double() if parameter.is_floating_point() else parameter)
    zero = torch.zeros(shape, dtype=torch.float64, device=step.data.device)
    try:
        shift = step(zero.clone())
        scale = step(zero + 1) - shift
        probe = torch.linspace(-3, 3, zero.numel() + 2, dtype=torch.float64, device=zero.device)[1:-1].view(shape)
        for values in (probe + 0.1, -probe - 0.1, 100 * probe + 7, -100 * probe - 7):
            if not torch.allclose(step(values.clone()), values * scale + shift, rtol=1e-9, atol=1e-9):
                return None
    except (RuntimeError, TypeError, ValueError, IndexError):
        return None
    if shift.dtype != torch.float64:
        return None
    return scale.flatten(), shift.flatten()


def _scaled(layer: Layer, scale: Tensor, shift: Tensor, steps: tuple[Step, ...]) -> Layer:
    """The layer with its output channels scaled and shifted; (C,), or fewer after a pixel shuffle has joined some."""
    axis, outputs = _output_axis(layer), layer.output.shape[layer.channel_axis]
    assert axis is not None
    scale, shift = (each.repeat_interleave(outputs // len(each)) for each in (scale, shift))
    shape = [1] * layer.weight.ndim
    shape[axis] = outputs
    weight = layer.weight.double() * scale.view(shape)
    bias = shift
    if layer.bias is not None:
        along = layer.bias.ndim > 1 and isinstance(layer.kind, ProductKind)
        if along:  # added to the output as it stands
            shape = [1] * layer.output.ndim
            shape[layer.channel_axis] = outputs
            scale, shift = scale.view(shape), shift.view(shape)
        bias = layer.bias.double() * scale + shift
    elif isinstance(layer.kind, ProductKind) and layer.channel_axis != layer.output.ndim - 1:
        shape = [1] * layer.output.ndim
        shape[layer.channel_axis] = outputs
        bias = shift.view(shape)
    return layer.with_weight(weight.to(layer.weight.dtype), bias.to(layer.weight.dtype), steps)
