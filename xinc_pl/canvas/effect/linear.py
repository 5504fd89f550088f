"""The effect of a linear layer's inputs, in networks that treat pixels one by one."""

from collections.abc import Iterator
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.effect.effect import AnyEffect
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.replay import Rest, as_image
from xinc_pl.canvas.rules.linear import input_by_pixel


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
