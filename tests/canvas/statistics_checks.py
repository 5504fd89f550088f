"""What tests of statistics share: canvases of given maps, partitions, and the oracle."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from networks import kernel_network
from torch import Tensor, nn

import xinc_pl.canvas.statistics.lock_step
import xinc_pl.canvas.statistics.thresholds
from xinc_pl.canvas import Canvas, LayerCanvas, dissect
from xinc_pl.canvas.statistics.results import LayerStatistics

Partitions = Mapping[str, Tensor]
MASSES = (0.1, 0.5)
CLOSE = 1e-5
"""Counts may differ where a value lies so close, relatively, to its threshold."""
SIZE = (3, 4)


def count_everything_in_a_third_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the bin of each threshold held too many values to remember."""
    monkeypatch.setattr(xinc_pl.canvas.statistics.thresholds, "_MAX_CANDIDATES", 0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def canvas_of(maps: Tensor) -> LayerCanvas:
    """A layer whose maps are exactly these (N, H, W): inputs of a sum."""
    layer = nn.Linear(len(maps), 1, bias=False)
    nn.init.ones_(layer.weight)
    canvas = dissect(layer, maps.flatten(1).T.contiguous(), size=(maps.shape[1], maps.shape[2]))["layer_1"]
    assert torch.equal(canvas.maps(), maps)
    return canvas


def comb(size: tuple[int, int], rows: int, columns: int) -> Tensor:
    row, column = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    return (row % rows) * columns + column % columns


def video(max_neurons: int | None = None, seed: int = 0, frame: int = 0) -> Canvas:
    network, _ = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")
    inputs = torch.randn(1, 3, 3, 4, generator=generator(frame))
    return dissect(network, inputs, max_neurons=max_neurons, seed=seed)


def check_against_oracle(statistics: LayerStatistics, maps: Tensor, partitions: Partitions, min_clear: float) -> None:
    """Compare every field with naive float64 over all values at once.

    Args:
        statistics: Ours.
        maps: Float32 (N, H, W), magnitudes of ``statistics.neurons``.
        partitions: By name.
        min_clear: Share of the values that must lie clear of their threshold, so that counts are compared at all.
    """
    values = maps.double().numpy()
    num_neurons, *size = values.shape
    assert (statistics.num_neurons, statistics.size) == (num_neurons, tuple(size))
    assert {each.dtype for each in (statistics.total, statistics.sum, statistics.minimum, statistics.maximum)} == {
        torch.float64
    }
    total = values.sum(0)
    near(statistics.total, total)
    near(statistics.sum, values.sum((1, 2)))
    near(statistics.minimum, values.min((1, 2)))
    near(statistics.maximum, values.max((1, 2)))
    assert statistics.zero_map.tolist() == (values == 0).all((1, 2)).tolist()

    assert statistics.pixels_per_neuron.dtype == torch.int64
    counts_agree(statistics.pixels_per_neuron, values, total / num_neurons, (1, 2), min_clear)
    descending = np.sort(values, axis=None)[::-1]
    for mass, threshold in statistics.thresholds.items():
        expected = descending[np.searchsorted(descending.cumsum(), (1 - mass) * descending.sum())]
        assert threshold == pytest.approx(expected, rel=1e-6)
        share = statistics.neurons_per_pixel[mass]
        assert share.dtype == torch.float64
        counts_agree(share * num_neurons, values, np.asarray(expected), 0, min_clear)

    edges, counts, sums = (each.numpy() for each in statistics.histogram)
    assert (statistics.histogram.counts.dtype, len(edges)) == (torch.int64, len(counts) + 1)
    assert (np.diff(edges) > 0).all()
    assert counts.sum() == values.size
    np.testing.assert_allclose(sums.sum(), total.sum(), rtol=1e-6)
    assert (counts * edges[:-1] <= sums * (1 + 1e-12)).all()
    assert (sums <= counts * edges[1:] * (1 + 1e-12)).all()
    expected_counts = np.histogram(values, np.append(edges[:-1], np.inf))[0]
    assert np.abs(expected_counts - counts).sum() <= 2 * (1 - min_clear) * values.size

    for name, partition in partitions.items():
        check_clusters(statistics, name, partition.numpy(), values)


def check_clusters(statistics: LayerStatistics, name: str, partition: np.ndarray, values: np.ndarray) -> None:
    masks = partition if partition.dtype == bool else np.arange(partition.max() + 1)[:, None, None] == partition
    clusters = statistics.partitions[name]
    areas, sums, means = clusters.areas.numpy(), clusters.sum.numpy(), clusters.mean.numpy()
    assert areas.tolist() == masks.sum((1, 2)).tolist()
    expected_sums = np.stack([values[:, mask].sum(1) for mask in masks], 1)
    near(sums, expected_sums)
    near(means, expected_sums / areas)
    alive = (values != 0).any((1, 2))
    expected = areas / values[0].size * values.sum((1, 2))[:, None]
    delta = np.full(expected.shape, np.nan)
    delta[alive] = (expected_sums[alive] - expected[alive]) / expected[alive]
    np.testing.assert_allclose(statistics.delta(name).numpy(), delta, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(statistics.delta(name, signed=False).numpy(), abs(delta), rtol=1e-5, atol=1e-5)
    variance = np.full(len(values), np.nan)
    absolute = variance.copy()
    if len(areas) > 1:
        variance[alive] = delta[alive].var(1, ddof=1)
        absolute[alive] = abs(delta[alive]).var(1, ddof=1)
    np.testing.assert_allclose(statistics.delta_variance(name).numpy(), variance, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(statistics.delta_variance(name, signed=False).numpy(), absolute, rtol=1e-4, atol=1e-5)
    low, high = values.min((1, 2)), values.max((1, 2))
    rows = np.flatnonzero(high > low)
    neurons, vectors = statistics.vectors(name)
    assert neurons.tolist() == rows.tolist()
    scaled = (expected_sums / areas - low[:, None])[rows] / (high - low)[rows, None]
    np.testing.assert_allclose(vectors.numpy(), scaled, rtol=1e-4, atol=1e-4)


def near(ours: Tensor | np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=2e-6, atol=1e-44)


def counts_agree(ours: Tensor, values: np.ndarray, threshold: np.ndarray, axes: Any, min_clear: float) -> None:
    low = (values > threshold * (1 + CLOSE)).sum(axes)
    high = (values > threshold * (1 - CLOSE)).sum(axes)
    counts = ours.double().round().numpy()
    assert (low <= counts).all()
    assert (counts <= high).all()
    assert (high - low).sum() <= (1 - min_clear) * values.size


def partitions_for(size: tuple[int, int], seed: int = 0) -> dict[str, Tensor]:
    """Labels, masks that overlap, masks that leave pixels out, one cluster, one cluster per pixel."""
    num_pixels = size[0] * size[1]
    labels = torch.randint(5, size, generator=generator(seed))
    labels.view(-1)[:5] = torch.arange(5)
    masks = torch.rand(4, *size, generator=generator(seed + 1)) < 0.3
    masks[:, 0, 0] = True
    return {
        "labels": labels,
        "overlapping": masks,
        "one": torch.zeros(size, dtype=torch.uint8),
        "pixels": torch.arange(num_pixels).view(size),
    }


def assert_same(one: LayerStatistics, other: LayerStatistics) -> None:
    for name in ("neurons", "total", "sum", "minimum", "maximum", "pixels_per_neuron", "zero_map", "zero_input"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.thresholds == other.thresholds
    assert list(one.neurons_per_pixel) == list(other.neurons_per_pixel)
    for mass, share in one.neurons_per_pixel.items():
        assert torch.equal(share, other.neurons_per_pixel[mass])
    assert all(torch.equal(a, b) for a, b in zip(one.histogram, other.histogram, strict=True))
    assert list(one.partitions) == list(other.partitions)
    for name, clusters in one.partitions.items():
        assert all(torch.equal(a, b) for a, b in zip(clusters, other.partitions[name], strict=True))
