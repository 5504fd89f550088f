"""The compiled backend against the torch one, and what neither may depend on."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import ACTIVATIONS, Written, dense_network, kernel_network
from torch import Tensor, nn

import xinc_pl.canvas.backends.select
import xinc_pl.canvas.maps.group
import xinc_pl.canvas.statistics.streaming
import xinc_pl.canvas.statistics.thresholds
from xinc_pl.canvas import Canvas, DissectionError, LayerStatistics, LayerTotals, dissect, stream_statistics
from xinc_pl.canvas.maps.bins import NUM_BINS, SHIFT, bits_of, sums_of
from xinc_pl.models import NeRV

BOTH = ("torch", "numba")


def kernels(strides: tuple[int, ...], sizes: tuple[int, ...], activation: str) -> tuple[nn.Module, Tensor]:
    """A network of convolutions, and features for it."""
    network, _ = kernel_network((2, *(3 for _ in strides[1:]), 3), strides, sizes, activation)
    return network, torch.randn(1, 2, 4, 3, generator=torch.Generator().manual_seed(5))


def encoded(seed: int = 0, size: tuple[int, int] = (8, 11)) -> Tensor:
    return torch.rand(size[0] * size[1], 2, generator=torch.Generator().manual_seed(seed))


def partitions(size: tuple[int, int]) -> dict[str, Tensor]:
    """A label per pixel, and masks that overlap and leave pixels out."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.randint(0, 5, size, generator=generator)
    labels.view(-1)[:5] = torch.arange(5)
    masks = torch.rand(3, *size, generator=generator) < 0.4
    masks[:, 0, 0] = True
    return {"labels": labels, "masks": masks}


def assert_same_statistics(actual: LayerStatistics, expected: LayerStatistics, magnitudes: Tensor) -> None:
    """To the tolerances of the method; counts may differ where a value lies on its threshold."""
    values = magnitudes.double()

    def on(threshold: Tensor | float) -> Tensor:
        return (values - threshold).abs() <= 1e-5 * values

    atol = 1e-5 * float(expected.total.mean()) / expected.num_neurons
    num_pixels = expected.size[0] * expected.size[1]

    def close(one: Tensor | None, other: Tensor | None, scale: float) -> None:
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.dtype == other.dtype
            torch.testing.assert_close(one, other, rtol=1e-4, atol=atol * scale)

    close(actual.total, expected.total, expected.num_neurons)
    close(actual.change, expected.change, expected.num_neurons)
    close(actual.sum, expected.sum, num_pixels)
    close(actual.minimum, expected.minimum, 1)
    close(actual.maximum, expected.maximum, 1)
    near = on(expected.total / expected.num_neurons).sum((1, 2))
    assert ((actual.pixels_per_neuron - expected.pixels_per_neuron).abs() <= near).all()
    assert (actual.zero_map == expected.zero_map).all()
    assert actual.thresholds == pytest.approx(expected.thresholds, rel=1e-4, abs=atol)
    for mass, share in expected.neurons_per_pixel.items():
        num_different = (actual.neurons_per_pixel[mass] - share).abs() * expected.num_neurons
        assert (num_different <= on(expected.thresholds[mass]).sum(0) + 1e-6).all()
    assert int(actual.histogram.counts.sum()) == int(expected.histogram.counts.sum())
    assert float(actual.histogram.sums.sum()) == pytest.approx(float(expected.histogram.sums.sum()), rel=1e-5)
    assert actual.partitions.keys() == expected.partitions.keys()
    for name, clusters in expected.partitions.items():
        assert torch.equal(actual.partitions[name].areas, clusters.areas)
        close(actual.partitions[name].sum, clusters.sum, num_pixels)


def assert_equal_statistics(
    actual: LayerTotals, expected: LayerTotals, kind: type[LayerTotals] = LayerStatistics
) -> None:
    """To the last bit, in all that a kind holds."""

    def equal(one: Any, other: Any) -> None:
        if isinstance(one, Tensor):
            assert torch.equal(one, other)
        elif isinstance(one, tuple):
            for each, its in zip(one, other, strict=True):
                equal(each, its)
        elif isinstance(one, dict):
            assert one.keys() == other.keys()
            for key in one:
                equal(one[key], other[key])
        else:
            assert one == other

    for each in fields(kind):
        equal(getattr(actual, each.name), getattr(expected, each.name))


