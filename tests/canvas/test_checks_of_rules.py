"""``check_rule``: shipped rules pass it, broken ones are caught by name."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from breakages import (
    MAPS,
    NoBias,
    OtherChannel,
    OtherOutputs,
    OtherPhase,
    broken,
    convolutional,
    linear,
    not_a_chain,
    size_of,
)
from case_oracle import SIZE as CASE_SIZE
from networks import Written, kernel_network
from test_cases import ALL
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import KINDS, RULES, ContributionRule, LayerKind, check_rule
from xinc_pl.canvas.backends.torch_backend import TorchBackend
from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.effect import AnyEffect
from xinc_pl.canvas.effect.linear import LinearEffect
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.rules.convolution import ConvolutionRule
from xinc_pl.canvas.rules.linear import LinearRule

PRODUCT, CONVOLUTION, TABLE, _ = KINDS
NETWORKS = {LinearRule: (PRODUCT, linear), ConvolutionRule: (CONVOLUTION, convolutional)}


def checked(rule: type[ContributionRule], convention: Any = "paper") -> None:
    """On the network of the rule that it is, or is derived from."""
    kind, make = next(own for base, own in NETWORKS.items() if issubclass(rule, base))
    network, inputs = make()
    check_rule(rule, kind, network, inputs, size=size_of(inputs), convention=convention)


# What is shipped


@pytest.mark.parametrize("convention", ["paper", "released"])
@pytest.mark.parametrize("rule", RULES.values())
def test_shipped_rules(rule: type[ContributionRule], convention: Any) -> None:
    checked(rule, convention)


@pytest.mark.parametrize("name", ["a_weight_per_block", "columns_first", "hypernetwork", "sampled_grid", "embedding"])
def test_shipped_rules_of_products(name: str) -> None:
    case = ALL[name]
    for convention in ("paper", "released"):
        check_rule(LinearRule, PRODUCT, case.network(), case.inputs, size=CASE_SIZE, convention=convention)  # type: ignore[arg-type] # one of them


def softplus() -> tuple[nn.Module, Tensor]:
    """Where zero is live, and each channel's activation has parameters of its own."""
    network, _ = kernel_network((2, 2, 3), (2, 1), (3, 3), "softplus")
    return network, torch.randn(1, 2, 2, 3, generator=torch.Generator().manual_seed(0))


def by_channel() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 2, 3, padding=1), nn.PReLU(2), nn.Conv2d(2, 3, 3, padding=1))
    layers[1].weight.data.copy_(torch.tensor([0.1, 0.9]))  # type: ignore[operator] # a parameter
    return nn.Sequential(*layers), torch.randn(1, 3, 4, 5, generator=torch.Generator().manual_seed(4))


def resampled() -> tuple[nn.Module, Tensor]:
    parts = {"a": nn.Conv2d(2, 2, 3, padding=1), "b": nn.Conv2d(2, 3, 3, padding=1)}
    torch.manual_seed(0)
    network = Written(lambda s, x: s.b(F.interpolate(s.a(x).sin(), scale_factor=2, mode="bilinear")), **parts)
    return network, torch.randn(1, 2, 2, 3, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("make", [softplus, by_channel, resampled])
def test_shipped_rules_of_convolutions(make: Any) -> None:
    check_rule(ConvolutionRule, CONVOLUTION, *make())


@pytest.mark.parametrize(
    ("rule", "kind", "make"),
    [
        (LinearEffect, PRODUCT, linear), (ConvolutionEffect, CONVOLUTION, convolutional),
        (ConvolutionEffect, CONVOLUTION, by_channel), (AnyEffect, PRODUCT, linear),
        (AnyEffect, CONVOLUTION, convolutional), (AnyEffect, PRODUCT, not_a_chain),
    ],
)  # fmt: skip
def test_shipped_ways_to_the_effect(rule: Any, kind: LayerKind, make: Any) -> None:
    network, inputs = make()
    check_rule(rule, kind, network, inputs, size=size_of(inputs), convention="effect")


# Broken rules


@pytest.mark.parametrize("how", MAPS)
@pytest.mark.parametrize("rule", NETWORKS)
def test_broken_maps(rule: type[ContributionRule], how: str) -> None:
    with pytest.raises(AssertionError, match=r"^Broken in .*: maps: neuron \d+ at \(\d, \d\)") as caught:
        checked(broken(rule, MAPS[how]))
    assert "\n" not in str(caught.value)
    assert how != "one_neuron" or "neuron 1 at" in str(caught.value)


@pytest.mark.parametrize("how", MAPS)
@pytest.mark.parametrize("rule", NETWORKS)
def test_broken_magnitudes(rule: type[ContributionRule], how: str) -> None:
    with pytest.raises(AssertionError, match=r"^Broken in .*: magnitudes: neuron"):
        checked(broken(rule, None, MAPS[how]))


class HalfOfOutputs(LinearRule):
    def per_output(self, neurons: Tensor) -> Tensor:
        return super().per_output(neurons)[:, :, : self.size[0] // 2]


class MissingNeuron(LinearRule):
    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        yield from super().groups(neurons[neurons != 1])


class TwiceInGroups(ConvolutionRule):
    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        yield from super().groups(neurons)
        yield from super().groups(neurons[neurons == 3])


class InTheirOrder(LinearRule):
    def maps(self, neurons: Tensor) -> Tensor:
        return super().maps(neurons.sort().values)


class FewAtATime(LinearRule):
    """What has a map of its own differs from what comes with others."""

    def maps(self, neurons: Tensor) -> Tensor:
        return super().maps(neurons) * (1 + 5e-5 * (len(neurons) == 1))


class Doubles(LinearRule):
    def maps(self, neurons: Tensor) -> Tensor:
        return super().maps(neurons).double()


class OtherTotal(LinearRule):
    def plain_total(self) -> Tensor | None:
        total = super().plain_total()
        return None if total is None else total.flip(-1)


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        (NoBias, r"maps: neuron \d+ at"), (OtherPhase, r"maps: neuron \d+ at"),
        (OtherOutputs, r"per_output: neuron \d+ at"), (HalfOfOutputs, "per_output: the shape is"),
        (MissingNeuron, "groups: neuron 1 is"), (TwiceInGroups, "groups: neuron 3 is"),
        (InTheirOrder, "order: maps: neuron"), (FewAtATime, "chunks: maps one by one: neuron"),
        (Doubles, "dtype: maps are"), (OtherTotal, "plain_total is not the sum of the maps"),
    ],
)  # fmt: skip
def test_broken_rules(rule: type[ContributionRule], what: str) -> None:
    with pytest.raises(AssertionError, match=rf"^{rule.__name__} in .*{what}"):
        checked(rule)


