"""The effect of the inputs of a product, in networks that treat pixels one by one."""

from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.layers.product import Product
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.rules.linear import input_by_pixel


class LinearEffect(EffectRule):
    """Where every pixel is its own network: o_i(p) * dy_c/do_i(p), a backward pass per output of the network."""

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, recording: Recording) -> None:
        super().__init__(layer, later, placement, recording)
        self.inputs = input_by_pixel(layer, placement)
        self.weights = Product(layer.operands).weights

    @cached_property
    def gradients(self) -> Tensor:
        """dy_c/dz_j at every pixel: (C, P, outputs of the layer)."""
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

    def per_output(self, neurons: Tensor) -> Tensor:
        """o_i(p) * sum_j w_ij dy_c/dz_j(p)."""
        num_blocks = len(self.weights)
        by_block = self.gradients.unflatten(1, (num_blocks, -1))
        by_output = (by_block @ self.weights[:, neurons].transpose(1, 2)).flatten(1, 2)  # (C, P, n)
        return self.placement.placed((by_output * self.inputs[:, neurons]).permute(2, 0, 1))

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all."""
        yield self.group(neurons, len(self.gradients) * len(self.inputs))
