"""Ways to compute the effect, broken in one place each: they are not used, or noticed where there is no other."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from breakages import Change, convolutional, dissected, linear, not_a_chain
from torch import Tensor

from xinc_pl.canvas import DissectionError
from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.effect import AnyEffect
from xinc_pl.canvas.effect.linear import LinearEffect
from xinc_pl.canvas.maps.group import MapGroup

pytestmark = pytest.mark.usefixtures("no_warnings")

OUTPUTS: dict[str, Change] = {
    "factor": lambda maps, _: 7 * maps,
    "mirrored": lambda maps, _: maps.flip(-1),
    "transposed": lambda maps, _: maps.transpose(2, 3).reshape(maps.shape),
    "one_neuron": lambda maps, neurons: torch.where((neurons == 1)[:, None, None, None], 1.1 * maps, maps),
    "border": lambda maps, _: torch.cat([maps[:, :, :-1], 0 * maps[:, :, -1:]], 2),
    "other_outputs": lambda maps, _: maps.flip(1),
    "neighbour": lambda maps, _: maps.roll(1, 0),
}
"""What goes wrong with maps by output (n, C, H, W)."""


def distort(patch: pytest.MonkeyPatch, rule: Any, change: Change) -> None:
    original = rule.per_output
    patch.setattr(rule, "per_output", lambda self, neurons: change(original(self, neurons), neurons))


@pytest.mark.parametrize("how", OUTPUTS)
@pytest.mark.parametrize(("rule", "make"), [(LinearEffect, linear), (ConvolutionEffect, convolutional)])
def test_a_quick_effect_that_is_wrong_is_not_used(
    monkeypatch: pytest.MonkeyPatch, rule: Any, make: Any, how: str
) -> None:
    expected = {name: layer.maps(per_output=True) for name, layer in dissected(make, "effect").items()}
    distort(monkeypatch, rule, OUTPUTS[how])
    canvas = dissected(make, "effect")
    assert any(type(layer._rule) is AnyEffect for layer in canvas.values())
    for name, maps in expected.items():
        torch.testing.assert_close(canvas[name].maps(per_output=True), maps, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("how", OUTPUTS)
def test_an_effect_that_is_wrong_is_noticed_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    assert any(type(layer._rule) is AnyEffect for layer in dissected(not_a_chain, "effect").values())
    distort(monkeypatch, AnyEffect, OUTPUTS[how])
    with pytest.raises(DissectionError, match="are not what their formula says"):
        dissected(not_a_chain, "effect")


@pytest.mark.parametrize("rule", [LinearEffect, ConvolutionEffect])
def test_magnitudes_of_a_quick_effect(monkeypatch: pytest.MonkeyPatch, rule: Any) -> None:
    make = linear if rule is LinearEffect else convolutional
    expected = {name: layer.magnitudes() for name, layer in dissected(make, "effect").items()}
    groups = rule.groups

    def wrong(self: Any, neurons: Tensor) -> Iterator[MapGroup]:
        for group in groups(self, neurons):
            yield replace(group, unsigned=None)  # the absolute value of the sum over outputs

    monkeypatch.setattr(rule, "groups", wrong)
    canvas = dissected(make, "effect")
    for name, magnitudes in expected.items():
        torch.testing.assert_close(canvas[name].magnitudes(), magnitudes, rtol=1e-4, atol=1e-6)
