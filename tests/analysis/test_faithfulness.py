import math
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from torch import Tensor, nn

from xinc_pl.analysis.faithfulness import Agreement, agreements, contributions
from xinc_pl.analysis.removal import random_removal_curve, removal_curve
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
    found = agreements(
        all_of_them["effect"], {convention: each[layer] for convention, each in all_of_them.items()}, layer, neurons
    )
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
        assert found.spatial_correlation == pytest.approx(float(torch.tensor(places).nanmedian()), abs=1e-4)
        if len(neurons) > 2:
            assert found.rank_correlation == pytest.approx(spearmanr(maps.sum(1), errors).statistic, abs=1e-6)
        assert found.num_neurons == len(neurons)


def test_in_the_last_linear_layer_effect_is_exact_and_strangers_are_not() -> None:
    found = of_layer(canvases(network_of()), "4", torch.arange(10))
    assert found["effect"].spatial_correlation == pytest.approx(1)
    assert found["effect"].rank_correlation > 0.9
    assert found["effect"].spatial_control < 0.9


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
    assert all(math.isnan(each.rank_correlation) for each in found.values())
    assert all(math.isnan(each.spatial_correlation) for each in found.values())
    found = of_layer(canvases(network_of()), "2", torch.tensor([4]))
    assert math.isnan(found["paper"].spatial_control)
    assert math.isnan(found["paper"].rank_correlation)


def test_contributions_are_of_all_neurons_where_statistics_are_of_a_sample() -> None:
    torch.manual_seed(0)
    network = NeRV((16, 32), strides=(2, 2), width=7, levels=6).eval()
    canvas = dissect(network, torch.tensor([0.5]), convention="effect", max_neurons=5)["block_2"]
    sums = contributions(canvas)
    assert len(sums) == canvas.num_neurons > 5
    torch.testing.assert_close(sums[canvas.sample], canvas.statistics().sum, rtol=1e-5, atol=0)
    torch.testing.assert_close(sums, canvas.magnitudes().double().sum((1, 2)), rtol=1e-5, atol=1e-8)


def test_a_removal_curve_by_hand() -> None:
    # Two inputs, of which the first alone makes the image: 0.5 everywhere.
    network = nn.Sequential(nn.Linear(2, 1, bias=False))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[0.5, 0.0]]))  # type: ignore[union-attr]
    effect = dissect(network, torch.ones(4, 2), size=(2, 2), convention="effect")
    target = torch.full((1, 2, 2), 0.6)
    curve = removal_curve(effect, {"0": torch.tensor([9.0, 1.0])}, "mine", target, shares=(0.5, 1.0))
    assert curve.intact == pytest.approx(20)  # an error of 0.1
    without_first = -20 * math.log10(0.6)
    assert curve.first == pytest.approx((without_first, without_first))
    assert curve.last == pytest.approx((20, without_first))
    assert curve.deletion == pytest.approx(20 - without_first)
    assert curve.pruning == pytest.approx((20 - without_first) / 2)


def test_layers_together_share_one_order() -> None:
    network = network_of()
    effect = dissect(network, inputs(), size=SIZE, convention="effect")
    target = torch.rand(3, *SIZE)
    scores = {"2": torch.arange(12.0) + 100, "4": torch.arange(10.0)}
    together = removal_curve(effect, scores, "x", target, shares=(12 / 22,))
    alone = removal_curve(effect, {"2": scores["2"]}, "x", target, shares=(1.0,))
    assert together.first == pytest.approx(alone.first)
    last = removal_curve(effect, {"4": scores["4"]}, "x", target, shares=(1.0,))
    assert removal_curve(effect, scores, "x", target, shares=(10 / 22,)).last == pytest.approx(last.last)


def test_random_orders_are_the_same_each_time_and_leave_the_users_random_state_alone() -> None:
    effect = dissect(network_of(), inputs(), size=SIZE, convention="effect")
    target = effect.removal.image.clamp(0, 1)
    state = torch.get_rng_state()
    one, other = (random_removal_curve(effect, {"2": 12, "4": 10}, target, seed=3) for _ in range(2))
    assert one == other
    assert one.first == one.last
    assert torch.equal(state, torch.get_rng_state())
    assert random_removal_curve(effect, {"2": 12, "4": 10}, target, seed=4) != one
    assert math.isfinite(one.intact), "also where the image is the target itself"
