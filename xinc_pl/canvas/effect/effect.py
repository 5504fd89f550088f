"""What all ways to compute the convention ``effect`` share, and the way that fits any network."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.replay import Rest, as_image
from xinc_pl.canvas.rules.convolution import check_supported, kernel_outputs, kernel_shape
from xinc_pl.canvas.rules.rule import ContributionRule

_NUM_CHECKED = 32
"""Neurons whose maps are added up for the self-check."""
_BATCHING = 16
"""Convolutions are quicker on batches: maps may take so many times the usual memory."""


class EffectRule(ContributionRule):
    """What all ways to compute the effect have in common.

    Args:
        layer: The layer as it was recorded.
        later: The layers after it, if they form a chain.
        size: Height and width of the image.
        rest: The network from the layer's output on.
    """

    def __init__(self, layer: Layer, later: Sequence[Layer], size: tuple[int, int], rest: Rest) -> None:
        super().__init__(layer, later, size, "effect")
        self.rest = rest
        # Anew: a function that works in place may have overwritten what was recorded.
        self.preactivation = layer.call(layer.input)

    @abstractmethod
    def directions(self, neurons: Tensor) -> Tensor:
        """Z_i: what each neuron adds to the layer's output, in that output's shape behind (n,)."""

    @abstractmethod
    def per_output(self, neurons: Tensor) -> Tensor:
        """M_i(c, p): (n, C, H, W)."""

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all."""
        yield self.group(neurons, self.preactivation.numel())

    def group(self, neurons: Tensor, values_per_neuron: int) -> MapGroup:
        """Signed maps are sums over the outputs, magnitudes sums of absolute values."""
        return MapGroup(
            neurons,
            lambda part: self.per_output(part).sum(1).float(),
            max(values_per_neuron // _BATCHING, 1),
            unsigned=lambda part: self.per_output(part).abs().sum(1).float(),
        )

    def output_sum(self) -> Tensor:
        """The layer's output without its bias."""
        if self.layer.bias is None:
            return self.preactivation
        return self.layer.call(self.layer.input, with_bias=False)

    def completeness_error(self) -> float:
        """Residual of linearity: the maps of a sample of neurons, added up, against one JVP of the rest.

        Relative to what the absolute maps add up to, for the maps themselves may cancel. Or, if that is larger, how far
        the rest, replayed, is from what the network returned.
        """
        result = self.rest.result
        replayed = (self.rest(self.preactivation) - result).abs().max() / _positive(result.abs().max())
        order = torch.randperm(self.num_neurons, generator=torch.Generator().manual_seed(0))
        sample = order[:_NUM_CHECKED].to(self.device)
        expected = as_image(jvp(self.rest, self.preactivation, self.directions(sample).sum(0)), self.size)
        maps, magnitudes = torch.zeros_like(expected), torch.zeros_like(expected)
        for group in self.groups(sample):
            for part in group.parts():
                contributions = self.per_output(part)
                maps += contributions.sum(0)
                magnitudes += contributions.abs().sum(0)
        residual = (maps - expected).abs().max() / _positive(magnitudes.max())
        return float(torch.stack([replayed, residual]).max())


class AnyEffect(EffectRule):
    """By forward-mode differentiation, whatever the rest of the network does."""

    def __init__(self, layer: Layer, size: tuple[int, int], rest: Rest) -> None:
        super().__init__(layer, (), size, rest)
        self.is_slow = True
        if layer.function is F.linear:
            self.neuron_shape = (layer.weight.shape[1],)
        else:
            check_supported(layer)
            if layer.input.ndim != 4:
                raise DissectionError(f"the convolution {layer.name} received no batch; give it one, of one image")
            self.neuron_shape = kernel_shape(layer)

    def directions(self, neurons: Tensor) -> Tensor:
        """Z_i: o_i w_i. for an input, x_i * w_io on channel o for a kernel."""
        if self.layer.function is F.linear:
            inputs = self.layer.input[..., neurons].movedim(-1, 0)
            return inputs[..., None] * self.layer.weight.T[neurons].reshape(
                -1, *[1] * (inputs.ndim - 1), len(self.layer.weight)
            )
        return kernel_directions(self.layer, self.preactivation, neurons)

    def per_output(self, neurons: Tensor) -> Tensor:
        """One JVP for each neuron, all at once."""
        derivative = torch.func.vmap(lambda direction: jvp(self.rest, self.preactivation, direction))
        tangents: Tensor = derivative(self.directions(neurons))
        return torch.stack([as_image(tangent, self.size) for tangent in tangents])

    def zero_inputs(self) -> Tensor:
        """Whether the neuron's own input is zero everywhere."""
        if self.layer.function is F.linear:
            return (self.layer.input.reshape(-1, self.neuron_shape[0]) == 0).all(0)
        return (self.layer.input == 0).transpose(0, 1).flatten(1).all(1).repeat_interleave(self.neuron_shape[1])


def kernel_directions(layer: Layer, output: Tensor, neurons: Tensor) -> Tensor:
    """x_i * w_io on channel o, zero on the others: (n, B, C_out, h, w)."""
    target = neurons % kernel_shape(layer)[1]
    directions = output.new_zeros(len(neurons), *output.shape)
    places = torch.arange(len(neurons), device=neurons.device)
    directions[places, :, target] = kernel_outputs(layer, neurons).transpose(0, 1)
    return directions


def jvp(function: Any, at: Tensor, direction: Tensor) -> Tensor:  # noqa: ANN401 - anything that takes a tensor
    """Derivative of ``function`` at a point along a direction."""
    # Fused attention has no forward-mode derivative. torch itself uses a part of torch that it warns of.
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        derivative: Tensor = torch.func.jvp(function, (at,), (direction,))[1]
    return derivative


def _positive(scale: Tensor) -> Tensor:
    return scale.clamp_min(torch.finfo(scale.dtype).tiny)
