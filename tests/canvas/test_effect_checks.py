"""The effect notices what goes wrong; and which neurons it is found for."""

import importlib
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from effect_oracle import COORDINATES, IMAGE, TIME, check, effect, written
from networks import dense_network, kernel_network
from not_chains import NOT_CHAINS
from torch import Tensor, nn

from xinc_pl.canvas import DissectionError, dissect
from xinc_pl.canvas.effect.convolution import ConvolutionEffect
from xinc_pl.canvas.effect.effect import AnyEffect
from xinc_pl.canvas.effect.linear import LinearEffect
from xinc_pl.models import NeRV

pytestmark = pytest.mark.usefixtures("no_warnings")


# The self-check


@pytest.mark.parametrize(
    ("rule", "network", "inputs"),
    [
        (LinearEffect, lambda: dense_network((2, 2, 3), "sin")[0], COORDINATES),
        (ConvolutionEffect, lambda: kernel_network((1, 1, 3), (2, 1), (3, 3), "gelu")[0], IMAGE[:, :1]),
        (AnyEffect, NOT_CHAINS["softmax_attention"][0], COORDINATES),
    ],
)
def test_maps_that_are_distorted_are_noticed(
    monkeypatch: pytest.MonkeyPatch, rule: Any, network: Any, inputs: Tensor
) -> None:
    plain = effect(network(), inputs)
    assert any(type(layer._rule) is rule for layer in plain.values())
    expected = {name: layer.maps() for name, layer in plain.items()}
    original = rule.per_output

    def distorted(self: Any, neurons: Tensor) -> Tensor:
        maps: Tensor = original(self, neurons)
        return torch.where((neurons == 1)[:, None, None, None], 1.1 * maps, maps)

    monkeypatch.setattr(rule, "per_output", distorted)
    if rule is AnyEffect:  # the last resort
        with pytest.raises(DissectionError, match="are not what their formula says"):
            effect(network(), inputs)
        return
    canvas = effect(network(), inputs)
    assert all(type(layer._rule) is AnyEffect for layer in canvas.values())
    for name, maps in expected.items():
        torch.testing.assert_close(canvas[name].maps(), maps)


