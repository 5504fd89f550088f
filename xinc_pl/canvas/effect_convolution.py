"""The effect of kernels, in chains of convolutions."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.convolution import ConvolutionRule
from xinc_pl.canvas.effect_rule import EffectRule, jvp, kernel_directions
from xinc_pl.canvas.layer import Layer
from xinc_pl.canvas.rest import Rest
from xinc_pl.canvas.rules import MapGroup


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
            slopes.append(jvp(stage.activation, before, torch.ones_like(before)))
        return slopes

    def directions(self, neurons: Tensor) -> Tensor:
        """x_i * w_io on channel o, without a share of the bias."""
        return kernel_directions(self.layer, self.preactivation, neurons)

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
