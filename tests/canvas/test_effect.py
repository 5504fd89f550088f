"""The effect of chains: against the network itself, and by hand."""

import copy
from typing import Any

import pytest
import torch
from effect_oracle import (
    COORDINATES,
    IMAGE,
    SIZE,
    TIME,
    check,
    effect,
    forward_derivative,
    some_neurons,
    written,
)
from networks import dense_network, kernel_network
from torch import nn

from xinc_pl.canvas import dissect
from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.linear import LinearEffect
from xinc_pl.models import FFN, NeRV

pytestmark = pytest.mark.usefixtures("no_warnings")


# Chains


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "sin", "cos", "sigmoid"])
def test_linear_layers(activation: str, bias: bool) -> None:
    network, _ = dense_network((2, 9, 8, 3), activation, bias)
    canvas = check(network, COORDINATES, layers=3)
    assert all(type(layer._rule) is LinearEffect for layer in canvas.values())


def test_the_image_network() -> None:
    torch.manual_seed(0)
    check(FFN(num_frequencies=6, widths=(9, 8, 7, 6)), COORDINATES, layers=5)


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("activation", ["relu", "gelu", "cos"])
@pytest.mark.parametrize(
    ("channels", "strides", "kernels", "grid"),
    [
        ((3, 2, 2, 3), (2, 3, 1), (3, 5, 1), (2, 3)),
        ((2, 3, 2, 3), (4, 1, 1), (5, 1, 3), (2, 1)),
        ((2, 2, 2, 3), (1, 5, 1), (1, 3, 5), (1, 3)),
        ((2, 2, 2), (1, 2), (3, 3), (3, 2)),
        ((3, 2), (2,), (3,), (3, 2)),
        ((3, 3), (1,), (5,), (3, 4)),
    ],
    ids=["2_3", "4_1", "5", "shuffle_at_the_end", "shuffle_alone", "head_alone"],
)
def test_convolutions(
    channels: tuple[int, ...],
    strides: tuple[int, ...],
    kernels: tuple[int, ...],
    grid: tuple[int, int],
    activation: str,
    bias: bool,
) -> None:
    # With tanh * 0.5 + 0.5 at the end, which the effect goes through.
    network, _ = kernel_network(channels, strides, kernels, activation, bias)
    inputs = torch.randn(1, channels[0], *grid, generator=torch.Generator().manual_seed(5))
    canvas = check(network, inputs, layers=len(strides))
    assert all(type(layer._rule) is ConvolutionEffect for layer in canvas.values())


def test_the_video_network() -> None:
    torch.manual_seed(0)
    canvas = check(NeRV((8, 16), strides=(2, 2), width=7, levels=4), TIME, layers=4)
    assert list(canvas) == ["stem", "block_1", "block_2", "head"]
    assert not canvas.skipped


@pytest.mark.parametrize("kind", ["linear", "convolutions"])
def test_forward_mode_through_the_real_network(kind: str) -> None:
    if kind == "linear":
        network, inputs = dense_network((2, 9, 8, 3), "gelu")[0].double(), COORDINATES.double()
    else:
        network = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")[0].double()
        inputs = IMAGE.double()
    for path, layer in effect(network, inputs).items():
        neurons = some_neurons(4, layer.num_neurons)
        for neuron, maps in zip(neurons, layer.maps(neurons, per_output=True), strict=True):
            expected = forward_derivative(network, path, neuron, inputs)
            torch.testing.assert_close(maps.double(), expected.detach(), rtol=1e-6, atol=1e-9)


# By hand


