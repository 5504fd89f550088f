"""The fixed sample of a layer's maps, and the unit they are shown in."""

import numpy as np
import pytest
import torch
from torch import nn

from xinc_pl.analysis.canvas_sample import canvas_sample, neuron_label, sample_neurons
from xinc_pl.canvas import LayerCanvas, dissect
from xinc_pl.models import FFN, NeRV

SIZE = (4, 6)


def linear_layer() -> LayerCanvas:
    torch.manual_seed(0)
    return dissect(FFN(num_frequencies=5, widths=(9, 8)), torch.rand(24, 2), size=SIZE)["layer_2"]


def kernel_layer() -> LayerCanvas:
    torch.manual_seed(0)
    network = NeRV((8, 16), strides=(2, 2), width=7, levels=4)
    return dissect(network, torch.tensor([0.3], dtype=torch.float64))["block_2"]


def test_the_seed_decides_which_neurons() -> None:
    neurons = sample_neurons(1000, 20, seed=3)
    assert neurons.dtype == np.int64
    assert (np.diff(neurons) > 0).all()
    assert neurons[0] >= 0
    assert neurons[-1] < 1000
    torch.manual_seed(99)
    assert (sample_neurons(1000, 20, seed=3) == neurons).all()
    assert (sample_neurons(1000, 20, seed=4) != neurons).any()


def test_the_global_random_state_stays_as_it_is() -> None:
    state = torch.get_rng_state()
    sample_neurons(100, 5, seed=0)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("num_sampled", [4, 5, 100])
def test_all_neurons_where_there_are_few(num_sampled: int) -> None:
    assert sample_neurons(4, num_sampled, seed=0).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("neuron", "shape", "label"),
    [(12, (208,), "12"), (0, (22, 3), "0→0"), (65, (22, 3), "21→2"), (161, (3, 60), "2→41")],
)
def test_labels(neuron: int, shape: tuple[int, ...], label: str) -> None:
    assert neuron_label(neuron, shape) == label


def test_a_sample_of_a_linear_layer() -> None:
    layer = linear_layer()
    sample = canvas_sample(layer, layer.statistics(), num_sampled=4, seed=0)
    magnitudes = layer.maps().double().abs()
    assert sample.layer == "layer_2"
    assert sample.num_neurons == 9
    assert sample.neuron_kind == "inputs"
    assert sample.labels == tuple(map(str, sample.neurons))
    assert sample.unit == pytest.approx(float(magnitudes.mean()), rel=1e-6)
    assert sample.maps.dtype == sample.total.dtype == np.float32
    np.testing.assert_allclose(sample.maps, layer.maps(sample.neurons.tolist()) / magnitudes.mean(), rtol=1e-5)
    np.testing.assert_allclose(sample.total, magnitudes.sum(0) / magnitudes.sum(0).mean(), rtol=1e-5)
    assert sample.total.mean() == pytest.approx(1.0, rel=1e-5)
    assert sample.num_zero_maps == int((magnitudes.amax((1, 2)) == 0).sum())


def test_a_sample_of_kernels() -> None:
    layer = kernel_layer()
    sample = canvas_sample(layer, layer.statistics(), num_sampled=6, seed=1)
    assert layer.neuron_shape == (6, 24)
    assert "kernels" in sample.neuron_kind
    assert sample.maps.shape == (6, 8, 16)
    assert sample.labels == tuple(f"{neuron // 24}→{neuron % 24}" for neuron in sample.neurons.tolist())
    assert len(set(sample.labels)) == 6
    np.testing.assert_allclose(sample.maps * sample.unit, layer.maps(sample.neurons.tolist()), rtol=1e-5)
    assert (sample.maps < 0).any()  # signed


def test_one_neuron_more_changes_no_scale() -> None:
    layer = linear_layer()
    few, all_of_them = (canvas_sample(layer, layer.statistics(), num_sampled, seed=0) for num_sampled in (2, 9))
    assert few.unit == all_of_them.unit
    np.testing.assert_array_equal(few.total, all_of_them.total)
    np.testing.assert_allclose(few.maps, all_of_them.maps[few.neurons], rtol=1e-6)


def test_a_layer_of_zero_maps_has_unit_zero() -> None:
    network = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 3))
    nn.init.zeros_(network[2].weight)
    layer = dissect(network, torch.rand(24, 2), size=SIZE)["2"]
    sample = canvas_sample(layer, layer.statistics(), num_sampled=3, seed=0)
    assert sample.unit == 0.0
    assert sample.num_zero_maps == sample.num_neurons == 5
    assert (sample.maps == 0).all()
    assert (sample.total == 0).all()
