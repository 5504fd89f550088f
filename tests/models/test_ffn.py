"""The image network: the paper's numbers, the formula, the published code."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from xinc_pl.frames import pixel_coordinates
from xinc_pl.models import FFN, ffn_from_released

Golden = Callable[[str], dict[str, torch.Tensor]]


def test_the_papers_network_has_32971_parameters() -> None:
    assert sum(parameter.numel() for parameter in FFN().parameters()) == 32_971
    assert [(layer.in_features, layer.out_features) for layer in FFN().layers] == [(208, 104), (104, 104), (104, 3)]


def test_random_frequencies_have_the_asked_for_scale() -> None:
    torch.manual_seed(0)
    assert FFN(5000, scale=3.0).encoding.frequencies.std().item() == pytest.approx(3, rel=0.03)


def test_output_is_that_of_the_formula() -> None:
    torch.manual_seed(0)
    network = FFN(num_frequencies=5, widths=(7, 6), out_channels=2).double()
    coordinates = torch.rand(4, 11, 2, dtype=torch.float64)
    phases = 2 * np.pi * coordinates.numpy() @ network.encoding.frequencies.numpy().T
    values = np.concatenate([np.sin(phases), np.cos(phases)], axis=-1)
    weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in network.layers]
    for weight, bias in weights[:-1]:
        values = np.maximum(values @ weight.T + bias, 0)
    expected = values @ weights[-1][0].T + weights[-1][1]
    assert expected.shape == (4, 11, 2)
    np.testing.assert_allclose(network(coordinates).detach().numpy(), expected, atol=1e-12)


def test_gives_the_output_of_the_published_code(golden: Golden) -> None:
    numbers = golden("ffn_small")
    layers = [(numbers[f"weight_{index}"], numbers[f"bias_{index}"]) for index in (1, 2, 3)]
    network = ffn_from_released(numbers["B"], layers)
    size = int(numbers["height"]), int(numbers["width"])
    output = network(pixel_coordinates(size)).T.reshape(3, *size)
    torch.testing.assert_close(output, numbers["output"], rtol=1e-4, atol=1e-5)


def test_layers_have_the_papers_names() -> None:
    assert list(FFN().layer_names.values()) == ["layer_1", "layer_2", "layer_3"]
    modules = dict(FFN().named_modules())
    assert all(isinstance(modules[path], torch.nn.Linear) for path in FFN().layer_names)


def test_no_hidden_layer_is_a_linear_map_of_the_features() -> None:
    network = FFN(4, widths=())
    assert network(torch.rand(6, 2)).shape == (6, 3)
    assert list(network.layer_names.values()) == ["layer_1"]


@pytest.mark.parametrize("wrong", [{"num_frequencies": 0}, {"widths": (8, 0)}, {"out_channels": -1}])
def test_layers_without_neurons_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        FFN(**wrong)
