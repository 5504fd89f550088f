"""Contributions in a product with a weight: its neurons are its inputs."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.kind import Operands
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.layers.product import Product
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.pixels import Pixels
from xinc_pl.canvas.rules.rule import ContributionRule, Convention, Plain
from xinc_pl.canvas.rules.some_pixels import layer_of

_MOST_PLAIN = 1 << 22
"""Values up to which the self-check looks at each output apart."""
MOST_CHECKED = 1 << 18
"""Values of a layer's input, or of its output, up to which the self-check looks at all pixels."""


class LinearRule(ContributionRule):
    """M_i(p) = o_i(p) * sum_j w_ij (Eq. 1).

    The released code adds each neuron's share of the bias, and applies the activation in hidden layers:
    f(o_i(p) * sum_j w_ij + (1/m) sum_j b_j), with m neurons.
    """

    takes_threads = True

    def __init__(self, layer: Layer, later: Sequence[Layer], placement: Placement, convention: Convention) -> None:
        super().__init__(layer, later, placement, convention)
        self.product = Product(layer.operands)
        self.inputs = input_by_pixel(layer, placement)
        # Of every block of pixels: (blocks, inputs).
        self.weight_sums = self.product.weights.double().sum(2).to(self.inputs.dtype)
        self.bias = self._bias()

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group: maps are products, with no structure."""
        yield MapGroup(neurons, self.maps, self.size[0] * self.size[1])

    def maps(self, neurons: Tensor) -> Tensor:
        """Maps of ``neurons``, one multiplication per value: (n, H, W)."""
        maps = self._by_pixel(self.inputs.T[neurons], self.weight_sums[:, neurons].T)
        if self.convention == "released":
            maps = self._released(maps, self.bias.double().sum(-1))
        return self.placement.placed(maps).float()

    def per_output(self, neurons: Tensor) -> Tensor:
        """o_i(p) * w_ij, not summed over j: (n, outputs, H, W)."""
        inputs = self.inputs.T[neurons][:, None]
        weights = self.product.weights[:, neurons].permute(1, 2, 0)  # (n, outputs, blocks)
        products = self._by_pixel(inputs, weights)
        if self.convention == "released":
            products = self._released(products, self.bias.movedim(-1, 0), by_output=True)
        return self.placement.placed(products)

    def within(self, window: Window) -> ContributionRule:
        """Of those pixels alone."""
        # A rule that builds on this one may hold what is about all pixels.
        if type(self) is not LinearRule or len(self.product.weights) > 1:
            return super().within(window)
        return self._of_pixels(window.pixels(self.size[1]), window.size)

    def on(self, some: Pixels) -> ContributionRule | None:
        """Of other pixels."""
        if type(self) is not LinearRule or self.placement.pixels is not None:
            return None
        layer = layer_of(self.layer, some)
        if layer is None:
            return None
        own = replace(self.layer, uses=layer.uses, received=None)
        rule = LinearRule(own, self.later, Placement(some.size, None, self.placement.channels), self.convention)
        rule.backend = self.backend
        return rule

    def checked(self) -> ContributionRule:
        """A sample of pixels, where there are many."""
        pixels = checked_pixels(self.size, max(self.layer.input.numel(), self.layer.output.numel()))
        if type(self) is not LinearRule or pixels is None or len(self.product.weights) > 1:
            return self
        return self._of_pixels(pixels, (1, len(pixels)))

    def _of_pixels(self, pixels: Tensor, size: tuple[int, int]) -> "LinearRule":
        """The same of some pixels, as an image of ``size``."""
        layer, kind = self.layer, self.layer.kind
        own = (pixels if self.placement.pixels is None else self.placement.pixels.cpu()[pixels]).to(self.device)
        bias = kind.bias_term(layer.operands, layer.output)
        if bias is not None:
            bias = kind.pixels(layer.operands, bias.expand(layer.output.shape))[None, own]
        options = {"axes": ("bpi", "bio", "bpo"), "scale": 1}
        operands = Operands(layer.function, self.inputs[None, own], self.product.weights, bias, options)
        output = kind.pixels(layer.operands, layer.output)[None, own]
        rule = copy.copy(self)
        rule.layer = replace(layer, uses=(replace(layer.uses[0], operands=operands, output=output),))
        rule.size, rule.placement = size, Placement(size, None, self.placement.channels)
        rule.product, rule.inputs = Product(operands), self.inputs[own]
        rule.bias = self.bias[own] if self.bias.ndim > 1 else self.bias
        return rule

    def plain(self, neurons: Tensor) -> Plain:
        """The formula as it stands, in double precision; released, with a share of the bias and the activation."""
        operands = self.layer.kind.in_double_precision(self.layer.operands)
        product = Product(operands)
        inputs, weights = product.inputs[:, :, neurons], product.weights[:, neurons]  # (B, P, n), (B, n, O)
        maps = self.placement.placed((inputs * weights.sum(2)[:, None]).flatten(0, 1).T)
        if self.convention == "released":
            return self._released_plain(maps)
        per_output = None
        if inputs.numel() * product.num_outputs <= _MOST_PLAIN:
            products = inputs[..., None] * weights[:, None]  # (B, P, n, O)
            per_output = self.placement.placed(products.flatten(0, 1).permute(1, 2, 0))
        return Plain(maps, maps.abs(), per_output)

    def plain_total(self) -> Tensor | None:
        """Without its bias, and an activation, it is the sum of the layer's outputs."""
        if self.convention == "released":
            return None
        kind, operands = self.layer.kind, self.layer.kind.in_double_precision(self.layer.operands)
        outputs = kind.weighted(operands, torch.ones(self.num_neurons, device=self.device))
        return self.placement.placed(kind.pixels(operands, outputs).T)

    def _released_plain(self, maps: Tensor) -> Plain:
        layer = self.layer
        bias = layer.kind.bias_term(layer.operands, layer.output)
        if bias is not None:
            by_pixel = layer.kind.pixels(layer.operands, bias.double().expand(layer.output.shape))
            maps = maps + self.placement.placed(by_pixel.sum(1)) / self.num_neurons
        maps = layer.activation(maps.to(self.inputs.dtype)) if self.later else maps
        return Plain(maps, maps.abs())

    def _by_pixel(self, values: Tensor, factors: Tensor) -> Tensor:
        """Values (..., P) times factors (..., blocks), each for the pixels of its block."""
        num_blocks = factors.shape[-1]
        if num_blocks == 1:
            return values * factors
        by_block: Tensor = values.unflatten(-1, (num_blocks, -1))
        return (by_block * factors[..., None]).flatten(-2)

    def _bias(self) -> Tensor:
        """Of each output, (outputs,); of each pixel's too, (P, outputs), where they differ."""
        layer = self.layer
        bias = layer.kind.bias_term(layer.operands, layer.output)
        if bias is None:
            return layer.weight.new_zeros(self.product.num_outputs)
        by_pixel = layer.kind.pixels(layer.operands, bias.expand(layer.output.shape))
        return by_pixel[0] if (by_pixel == by_pixel[:1]).all() else by_pixel

    def _released(self, products: Tensor, bias: Tensor, by_output: bool = False) -> Tensor:
        """Each neuron's share of the bias added, and the activation of a hidden layer applied.

        Args:
            products: (n, P), or (n, outputs, P) by output.
            bias: Its sum, () or (P,); or (outputs,) or (outputs, P) by output.
            by_output: Whether each output's own activation is to be applied, should they differ.
        """
        if by_output and bias.ndim == 1:
            bias = bias[:, None]
        shared = products + (bias / self.num_neurons).to(products.dtype)
        activation = self.layer.activation
        if not self.later:
            return shared
        if not by_output or activation.num_channels == 1:
            return activation(shared)
        outputs = shared.unbind(1)
        return torch.stack([activation.of_channel(j, len(outputs))(each) for j, each in enumerate(outputs)], 1)


