import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

from xinc_pl.analysis.faithfulness import Agreement, agreements, contributions
from xinc_pl.canvas import CONVENTIONS, Canvas, Convention, dissect
from xinc_pl.models import NeRV

SIZE = (8, 8)


def network_of(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(2, 12), nn.SiLU(), nn.Linear(12, 10), nn.ReLU(), nn.Linear(10, 3))


def inputs() -> Tensor:
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, SIZE[0]), torch.linspace(-1, 1, SIZE[1]), indexing="ij")
    return torch.stack([rows, columns], -1).reshape(-1, 2)


def canvases(network: nn.Module) -> dict[Convention, Canvas]:
    return {each: dissect(network, inputs(), size=SIZE, convention=each) for each in CONVENTIONS}


def of_layer(all_of_them: Mapping[Convention, Canvas], layer: str, neurons: Tensor) -> dict[Convention, Agreement]:
    of_layers = {convention: [each[layer]] for convention, each in all_of_them.items()}
    found = agreements([all_of_them["effect"]], of_layers, layer, neurons)
    return {each.convention: each for each in found}


@pytest.mark.parametrize("layer", ["0", "2", "4"])
def test_correlations_are_those_of_another_library_on_networks_with_a_weight_set_to_zero(layer: str) -> None:
    network = network_of()
    all_of_them = canvases(network)
    module: Any = network[int(layer)]
    neurons = torch.arange(module.in_features)
    with torch.no_grad():
        intact = network(inputs())
        changes = []
        for neuron in neurons:
            kept = module.weight.clone()
            module.weight[:, neuron] = 0
            changes.append((network(inputs()) - intact).double())
            module.weight.copy_(kept)
    for convention, found in of_layer(all_of_them, layer, neurons).items():
        maps = all_of_them[convention][layer].magnitudes().flatten(1).double()
        live = [i for i in neurons if maps[i].std() > 0 and changes[i].abs().sum(1).std() > 0]
        places = [float(pearsonr(maps[i], changes[i].abs().sum(1)).statistic) for i in live]
        errors = torch.stack([change.square().sum() for change in changes])
        assert found.spatial_correlation.value == pytest.approx(float(np.nanmedian(places)), abs=1e-4)
        squares = maps.square().sum(1)
        if convention == "effect":  # squares of each output's map, not of their sum
            squares = all_of_them[convention][layer].maps(per_output=True).double().square().sum((1, 2, 3))
        if len(neurons) > 2:
            assert found.rank_correlation.value == pytest.approx(spearmanr(squares, errors).statistic, abs=1e-6)
            assert found.rank_correlation.low <= found.rank_correlation.value <= found.rank_correlation.high
        assert found.num_neurons == len(neurons)


def test_in_the_last_linear_layer_effect_is_exact_and_strangers_are_not() -> None:
    found = of_layer(canvases(network_of()), "4", torch.arange(10))
    assert found["effect"].spatial_correlation.value == pytest.approx(1)
    # Like with like: squares are exact here, too.
    assert found["effect"].rank_correlation.value == pytest.approx(1)
    assert found["effect"].rank_correlation.low == pytest.approx(1)
    assert found["effect"].spatial_control.value < 0.9


def test_all_frames_count() -> None:
    # On the second frame another neuron matters: only both together tell which matters more.
    network = nn.Sequential(nn.Linear(3, 1, bias=False))
    with torch.no_grad():
        network[0].weight.fill_(1.0)  # type: ignore[union-attr]
    inputs = [torch.tensor([[3.0, 1.0, 0.0]] * 4), torch.tensor([[0.0, 4.0, 1.0], [0.0, 4.0, 2.0]] * 2)]
    effects = [dissect(network, each, size=(2, 2), convention="effect") for each in inputs]
    neurons = torch.arange(3)
    (found,) = agreements(effects, {"effect": [each["0"] for each in effects]}, "0", neurons)
    assert found.rank_correlation.value == pytest.approx(1)
    assert found.num_blind == 0
    torch.testing.assert_close(
        contributions([each["0"] for each in effects], neurons, 2), torch.tensor([36.0, 68.0, 10.0]).double()
    )
    assert found.spatial_correlation.value == pytest.approx(1)  # of the only neuron whose map is not constant


def test_a_neuron_that_acts_but_has_no_map_is_counted() -> None:
    network = network_of()
    layer: Any = network[4]
    with torch.no_grad():
        layer.weight[:, 3] = torch.tensor([1.0, -2.0, 1.0])  # adds up to nothing, but does something
        network[2].bias.fill_(1.0)  # type: ignore[union-attr]
    found = of_layer(canvases(network), "4", torch.arange(10))
    assert found["paper"].num_blind == 1
    assert found["effect"].num_blind == 0


def test_one_neuron_or_dead_ones_have_no_correlation() -> None:
    network = network_of()
    with torch.no_grad():
        network[4].weight.zero_()  # type: ignore[union-attr]
    found = of_layer(canvases(network), "4", torch.arange(10))
    assert all(math.isnan(each.rank_correlation.value) for each in found.values())
    assert all(math.isnan(each.spatial_correlation.value) for each in found.values())
    found = of_layer(canvases(network_of()), "2", torch.tensor([4]))
    assert math.isnan(found["paper"].spatial_control.value)
    assert math.isnan(found["paper"].rank_correlation.value)


def test_contributions_are_of_all_neurons_where_statistics_are_of_a_sample() -> None:
    torch.manual_seed(0)
    network = NeRV((16, 32), strides=(2, 2), width=7, levels=6).eval()
    canvas = dissect(network, torch.tensor([0.5]), convention="effect", max_neurons=5)["block_2"]
    sums = contributions([canvas], torch.arange(canvas.num_neurons))
    assert len(sums) == canvas.num_neurons > 5
    torch.testing.assert_close(sums[canvas.sample], canvas.statistics().sum, rtol=1e-5, atol=0)
    torch.testing.assert_close(sums, canvas.magnitudes().double().sum((1, 2)), rtol=1e-5, atol=1e-8)
    some = torch.tensor([9, 2, 30])
    torch.testing.assert_close(contributions([canvas, canvas], some), 2 * sums[some], rtol=1e-5, atol=1e-8)
