"""Maps of a part of the image, and the neurons that contribute most there, against whole maps."""

from typing import Any

import numpy as np
import pytest
import torch
from case_oracle import SIZE, Case
from cases import CASES
from convolution_cases import CONVOLUTIONS
from networks import dense_network, kernel_network
from torch import Tensor, nn
from variations import VARIATIONS
from written_cases import WRITTEN

from xinc_pl import FFN, NeRV
from xinc_pl.canvas import Canvas, LayerCanvas, dissect
from xinc_pl.canvas.recording.network import record
from xinc_pl.canvas.recording.pixels import SomePixels
from xinc_pl.canvas.rules.rule import CONVENTIONS, Convention

pytestmark = pytest.mark.usefixtures("no_warnings")

ALL: dict[str, Case] = {**CASES, **VARIATIONS, **CONVOLUTIONS, **WRITTEN}


def assert_parts_are_parts(layer: LayerCanvas) -> None:
    height, width = layer.size
    neurons = sorted({0, layer.num_neurons // 3, layer.num_neurons - 1})
    signed, magnitudes = layer.maps(neurons), layer.magnitudes(neurons)
    close = {"rtol": 1e-4, "atol": 1e-5 * max(float(signed.abs().max()), 1e-6)}
    for window in (np.s_[:1, :1], np.s_[height - 1 :, width - 1 :], np.s_[height // 3 : height // 2 + 1, 1:-1]):
        torch.testing.assert_close(layer.maps(neurons, window=window), signed[:, *window], **close)
        torch.testing.assert_close(layer.magnitudes(neurons, window=window), magnitudes[:, *window], **close)


def assert_top_is_top(layer: LayerCanvas, where: Any, mask: Tensor) -> None:
    signed, magnitudes = (maps[:, mask].double().mean(1) for maps in (layer.maps(), layer.magnitudes()))
    close = {"rtol": 1e-4, "atol": 1e-5 * float(magnitudes.max())}
    other = torch.rand(layer.num_neurons, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for by, means in (("magnitude", magnitudes), ("positive", signed), ("negative", -signed), (other, other)):
        top = layer.top(where, k=3, by=by)
        assert len(top.neurons) == min(3, layer.num_neurons)
        torch.testing.assert_close(means[top.neurons], means.sort(descending=True).values[:3], **close)
        torch.testing.assert_close(top.values, magnitudes[top.neurons], **close)
        torch.testing.assert_close(top.signed, signed[top.neurons], **close)
        torch.testing.assert_close(top.shares * top.total, top.values)
        assert top.total == pytest.approx(float(magnitudes.sum()), rel=1e-4, abs=1e-12)
        assert top.num_pixels == int(mask.sum())


def some_pixels(size: tuple[int, int]) -> Tensor:
    mask = torch.zeros(size, dtype=torch.bool)
    mask[1:3, 1] = mask[2, 2] = True
    return mask


def assert_all_agrees(canvas: Canvas) -> None:
    for layer in canvas.values():
        assert_parts_are_parts(layer)
        mask = some_pixels(layer.size)
        assert_top_is_top(layer, mask, mask)
        pixel = torch.zeros(layer.size, dtype=torch.bool)
        pixel[1, 2] = True
        assert_top_is_top(layer, (1, 2), pixel)


@pytest.mark.parametrize(
    ("name", "convention"),
    [*((name, "effect") for name in ALL), *((name, "paper") for name in ALL if not isinstance(ALL[name].paper, str))],
)
def test_whatever_the_network(name: str, convention: Convention) -> None:
    case = ALL[name]
    inputs = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    assert_all_agrees(dissect(case.network(), inputs, size=SIZE, convention=convention, **case.options))


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])  # what they make of zero differs
@pytest.mark.parametrize("upscales", [(2, 3), (1, 2), (1, 1)])
def test_chains_of_convolutions(
    upscales: tuple[int, int], activation: str, convention: Convention, backend: Any
) -> None:
    network, _ = kernel_network((3, 4, 2), upscales, (3, 5), activation)
    inputs = torch.randn(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    assert_all_agrees(dissect(network, inputs, convention=convention, backend=backend))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_our_own_networks(convention: Convention) -> None:
    torch.manual_seed(0)
    image = FFN(num_frequencies=4, widths=(6, 5))
    coordinates = torch.rand(30, 2, generator=torch.Generator().manual_seed(1))
    assert_all_agrees(dissect(image, coordinates, size=(5, 6), convention=convention))
    clip = NeRV((16, 32), strides=(2, 2), width=7, levels=6)
    assert_all_agrees(dissect(clip, torch.tensor([0.3]), convention=convention))


def test_pixels_that_are_moved_at_the_end() -> None:
    network, _ = dense_network((2, 5, 3), "tanh")
    turned = nn.Sequential(network, Turned())
    coordinates = torch.rand(30, 2, generator=torch.Generator().manual_seed(1))
    for convention in CONVENTIONS:
        assert_all_agrees(dissect(turned, coordinates, size=(5, 6), convention=convention))


class Turned(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.flip(0)


def test_pixels_are_found_to_depend_on_each_other() -> None:
    coordinates = torch.rand(30, 2, generator=torch.Generator().manual_seed(1))
    network, _ = dense_network((2, 5, 3), "tanh")
    together = nn.Sequential(network, nn.Softmax(0))
    for module, are_apart in ((network, True), (together, False), (nn.Sequential(network, Turned()), False)):
        recording = record(module, coordinates, size=(5, 6))
        some = SomePixels(recording, torch.tensor([0, 7, 29]))
        assert some.are_apart is are_apart


def test_some_pixels_are_a_recording_of_their_own() -> None:
    network, _ = dense_network((2, 5, 3), "tanh")
    coordinates = torch.rand(30, 2, generator=torch.Generator().manual_seed(1))
    for pixels in (torch.tensor([3, 4, 29]), range(3, 6)):
        some = SomePixels(record(network, coordinates, size=(5, 6)), pixels).recording
        expected = network(coordinates[torch.as_tensor(pixels)]).T[:, None]
        torch.testing.assert_close(some.image, expected)


def test_many_pixels_at_once_or_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = dense_network((2, 5, 3), "tanh")
    coordinates = torch.rand(30, 2, generator=torch.Generator().manual_seed(1))
    whole = dissect(network, coordinates, size=(5, 6), convention="effect")
    expected = {name: layer.maps(per_output=True) for name, layer in whole.items()}
    monkeypatch.setattr("xinc_pl.canvas.effect.linear._MOST_VALUES", 40)
    monkeypatch.setattr("xinc_pl.canvas.rules.linear.MOST_CHECKED", 40)
    parts = dissect(network, coordinates, size=(5, 6), convention="effect")
    for name, maps in expected.items():
        torch.testing.assert_close(parts[name].maps(per_output=True), maps)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ((5, 0), r"no pixel \(5, 0\) in an image of 5x6"),
        ((0, -1), "no pixel"),
        ("here", "give a pixel"),
        ((1, 2, 3), "give a pixel"),
        (torch.zeros(5, 6, dtype=torch.bool), "0 pixels"),
        (torch.ones(6, 5, dtype=torch.bool), "image's shape"),
        (torch.ones(5, 6), "give a pixel, .* or a mask, bool"),
    ],
)
def test_no_such_place(where: Any, message: str) -> None:
    (layer, *_) = small_canvas().values()
    with pytest.raises(ValueError, match=message):
        layer.top(where)


@pytest.mark.parametrize("window", [np.s_[5:, :], np.s_[::2, :], np.s_[1, 2], np.s_[:, :, :], "no"])
def test_no_such_window(window: Any) -> None:
    (layer, *_) = small_canvas().values()
    with pytest.raises(ValueError, match="window"):
        layer.maps([0], window=window)


def test_no_such_order() -> None:
    (layer, *_) = small_canvas().values()
    with pytest.raises(ValueError, match=r"by is .size..*magnitude, positive, negative"):
        layer.top((0, 0), by="size")  # type: ignore[arg-type]  # what somebody may try
    with pytest.raises(ValueError, match=r"by has shape \(3,\); give a number for each neuron"):
        layer.top((0, 0), by=torch.zeros(3))
    with pytest.raises(ValueError, match="k is 0"):
        layer.top((0, 0), k=0)


def small_canvas() -> Canvas:
    network, _ = dense_network((2, 5, 3), "tanh")
    return dissect(network, torch.rand(30, 2), size=(5, 6))


def test_neurons_that_add_nothing() -> None:
    network, _ = dense_network((2, 5, 3), "relu")
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    canvas = dissect(network, torch.rand(30, 2), size=(5, 6))
    for layer in canvas.values():
        top = layer.top((0, 0), k=100)
        assert top.neurons.tolist() == list(range(layer.num_neurons))
        assert not top.shares.any()
