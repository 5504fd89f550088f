"""The effect of kernels, in chains of convolutions."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.effect.by_pixel import ByPixel
from xinc_pl.canvas.effect.derivative import jvp
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.effect.responses import fields_of
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.maps.field import Field
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.rules.convolution import ConvolutionRule

_ENOUGH = (1, 4, 4, 32)
"""How many kernels of a channel make its patches worth their while, by the number of later layers; the last for more.
"""
_MAX_THREADS = 8
"""That put patches together: each holds some in memory."""


class ConvolutionEffect(EffectRule):
    """Of a convolution in a chain of them, kernels of one output channel (after the pixel shuffle) together.

    The derivatives of the activations are computed once. Many kernels of a channel share the image's answers to it; a
    few are carried to the output as a batch of tangents, of which the next convolution sees a single channel.
    """

    takes_threads = True

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, by_pixel: ByPixel) -> None:
        super().__init__(layer, later, placement, by_pixel)
        self.kernels = ConvolutionRule(layer, later, placement, "effect")  # refuses what the formulas do not cover
        self.is_slow = len(later) > 2
        self.stages = (layer, *later)

    @cached_property
    def slopes(self) -> list[Tensor]:
        """Derivative of each stage's activation, where the recorded frame has put it: (1, C, h, w) each."""
        slopes = []
        for stage in self.stages:
            before = F.pixel_shuffle(stage.output, stage.upscale)
            slopes.append(jvp(stage.activation, [before], [torch.ones_like(before)]))
        return slopes

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group per channel after the pixel shuffle."""
        channels = self._channel(neurons)
        parts = [neurons[channels == channel] for channel in range(self.slopes[0].shape[1])]
        enough = _ENOUGH[min(len(self.later), len(_ENOUGH) - 1)]
        field_of = None
        if max(map(len, parts)) >= enough:
            num_threads = min(torch.get_num_threads(), _MAX_THREADS) if self.device.type == "cpu" else 1
            field_of = fields_of(self.stages, [slope[0] for slope in self.slopes], num_threads)
        largest = max(slope[0].numel() for slope in self.slopes[1:] or self.slopes)
        for channel, part in enumerate(parts):
            if field_of is None or len(part) < enough:
                yield self.group(part, largest)
            else:
                yield self._group_with_field(part, partial(field_of, channel))

    def per_output(self, neurons: Tensor) -> Tensor:
        """The tangents, carried to the output."""
        maps = self.layer.output.new_empty(len(neurons), self.slopes[-1].shape[1], *self.size)
        channels = self._channel(neurons)
        for channel in channels.unique().tolist():
            chosen = channels == channel
            maps[chosen] = self._carry(neurons[chosen], channel)
        return maps

    def _group_with_field(self, neurons: Tensor, field_of: Callable[[int], Field]) -> MapGroup:
        """Kernels of one channel, whose fields are known by their phase."""
        order = self._phase(neurons).argsort(stable=True)

        def answers(part: Tensor, unsigned: bool) -> Tensor:
            phases, counts = self._phase(part).unique_consecutive(return_counts=True)
            same_phase = zip(phases.tolist(), part.split(counts.tolist()), strict=True)
            maps = [
                self.backend.answers(self.kernels.kernel_outputs(each, with_bias=False), field_of(phase), unsigned)
                for phase, each in same_phase
            ]
            return torch.cat(maps).float()

        signed, unsigned = partial(answers, unsigned=False), partial(answers, unsigned=True)
        return MapGroup(neurons[order], signed, self.size[0] * self.size[1], unsigned=unsigned)

    def _phase(self, neurons: Tensor) -> Tensor:
        return neurons % self.neuron_shape[1] % self.layer.upscale**2

    def _channel(self, neurons: Tensor) -> Tensor:
        return neurons % self.neuron_shape[1] // self.layer.upscale**2

    def _carry(self, neurons: Tensor, channel: int) -> Tensor:
        stride = self.layer.upscale
        outputs = self.kernels.kernel_outputs(neurons, with_bias=False)
        phase = self._phase(neurons)
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
