"""The Gram matrix against plain sums over maps that finite differences of the network make."""

from typing import Any

import pytest
import torch
from ablated import NETWORKS, SIZE, Make, averaged, canvas_of, image, nerv, perceptron, zeroed
from networks import Written
from torch import Tensor, nn

from xinc_pl.canvas import Canvas, dissect
from xinc_pl.canvas.effect.effect import AnyEffect
from xinc_pl.canvas.effect.gram import Gram
from xinc_pl.canvas.effect.linear import LinearEffect

STEP = 1e-6


def chosen_in(canvas: Canvas, number: int = 5) -> dict[str, list[int]]:
    """Neurons of each layer, in no order."""
    generator = torch.Generator().manual_seed(1)
    return {
        layer: torch.randperm(canvas[layer].num_neurons, generator=generator)[:number].tolist()
        for layer in canvas
        if layer != "stem"
    }


def oracle(network: nn.Module, inputs: Tensor, chosen: dict[str, list[int]], mean: bool) -> Tensor:
    """By how the image changes when a neuron loses a little of its weights."""
    maps = []
    for layer, neurons in chosen.items():
        for neuron in neurons:
            sides = [
                image(
                    averaged(network, inputs, {layer: [neuron]}, amount)
                    if mean
                    else zeroed(network, {layer: [neuron]}, amount),
                    inputs,
                )
                for amount in (-STEP, STEP)
            ]
            maps.append((sides[0] - sides[1]) / (2 * STEP))
    gram = torch.zeros(len(maps), len(maps), dtype=torch.float64)
    for row, one in enumerate(maps):
        for column, other in enumerate(maps):
            gram[row, column] = sum(
                float(each @ too) for each, too in zip(one.flatten(1), other.flatten(1), strict=True)
            )
    return gram


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("make", NETWORKS)
def test_it_is_that_of_finite_differences(make: Make, mean: bool) -> None:
    network, inputs = (each.double() for each in make())
    canvas = canvas_of(network, inputs)
    chosen = chosen_in(canvas)
    means = {layer: canvas.removal.means(layer, neurons) for layer, neurons in chosen.items()} if mean else None
    expected = oracle(network, inputs, chosen, mean)
    assert expected.abs().max() > 0
    # Rounding in finite differences is of the order of the largest, not of each.
    gram = canvas.gram(chosen, means)
    torch.testing.assert_close(gram, expected, rtol=1e-5, atol=1e-7 * float(expected.abs().max()))


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("mean", [False, True])
def test_it_is_the_same_in_pieces(make: Make, mean: bool) -> None:
    canvas = canvas_of(*make())
    chosen = {layer: range(min(canvas[layer].num_neurons, 70)) for layer in canvas}
    means = {layer: canvas.removal.means(layer, list(each)) for layer, each in chosen.items()} if mean else None
    assert canvas._gram is not None
    grams = [canvas._gram(chosen, means, most_values) for most_values in (1 << 30, 40000, 1)]
    tolerance = 1e-5 * float(grams[0].diagonal().mean())
    for gram in grams:
        torch.testing.assert_close(gram, grams[0], rtol=1e-4, atol=tolerance)
        torch.testing.assert_close(gram, gram.T, rtol=1e-4, atol=tolerance)


def test_kernels_of_shared_fields_have_the_maps_of_those_that_are_carried_alone() -> None:
    # Many kernels of a channel share what the image answers to it.
    canvas = canvas_of(*nerv())
    for layer in ("block_1", "block_2", "head"):
        everything = list(range(canvas[layer].num_neurons))
        gram = canvas.gram({layer: everything})
        maps = canvas[layer].maps(per_output=True).flatten(1).double()
        torch.testing.assert_close(gram, maps @ maps.T, rtol=1e-4, atol=1e-5 * float(gram.diagonal().mean()))
        sums = canvas[layer].magnitudes().sum((1, 2)).double()
        assert (gram.diagonal() <= sums.square() + 1e-12).all()


def test_in_a_last_linear_layer_it_says_exactly_what_removing_many_does() -> None:
    network, inputs = perceptron()
    canvas = canvas_of(network, inputs)
    for some in ([0, 3], [1, 2, 4, 6]):
        change = (canvas.removal.together({"4": some}) - canvas.removal.image).double().square().sum()
        assert float(canvas.gram({"4": some}).sum()) == pytest.approx(float(change), rel=1e-4)
        means = {"4": canvas.removal.means("4", some)}
        change = (canvas.removal.together({"4": some}, means) - canvas.removal.image).double().square().sum()
        assert float(canvas.gram({"4": some}, means).sum()) == pytest.approx(float(change), rel=1e-4)


def test_outputs_of_a_product_may_stand_in_any_order() -> None:
    torch.manual_seed(0)

    def forward(self: Any, values: Tensor) -> Tensor:
        several = torch.einsum("pi,abi->pba", values, self.weight).tanh()
        result: Tensor = self.last(several.reshape(len(values), -1))
        return result

    network = Written(forward, weight=nn.Parameter(torch.randn(3, 2, 4)), last=nn.Linear(6, 3)).double()
    inputs = torch.rand(SIZE[0] * SIZE[1], 4, dtype=torch.float64)
    canvas = canvas_of(network, inputs)
    (name,) = (name for name in canvas if canvas[name].num_neurons == 4)
    means = canvas.removal.means(name, range(4))
    # Letters a, b of the weight; the order of b, a in the output.
    expected = inputs.mean(0)[:, None, None] * network.weight.detach().permute(2, 0, 1)
    torch.testing.assert_close(means, expected.flatten(1))
    ((_, images),) = canvas.removal.each(name, [1], means[[1]])
    values = torch.einsum("pi,abi->pba", inputs, network.weight.detach())
    values = values + (-inputs[:, 1, None, None] * network.weight[..., 1].T + expected[1].T).detach()
    shown = network.last(values.tanh().reshape(len(inputs), -1)).T.reshape(3, *SIZE)
    torch.testing.assert_close(images[0], shown.detach())
    assert canvas._gram is not None
    rule = canvas._gram._rules[name]
    assert isinstance(rule, LinearEffect)
    slow = AnyEffect(rule.layer, rule.by_pixel)
    torch.testing.assert_close(
        rule.per_output(torch.arange(4), means), slow.per_output(torch.arange(4), means), rtol=1e-9, atol=1e-12
    )


def test_what_cannot_be_had_is_said() -> None:
    network, inputs = perceptron()
    with pytest.raises(ValueError, match="where the convention is effect; this canvas follows paper"):
        dissect(network, inputs, size=SIZE).gram({"0": [0]})
    canvas = canvas_of(network, inputs)
    with pytest.raises(ValueError, match="there is no layer 'x'; there are 0, 2, 4"):
        canvas.gram({"x": [0]})
    with pytest.raises(ValueError, match="2 has neurons 0 to 8; got \\[9\\]"):
        canvas.gram({"2": [9]})
    assert canvas.gram({}).shape == (0, 0)
    assert Gram({})({}).shape == (0, 0)