@pytest.mark.parametrize("kind", ["linear", "convolutions", "pixels_change_places"])
def test_a_recording_that_was_tampered_with_is_noticed(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    network, inputs = {
        "linear": lambda: (dense_network((2, 9, 3), "tanh")[0], COORDINATES),
        "convolutions": lambda: (kernel_network((3, 4, 3), (2, 1), (3, 3), "tanh")[0], IMAGE),
        "pixels_change_places": lambda: (
            written(lambda s, x: s.b(torch.tanh(s.a(x))).flip(0), a=nn.Linear(2, 7), b=nn.Linear(7, 3)), COORDINATES
        ),
    }[kind]()  # fmt: skip
    effect(network, inputs)
    module = importlib.import_module("xinc_pl.canvas.dissect")  # the function has its name
    record = module.record

    def tampered(*args: Any, **options: Any) -> Any:
        recording = record(*args, **options)
        assert any(call.function is torch.tanh for call in recording.calls)
        calls = (replace(each, function=torch.sin) if each.function is torch.tanh else each for each in recording.calls)
        return replace(recording, calls=tuple(calls))

    monkeypatch.setattr(module, "record", tampered)
    with pytest.raises(DissectionError, match="add up to something else"):
        effect(network, inputs)


def test_maps_that_cancel_are_no_error() -> None:
    # Layer norm does not change when all of the layer's output grows: the two maps add up to zero.
    network = NOT_CHAINS["layer_norm"][0]()
    layer = effect(network, COORDINATES)["a"]
    maps = layer.maps(per_output=True)
    assert maps.sum(0).abs().max() < 0.01 * maps.abs().max()
    assert layer.completeness_error < 1e-5


def test_an_input_that_is_overwritten() -> None:
    def forward(s: Any, x: Tensor) -> Any:
        hidden = s.a(x)
        return s.b(hidden) + s.c(hidden.relu_())  # what b received is gone

    check(written(forward, a=nn.Linear(2, 7), b=nn.Linear(7, 3), c=nn.Linear(7, 3)), COORDINATES, layers=3)


def test_a_constant_that_is_changed_in_place() -> None:
    network = written(lambda s, x: s.b(x.repeat(1, 3).mul_(s.a(x).sin())), a=nn.Linear(2, 6), b=nn.Linear(6, 3))
    check(network, COORDINATES, layers=2)


def test_a_buffer_that_is_filled_in_place() -> None:
    def forward(s: Any, x: Tensor) -> Any:
        buffer = x.new_zeros(20, 9)
        buffer[:, :7], buffer[:, 7:] = s.a(x), x
        return s.b(buffer)

    check(written(forward, a=nn.Linear(2, 7), b=nn.Linear(9, 3)), COORDINATES, layers=2)


def test_a_scripted_branch_is_noticed() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        hidden = torch.jit.trace(torch.sin, torch.zeros(20, 7))
    network = written(
        lambda s, x: (lambda h: s.c(h + hidden(s.b(h))))(s.a(x)),
        a=nn.Linear(2, 7), b=nn.Linear(7, 7), c=nn.Linear(7, 3),
    )  # fmt: skip
    with pytest.raises(DissectionError, match=r"leads from b to .*scripted"):
        effect(network, COORDINATES)


# Samples


def test_large_layers_that_are_slow_are_sampled() -> None:
    torch.manual_seed(0)
    network = NeRV((8, 16), strides=(2, 2, 1), width=17, levels=4)
    canvas = effect(network, TIME)
    assert canvas["block_1"].num_neurons == 17 * 14 * 4 > 512
    assert len(canvas["block_1"].sample) == 512
    assert torch.equal(canvas["block_1"].sample, effect(network, TIME)["block_1"].sample)
    assert len(canvas["block_2"].sample) == 14 * 12 * 4 > 512  # two convolutions follow: quick
    statistics = canvas["block_1"].statistics()
    assert torch.equal(statistics.neurons, canvas["block_1"].sample)
    expected = canvas["block_1"].magnitudes(statistics.neurons).double().sum(0)
    torch.testing.assert_close(statistics.total, expected, rtol=1e-5, atol=1e-9)
    assert len(dissect(network, TIME)["block_1"].sample) == 952  # the other conventions are quick
    assert len(effect(network, TIME, max_neurons=1000)["block_1"].sample) == 952
    assert len(effect(network, TIME, max_neurons=20)["block_1"].sample) == 20


def test_large_linear_layers_are_sampled_where_every_neuron_needs_a_pass() -> None:
    torch.manual_seed(0)
    layers = {"a": nn.Linear(2, 600), "b": nn.Linear(600, 3)}
    plain = effect(written(lambda s, x: s.b(s.a(x).relu()), **layers), COORDINATES)
    mixed = effect(written(lambda s, x: s.b(s.a(x).relu()).cumsum(0), **layers), COORDINATES)
    assert [len(plain["b"].sample), len(mixed["b"].sample)] == [600, 512]


@pytest.mark.parametrize("chunk_values", [1, 100])
def test_the_size_of_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch, chunk_values: int) -> None:
    cases = [
        (kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")[0], IMAGE),
        (dense_network((2, 9, 3), "sin")[0], COORDINATES),
        (NOT_CHAINS["pixels_change_places"][0](), COORDINATES),
    ]
    whole = [{name: layer.maps() for name, layer in effect(*case).items()} for case in cases]
    monkeypatch.setattr("xinc_pl.canvas.maps.group.CHUNK_VALUES", chunk_values)
    for case, maps in zip(cases, whole, strict=True):
        for name, layer in effect(*case).items():
            atol = 1e-6 * float(maps[name].abs().mean())
            torch.testing.assert_close(layer.maps(), maps[name], rtol=1e-4, atol=atol)
            torch.testing.assert_close(
                layer.statistics().total, layer.magnitudes().double().sum(0), rtol=1e-5, atol=1e-9
            )