def assert_backends_agree(canvas: Callable[[str], Canvas]) -> None:
    canvases = {backend: canvas(backend) for backend in BOTH}
    for name, layer in canvases["torch"].items():
        maps, other = layer.maps(), canvases["numba"][name].maps()
        torch.testing.assert_close(other, maps, rtol=1e-4, atol=1e-5 * float(maps.abs().mean()))
        both = [canvases[backend][name].statistics(partitions(layer.size)) for backend in BOTH]
        assert_same_statistics(both[1], both[0], layer.magnitudes())
        for backend, statistics in zip(BOTH, both, strict=True):
            totals = canvases[backend][name].totals(partitions(layer.size))
            assert_equal_statistics(totals, statistics, LayerTotals)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
@pytest.mark.parametrize("convention", ["paper", "released", "effect"])
def test_linear_layers(activation: str, convention: Any) -> None:
    network, _ = dense_network((2, 9, 7, 3), activation)
    inputs = encoded()
    assert_backends_agree(
        lambda backend: dissect(network, inputs, size=(8, 11), convention=convention, backend=backend)
    )


@pytest.mark.parametrize("activation", ["relu", "gelu", "sin", "cos", "softplus"])
@pytest.mark.parametrize(
    ("strides", "sizes"),
    [
        ((1,), (3,)),
        ((2, 1), (3, 3)),
        ((5, 2, 1), (3, 3, 3)),
        ((3, 1, 2), (1, 5, 3)),
        ((4, 2, 1), (5, 1, 5)),
        ((2, 3, 1), (3, 5, 1)),
        ((1, 4, 1), (1, 1, 1)),
    ],
)
def test_convolutions(strides: tuple[int, ...], sizes: tuple[int, ...], activation: str) -> None:
    network, inputs = kernels(strides, sizes, activation)
    assert_backends_agree(lambda backend: dissect(network, inputs, backend=backend))


@pytest.mark.parametrize("convention", ["released", "effect"])
def test_convolutions_by_other_conventions(convention: Any) -> None:
    network, inputs = kernels((2, 2, 1), (3, 3, 3), "gelu")
    assert_backends_agree(lambda backend: dissect(network, inputs, convention=convention, backend=backend))


@pytest.mark.parametrize("activation", ["gelu", "cos"])
def test_frames_in_lock_step(activation: str) -> None:
    network, _ = kernels((2, 2, 1), (3, 3, 3), activation)
    frames = [torch.randn(1, 2, 4, 3, generator=torch.Generator().manual_seed(seed)) for seed in range(3)]
    results = {}
    for backend in BOTH:
        canvases = [dissect(network, frame, backend=backend) for frame in frames]
        layers = [canvas["layers.0"] for canvas in canvases]
        results[backend] = list(stream_statistics(layers, [partitions(layer.size) for layer in layers]))
        magnitudes = [layer.magnitudes().double() for layer in layers]
        for frame in (1, 2):
            expected = (magnitudes[frame] - magnitudes[frame - 1]).abs().sum(0)
            torch.testing.assert_close(results[backend][frame].change, expected, rtol=1e-4, atol=1e-6)
    for torch_result, numba_result, layer in zip(*results.values(), layers, strict=True):
        assert_same_statistics(numba_result, torch_result, layer.magnitudes())


