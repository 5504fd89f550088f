"""Convolutions of any kind: grouped, strided, dilated, padded, transposed, of one to three dimensions."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.kind import LayerKind, Operands
from xinc_pl.canvas.recording.call import Function

_ARGUMENTS = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = (*_ARGUMENTS[:5], "output_padding", "groups", "dilation")


class ConvolutionKind(LayerKind):
    """A convolution: a neuron is a kernel, one for each pair of an input and an output channel of a group.

    Index = input channel * C_out + output channel; with groups, the input channel within its group. Of a transposed
    convolution with groups it is the output channel that is counted within its group.
    """

    functions: Mapping[Function, tuple[str, ...]] = {
        **dict.fromkeys((F.conv1d, F.conv2d, F.conv3d), _ARGUMENTS),
        **dict.fromkeys((F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d), _TRANSPOSED),
    }

    def neuron_shape(self, operands: Operands) -> tuple[int, ...]:
        """Input and output channels, of which a group has its share."""
        first, second = operands.weight.shape[:2]
        return (first, second) if is_transposed(operands) else (second, first)

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """x_i * w_io on channel o, without a share of the bias."""
        outputs = kernel_outputs(operands, neurons)  # (B, n, ...), or (n, ...) without a batch
        batch = self._has_batch(operands)
        target = output_channels(operands, neurons)
        lead = outputs.shape[:1] if batch else outputs.shape[:0]
        terms = outputs.new_zeros(len(neurons), *lead, num_outputs(operands), *outputs.shape[len(lead) + 1 :])
        places = torch.arange(len(neurons), device=neurons.device)
        if batch:
            terms[places, :, target] = outputs.transpose(0, 1)
        else:
            terms[places, target] = outputs
        return terms

    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        """One convolution with the kernels weighted."""
        shape = self.neuron_shape(operands)
        by_kernel = weights.view(shape) if is_transposed(operands) else weights.view(shape).T
        kernels = operands.weight * by_kernel.to(operands.weight.dtype)[(..., *[None] * (operands.weight.ndim - 2))]
        result: Tensor = operands.function(operands.input, kernels, None, **operands.options)
        return result

    def channel_axis(self, operands: Operands, output: Tensor) -> int:
        """The axis before those of space."""
        return output.ndim - (operands.weight.ndim - 2) - 1

    def neuron_weights(self, operands: Operands, neurons: Tensor) -> Tensor:
        """Each kernel's."""
        return kernel_weights(operands, neurons).flatten(1)

    def input_rms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """Of x_i, the kernel's input channel."""
        channels = operands.input.movedim(self.channel_axis(operands, operands.input), 0).flatten(1)
        return channels.abs().square().mean(1).sqrt()[input_channels(operands, neurons)]

    def zero_inputs(self, operands: Operands) -> Tensor:
        """Whether x_i is zero everywhere."""
        channels = operands.input.movedim(self.channel_axis(operands, operands.input), 0)
        is_zero = (channels == 0).flatten(1).all(1)
        neurons = torch.arange(operands.weight.shape[:2].numel(), device=is_zero.device)
        return is_zero[input_channels(operands, neurons)]

    def label(self, operands: Operands, neuron: int) -> str:
        """Input and output channel."""
        index = torch.tensor([neuron])
        return f"{int(input_channels(operands, index))} → {int(output_channels(operands, index))}"

    @staticmethod
    def _has_batch(operands: Operands) -> bool:
        return operands.input.ndim == operands.weight.ndim


def is_transposed(operands: Operands) -> bool:
    """Whether its weight counts input channels first."""
    return operands.function in (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)


def num_outputs(operands: Operands) -> int:
    """Output channels, of all groups."""
    return operands.weight.shape[1] * _groups(operands) if is_transposed(operands) else operands.weight.shape[0]


def input_channels(operands: Operands, neurons: Tensor) -> Tensor:
    """Which channel of the input each kernel looks at."""
    first, second = operands.weight.shape[:2]
    if is_transposed(operands):
        return neurons // second
    local, output = neurons // first, neurons % first
    return output // (first // _groups(operands)) * second + local


def output_channels(operands: Operands, neurons: Tensor) -> Tensor:
    """Which channel of the output each kernel adds to."""
    first, second = operands.weight.shape[:2]
    if is_transposed(operands):
        return neurons // second // (first // _groups(operands)) * second + neurons % second
    return neurons % first


def kernel_weights(operands: Operands, neurons: Tensor) -> Tensor:
    """Weights of kernels ``neurons`` (n,): (n, 1, ...)."""
    first, second = operands.weight.shape[:2]
    if is_transposed(operands):
        return operands.weight[neurons // second, neurons % second][:, None]
    return operands.weight[neurons % first, neurons // first][:, None]


def kernel_outputs(operands: Operands, neurons: Tensor, bias: Tensor | None = None) -> Tensor:
    """What kernels ``neurons`` (n,) make of their input channels, plus ``bias`` (n,): (B, n, ...) or (n, ...)."""
    axis = operands.input.ndim - (operands.weight.ndim - 2) - 1
    inputs = operands.input.index_select(axis, input_channels(operands, neurons))
    options = {**operands.options, "groups": len(neurons)}
    outputs: Tensor = operands.function(inputs, kernel_weights(operands, neurons), bias, **options)
    return outputs


def _groups(operands: Operands) -> int:
    return int(operands.options.get("groups", 1))
