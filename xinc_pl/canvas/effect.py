"""The third convention: how each output pixel moves, to first order, when a neuron's own term is taken away.

With a layer's output Z = b + sum_i Z_i, and T the rest of the network from there on, a neuron's map is the derivative
of T at Z in the direction Z_i: M_i(c, p) = (JVP of T at Z in the direction Z_i)(c, p), for each output c. Its magnitude
is the sum over c of abs(M_i(c, p)). This is linear in Z_i, so that the maps of any neurons add up to one JVP.

T is the recording, replayed; it needs no chain. Two frequent cases are much quicker than a JVP for each neuron: a
linear layer of a network that treats pixels one by one, and a convolution in a chain of them.
"""

import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from xinc_pl.canvas.chain import Chain, layers_leading_to, read_chain
from xinc_pl.canvas.convolution import ConvolutionRule, check_supported, kernel_outputs, kernel_shape
from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layer import Layer
from xinc_pl.canvas.linear import input_by_pixel
from xinc_pl.canvas.recording import Call
from xinc_pl.canvas.rest import Rest, as_image, with_kept_parameters
from xinc_pl.canvas.rules import MAX_COMPLETENESS_ERROR, ContributionRule, MapGroup
from xinc_pl.canvas.steps import StepKind

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
        expected = as_image(_jvp(self.rest, self.preactivation, self.directions(sample).sum(0)), self.size)
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
        return _kernel_directions(self.layer, self.preactivation, neurons)

    def per_output(self, neurons: Tensor) -> Tensor:
        """One JVP for each neuron, all at once."""
        derivative = torch.func.vmap(lambda direction: _jvp(self.rest, self.preactivation, direction))
        tangents: Tensor = derivative(self.directions(neurons))
        return torch.stack([as_image(tangent, self.size) for tangent in tangents])

    def zero_inputs(self) -> Tensor:
        """Whether the neuron's own input is zero everywhere."""
        if self.layer.function is F.linear:
            return (self.layer.input.reshape(-1, self.neuron_shape[0]) == 0).all(0)
        return (self.layer.input == 0).transpose(0, 1).flatten(1).all(1).repeat_interleave(self.neuron_shape[1])