def test_an_activation_of_another_channel() -> None:
    with pytest.raises(AssertionError, match=r"^OtherChannel in 0: maps: neuron"):
        check_rule(OtherChannel, CONVOLUTION, *by_channel())


def test_one_map_of_many() -> None:
    rule = broken(LinearRule, lambda maps, which: torch.where((which == 777)[:, None, None], 1.1 * maps, maps))
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 1000), nn.Tanh(), nn.Linear(1000, 3))
    with pytest.raises(AssertionError, match=r"^Broken in 2: maps: neuron 777 at"):
        check_rule(rule, PRODUCT, network, torch.rand(6, 2), size=(2, 3))


# Broken statistics


def doubled_first(self: Any, magnitudes: Tensor, weights: Any, total: Tensor, counts: Tensor, lows: Tensor) -> Any:
    sums, minimum, maximum = FIRST_SUMS(self, magnitudes, weights, total, counts, lows)
    sums[0] *= 1.01
    return sums, minimum, maximum


FIRST_SUMS = TorchBackend.first_sums
SUMS: dict[str, tuple[str, Any, str]] = {
    "sum": ("first_sums", doubled_first, r"statistics: sum: neuron \d"),  # the first of some group
    "total": (
        "first_sums", lambda self, m, w, total, *rest: FIRST_SUMS(self, m, w, total.flip(1), *rest),
        "statistics: total: at",
    ),
    "maximum": (
        "first_sums", lambda *given: (lambda sums, low, high: (sums, low, low))(*FIRST_SUMS(*given)),
        "statistics: maximum: neuron",
    ),
    "histogram": (
        "first_sums", lambda *given: (FIRST_SUMS(*given), given[-1].mul_(2))[0], "statistics: (threshold|histogram)",
    ),
    "pixels_per_neuron": (
        "pixels_above", lambda self, m, w, share: PIXELS_ABOVE(self, m, w, share) + 1,
        "statistics: pixels_per_neuron: neuron 0",
    ),
    "neurons_per_pixel": (
        "count_above", lambda self, m, bits, above: above.add_(1), r"statistics: neurons_per_pixel of 0\.\d: at",
    ),
    "clusters": (
        "membership", lambda self, w, clusters: lambda m: MEMBERSHIP(self, w, clusters)(m.flip(1)),
        "statistics: sums over clusters: neuron",
    ),
}  # fmt: skip
"""What goes wrong in a backend; and how the check calls it."""
PIXELS_ABOVE, MEMBERSHIP = TorchBackend.pixels_above, TorchBackend.membership


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("rule", NETWORKS)
def test_broken_statistics(monkeypatch: pytest.MonkeyPatch, rule: type[ContributionRule], name: str) -> None:
    method, wrong, what = SUMS[name]
    monkeypatch.setattr(TorchBackend, method, wrong)
    with pytest.raises(AssertionError, match=rf"^{rule.__name__} in .*TorchBackend\): {what}"):
        checked(rule)


@pytest.mark.parametrize("rule", NETWORKS)
def test_broken_statistics_of_compiled_loops(monkeypatch: pytest.MonkeyPatch, rule: type[ContributionRule]) -> None:
    backend = pytest.importorskip("xinc_pl.canvas.backends.numba_backend").NumbaBackend
    above = backend.pixels_above
    monkeypatch.setattr(backend, "pixels_above", lambda *given: above(*given) + 1)
    with pytest.raises(AssertionError, match=r"NumbaBackend\): statistics: pixels_per_neuron: neuron 0"):
        checked(rule)


def test_a_network_without_such_a_layer() -> None:
    network, inputs = linear()
    with pytest.raises(AssertionError, match="TableKind: no layer of this kind leads to the image"):
        check_rule(LinearRule, TABLE, network, inputs, size=size_of(inputs))
