"""The image's answers to whole channels, against a batch of tangents carried to the output."""

import copy
from typing import Any

import pytest
import torch
from networks import kernel_network
from torch import Tensor

from xinc_pl.canvas import Canvas, dissect
from xinc_pl.canvas.effect.responses import Reach
from xinc_pl.models import NeRV

CHAINS = {
    "paper": ((3, 2, 3, 2, 3), (4, 2, 2, 1), (3, 3, 3, 3), (2, 3)),
    "uneven": ((3, 2, 2, 3), (2, 3, 1), (3, 5, 1), (2, 3)),
    "patches_larger_than_the_image": ((2, 3, 2, 3), (1, 1, 1), (1, 5, 7), (2, 1)),
    "no_shuffle": ((2, 2, 2, 2, 3), (1, 1, 1, 1), (1, 3, 5, 3), (3, 4)),
    "five": ((2, 2, 2, 2, 2, 3), (1, 2, 1, 2, 1), (3, 3, 1, 5, 3), (2, 2)),
    "shuffle_at_the_end": ((2, 2, 2), (3, 2), (3, 5), (3, 2)),
    "shuffle_alone": ((3, 2), (2,), (3,), (3, 2)),
    "head_alone": ((3, 3), (1,), (5,), (3, 4)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even for a single kernel."""
    monkeypatch.setattr("xinc_pl.canvas.effect.convolution._ENOUGH", (1,))


def make(kind: str, dtype: torch.dtype, backend: Any, activation: str = "gelu") -> Canvas:
    channels, strides, kernels, grid = CHAINS[kind]
    network, _ = kernel_network(channels, strides, kernels, activation)
    inputs = torch.randn(1, channels[0], *grid, generator=torch.Generator().manual_seed(5))
    return dissect(network.to(dtype), inputs.to(dtype), convention="effect", backend=backend)


def video_canvas(backend: Any = "auto") -> Canvas:
    torch.manual_seed(0)
    network = NeRV((16, 32), strides=(2, 2, 2), width=7, levels=4)
    return dissect(network, torch.tensor([0.3], dtype=torch.float64), convention="effect", backend=backend)


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", CHAINS)
def test_maps_are_those_of_tangents(kind: str, dtype: torch.dtype, backend: str) -> None:
    for layer in make(kind, dtype, backend).values():
        assert all(group.unsigned is not None for group in layer._rule.groups(layer._rule.all_neurons()))
        expected = layer._rule.per_output(layer._rule.all_neurons()).double()
        atol = 1e-5 * float(expected.abs().mean())
        torch.testing.assert_close(layer.maps().double(), expected.sum(1), rtol=1e-4, atol=atol)
        torch.testing.assert_close(layer.magnitudes().double(), expected.abs().sum(1), rtol=1e-4, atol=atol)


@pytest.mark.parametrize("kind", CHAINS)
def test_float32_against_float64(kind: str) -> None:
    exact = make(kind, torch.float64, "torch")
    for name, layer in make(kind, torch.float32, "auto").items():
        expected = exact[name]._rule.per_output(exact[name]._rule.all_neurons()).abs().sum(1)
        atol = 1e-4 * float(expected.mean())
        torch.testing.assert_close(layer.magnitudes().double(), expected, rtol=1e-4, atol=atol)


def test_any_selection_in_any_order() -> None:
    layer = video_canvas()["block_2"]
    maps, magnitudes = layer.maps(), layer.magnitudes()
    order = torch.randperm(layer.num_neurons, generator=torch.Generator().manual_seed(0))[:50]
    atol = 1e-5 * float(magnitudes.mean())
    for neurons in (order, order[:1]):
        torch.testing.assert_close(layer.maps(neurons), maps[neurons], rtol=1e-4, atol=atol)
        torch.testing.assert_close(layer.magnitudes(neurons), magnitudes[neurons], rtol=1e-4, atol=atol)


def test_patches_that_would_be_too_large_are_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = {name: layer.magnitudes() for name, layer in video_canvas().items()}
    monkeypatch.setattr("xinc_pl.canvas.effect.responses.MOST_VALUES", 1)
    monkeypatch.setattr("xinc_pl.canvas.effect.responses._field", None)
    for name, layer in video_canvas().items():
        atol = 1e-5 * float(expected[name].mean())
        torch.testing.assert_close(layer.magnitudes(), expected[name], rtol=1e-4, atol=atol)


@pytest.mark.parametrize("backend", ["torch", "numba"])
def test_the_number_of_threads_changes_no_bit(backend: str) -> None:
    before = torch.get_num_threads()
    results: list[dict[str, tuple[Tensor, Tensor]]] = []
    try:
        for num_threads in (1, 3):
            torch.set_num_threads(num_threads)
            canvas = video_canvas(backend)
            results.append({name: (each.magnitudes(), each.statistics().total) for name, each in canvas.items()})
            assert torch.get_num_threads() == num_threads
    finally:
        torch.set_num_threads(before)
    for name, (magnitudes, total) in results[0].items():
        assert torch.equal(magnitudes, results[1][name][0])
        assert torch.equal(total, results[1][name][1])


def test_a_copied_canvas_gives_the_same() -> None:
    layer = video_canvas()["block_1"]
    assert torch.equal(copy.deepcopy(layer).magnitudes(), layer.magnitudes())


def test_reach() -> None:
    canvas = video_canvas()
    # By hand: three pixels per axis through the head; two phases and a kernel more before block 3.
    layers: Any = [canvas[name]._rule.layer for name in canvas.main_layers]
    head = Reach().before(layers[3])
    assert head == Reach(scale=1, start=-1, length=3)
    assert head.before(layers[2]) == Reach(scale=2, start=-3, length=8)
