"""Outputs of single kernels as products of matrices, on a CPU.

A convolution that has a group for each kernel needs nothing beside its result, but takes ten times as long.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.convolution import input_channels, kernel_weights
from xinc_pl.canvas.layers.kind import Operands

_MOST_VALUES = 1 << 23
"""Values up to which an input is laid out, each of them once for every place of a kernel: 32 MiB."""


def patches_of(operands: Operands, size: tuple[int, int]) -> Tensor | None:
    """What the kernels of each input channel see of it: (C, k * k, h * w).

    Args:
        operands: Of a convolution.
        size: Height and width of its output.

    Returns:
        None where products of matrices do not do, or their patches would take much memory.
    """
    inputs, weight, options = operands.input, operands.weight, operands.options
    if operands.function is not F.conv2d or options.get("groups", 1) != 1 or len(inputs) != 1:
        return None
    if inputs.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
        return None
    kernel = (weight.shape[-2], weight.shape[-1])
    is_large = inputs.shape[1] * kernel[0] * kernel[1] * size[0] * size[1] > _MOST_VALUES
    if is_large or isinstance(options.get("padding", 0), str):
        return None
    how = {name: options[name] for name in ("dilation", "padding", "stride") if name in options}
    return F.unfold(inputs.detach(), kernel, **how).view(inputs.shape[1], kernel[0] * kernel[1], -1)


def products(operands: Operands, patches: Tensor, neurons: Tensor, bias: Tensor | None) -> Tensor:
    """What kernels ``neurons`` (n,) make of their input channels, plus ``bias`` (n,): (n, h * w)."""
    weights = kernel_weights(operands, neurons).detach().flatten(1)
    outputs = weights.new_empty(len(neurons), patches.shape[-1])
    channels, counts = input_channels(operands, neurons).unique_consecutive(return_counts=True)
    start = 0
    for channel, count in zip(channels.tolist(), counts.tolist(), strict=True):
        some = slice(start, start + count)
        torch.mm(weights[some], patches[channel], out=outputs[some])
        start += count
    return outputs if bias is None else outputs.add_(bias.detach()[:, None])
