"""Rules and kinds of layers, broken in one place each: the self-check, which looks at maps, finds all of them."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from breakages import (
    MAPS,
    NoBias,
    NoBiasTerm,
    NoBorder,
    OneTerm,
    OtherChannel,
    OtherChannelOfKernels,
    OtherOutputs,
    OtherPhase,
    broken,
    convolutional,
    dissected,
    linear,
)
from effect_oracle import IMAGE
from torch import Tensor, nn

from xinc_pl.canvas import KINDS, RULES, DissectionError
from xinc_pl.canvas.backends.torch_backend import TorchBackend
from xinc_pl.canvas.layers.convolution import ConvolutionKind
from xinc_pl.canvas.layers.kind import LayerKind, Operands
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.rules.convolution import ConvolutionRule
from xinc_pl.canvas.rules.linear import LinearRule
from xinc_pl.canvas.rules.rule import ContributionRule

pytestmark = pytest.mark.usefixtures("no_warnings")


NETWORKS = {LinearRule: linear, ConvolutionRule: convolutional}


@pytest.mark.parametrize("how", MAPS)
@pytest.mark.parametrize("rule", NETWORKS)
@pytest.mark.parametrize("convention", ["paper", "released"])
def test_maps_of_a_rule(rule: type[ContributionRule], convention: Any, how: str) -> None:
    (kind,) = (kind for kind, own in RULES.items() if own is rule)
    dissected(NETWORKS[rule], convention)
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissected(NETWORKS[rule], convention, rules={kind: broken(rule, MAPS[how])})


@pytest.mark.parametrize("how", ["factor", "mirrored", "border"])
@pytest.mark.parametrize("rule", NETWORKS)
@pytest.mark.parametrize("convention", ["paper", "released"])
def test_magnitudes_alone(rule: type[ContributionRule], convention: Any, how: str) -> None:
    (kind,) = (kind for kind, own in RULES.items() if own is rule)
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissected(NETWORKS[rule], convention, rules={kind: broken(rule, None, MAPS[how])})


@pytest.mark.parametrize("rule", NETWORKS)
@pytest.mark.parametrize("how", ["transposed", "border", "neighbour"])
def test_what_the_statistics_spread_over_the_image(
    monkeypatch: pytest.MonkeyPatch, rule: type[ContributionRule], how: str
) -> None:
    spread = TorchBackend.spread

    def wrong(self: Any, values: Tensor, group: MapGroup, maps: Tensor, places: Tensor) -> None:
        spread(self, MAPS[how](values, places), group, maps, places)

    monkeypatch.setattr(TorchBackend, "spread", wrong)
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissected(NETWORKS[rule], "paper", backend="torch")


# What is particular to a rule


class WholeBias(ConvolutionRule):
    def kernel_outputs(self, neurons: Tensor, with_bias: bool = True) -> Tensor:
        outputs = super().kernel_outputs(neurons, with_bias=False)
        assert self.layer.bias is not None
        return outputs + self.layer.bias[neurons % self.neuron_shape[1]][:, None, None] if with_bias else outputs


class WholeBiasOfAll(LinearRule):
    def _bias(self) -> Tensor:
        return super()._bias() * self.num_neurons


class OtherOutputsOfAll(LinearRule):
    def per_output(self, neurons: Tensor) -> Tensor:
        return super().per_output(neurons).flip(1)


@pytest.mark.parametrize(
    ("rule", "convention"),
    [
        (WholeBias, "paper"),
        (NoBias, "paper"),
        (OtherPhase, "paper"),
        (OtherOutputs, "paper"),
        (WholeBiasOfAll, "released"),
        (OtherOutputsOfAll, "paper"),
    ],
)
def test_what_is_particular_to_a_rule(rule: type[ContributionRule], convention: Any) -> None:
    kind, make = (ConvolutionKind, convolutional) if issubclass(rule, ConvolutionRule) else (ProductKind, linear)
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissected(make, convention, rules={kind: rule})


def test_an_activation_of_another_channel() -> None:
    def make() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(0)
        layers = (nn.Conv2d(3, 2, 3, padding=1), nn.PReLU(2), nn.Conv2d(2, 3, 3, padding=1))
        layers[1].weight.data.copy_(torch.tensor([0.1, 0.9]))  # type: ignore[operator]
        return nn.Sequential(*layers), IMAGE

    dissected(make, "paper")
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissected(make, "paper", rules={ConvolutionKind: OtherChannel})


# Kinds


class LargerTerms(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return 1.01 * super().terms(operands, neurons)


class OtherOrder(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, self.neuron_shape(operands)[0] - 1 - neurons)


class MirroredTerms(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons).flip(1)


class LargerProduct(ProductKind):
    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        return 1.01 * super().weighted(operands, weights)


@pytest.mark.parametrize("convention", ["paper", "released", "effect"])
@pytest.mark.parametrize(
    "kind",
    [
        LargerTerms, OneTerm, OtherOrder, MirroredTerms, NoBiasTerm, LargerProduct, OtherChannelOfKernels, NoBorder
    ],
)  # fmt: skip
def test_terms_of_a_kind(kind: type[LayerKind], convention: Any) -> None:
    own = kind.__bases__[0]
    kinds = [kind() if type(each) is own else each for each in KINDS]
    rules: Mapping[Any, Any] = {**RULES, kind: RULES[own]}
    make = convolutional if own is ConvolutionKind else linear
    with pytest.raises(DissectionError, match=rf"add up to something else.*{kind.__name__}"):
        dissected(make, convention, kinds=kinds, rules=rules)