@pytest.mark.parametrize("backend", BOTH)
def test_too_many_candidates_are_counted_in_a_third_pass(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    network, inputs = kernels((2, 2, 1), (3, 3, 3), "gelu")
    canvas = dissect(network, inputs, backend=backend)
    plain = {name: layer.statistics(partitions(layer.size)) for name, layer in canvas.items()}
    monkeypatch.setattr(xinc_pl.canvas.statistics.thresholds, "_MAX_CANDIDATES", 0)
    for name, layer in canvas.items():
        assert_equal_statistics(layer.statistics(partitions(layer.size)), plain[name])


@pytest.fixture
def restored_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("backend", BOTH)
def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    monkeypatch.setattr(xinc_pl.canvas.maps.group, "CHUNK_VALUES", 2000)
    network, inputs = kernels((2, 2, 1), (3, 3, 3), "gelu")
    canvas = dissect(network, inputs, backend=backend)
    results = []
    for num_threads in (1, 2, 5):
        torch.set_num_threads(num_threads)
        results.append({name: layer.statistics(partitions(layer.size)) for name, layer in canvas.items()})
        assert torch.get_num_threads() == num_threads
    for other in results[1:]:
        for name in canvas:
            assert_equal_statistics(other[name], results[0][name])


@pytest.mark.parametrize("backend", BOTH)
@pytest.mark.parametrize("chunk_values", [1, 500])
def test_the_size_of_chunks_changes_nothing(monkeypatch: pytest.MonkeyPatch, backend: Any, chunk_values: int) -> None:
    network, inputs = kernels((2, 2, 1), (3, 5, 3), "cos")
    canvas = dissect(network, inputs, backend=backend)
    whole = {name: layer.statistics(partitions(layer.size)) for name, layer in canvas.items()}
    monkeypatch.setattr(xinc_pl.canvas.maps.group, "CHUNK_VALUES", chunk_values)
    for name, layer in canvas.items():
        assert_same_statistics(layer.statistics(partitions(layer.size)), whole[name], layer.magnitudes())


@pytest.mark.usefixtures("restored_threads")
@pytest.mark.parametrize("backend", BOTH)
def test_threads_are_given_back_after_an_error(monkeypatch: pytest.MonkeyPatch, backend: Any) -> None:
    network, inputs = kernels((2, 1), (3, 3), "gelu")
    canvas = dissect(network, inputs, backend=backend)

    def broken(*_: Any) -> None:
        raise OSError("broken")

    monkeypatch.setattr(xinc_pl.canvas.statistics.streaming, "FirstPass", _raising(broken))
    torch.set_num_threads(3)
    with pytest.raises(OSError, match="broken"):
        canvas["layers.0"].statistics()
    assert torch.get_num_threads() == 3


def _raising(broken: Callable[..., None]) -> type:
    class Broken(xinc_pl.canvas.statistics.passes.FirstPass):
        add = broken

    return Broken


@pytest.mark.parametrize("backend", BOTH)
def test_maps_that_overflow_are_an_error(backend: Any) -> None:
    network = Written(
        lambda self, inputs: self.b(torch.exp(self.a(inputs))), a=nn.Conv2d(8, 2, 1), b=nn.Conv2d(2, 3, 3, padding=1)
    )
    with torch.no_grad():  # two kernels of the first channel cancel
        network.a.weight[0, :2, 0, 0] = torch.tensor([200.0, -200.0])
    canvas = dissect(network, torch.ones(1, 8, 3, 4), backend=backend)  # they are not among those that are checked
    assert not canvas["a"].maps().isfinite().all()
    with pytest.raises(DissectionError, match="NaN or infinite"):
        canvas["a"].statistics()
    with pytest.raises(DissectionError, match="NaN or infinite"):
        canvas["a"].totals()
    canvas["b"].statistics()
    with torch.no_grad():
        network.a.weight[:, ::2], network.a.weight[:, 1::2] = 200.0, -200.0
    with pytest.raises(DissectionError, match="maps of a are NaN or infinite"):
        dissect(network, torch.ones(1, 8, 3, 4), backend=backend)


@pytest.mark.parametrize("backend", BOTH)
def test_without_masses_and_partitions(backend: Any) -> None:
    network, inputs = kernels((2, 1), (3, 3), "gelu")
    layer = dissect(network, inputs, backend=backend)["layers.0"]
    bare, full = layer.statistics(mass=()), layer.statistics(partitions(layer.size))
    assert (bare.thresholds, bare.neurons_per_pixel, bare.partitions) == ({}, {}, {})
    for name in ("total", "sum", "pixels_per_neuron"):
        assert torch.equal(getattr(bare, name), getattr(full, name))


def test_maps_made_anew_must_be_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs = kernels((2, 1), (3, 3), "gelu")
    layer = dissect(network, inputs)["layers.0"]
    backend = layer._rule.backend
    find = backend.find
    monkeypatch.setattr(backend, "find", lambda magnitudes, number: find(magnitudes * 1.01, number), raising=False)
    with pytest.raises(RuntimeError, match="made anew"):
        layer.statistics()


def test_sums_of_bins_are_exact() -> None:
    values = torch.tensor([0.0, 1e-42, 1e-38, 0.1, 0.1001, 1.0, 1.0039, 3e38])
    bits = bits_of(values).long()
    counts = torch.bincount(bits >> SHIFT, minlength=NUM_BINS)
    lows = torch.bincount(bits >> SHIFT, bits & ((1 << SHIFT) - 1), minlength=NUM_BINS).long()
    sums = sums_of(counts, lows)
    assert sums[sums > 0].tolist() == pytest.approx(
        np.add.reduceat(values.double().numpy(), [0, 2, 3, 4, 5, 7]).tolist(), rel=1e-15
    )


def test_the_backend_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    network, _ = dense_network((2, 5, 3), "relu")

    def chosen(network: nn.Module, backend: Any = "auto") -> str:
        inputs = encoded().to(next(network.parameters()).dtype)
        return type(dissect(network, inputs, size=(8, 11), backend=backend)["layers.0"]._rule.backend).__name__

    assert chosen(network) == "NumbaBackend"
    assert chosen(network, "torch") == "TorchBackend"
    assert chosen(network.double()) == "TorchBackend"
    assert chosen(network.double(), "numba") == "NumbaBackend"
    assert chosen(network.bfloat16()) == "NumbaBackend"
    monkeypatch.setattr(xinc_pl.canvas.backends.select, "find_spec", lambda name: None)
    assert chosen(network.float()) == "TorchBackend"
    with pytest.raises(ValueError, match="not installed"):
        chosen(network, "numba")
    with pytest.raises(ValueError, match="choose from auto, torch, numba"):
        chosen(network, "cuda")


def test_numba_is_for_the_cpu() -> None:
    with pytest.raises(ValueError, match="on meta"):
        xinc_pl.canvas.backends.select.select_backend("numba", torch.device("meta"), {torch.float32})
    selected = xinc_pl.canvas.backends.select.select_backend("auto", torch.device("meta"), {torch.float32})
    assert type(selected).__name__ == "TorchBackend"


def test_double_precision_can_be_compiled_too() -> None:
    network, inputs = kernels((2, 2, 1), (3, 3, 3), "cos")
    network.double()
    assert_backends_agree(lambda backend: dissect(network, inputs.double(), backend=backend))


def test_numba_is_imported_when_it_is_needed() -> None:
    code = "import sys, xinc_pl, xinc_pl.canvas; assert 'numba' not in sys.modules"
    folder = Path(xinc_pl.__file__).parent.parent
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)


@pytest.mark.parametrize("layer", ["block_1", "block_2", "head"])
def test_maps_in_any_order_spread_alike(layer: str) -> None:
    torch.manual_seed(0)
    network, at = NeRV((8, 16), strides=(2, 2), width=7, levels=4), torch.tensor([0.5], dtype=torch.float64)
    by_torch, by_numba = (dissect(network, at, backend=backend)[layer] for backend in ("torch", "numba"))
    neurons = torch.randperm(by_torch.num_neurons, generator=torch.Generator().manual_seed(0))
    expected = by_torch.maps(neurons)
    atol = 1e-5 * float(expected.abs().mean())
    torch.testing.assert_close(by_numba.maps(neurons), expected, rtol=1e-4, atol=atol)
    for part, magnitudes in by_numba.stream(neurons):
        assert torch.equal(magnitudes, by_numba.magnitudes(part))
