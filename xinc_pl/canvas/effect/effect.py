"""The third convention: how each output pixel moves, to first order, when a neuron's own term is taken away.

With a layer's output Z = b + sum_i Z_i, and T the rest of the network from there on, a neuron's map is the derivative
of T at Z in the direction Z_i: M_i(c, p) = (JVP of T at Z in the direction Z_i)(c, p), for each output c. Its magnitude
is the sum over c of abs(M_i(c, p)). This is linear in Z_i, so that the maps of any neurons add up to one JVP.

T is the recording, replayed; it needs no chain, nor a layer that is called only once. Three frequent cases are much
quicker than a JVP for each neuron: a product in a network that treats pixels one by one, a convolution that a chain
of them follows, and a layer before a narrow place.
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.effect.ablation import over_pixels
from xinc_pl.canvas.effect.by_pixel import ByPixel
from xinc_pl.canvas.effect.derivative import jvp, jvps
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.maps.group import CHUNK_VALUES, CHUNK_VALUES_ON_ACCELERATOR, MapGroup
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.pixels import Pixels, SomePixels
from xinc_pl.canvas.recording.replay import Replay
from xinc_pl.canvas.rules.linear import checked_pixels
from xinc_pl.canvas.rules.rule import ContributionRule, Cropped, Plain
from xinc_pl.canvas.rules.some_pixels import layer_of

_BACKWARD = 16
"""So many maps of a quick rule cost what one backward pass does."""

_MOST_CHECKED = 1 << 23
"""Values of the network's largest tensor, over all neurons that are checked."""


