"""The effect of the inputs of a product, in networks that treat pixels one by one."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.effect.by_pixel import ByPixel
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.layers.product import Product
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.pixels import SomePixels
from xinc_pl.canvas.rules.linear import input_by_pixel

_MOST_VALUES = 1 << 22
"""Of the network's largest tensor, up to which derivatives at all pixels are had at once: 16 MiB of float32."""


class LinearEffect(EffectRule):
    """Where every pixel is its own network: o_i(p) * dy_c/do_i(p), a backward pass per output of the network."""

    batching = 16

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, by_pixel: ByPixel) -> None:
        super().__init__(layer, later, placement, by_pixel)
        self.inputs = input_by_pixel(layer, placement)
        self.weights = Product(layer.operands).weights

    @property
    def gradients(self) -> Tensor:
        """dy_c/dz_j at every pixel: (C, P, outputs of the layer)."""
        return self.by_pixel.latest(self.layer, self._gradients)

    def _gradients(self) -> Tensor:
        num_pixels = len(self.inputs)
        number = max(_MOST_VALUES * num_pixels // self.replay.largest, 1)
        if number >= num_pixels or not self.by_pixel.are_apart:
            return self._gradients_at_once()
        parts = [range(start, min(start + number, num_pixels)) for start in range(0, num_pixels, number)]
        gradients = []
        for part in parts:
            rule = self.on(SomePixels(self.by_pixel.recording, part))
            if not isinstance(rule, LinearEffect):
                return self._gradients_at_once()
            gradients.append(rule._gradients_at_once())
        return torch.cat(gradients, 1)

    def _gradients_at_once(self) -> Tensor:
        (point,) = self.points
        with torch.enable_grad():
            leaf = point.detach().requires_grad_()
            channels = as_image(self.replay(leaf), self.size)
            gradients = [
                self.layer.kind.pixels(
                    self.layer.operands, torch.autograd.grad(channel.sum(), leaf, retain_graph=True)[0]
                )
                for channel in channels
            ]
        return torch.stack(gradients).contiguous()

    def per_output(self, neurons: Tensor, means: Tensor | None = None) -> Tensor:
        """o_i(p) * sum_j w_ij dy_c/dz_j(p)."""
        num_blocks = len(self.weights)
        by_block = self.gradients.unflatten(1, (num_blocks, -1))
        by_output = (by_block @ self.weights[:, neurons].transpose(1, 2)).flatten(1, 2)  # (C, P, n)
        maps = by_output * self.inputs[:, neurons]
        if means is not None:
            maps -= self.gradients @ means.T
        return self.placement.placed(maps.permute(2, 0, 1))

    @property
    def _values_per_neuron(self) -> int:
        """Derivatives are had before, for all neurons."""
        return 1

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all."""
        yield self.group(neurons, len(self.by_pixel.recording.image) * len(self.inputs))

    def of_part(self, layer: Layer, by_pixel: ByPixel) -> "LinearEffect":
        """The same for the layer on some pixels."""
        placement = Placement(by_pixel.recording.size, None, self.placement.channels)
        return LinearEffect(layer, self.later, placement, by_pixel)
