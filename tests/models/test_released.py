"""Weights of the published code."""

from collections.abc import Callable

import pytest
import torch

from xinc_pl.models import ffn_from_released, nerv_from_released

Golden = Callable[[str], dict[str, torch.Tensor]]


@pytest.fixture
def nerv_state(golden: Golden) -> dict[str, torch.Tensor]:
    return {key[6:]: value for key, value in golden("nerv_small").items() if key.startswith("state.")}


def test_nerv_takes_its_shape_from_the_weights(golden: Golden, nerv_state: dict[str, torch.Tensor]) -> None:
    network = nerv_from_released(nerv_state, (1, 2))
    assert [block.stride for block in network.blocks] == golden("nerv_small")["strides"].tolist()
    assert network.size == (16, 32)
    assert sum(p.numel() for p in network.parameters()) == sum(value.numel() for value in nerv_state.values())


def test_nerv_does_not_depend_on_the_order_of_the_keys(nerv_state: dict[str, torch.Tensor]) -> None:
    time = torch.tensor([0.3], dtype=torch.float64)
    backwards = dict(reversed(nerv_state.items()))
    assert torch.equal(nerv_from_released(nerv_state, (1, 2))(time), nerv_from_released(backwards, (1, 2))(time))


def test_other_state_dicts_are_refused() -> None:
    with pytest.raises(ValueError, match=r"not a NeRV .* \['conv.weight'\]"):
        nerv_from_released({"conv.weight": torch.zeros(3, 3, 1, 1)}, (1, 2))


def test_ffn_keeps_the_weights_and_shares_nothing_with_them() -> None:
    frequencies = torch.rand(4, 2)
    layers = [(torch.rand(5, 8), torch.rand(5)), (torch.rand(1, 5), torch.rand(1))]
    network = ffn_from_released(frequencies, layers)
    assert torch.equal(network.encoding.frequencies, frequencies)
    for layer, (weight, bias) in zip(network.layers, layers, strict=True):
        assert torch.equal(layer.weight, weight)
        assert torch.equal(layer.bias, bias)
        weight.zero_()
        assert layer.weight.any()