class EffectRule(ContributionRule):
    """What all ways to compute the effect have in common.

    Args:
        layer: The layer as it was recorded.
        later: The layers after it, if they form a chain.
        placement: Where in the image the last layer's pixels lie.
        by_pixel: The recording, and whether it can be cut into pixels.
    """

    batching = 8
    """Convolutions are quicker on batches, unless these are large: maps may take so many times the usual memory."""

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, by_pixel: ByPixel) -> None:
        super().__init__(layer, later, placement, "effect")
        self.by_pixel = by_pixel
        self.points = tuple(use.output for use in layer.uses)
        self.replay = Replay(by_pixel.recording, self.points)

    @abstractmethod
    def per_output(self, neurons: Tensor, means: Tensor | None = None) -> Tensor:
        """M_i(c, p): (n, C, H, W).

        Args:
            neurons: Indices (n,).
            means: Of each neuron, what the layer's outputs keep at all pixels when it is taken away: (n, outputs). The
                direction is then its term without that, as in mean ablation.
        """

    def outputs(self, neurons: Tensor, means: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """``per_output`` in bounded memory.

        Yields:
            Places (m,) among the neurons, and their maps (m, C, H, W). Every neuron comes once, in no fixed order.
        """
        values = max(self._values_per_neuron, len(self.by_pixel.recording.image) * self.size[0] * self.size[1])
        budget = CHUNK_VALUES * self.batching if self.device.type == "cpu" else CHUNK_VALUES_ON_ACCELERATOR
        for places in torch.arange(len(neurons), device=self.device).split(max(budget // values, 1)):
            yield places, self.per_output(neurons[places], None if means is None else means[places])

    @property
    def num_checked(self) -> int:
        """Fewer where a derivative takes long."""
        return max(min(super().num_checked, _MOST_CHECKED // max(self.replay.largest, 1)), 1)

    @property
    def _values_per_neuron(self) -> int:
        """How many values are alive for each neuron while its maps are made, besides the maps."""
        return self.replay.largest

    def directions(self, neurons: Tensor, means: Tensor | None = None) -> tuple[Tensor, ...]:
        """Z_i: what each neuron adds to what each call of the layer returns, behind (n,); less its mean, if given."""
        terms = tuple(self.layer.kind.terms(use.operands, neurons) for use in self.layer.uses)
        if means is None:
            return terms
        return tuple(
            term - over_pixels(self.layer, use, means) for use, term in zip(self.layer.uses, terms, strict=True)
        )

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all."""
        yield self.group(neurons, max(self.replay.largest, *(point.numel() for point in self.points)))

    def group(self, neurons: Tensor, values_per_neuron: int) -> MapGroup:
        """Signed maps are sums over the outputs, magnitudes sums of absolute values."""
        return MapGroup(
            neurons,
            lambda part: self.per_output(part).sum(1).float(),
            max(values_per_neuron // self.batching, 1),
            unsigned=lambda part: self.per_output(part).abs().sum(1).float(),
        )

    def within(self, window: Window) -> ContributionRule:
        """On those pixels alone, where each is a network of its own."""
        if self.by_pixel.are_apart:
            rule = self.on(SomePixels(self.by_pixel.recording, window.pixels(self.size[1]), window.size))
            if rule is not None:
                return rule
        return EffectWithin(self, window)

    def checked(self) -> ContributionRule:
        """On a sample of pixels, where there are many and each is a network of its own."""
        pixels = checked_pixels(self.size, self.replay.largest)
        rule = None
        if pixels is not None and self.by_pixel.are_apart:
            rule = self.on(SomePixels(self.by_pixel.recording, pixels))
        return self if rule is None else rule

    def on(self, some: Pixels) -> "EffectRule | None":
        """The rule on some pixels, which are apart; None if the layer's kind or the rule does not know how."""
        layer = layer_of(self.layer, some)
        rule = None if layer is None else self.of_part(layer, ByPixel(some.recording))
        if rule is not None:
            rule.backend = self.backend
        return rule

    def of_part(self, layer: Layer, by_pixel: ByPixel) -> "EffectRule | None":
        """The same for the layer on some pixels, which are an image of their own; None if there is no such."""
        del layer, by_pixel
        return None

    def plain(self, neurons: Tensor) -> Plain:
        """One JVP of the replayed recording for each neuron, along its own term."""
        outputs = torch.stack([self.derivative(each) for each in neurons.split(1)])
        return Plain(outputs.sum(1), outputs.abs().sum(1), outputs)

    def plain_total(self) -> Tensor:
        """One JVP along all neurons' terms."""
        along = [use.output.new_ones(self.num_neurons) for use in self.layer.uses]
        terms = [self.layer.kind.weighted(use.operands, each) for use, each in zip(self.layer.uses, along, strict=True)]
        return as_image(jvp(self.replay, self.points, terms), self.size)

    def derivative(self, neurons: Tensor) -> Tensor:
        """One JVP along the sum of some neurons' terms: (C, H, W)."""
        along = [direction.sum(0) for direction in self.directions(neurons)]
        return as_image(jvp(self.replay, self.points, along), self.size)


class AnyEffect(EffectRule):
    """By differentiation along each neuron's term, whatever the rest of the network does."""

    is_slow = True

    def __init__(self, layer: Layer, by_pixel: ByPixel) -> None:
        super().__init__(layer, (), Placement(by_pixel.recording.size, None, torch.empty(0)), by_pixel)

    def per_output(self, neurons: Tensor, means: Tensor | None = None) -> Tensor:
        """One JVP for each neuron, all at once."""
        tangents = jvps(self.replay, self.points, self.directions(neurons, means))
        return torch.stack([as_image(tangent, self.size) for tangent in tangents])

    def of_part(self, layer: Layer, by_pixel: ByPixel) -> "AnyEffect":
        """The same for the layer on some pixels."""
        return AnyEffect(layer, by_pixel)


class EffectWithin(Cropped):
    """Maps in a window: cut out, or where it is small by a backward pass for each of its pixels and each output.

    A backward pass tells what all neurons add to one value of the image.
    """

    def __init__(self, whole: EffectRule, window: Window) -> None:
        super().__init__(whole, window)
        self.effect = whole
        self.num_outputs = len(whole.by_pixel.recording.image)

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all, or those of the whole image."""
        if not self._is_small(len(neurons)):
            yield from super().groups(neurons)
            return
        yield MapGroup(
            neurons,
            lambda part: self.values[part].sum(1).float(),
            self.num_outputs * self.window.num_pixels,
            unsigned=lambda part: self.values[part].abs().sum(1).float(),
        )

    def per_output(self, neurons: Tensor) -> Tensor:
        """M_i(c, p): (n, C, h, w)."""
        return self.values[neurons] if self._is_small(len(neurons)) else super().per_output(neurons)

    def _is_small(self, num_neurons: int) -> bool:
        maps = num_neurons if self.effect.is_slow else num_neurons // _BACKWARD
        return self.num_outputs * self.window.num_pixels <= maps

    @cached_property
    def values(self) -> Tensor:
        """What every neuron adds to every value in the window: (N, C, h, w)."""
        uses, replay = self.effect.layer.uses, self.effect.replay
        kind = self.effect.layer.kind
        with torch.enable_grad():
            share = uses[0].output.new_zeros(self.num_neurons, dtype=uses[0].output.real.dtype).requires_grad_()
            image = as_image(
                replay(*(use.output + kind.weighted(use.operands, share) for use in uses)), self.whole.size
            )
            values = self.window.crop(image).flatten()
            gradients = [torch.autograd.grad(value, share, retain_graph=True)[0] for value in values]
        return torch.stack(gradients, 1).view(-1, self.num_outputs, *self.size)