class LinearEffect(AnyEffect):
    """Of a linear layer where every pixel is its own network: o_i(p) * dy_c/do_i(p), a backward pass per output."""

    def __init__(self, layer: Layer, size: tuple[int, int], rest: Rest) -> None:
        super().__init__(layer, size, rest)
        self.is_slow = False
        self.inputs = input_by_pixel(layer, size)

    @cached_property
    def gradients(self) -> Tensor:
        """dy_c/dz_j at every pixel: (C, P, outputs of the layer)."""
        with torch.enable_grad():
            leaf = self.preactivation.detach().requires_grad_()
            channels = as_image(self.rest(leaf), self.size)
            gradients = [
                torch.autograd.grad(channel.sum(), leaf, retain_graph=True)[0].reshape(len(self.inputs), -1)
                for channel in channels
            ]
        return torch.stack(gradients)

    def per_output(self, neurons: Tensor) -> Tensor:
        """o_i(p) * sum_j w_ij dy_c/dz_j(p)."""
        by_output = self.gradients @ self.layer.weight[:, neurons]  # (C, P, n)
        maps = by_output * self.inputs[:, neurons]
        return maps.permute(2, 0, 1).reshape(len(neurons), -1, *self.size)

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all."""
        yield self.group(neurons, len(self.gradients) * len(self.inputs))


class ConvolutionEffect(EffectRule):
    """Of a convolution in a chain of them: a batch of tangents that starts from one channel.

    The derivatives of the activations are computed once. Kernels of one output channel (after the pixel shuffle) go
    together, for the next convolution then sees a single channel.
    """

    def __init__(self, layer: Layer, later: Sequence[Layer], size: tuple[int, int], rest: Rest) -> None:
        super().__init__(layer, later, size, rest)
        self.kernels = ConvolutionRule(layer, later, size, "effect")  # refuses what the formulas do not cover
        self.neuron_shape = self.kernels.neuron_shape
        self.is_slow = len(later) > 1
        self.stages = (layer, *later)

    @cached_property
    def slopes(self) -> list[Tensor]:
        """Derivative of each stage's activation, where the recorded frame has put it: (1, C, h, w) each."""
        slopes = []
        for stage in self.stages:
            before = F.pixel_shuffle(stage.call(stage.input), stage.upscale)
            slopes.append(_jvp(stage.activation, before, torch.ones_like(before)))
        return slopes

    def directions(self, neurons: Tensor) -> Tensor:
        """x_i * w_io on channel o, without a share of the bias."""
        return _kernel_directions(self.layer, self.preactivation, neurons)

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group per channel after the pixel shuffle."""
        largest = max(slope[0].numel() for slope in self.slopes[1:] or self.slopes)
        channels = self._channel(neurons)
        for channel in range(self.neuron_shape[1] // self.layer.upscale**2):
            yield self.group(neurons[channels == channel], largest)

    def per_output(self, neurons: Tensor) -> Tensor:
        """The tangents, carried to the output."""
        maps = self.preactivation.new_empty(len(neurons), self.slopes[-1].shape[1], *self.size)
        channels = self._channel(neurons)
        for channel in channels.unique().tolist():
            chosen = channels == channel
            maps[chosen] = self._carry(neurons[chosen], channel)
        return maps

    def zero_inputs(self) -> Tensor:
        """Whether x_i is zero everywhere."""
        return self.kernels.zero_inputs()

    def _channel(self, neurons: Tensor) -> Tensor:
        return neurons % self.neuron_shape[1] // self.layer.upscale**2

    def _carry(self, neurons: Tensor, channel: int) -> Tensor:
        stride = self.layer.upscale
        outputs = self.kernels.kernel_outputs(neurons, with_bias=False)
        phase = neurons % self.neuron_shape[1] % stride**2
        cells = outputs.new_zeros(len(neurons), stride**2, *outputs.shape[-2:])
        cells[torch.arange(len(neurons), device=neurons.device), phase] = outputs
        tangents = F.pixel_shuffle(cells, stride) * self.slopes[0][:, channel : channel + 1]
        if not self.later:
            maps = tangents.new_zeros(len(neurons), self.slopes[0].shape[1], *self.size)
            maps[:, channel] = tangents[:, 0]
            return maps
        for number, stage in enumerate(self.later):
            weight = stage.weight if number else stage.weight[:, channel : channel + 1]
            tangents = F.conv2d(tangents, weight, padding=weight.shape[-1] // 2)
            tangents = F.pixel_shuffle(tangents, stage.upscale) * self.slopes[number + 1]
        return tangents


def effect_rules(
    output: Tensor,
    calls: Sequence[Call],
    layer_names: Mapping[str, str],
    returned: Sequence[Tensor],
    size: tuple[int, int],
) -> tuple[dict[str, EffectRule], Mapping[str, str]]:
    """The rule of every layer by name, input side first, and the skipped layers.

    In a chain of layers, those that are dissected by the other conventions too; in any other network all linear layers
    and plain convolutions that lead to the output.
    """
    calls = with_kept_parameters(calls)
    try:
        chain = read_chain(output, calls, layer_names, returned)
    except DissectionError:
        chain = None
    if chain is not None:
        return {
            layer.name: _rule_in_chain(chain, index, calls, output, size) for index, layer in enumerate(chain.layers)
        }, chain.skipped
    rules: dict[str, EffectRule] = {}
    skipped: dict[str, str] = {}
    found = layers_leading_to(output, calls, layer_names, returned)
    names = [layer.name for _, layer in found]
    for position, layer in found:
        if names.count(layer.name) > 1:  # it would have several maps by one name
            skipped[layer.name] = "it is used more than once in one pass"
            continue
        try:
            rules[layer.name] = _rule_anywhere(layer, size, Rest(calls, position, output))
        except DissectionError as error:
            skipped[layer.name] = str(error)
    if not rules:
        raise DissectionError(f"the output depends on no layer that can be dissected: {skipped}")
    return rules, skipped


def _rule_in_chain(
    chain: Chain, index: int, calls: Sequence[Call], output: Tensor, size: tuple[int, int]
) -> EffectRule:
    layer, later = chain.layers[index], chain.layers[index + 1 :]
    position = next(at for at, call in enumerate(calls) if call.outputs and call.outputs[0] is layer.output)
    rest = Rest(calls, position, output)
    if layer.function is F.linear and all(each.function is F.linear for each in later):
        return LinearEffect(layer, size, rest)
    if all(map(_is_plain, (layer, *later))):
        try:
            return ConvolutionEffect(layer, later, size, rest)
        except DissectionError:
            pass
    return AnyEffect(layer, size, rest)


def _is_plain(layer: Layer) -> bool:
    """Whether it is a convolution that only a pixel shuffle and an activation of all channels follow."""
    return layer.function is F.conv2d and not any(
        step.kind in (StepKind.RESAMPLING, StepKind.PER_CHANNEL) for step in layer.steps
    )


def _rule_anywhere(layer: Layer, size: tuple[int, int], rest: Rest) -> EffectRule:
    if layer.function is F.linear:
        try:
            by_pixel = LinearEffect(layer, size, rest)
        except DissectionError:
            return AnyEffect(layer, size, rest)
        # Attention between pixels, say, shows in the self-check.
        if by_pixel.completeness_error() <= MAX_COMPLETENESS_ERROR:
            return by_pixel
    return AnyEffect(layer, size, rest)


def _kernel_directions(layer: Layer, output: Tensor, neurons: Tensor) -> Tensor:
    """x_i * w_io on channel o, zero on the others: (n, B, C_out, h, w)."""
    target = neurons % kernel_shape(layer)[1]
    directions = output.new_zeros(len(neurons), *output.shape)
    places = torch.arange(len(neurons), device=neurons.device)
    directions[places, :, target] = kernel_outputs(layer, neurons).transpose(0, 1)
    return directions


def _jvp(function: Any, at: Tensor, direction: Tensor) -> Tensor:  # noqa: ANN401 - anything that takes a tensor
    # Fused attention has no forward-mode derivative. torch itself uses a part of torch that it warns of.
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        derivative: Tensor = torch.func.jvp(function, (at,), (direction,))[1]
    return derivative


def _positive(scale: Tensor) -> Tensor:
    return scale.clamp_min(torch.finfo(scale.dtype).tiny)
