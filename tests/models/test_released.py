"""Weights of the published code."""

from collections.abc import Callable

import pytest
import torch

from xinc_pl.models import FFN, NeRV, ffn_from_released, nerv_from_released, network_from_released

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


FFN_STATE = {
    "positional_encoding.B": torch.rand(4, 2),
    **{f"net.{i}.linear.weight": torch.rand(after, before) for i, (before, after) in enumerate([(8, 5), (5, 3)])},
    **{f"net.{i}.linear.bias": torch.rand(after) for i, after in enumerate([5, 3])},
}


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "module.model."])
def test_an_ffn_is_told_by_its_keys(prefix: str) -> None:
    network = network_from_released({prefix + key: value for key, value in FFN_STATE.items()})
    assert isinstance(network, FFN)
    xy = torch.rand(7, 2)
    phases = 2 * torch.pi * xy @ FFN_STATE["positional_encoding.B"].T
    features = torch.cat([phases.sin(), phases.cos()], 1)
    hidden = (features @ FFN_STATE["net.0.linear.weight"].T + FFN_STATE["net.0.linear.bias"]).relu()
    expected = hidden @ FFN_STATE["net.1.linear.weight"].T + FFN_STATE["net.1.linear.bias"]
    torch.testing.assert_close(network(xy), expected)


@pytest.mark.parametrize("prefix", ["", "module.", "blocks.0.", "module.blocks.0."])
def test_a_nerv_is_told_by_its_keys_and_so_is_its_grid(prefix: str, nerv_state: dict[str, torch.Tensor]) -> None:
    network = network_from_released({prefix + key: value for key, value in nerv_state.items()})
    assert isinstance(network, NeRV)
    time = torch.tensor([0.3], dtype=torch.float64)
    assert torch.equal(network(time), nerv_from_released(nerv_state, (1, 2))(time))
    assert network_from_released(nerv_state, (2, 1)).size == (32, 16)


@pytest.mark.parametrize(
    "missing", ["decoder.0.conv.downconv.weight", "decoder.2.conv.upconv.0.bias", "head_layer.bias"]
)
def test_an_incomplete_nerv_is_refused(missing: str, nerv_state: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="not a NeRV of the published code"):
        network_from_released({key: value for key, value in nerv_state.items() if key != missing})


def test_an_incomplete_ffn_is_refused() -> None:
    with pytest.raises(ValueError, match=r"there is no net.1.linear.bias"):
        network_from_released({key: value for key, value in FFN_STATE.items() if key != "net.1.linear.bias"})
    with pytest.raises(ValueError, match="not an FFN"):
        network_from_released(FFN_STATE | {"net.0.linear.weight": torch.zeros(5, 9)})


def test_other_weights_are_of_neither() -> None:
    with pytest.raises(ValueError, match=r"no weights of the published code: .* they have conv.weight"):
        network_from_released({"conv.weight": torch.zeros(1)})
