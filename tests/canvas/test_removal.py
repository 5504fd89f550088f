"""Neurons taken away, against networks whose weights were set to zero by hand."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from networks import Written
from torch import Tensor, nn

from xinc_pl.canvas import Canvas, dissect
from xinc_pl.models import FFN, NeRV

SIZE = (6, 8)


def perceptron() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(inplace=True), nn.Linear(7, 3)), (
        torch.rand(SIZE[0] * SIZE[1], 2)
    )


def nerv() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return NeRV((16, 32), strides=(2, 2), width=7, levels=6).eval(), torch.tensor([0.3])


def transposed() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layers = (nn.ConvTranspose2d(4, 5, 4, stride=2, padding=1), nn.SiLU(), nn.Conv2d(5, 3, 3, padding=1))
    return nn.Sequential(*layers), torch.randn(1, 4, 3, 4)


def normalised() -> tuple[nn.Module, Tensor]:
    """A skip connection and a normalisation: no chain."""
    torch.manual_seed(0)

    def forward(self: Any, inputs: Tensor) -> Tensor:
        hidden = self.a(inputs).tanh()
        result: Tensor = self.c(self.norm(self.b(hidden) + hidden))
        return result

    parts = {"a": nn.Linear(2, 6), "b": nn.Linear(6, 6), "c": nn.Linear(6, 3), "norm": nn.LayerNorm(6)}
    return Written(forward, **parts), torch.rand(SIZE[0] * SIZE[1], 2)


NETWORKS = [perceptron, nerv, transposed, normalised]
Make = Callable[[], tuple[nn.Module, Tensor]]


def canvas_of(network: nn.Module, inputs: Tensor) -> Canvas:
    size = (16, 32) if isinstance(network, NeRV) else SIZE
    return dissect(network, inputs, size=size, convention="effect")


def zeroed(network: nn.Module, neurons: dict[str, Sequence[int]]) -> nn.Module:
    """A copy of the network in which the weights of these neurons are zero."""
    changed = copy.deepcopy(network)
    for name, some in neurons.items():
        path = {"block_1": "blocks.0.conv", "block_2": "blocks.1.conv"}.get(name, name)
        layer: Any = changed.get_submodule(path)
        for neuron in some:
            with torch.no_grad():
                if isinstance(layer, nn.Linear):
                    layer.weight[:, neuron] = 0
                elif isinstance(layer, nn.ConvTranspose2d):
                    layer.weight[neuron // layer.out_channels, neuron % layer.out_channels] = 0
                else:
                    layer.weight[neuron % layer.out_channels, neuron // layer.out_channels] = 0
    return changed


def image(network: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        output = network(inputs)
    return output[0] if output.ndim == 4 else output.T.reshape(-1, *SIZE)


@pytest.mark.parametrize("make", NETWORKS)
def test_each_neuron_of_every_layer(make: Make) -> None:
    network, inputs = make()
    canvas = canvas_of(network, inputs)
    torch.testing.assert_close(canvas.removal.image, image(network, inputs))
    for layer in canvas:
        neurons = torch.randperm(canvas[layer].num_neurons)[:5]
        seen: list[int] = []
        for part, images in canvas.removal.each(layer, neurons):
            for neuron, without in zip(part.tolist(), images, strict=True):
                expected = image(zeroed(network, {layer: [neuron]}), inputs)
                torch.testing.assert_close(without, expected, rtol=1e-4, atol=1e-6)
                seen.append(neuron)
        assert seen == neurons.tolist()


@pytest.mark.parametrize("make", NETWORKS)
def test_several_neurons_of_several_layers_at_once(make: Make) -> None:
    network, inputs = make()
    canvas = canvas_of(network, inputs)
    chosen = {layer: list(range(0, canvas[layer].num_neurons, 3)) for layer in canvas}
    for neurons in (chosen, {"head" if "head" in chosen else next(iter(chosen)): [1, 0]}, {}):
        expected = image(zeroed(network, neurons), inputs)
        torch.testing.assert_close(canvas.removal.together(neurons), expected, rtol=1e-4, atol=1e-6)


def test_the_recorded_network_counts_not_what_training_has_made_of_it() -> None:
    network, inputs = nerv()
    canvas = canvas_of(network, inputs)
    before = canvas.removal.together({"head": [0, 5]})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1)
    assert torch.equal(canvas.removal.together({"head": [0, 5]}), before)


def test_norms_are_those_of_each_neurons_weights() -> None:
    network, inputs = nerv()
    weight = network.head.weight  # type: ignore[union-attr]
    norms = canvas_of(network, inputs).removal.weight_norms("head")
    assert norms[1] == pytest.approx(float(weight[1, 0].detach().norm()))  # type: ignore[index]
    ffn = FFN(num_frequencies=4, widths=(5,)).eval()
    norms = canvas_of(ffn, torch.rand(SIZE[0] * SIZE[1], 2)).removal.weight_norms("layer_2")
    torch.testing.assert_close(norms, ffn.layers[1].weight.detach().norm(dim=0))


def test_what_cannot_be_done_is_said() -> None:
    network, inputs = perceptron()
    with pytest.raises(ValueError, match="where the convention is effect; this canvas follows paper"):
        _ = dissect(network, inputs, size=SIZE).removal
    removal = canvas_of(network, inputs).removal
    with pytest.raises(ValueError, match="there is no layer 'x'; there are 0, 2, 4"):
        removal.together({"x": [0]})
    with pytest.raises(ValueError, match="2 has neurons 0 to 8; got \\[9\\]"):
        next(removal.each("2", [9]))


def test_of_two_layers_that_share_weights_one_can_be_taken() -> None:
    torch.manual_seed(0)
    shared, other = nn.Linear(4, 4), nn.Linear(4, 4)
    other.weight = shared.weight
    network, inputs = nn.Sequential(nn.Linear(2, 4), shared, nn.Tanh(), other, nn.Linear(4, 3)), torch.rand(48, 2)
    removal = canvas_of(network, inputs).removal
    apart = copy.deepcopy(network)
    apart[3].weight = nn.Parameter(other.weight.detach().clone())
    for name in ("1", "3"):
        expected = image(zeroed(apart, {name: [0]}), inputs)
        torch.testing.assert_close(removal.together({name: [0]}), expected)
        ((_, without),) = removal.each(name, [0])
        torch.testing.assert_close(without[0], expected)
