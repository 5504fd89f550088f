"""Neurons taken away, against networks whose weights were set to zero by hand."""

import copy

import pytest
import torch
from ablated import NETWORKS, SIZE, Make, averaged, canvas_of, image, mean_of, module_of, nerv, perceptron, zeroed
from torch import Tensor, nn

from xinc_pl.canvas import dissect
from xinc_pl.models import FFN


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


@pytest.mark.parametrize("make", NETWORKS)
def test_what_neurons_add_on_average_stays_in_the_bias_if_that_is_wanted(make: Make) -> None:
    network, inputs = (each.double() for each in make())
    canvas = canvas_of(network, inputs)
    removal = canvas.removal
    chosen = {layer: list(range(0, canvas[layer].num_neurons, 3)) for layer in canvas if layer != "stem"}
    means = {layer: removal.means(layer, neurons) for layer, neurons in chosen.items()}
    for layer, neurons in chosen.items():
        ((part, images),) = removal.each(layer, neurons[:3], means[layer][:3])
        assert part.tolist() == neurons[:3]
        for neuron, mean, without in zip(neurons, means[layer], images, strict=False):
            torch.testing.assert_close(mean, mean_of(network, inputs, layer, neuron), rtol=1e-9, atol=1e-12)
            expected = image(averaged(network, inputs, {layer: [neuron]}), inputs)
            torch.testing.assert_close(without, expected, rtol=1e-9, atol=1e-12)
    expected = image(averaged(network, inputs, chosen), inputs)
    together = removal.together(chosen, means)
    torch.testing.assert_close(together, expected, rtol=1e-9, atol=1e-12)
    assert not torch.allclose(together, removal.together(chosen))


def test_a_layer_that_is_called_twice_has_one_bias() -> None:
    torch.manual_seed(0)
    shared = nn.Linear(4, 4)
    network = nn.Sequential(nn.Linear(2, 4), shared, nn.Tanh(), shared, nn.Linear(4, 3)).double()
    inputs = torch.rand(SIZE[0] * SIZE[1], 2, dtype=torch.float64)
    received = [network[0](inputs), network[2](network[1](network[0](inputs)))]
    mean = canvas_of(network, inputs).removal.means("1", [2])
    expected = torch.cat(received)[:, 2].mean() * shared.weight[:, 2]
    torch.testing.assert_close(mean[0], expected.detach())


def test_inputs_are_those_of_each_neuron() -> None:
    network, inputs = perceptron()
    removal = canvas_of(network, inputs).removal
    torch.testing.assert_close(removal.input_rms("0"), inputs.square().mean(0).sqrt())
    network, inputs = nerv()
    canvas = canvas_of(network, inputs)
    received: list[Tensor] = []
    module_of(network, "head").register_forward_pre_hook(lambda module, args: received.append(args[0].detach()))
    image(network, inputs)
    expected = received[0].square().mean((0, 2, 3)).sqrt().repeat_interleave(3)
    torch.testing.assert_close(canvas.removal.input_rms("head"), expected)


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
    means = removal.means("2", [0, 1])
    for wrong in ({"2": [0]}, {"2": [0, 0]}, {"4": [0, 1]}):
        with pytest.raises(ValueError, match="give one mean for each neuron, and each neuron once"):
            removal.together(wrong, {"2": means})


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
