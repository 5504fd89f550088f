"""What public code writes: each layer's effect against the real network, maps of the paper against their formula."""

import re
from collections.abc import Mapping

import pytest
import torch
from case_oracle import SIZE, Case, assert_close, doubled, finite_difference, in_double_precision
from cases import CASES
from convolution_cases import CONVOLUTIONS
from torch import nn
from variations import VARIATIONS
from written_cases import WRITTEN

from xinc_pl.canvas import Canvas, DissectionError, dissect
from xinc_pl.canvas.rules.rule import Convention

pytestmark = pytest.mark.usefixtures("no_warnings")

ALL: Mapping[str, Case] = CASES | VARIATIONS | CONVOLUTIONS | WRITTEN


def canvas_of(case: Case, network: nn.Module, convention: Convention) -> Canvas:
    inputs = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    return dissect(network, inputs, size=SIZE, convention=convention, **case.options)


@pytest.mark.parametrize("name", ALL)
def test_the_effect_is_what_the_real_network_does(name: str) -> None:
    case = ALL[name]
    network = case.network()
    canvas = canvas_of(case, network, "effect")
    assert case.layers.keys() == canvas.keys()
    assert canvas.skipped.keys() == case.skipped.keys()
    for path, reason in case.skipped.items():
        assert re.search(reason, canvas.skipped[path])
    for path, scaled in case.layers.items():
        layer = canvas[path]
        assert layer.num_neurons == scaled.count(network)
        neurons = sorted({0, layer.num_neurons // 2, layer.num_neurons - 1})
        maps = layer.maps(neurons, per_output=True)
        for neuron, found in zip(neurons, maps, strict=True):
            assert_close(found, finite_difference(case, network, scaled, neuron))
        assert_close(layer.maps(neurons), maps.double().sum(1))
        assert_close(layer.magnitudes(neurons), maps.double().abs().sum(1))
        assert layer.completeness_error < 1e-4
    assert any(layer.magnitudes().max() > 1e-3 for layer in canvas.values())


@pytest.mark.parametrize("name", ALL)
def test_maps_of_the_paper_are_their_formula_or_refused_by_name(name: str) -> None:
    case = ALL[name]
    network = case.network()
    if isinstance(case.paper, str):
        with pytest.raises(DissectionError, match=case.paper):
            canvas_of(case, network, "paper")
        return
    canvas = canvas_of(case, network, "paper")
    assert list(canvas) == list(case.paper)
    exact, inputs = in_double_precision(network), doubled(case.inputs)
    for path, formula in case.paper.items():
        with torch.no_grad():
            assert_close(canvas[path].maps(), formula(exact, inputs))