def test_linear_layers_by_hand() -> None:
    first, last = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        first.bias.copy_(torch.tensor([2.0, -4.0]))
        last.weight.copy_(torch.tensor([[1.0, 0.5], [0.0, -1.0]]))
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]])  # two pixels
    canvas = dissect(nn.Sequential(first, nn.ReLU(), last), inputs, size=(1, 2), convention="effect")
    # Pre-activations (-1, 7) and (7, 1): at the first pixel only the second hidden neuron is alive.
    assert canvas["0"].maps(per_output=True).tolist() == [
        [[[1 * 3 * 0.5, 3 * (1 * 1 + 3 * 0.5)]], [[1 * 3 * -1.0, 3 * 3 * -1.0]]],
        [[[2 * 4 * 0.5, -1 * (-2 * 1 + 4 * 0.5)]], [[2 * 4 * -1.0, -1 * 4 * -1.0]]],
    ]
    assert canvas["0"].maps().tolist() == [[[-1.5, -1.5]], [[-4.0, 4.0]]]
    assert canvas["0"].magnitudes().tolist() == [[[4.5, 16.5]], [[12.0, 4.0]]]
    assert canvas["2"].maps(per_output=True).tolist() == [[[[0.0, 7.0]], [[0.0, 0.0]]], [[[3.5, 0.5]], [[-7.0, -1.0]]]]


def test_a_block_by_hand() -> None:
    block, head = nn.Conv2d(1, 4, 1), nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        block.weight.copy_(torch.tensor([1.0, 2.0, -3.0, 4.0]).view(4, 1, 1, 1))
        block.bias.copy_(torch.tensor([0.0, -100.0, 100.0, 0.0]))
        head.weight.copy_(torch.tensor([-3.0, 5.0]).view(2, 1, 1, 1))
    network = nn.Sequential(block, nn.PixelShuffle(2), nn.ReLU(), head)
    canvas = dissect(network, torch.tensor([[[[1.0, 10.0]]]]), convention="effect")
    # Kernel 1 is dead for its bias, kernel 2 alive for its own. The bias is in no map.
    maps = canvas["0"].maps(per_output=True)
    assert maps[:, 0].tolist() == [
        [[-3.0, 0.0, -30.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [9.0, 0.0, 90.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [0.0, -12.0, 0.0, -120.0]],
    ]
    torch.testing.assert_close(maps[:, 1], maps[:, 0] * -5 / 3)
    torch.testing.assert_close(canvas["0"].magnitudes(), maps[:, 0].abs() * 8 / 3)


def test_the_activation_of_the_output_by_hand() -> None:
    head = nn.Conv2d(2, 1, 1)
    with torch.no_grad():
        head.weight.copy_(torch.tensor([1.0, -0.5]).view(1, 2, 1, 1))
        head.bias.fill_(0.25)
    values = torch.tensor([0.5, 1.0])
    network = written(lambda s, x: torch.tanh(head(x)) * 0.5 + 0.5)
    maps = dissect(network, values.view(1, 2, 1, 1), convention="effect")["layer_1"].maps()
    slope = 0.5 * (1 - torch.tanh(torch.tensor(0.5 - 0.5 + 0.25)) ** 2)
    torch.testing.assert_close(maps.flatten(), torch.stack([0.5 * slope, -0.5 * slope]))


def test_removing_a_kernel_from_a_network_without_activations() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(2, 18, 5, padding=2), nn.PixelShuffle(3),
        nn.Conv2d(2, 3, 1),
    )  # fmt: skip
    canvas = effect(network, IMAGE)
    with torch.no_grad():
        before = network(IMAGE)[0]
        for path, layer in canvas.items():
            for neuron in some_neurons(4, layer.num_neurons):
                changed = copy.deepcopy(network)
                weight: Any = changed.get_submodule(path).weight
                channel, output = divmod(neuron, layer.neuron_shape[1])
                weight[output, channel] = 0
                removed = before - changed(IMAGE)[0]
                torch.testing.assert_close(layer.maps([neuron], per_output=True)[0], removed, rtol=1e-4, atol=1e-6)


def test_removing_an_input_of_the_last_linear_layer() -> None:
    network, _ = dense_network((2, 9, 8, 3), "relu")
    last = effect(network, COORDINATES)["layers.2"]
    with torch.no_grad():
        before = network(COORDINATES)
        for neuron in range(8):
            changed: Any = copy.deepcopy(network)
            changed.layers[2].weight[:, neuron] = 0
            removed = (before - changed(COORDINATES)).T.view(3, *SIZE)
            torch.testing.assert_close(last.maps([neuron], per_output=True)[0], removed, rtol=1e-4, atol=1e-6)
