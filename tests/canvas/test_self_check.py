"""The self-check looks at the maps: rules and kinds that are broken in many ways are noticed."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from networks import dense_network, kernel_network
from torch import Tensor

from xinc_pl.canvas import RULES, DissectionError, MapGroup, dissect
from xinc_pl.canvas.backends.torch_backend import TorchBackend
from xinc_pl.canvas.layers.convolution import ConvolutionKind
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.rules.convolution import ConvolutionRule
from xinc_pl.canvas.rules.linear import LinearRule

SIZE = (4, 5)
XY = torch.rand(20, 2, generator=torch.Generator().manual_seed(3)) + 0.1
IMAGE = torch.randn(1, 2, 4, 5, generator=torch.Generator().manual_seed(4))


def bordered(maps: Tensor) -> Tensor:
    maps = maps.clone()
    maps[..., 0] *= 1.01
    return maps


MAPS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "factor": lambda maps, neurons: 7 * maps,
    "mirrored": lambda maps, neurons: maps.flip(-1),
    "transposed": lambda maps, neurons: maps.transpose(-1, -2).reshape(maps.shape),
    "one_neuron": lambda maps, neurons: torch.where((neurons == 1)[:, None, None], 1.1 * maps, maps),
    "border": lambda maps, neurons: bordered(maps),
    "bias": lambda maps, neurons: maps + 0.05,
    "phase": lambda maps, neurons: maps.roll(1, -1),
    "order_of_neurons": lambda maps, neurons: maps.flip(0),
}


def broken(rule: Any, change: Callable[[Tensor, Tensor], Tensor]) -> Any:
    class Broken(rule):  # type: ignore[misc]
        def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
            for group in super().groups(neurons):
                made = group.signed
                yield MapGroup(
                    group.neurons,
                    lambda part, group=group, made=made: change(group.spread(made(part)), part),
                    group.values_per_neuron,
                )

    return Broken


def cases() -> Iterator[tuple[Any, Any, dict[str, Any]]]:
    yield LinearRule, ProductKind, {"network": dense_network((2, 4, 3), "tanh")[0], "inputs": XY, "size": SIZE}
    network = kernel_network((2, 2, 1), (2, 1), (3, 3), "gelu")[0]
    yield ConvolutionRule, ConvolutionKind, {"network": network, "inputs": IMAGE}


@pytest.mark.parametrize("convention", ["paper", "released"])
@pytest.mark.parametrize("how", MAPS)
def test_wrong_maps_are_noticed(how: str, convention: Any) -> None:
    for rule, kind, call in cases():
        dissect(**call, convention=convention)
        with pytest.raises(DissectionError, match=r"maps of .* are not what their formula says"):
            dissect(**call, convention=convention, rules={**RULES, kind: broken(rule, MAPS[how])})


def test_outputs_apart_are_looked_at() -> None:
    class Broken(LinearRule):
        def per_output(self, neurons: Tensor) -> Tensor:
            return super().per_output(neurons).flip(1)

    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissect(dense_network((2, 4, 3), "tanh")[0], XY, size=SIZE, rules={**RULES, ProductKind: Broken})


def test_magnitudes_are_looked_at_beside_maps() -> None:
    class Broken(LinearRule):
        def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
            for group in super().groups(neurons):
                yield replace(group, unsigned=lambda part, made=group.signed: 2 * made(part).abs())

    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissect(dense_network((2, 4, 3), "tanh")[0], XY, size=SIZE, rules={**RULES, ProductKind: Broken})


def test_how_a_backend_spreads_maps_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    spread = TorchBackend.spread

    def shifted(self: Any, values: Tensor, group: MapGroup, maps: Tensor, places: Tensor) -> None:
        spread(self, values.roll(1, -2), group, maps, places)

    monkeypatch.setattr(TorchBackend, "spread", shifted)
    network = kernel_network((2, 2, 1), (2, 1), (3, 3), "gelu")[0]
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissect(network, IMAGE, backend="torch")


@pytest.mark.parametrize("convention", ["paper", "effect"])
@pytest.mark.parametrize("kind", [ProductKind, ConvolutionKind])
def test_a_kind_that_is_wrong_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: Any, convention: Any) -> None:
    terms = kind.terms
    monkeypatch.setattr(kind, "terms", lambda self, operands, neurons: 1.1 * terms(self, operands, neurons))
    call = next(call for _, own, call in cases() if own is kind)
    with pytest.raises(DissectionError):
        dissect(**call, convention=convention)
