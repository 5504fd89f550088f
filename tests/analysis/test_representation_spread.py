from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny import tiny_clip, tiny_video

from xinc_pl import dissect
from xinc_pl.analysis.representation_spread import NUM_POINTS, SHARES, gini, resampled, spread_of
from xinc_pl.models import nerv_from_released


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1, 1, 1, 1], 0.0), ([0, 0, 0, 1], 0.75), ([1, 2, 3], 2 / 9), ([5], 0.0)],
)
def test_gini_worked_by_hand(values: list[float], expected: float) -> None:
    assert gini(np.array(values, float)) == pytest.approx(expected)


def test_gini_is_half_the_relative_mean_difference_and_has_no_value_for_zeros() -> None:
    values = np.random.default_rng(0).exponential(size=40)
    differences = np.mean([abs(a - b) for a in values for b in values])
    assert gini(values) == pytest.approx(differences / (2 * values.mean()))
    assert np.isnan(gini(np.zeros(3)))


def test_resampling_keeps_both_ends_and_the_order() -> None:
    for length in (1, 3, 1000):
        curve = resampled(np.sort(np.random.default_rng(1).random(length)))
        assert curve.shape == (NUM_POINTS,)
        assert np.all(np.diff(curve) >= 0)
    values = np.array([0.25, 0.5, 2.0])
    assert (resampled(values)[0], resampled(values)[-1]) == (0.25, 2.0)


def test_all_of_it_against_the_maps_themselves() -> None:
    frame = tiny_clip().frames[0]
    layer = dissect(tiny_video().network, frame.inputs)["block_2"]
    spread = spread_of("block_2", layer.statistics(mass=(0.1, 0.5)), (0.1, 0.5))
    maps = layer.magnitudes().double().numpy()
    mean, total = maps.mean(), maps.sum(0)
    per_neuron = np.sort([(each / total > 1 / len(maps)).mean() for each in maps])
    assert np.abs(spread.pixels_per_neuron - resampled(per_neuron)).max() < 0.01
    ordered = np.sort(maps.ravel())[::-1] / mean
    expected = ordered[np.minimum((SHARES * len(ordered)).astype(int), len(ordered) - 1)]
    kept = expected > 1e-6
    np.testing.assert_allclose(spread.contributions[kept][:-1], expected[kept][:-1], rtol=0.05)
    for mass, threshold in spread.thresholds.items():
        above = maps > threshold * mean
        assert maps[above].sum() / maps.sum() == pytest.approx(1 - mass, abs=1e-3)
        assert np.abs(spread.neurons_per_pixel[mass] - above.mean(0)).max() <= 1.01 / len(maps)
    assert spread.gini == pytest.approx(gini(maps.sum((1, 2))), rel=1e-5)


@pytest.mark.parametrize("layer", ["block_1", "block_2", "block_3", "head"])
def test_equal_to_the_published_code(golden: Callable[[str], dict[str, torch.Tensor]], layer: str) -> None:
    numbers, expected = golden("nerv_small"), golden("nerv_small_statistics")
    state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    height, width = numbers["fc_hw"].tolist()
    canvas = dissect(nerv_from_released(state, (height, width)), numbers["t"].reshape(1), convention="released")
    spread = spread_of(layer, canvas[layer].statistics(mass=(0.1, 0.5)), (0.1, 0.5))
    assert spread.num_neurons == len(expected[f"{layer}.pixels_per_neuron"])
    published = np.sort(expected[f"{layer}.pixels_per_neuron"].numpy()) / canvas[layer].maps([0]).numel()
    np.testing.assert_allclose(spread.pixels_per_neuron, resampled(published), atol=2 / canvas[layer].maps([0]).numel())
    unit = float(expected[f"{layer}.total"].double().mean()) / spread.num_neurons
    for mass, name in ((0.1, "10"), (0.5, "50")):
        assert spread.thresholds[mass] * unit == pytest.approx(float(expected[f"{layer}.threshold_{name}"]), rel=1e-3)


def test_a_layer_of_zero_maps() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    with torch.no_grad():
        network[2].weight.zero_()
    layer = dissect(network, torch.rand(6, 2), size=(2, 3))["2"]
    spread = spread_of("2", layer.statistics(mass=(0.5,)), (0.5,))
    assert spread.num_zero_maps == spread.num_neurons == 4
    assert np.isnan(spread.gini)
    assert not spread.contributions.any()
    assert not spread.neurons_per_pixel[0.5].any()