def checked_pixels(size: tuple[int, int], num_values: int) -> Tensor | None:
    """A seeded sample of pixels for the self-check, int64; None for all, if their tensors of ``num_values`` are small.

    The first and the last are among them.
    """
    num_pixels = size[0] * size[1]
    number = max(MOST_CHECKED * num_pixels // max(num_values, 1), 1)
    if number >= num_pixels:
        return None
    pixels: Tensor = torch.cat([torch.tensor([0, num_pixels - 1]), sampled(num_pixels, number)]).unique()
    return pixels


def input_by_pixel(layer: Layer, placement: Placement) -> Tensor:
    """What a layer of pixels by channels received, pixel by pixel: (P, inputs).

    Raises:
        DissectionError: It did not receive the pixels of an image of this size.
    """
    height, width = placement.size
    inputs = layer.kind.input_pixels(layer.operands, layer.input)
    if placement.pixels is None and len(inputs) != height * width:
        raise DissectionError(
            f"the layer {layer.name} received {len(inputs)} pixels, but the size {height}x{width} has "
            f"{height * width}; pass the coordinates of all pixels, row by row, and their size"
        )
    rows = [side for side in layer.input.shape[:-1] if side > 1]
    if placement.pixels is None and height != width and rows == [width, height]:
        raise DissectionError(
            f"the layer {layer.name} received {rows[0]} rows of {rows[1]} pixels, but the size is "
            f"{height}x{width}; size is height, width"
        )
    return inputs
