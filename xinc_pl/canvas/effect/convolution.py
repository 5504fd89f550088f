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
from xinc_pl.canvas.maps.threads import in_threads
from xinc_pl.canvas.rules.convolution import ConvolutionRule

_ENOUGH = (1, 4, 4, 32)
"""How many kernels of a channel make its patches worth their while, by the number of later layers; the last for more.
"""
_AT_A_TIME = 16
"""Kernels whose maps per output are made from one field before they are handed out."""
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
        field_of = self._fields(neurons)
        largest = max(slope[0].numel() for slope in self.slopes[1:] or self.slopes)
        for channel, part in enumerate(parts):
            if field_of is None or len(part) < self._enough:
                yield self.group(part, largest)
            else:
                yield self._group_with_field(part, partial(field_of, channel))

    def per_output(self, neurons: Tensor, means: Tensor | None = None) -> Tensor:
        """The tangents, carried to the output."""
        maps = self.layer.output.new_empty(len(neurons), self.slopes[-1].shape[1], *self.size)
        channels = self._channel(neurons)
        for channel in channels.unique().tolist():
            chosen = channels == channel
            maps[chosen] = self._carry(neurons[chosen], channel, None if means is None else means[chosen])
        return maps

    def outputs(self, neurons: Tensor, means: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """From the fields of the channels that have many of the neurons; the others' tangents carried to the output."""
        channels, field_of = self._channel(neurons), self._fields(neurons)
        counts = channels.bincount(minlength=self.slopes[0].shape[1])
        is_carried = counts[channels] < (self._enough if field_of is not None else len(neurons) + 1)
        carried = is_carried.nonzero()[:, 0]
        for part, maps in super().outputs(neurons[carried], None if means is None else means[carried]):
            yield carried[part], maps
        if field_of is None:
            return
        kinds = channels * self.layer.upscale**2 + self._phase(neurons)
        parts = [
            part
            for kind in kinds[~is_carried].unique().tolist()
            for part in ((kinds == kind) & ~is_carried).nonzero()[:, 0].split(_AT_A_TIME)
        ]

        def answers(part: Tensor) -> Tensor:
            channel, phase = int(channels[part[0]]), int(self._phase(neurons[part[0]]))
            values = self._kept_back(neurons[part], None if means is None else means[part])
            colours = [
                self.backend.answers(values, field, unsigned=False) for field in field_of(channel, phase).by_colour
            ]
            return torch.stack(colours, 1)

        for wave in (parts[at : at + self._num_threads] for at in range(0, len(parts), self._num_threads)):
            yield from zip(wave, in_threads(answers, wave, self._num_threads), strict=True)

    @property
    def _num_threads(self) -> int:
        return min(torch.get_num_threads(), _MAX_THREADS) if self.device.type == "cpu" else 1

    @property
    def _enough(self) -> int:
        return _ENOUGH[min(len(self.later), len(_ENOUGH) - 1)]

    def _fields(self, neurons: Tensor) -> Callable[[int, int], Field] | None:
        """Answers to each channel and phase; None if no channel has enough of the neurons, or they are too large."""
        if not len(neurons) or int(self._channel(neurons).bincount().max()) < self._enough:
            return None
        return fields_of(self.stages, [slope[0] for slope in self.slopes], self._num_threads)

    def _kept_back(self, neurons: Tensor, means: Tensor | None) -> Tensor:
        """Z of kernels (n, h, w), less their means; of these only that of a kernel's own channel is not zero."""
        outputs = self.kernels.kernel_outputs(neurons, with_bias=False)
        return outputs if means is None else outputs - means.sum(1)[:, None, None]

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

    def _carry(self, neurons: Tensor, channel: int, means: Tensor | None = None) -> Tensor:
        stride = self.layer.upscale
        outputs = self._kept_back(neurons, means)
        phase = self._phase(neurons)
        cells = outputs.new_zeros(len(neurons), stride**2, *outputs.shape[-2:])
        cells[torch.arange(len(neurons), device=neurons.device), phase] = outputs
        tangents = F.pixel_shuffle(cells, stride) * self.slopes[0][:, channel : channel + 1]
        if not self.later:
            maps = tangents.new_zeros(len(neurons), self.slopes[0].shape[1], *self.size)
            maps[:, channel] = tangents[:, 0]
            return maps
        for number, (stage, slope) in enumerate(zip(self.later, self._laid_out, strict=True)):
            weight = stage.weight if number else stage.weight[:, channel : channel + 1]
            tangents = F.conv2d(self._in_layout(tangents), self._in_layout(weight), padding=weight.shape[-1] // 2)
            tangents = self._in_layout(F.pixel_shuffle(tangents, stage.upscale)).mul_(slope)
        return tangents

    @cached_property
    def _laid_out(self) -> list[Tensor]:
        """Derivatives of the later stages' activations, in the layout that tangents are carried in."""
        return [self._in_layout(slope) for slope in self.slopes[1:]]

    def _in_layout(self, values: Tensor) -> Tensor:
        """Channels last, where a CPU's convolutions are quicker by half."""
        layout = torch.channels_last if self.device.type == "cpu" else torch.contiguous_format
        return values.contiguous(memory_format=layout)
