"""What tests of checks have in common: a chain of each kind, a network that is none; what goes wrong with them."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from effect_oracle import COORDINATES, IMAGE, SIZE
from networks import Written, dense_network, kernel_network
from torch import Tensor, nn

from xinc_pl.canvas import dissect
from xinc_pl.canvas.layers.convolution import ConvolutionKind
from xinc_pl.canvas.layers.kind import Operands
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.rules.convolution import ConvolutionRule
from xinc_pl.canvas.rules.rule import ContributionRule

Change = Callable[[Tensor, Tensor], Tensor]
"""Takes maps, and which neurons' they are, to other maps."""


def linear() -> tuple[nn.Module, Tensor]:
    return dense_network((2, 6, 3), "tanh")[0], COORDINATES


def convolutional() -> tuple[nn.Module, Tensor]:
    return kernel_network((3, 2, 3), (2, 1), (3, 3), "tanh")[0], IMAGE


def not_a_chain() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    parts = {"a": nn.Linear(2, 6), "b": nn.Linear(6, 3)}
    return Written(lambda s, x: s.b(s.a(x).softmax(0)).softmax(0), **parts), COORDINATES


def size_of(inputs: Tensor) -> tuple[int, int] | None:
    """Of coordinates; the rest says it itself."""
    return SIZE if inputs.ndim == 2 else None


def dissected(make: Callable[[], tuple[nn.Module, Tensor]], convention: Any, **options: Any) -> Any:
    network, inputs = make()
    return dissect(network, inputs, size=size_of(inputs), convention=convention, **options)


def broken(rule: type[ContributionRule], signed: Change | None, unsigned: Change | None = None) -> Any:
    """A rule whose maps are changed; their magnitudes too, or these alone."""

    class Broken(rule):  # type: ignore[valid-type, misc]
        def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
            for group in super().groups(neurons):
                own, magnitude = group.signed, group.magnitudes
                if signed is not None:
                    group = replace(group, signed=lambda part, own=own: signed(own(part), part))
                if unsigned is not None:
                    group = replace(group, unsigned=lambda part, own=magnitude: unsigned(own(part), part))
                yield group

    return Broken


def border(maps: Tensor, neurons: Tensor) -> Tensor:
    del neurons
    maps = maps.clone()
    maps[:, -1] = 0
    return maps


MAPS: dict[str, Change] = {
    "factor": lambda maps, _: 7 * maps,
    "factor_close_to_one": lambda maps, _: 1.001 * maps,
    "mirrored": lambda maps, _: maps.flip(-1),
    "transposed": lambda maps, _: maps.transpose(1, 2).reshape(maps.shape),
    "one_neuron": lambda maps, neurons: torch.where((neurons == 1)[:, None, None], 1.1 * maps, maps),
    "border": border,
    "sign": lambda maps, _: -maps,
    "shifted": lambda maps, _: maps.roll(1, 1),
    "neighbour": lambda maps, _: maps.roll(1, 0),
}
"""What goes wrong with maps (n, R, C)."""


class NoBias(ConvolutionRule):
    def kernel_outputs(self, neurons: Tensor, with_bias: bool = True) -> Tensor:
        return super().kernel_outputs(neurons, with_bias=False)


class OtherPhase(ConvolutionRule):
    def _group(self, neurons: Tensor, phase: int) -> MapGroup:
        return super()._group(neurons, (phase + 1) % self.layer.upscale**2)


class OtherOutputs(ConvolutionRule):
    def per_output(self, neurons: Tensor) -> Tensor:
        return super().per_output(neurons).flip(1) if not self.later else super().per_output(neurons)


class OtherChannel(ConvolutionRule):
    def _of_channel(self, channel: int, num_channels: int) -> ConvolutionRule:
        return super()._of_channel((channel + 1) % num_channels, num_channels)


class OneTerm(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        terms = super().terms(operands, neurons)
        return torch.where((neurons == 1).view(-1, *[1] * (terms.ndim - 1)), 1.1 * terms, terms)


class NoBiasTerm(ProductKind):
    def bias_term(self, operands: Operands, output: Tensor) -> Tensor | None:
        return None


class OtherChannelOfKernels(ConvolutionKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons).roll(1, -3)


class NoBorder(ConvolutionKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        terms = super().terms(operands, neurons).clone()
        terms[..., 0] = 0
        return terms
