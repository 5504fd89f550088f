"""Statistics of whole layers: the published code's numbers, a naive oracle, and cases at the edge."""

import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import pytest
import torch
from networks import dense_network, kernel_network
from torch import Tensor, nn

import xinc_pl.canvas.lock_step
import xinc_pl.canvas.thresholds
from xinc_pl.canvas import Canvas, LayerCanvas, dissect, stream_change, stream_statistics
from xinc_pl.canvas.statistics import LayerStatistics
from xinc_pl.models import ffn_from_released, nerv_from_released

Golden = Callable[[str], dict[str, Tensor]]
Partitions = Mapping[str, Tensor]

FFN_LAYERS = ("layer_1", "layer_2", "layer_3")
NERV_LAYERS = ("block_1", "block_2", "block_3", "head")
MASSES = (0.1, 0.5)
CLOSE = 1e-5
"""Counts may differ where a value lies so close, relatively, to its threshold."""


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def count_everything_in_a_third_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the bin of each threshold held too many values to remember."""
    monkeypatch.setattr(xinc_pl.canvas.thresholds, "_MAX_CANDIDATES", 0)


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


# The published code


def released(golden: Golden, layer: str) -> tuple[LayerStatistics, dict[str, Tensor]]:
    """Our statistics of a layer, and theirs."""
    name = "ffn_small" if layer in FFN_LAYERS else "nerv_small"
    numbers, expected = golden(name), golden(f"{name}_statistics")
    if layer in FFN_LAYERS:
        network: nn.Module = ffn_from_released(
            numbers["B"], [(numbers[f"weight_{i}"], numbers[f"bias_{i}"]) for i in (1, 2, 3)]
        )
        size = (int(numbers["height"]), int(numbers["width"]))
        rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
        inputs = (torch.stack([rows, columns], -1).reshape(-1, 2) / (max(size) - 1) - 0.5) * 2
    else:
        state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
        height, width = numbers["fc_hw"].tolist()
        network, inputs = nerv_from_released(state, (height, width)), numbers["t"].reshape(1)
        size = (expected["labels"].shape[0], expected["labels"].shape[1])
    stride, other = expected["cell_stride"].tolist()
    partitions = {"labels": expected["labels"], "comb": comb(size, stride, other)}
    canvas = dissect(network, inputs, size=size, convention="released")[layer]
    return canvas.statistics(partitions, MASSES), {
        key.removeprefix(f"{layer}."): value for key, value in expected.items() if key.startswith(f"{layer}.")
    }


@pytest.mark.parametrize("layer", [*FFN_LAYERS, *NERV_LAYERS])
def test_numbers_of_the_published_code(golden: Golden, layer: str) -> None:
    statistics, expected = released(golden, layer)
    num_pixels = statistics.total.numel()
    for mass, percent in zip(MASSES, (10, 50), strict=True):
        assert statistics.thresholds[mass] == pytest.approx(float(expected[f"threshold_{percent}"]), rel=1e-5)
        share = statistics.neurons_per_pixel[mass] - expected[f"neurons_per_pixel_{percent}"]
        counts = (share * statistics.num_neurons).round()
        assert counts.abs().max() <= 1
        assert counts.count_nonzero() <= 0.01 * num_pixels
    difference = statistics.pixels_per_neuron - expected["pixels_per_neuron"]
    assert difference.abs().max() <= 1
    assert difference.count_nonzero() <= 0.05 * statistics.num_neurons
    assert_close(statistics.total, expected["total"])
    assert_close(statistics.partitions["labels"].mean, expected["mean_per_cluster"])
    # Where theirs is a number, ours is: zero maps are NaN in both.
    for ours, theirs in (
        (statistics.delta("labels", signed=False), expected["abs_delta"]),
        (statistics.delta_variance("labels", signed=False), expected["abs_delta_variance"]),
        (statistics.delta_variance("labels"), expected["delta_variance"]),
        (statistics.delta_variance("comb"), expected["comb_delta_variance"]),
    ):
        assert torch.equal(ours.isnan(), theirs.isnan())
        assert_close(ours, theirs)


@pytest.mark.parametrize("layer", [*FFN_LAYERS, *NERV_LAYERS])
def test_neuron_vectors_of_the_published_code(golden: Golden, layer: str) -> None:
    statistics, expected = released(golden, layer)
    neurons, vectors = statistics.vectors("labels")
    constant = (statistics.maximum == statistics.minimum) & ~statistics.zero_map
    # The published code drops zero maps only, and leaves constant ones as they are.
    kept = ~constant[~statistics.zero_map]
    assert torch.equal(neurons, (~statistics.zero_map & ~constant).nonzero().flatten())
    assert len(expected["vectors"]) == len(kept)
    assert_close(vectors, expected["vectors"][kept])


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    atol = 2e-5 * float(theirs.nanmean().abs())
    torch.testing.assert_close(ours.double(), theirs.double(), rtol=2e-4, atol=atol, equal_nan=True)


# The oracle


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


GEOMETRIES: dict[str, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, int]]] = {
    "strides_2_3": ((3, 2, 2, 3), (2, 3, 1), (3, 5, 1), (3, 5)),
    "strides_4_1": ((2, 3, 2, 3), (4, 1, 1), (5, 1, 3), (3, 2)),
    "stride_5": ((2, 2, 3), (5, 1), (1, 3), (2, 3)),
    "shuffle_at_the_end": ((2, 3, 3), (2, 3), (3, 3), (3, 4)),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("activation", ["relu", "gelu", "cos"])
def test_convolutions_against_the_oracle(activation: str, geometry: str) -> None:
    channels, strides, kernels, grid = GEOMETRIES[geometry]
    network, _ = kernel_network(channels, strides, kernels, activation)
    canvas = dissect(network, torch.randn(1, channels[0], *grid, generator=generator(3)))
    for layer in canvas.values():
        partitions = partitions_for(layer.size)
        min_clear = 0.95 if activation == "gelu" else 0.0  # the others have many equal values
        check_against_oracle(layer.statistics(partitions, (0.05, *MASSES)), layer.magnitudes(), partitions, min_clear)


@pytest.mark.parametrize("convention", ["paper", "released", "effect"])
@pytest.mark.parametrize("activation", ["relu", "sin"])
def test_linear_layers_against_the_oracle(activation: str, convention: Literal["paper", "released", "effect"]) -> None:
    network, _ = dense_network((4, 9, 8, 3), activation)
    canvas = dissect(network, torch.randn(77, 4, generator=generator(3)), size=(7, 11), convention=convention)
    for layer in canvas.values():
        partitions = partitions_for(layer.size)
        min_clear = 0.95 if activation == "sin" else 0.0  # the others have many equal values
        check_against_oracle(layer.statistics(partitions, (0.05, *MASSES)), layer.magnitudes(), partitions, min_clear)


ADVERSARIAL: dict[str, Callable[[tuple[int, int, int]], Tensor]] = {
    "normal": lambda shape: torch.randn(shape, generator=generator()),
    "sixty_orders_of_magnitude": lambda shape: 10.0 ** (60 * torch.rand(shape, generator=generator()) - 30),
    "one_huge_value": lambda shape: torch.rand(shape, generator=generator()).index_put(
        (torch.tensor(1), torch.tensor(2), torch.tensor(3)), torch.tensor(-1e20)
    ),
    "denormal": lambda shape: torch.rand(shape, generator=generator()) * 1e-39,
    "within_one_bin": lambda shape: 1 + 1e-3 * torch.rand(shape, generator=generator()),
    "mostly_zero": lambda shape: (
        torch.randn(shape, generator=generator()) * (torch.rand(shape, generator=generator(1)) < 0.05)
    ),
}


@pytest.mark.parametrize("kind", ADVERSARIAL)
def test_maps_of_any_distribution(kind: str) -> None:
    maps = ADVERSARIAL[kind]((9, 11, 13))
    partitions = partitions_for((11, 13))
    statistics = canvas_of(maps).statistics(partitions, (0.01, 0.1, 0.5, 0.999))
    check_against_oracle(statistics, maps.abs(), partitions, 0.9)


def test_thresholds_of_a_few_values_by_hand() -> None:
    maps = torch.tensor([[[4.0, -3.0]], [[2.0, 1.0]]])
    statistics = canvas_of(maps).statistics(mass=(0.05, 0.1, 0.3, 0.5, 0.6, 0.61))
    # 4, 7, 9, 10 of 10: reached at 9.5, 9, 7, 5, 4, 3.9
    assert statistics.thresholds == {0.05: 1.0, 0.1: 2.0, 0.3: 3.0, 0.5: 3.0, 0.6: 4.0, 0.61: 4.0}
    assert statistics.neurons_per_pixel[0.05].tolist() == [[1.0, 0.5]]
    assert statistics.neurons_per_pixel[0.1].tolist() == [[0.5, 0.5]]
    assert statistics.neurons_per_pixel[0.5].tolist() == [[0.5, 0.0]]
    assert statistics.pixels_per_neuron.tolist() == [2, 0]  # 4/6 and 3/4 are more than a half


def test_equal_values_are_all_on_one_side_of_a_threshold() -> None:
    maps = torch.randint(5, (6, 7, 8), generator=generator()).float()
    statistics = canvas_of(maps).statistics(mass=(0.05, 0.1, 0.4, 0.6))
    assert len(set(statistics.thresholds.values())) > 1
    for mass, threshold in statistics.thresholds.items():
        assert threshold in (1.0, 2.0, 3.0, 4.0)
        assert torch.equal(statistics.neurons_per_pixel[mass], (maps > threshold).double().mean(0))


def test_deltas_by_hand() -> None:
    maps = torch.tensor([[[1.0, 2.0, 3.0, -4.0]], [[0.0, 0.0, 0.0, 0.0]]])
    labels = torch.tensor([[0, 0, 0, 1]])
    statistics = canvas_of(maps).statistics({"labels": labels})
    # Expected 7.5 and 2.5, actual 6 and 4.
    torch.testing.assert_close(statistics.delta("labels")[0], torch.tensor([-0.2, 0.6], dtype=torch.float64))
    torch.testing.assert_close(statistics.delta("labels", False)[0], torch.tensor([0.2, 0.6], dtype=torch.float64))
    assert float(statistics.delta_variance("labels")[0]) == pytest.approx(0.32)
    assert float(statistics.delta_variance("labels", signed=False)[0]) == pytest.approx(0.08)
    assert statistics.delta("labels")[1].isnan().all()
    assert statistics.delta_variance("labels")[1].isnan()
    vectors = statistics.vectors("labels")
    assert vectors.neurons.tolist() == [0]
    torch.testing.assert_close(vectors.vectors, torch.tensor([[1 / 3, 1.0]], dtype=torch.float64))


def test_overlapping_masks_have_their_own_areas() -> None:
    maps = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]])
    masks = torch.tensor([[[True, True, False, False]], [[False, True, True, True]]])
    clusters = canvas_of(maps).statistics({"masks": masks}).partitions["masks"]
    assert clusters.areas.tolist() == [2, 3]
    assert clusters.sum.tolist() == [[3.0, 9.0]]
    assert clusters.mean.tolist() == [[1.5, 3.0]]


def test_masks_without_overlap_are_the_same_as_labels() -> None:
    network, _ = kernel_network((3, 2, 3), (3, 1), (3, 3), "gelu")
    layer = dissect(network, torch.randn(1, 3, 3, 4, generator=generator()))["layers.0"]
    labels = partitions_for(layer.size)["labels"]
    masks = torch.arange(5)[:, None, None] == labels
    statistics = layer.statistics({"labels": labels, "masks": masks})
    assert statistics.partitions["labels"].areas.tolist() == statistics.partitions["masks"].areas.tolist()
    torch.testing.assert_close(statistics.partitions["labels"].sum, statistics.partitions["masks"].sum)


# Cases at the edge


def test_maps_that_are_all_zero() -> None:
    partitions = partitions_for((3, 4))
    statistics = canvas_of(torch.zeros(5, 3, 4)).statistics(partitions)
    check_against_oracle(statistics, torch.zeros(5, 3, 4), partitions, 1.0)
    assert statistics.thresholds == {0.1: 0.0, 0.5: 0.0}
    assert statistics.zero_map.all()
    assert statistics.zero_input.all()
    assert statistics.delta("labels").isnan().all()
    assert statistics.delta_variance("labels").isnan().all()
    assert statistics.vectors("labels").vectors.shape == (0, 5)
    assert not statistics.pixels_per_neuron.any()
    assert not any(share.any() for share in statistics.neurons_per_pixel.values())


def test_maps_that_are_all_constant() -> None:
    maps = torch.tensor([1.0, -2.0, 5.0])[:, None, None].expand(3, 4, 5).contiguous()
    statistics = canvas_of(maps).statistics(partitions_for((4, 5)))
    torch.testing.assert_close(statistics.delta("labels"), torch.zeros(3, 5, dtype=torch.float64), rtol=0, atol=1e-6)
    assert statistics.delta_variance("labels").max() < 1e-12
    assert len(statistics.vectors("labels").neurons) == 0
    assert statistics.pixels_per_neuron.tolist() == [0, 0, 20]
    assert statistics.thresholds == {0.1: 1.0, 0.5: 5.0}  # 5, 7, 8 of 8: reached at 7.2, and at 4


def test_one_pixel() -> None:
    maps = torch.tensor([3.0, -1.0, 0.0])[:, None, None]
    partitions = {"one": torch.zeros(1, 1, dtype=torch.int64), "mask": torch.ones(2, 1, 1, dtype=torch.bool)}
    statistics = canvas_of(maps).statistics(partitions)
    check_against_oracle(statistics, maps.abs(), partitions, 0.5)
    assert statistics.pixels_per_neuron.tolist() == [1, 0, 0]
    assert len(statistics.vectors("one").neurons) == 0


def test_one_neuron() -> None:
    maps = torch.randn(1, 6, 5, generator=generator())
    partitions = partitions_for((6, 5))
    statistics = canvas_of(maps).statistics(partitions)
    check_against_oracle(statistics, maps.abs(), partitions, 0.0)
    assert statistics.pixels_per_neuron.tolist() == [0]  # its share is exactly 1 / N everywhere, not more


def test_one_cluster_has_no_variance() -> None:
    statistics = canvas_of(torch.randn(3, 4, 5, generator=generator())).statistics(partitions_for((4, 5)))
    torch.testing.assert_close(statistics.delta("one"), torch.zeros(3, 1, dtype=torch.float64), rtol=0, atol=1e-6)
    assert statistics.delta_variance("one").isnan().all()
    assert statistics.delta_variance("one").shape == (3,)


def test_vectors_of_nearly_constant_maps_stay_within_zero_and_one() -> None:
    maps = torch.full((40, 31, 37), 0.1)
    maps[torch.arange(40), torch.arange(40) % 31, torch.arange(40) % 37] = torch.tensor(0.1).nextafter(
        torch.tensor(1.0)
    )
    vectors = canvas_of(maps).statistics(partitions_for((31, 37))).vectors("labels").vectors
    assert len(vectors) == 40
    assert vectors.min() >= 0
    assert vectors.max() <= 1


def test_zero_maps_are_not_zero_inputs() -> None:
    first, last = nn.Linear(3, 2), nn.Linear(2, 1)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[-1.0, 2.0, 1.0], [-1.0, 1.0, 1.0]]))
        first.bias.zero_()
        last.weight.fill_(1.0)
        last.bias.fill_(0.5)
    inputs = torch.rand(6, 3, generator=generator()) + 0.1
    inputs[:, 2] = 0
    canvas = dissect(nn.Sequential(first, nn.ReLU(), last), inputs, size=(2, 3), convention="released")
    statistics = canvas["0"].statistics()
    assert statistics.zero_map.tolist() == [True, False, True]  # a negative sum of weights, behind the ReLU
    assert statistics.zero_input.tolist() == [False, False, True]
    # In the last layer a neuron without input still has its share of the bias.
    with torch.no_grad():
        first.weight[0] = -1.0
    statistics = dissect(nn.Sequential(first, nn.ReLU(), last), inputs, size=(2, 3), convention="released")[
        "2"
    ].statistics()
    assert statistics.zero_map.tolist()[0] is False
    assert statistics.zero_input.tolist()[0] is True
    assert statistics.minimum[0] == statistics.maximum[0] == 0.25


def test_zero_inputs_of_kernels() -> None:
    features = torch.randn(1, 3, 4, 4, generator=generator())
    features[:, 1] = 0
    network, _ = kernel_network((3, 2, 3), (2, 1), (3, 3), "gelu", bias=True)
    statistics = dissect(network, features)["layers.0"].statistics()
    assert statistics.zero_input.tolist() == [False] * 8 + [True] * 8 + [False] * 8
    assert not statistics.zero_map.any()  # the bias
    sample = dissect(network, features, max_neurons=7)["layers.0"].statistics()
    assert sample.zero_input.tolist() == (sample.neurons // 8 == 1).tolist()
    assert set(sample.zero_input.tolist()) == {True, False}


# What is refused


SIZE = (3, 4)
BAD: dict[str, tuple[Tensor, str]] = {
    "transposed": (torch.zeros(4, 3, dtype=torch.int64), "4, 3.*3x4"),
    "flat": (torch.zeros(12, dtype=torch.int64), "12.*3x4"),
    "scalar": (torch.tensor(0), "3x4"),
    "four_dimensional": (torch.zeros(1, 1, 3, 4, dtype=torch.bool), "1, 1, 3, 4"),
    "negative": (torch.arange(12).view(3, 4) - 1, "-1"),
    "gap": (torch.arange(12).view(3, 4).clamp(max=5) * 2, r"\[1, 3, 5"),
    "ignored_255": (torch.arange(12).view(3, 4).where(torch.arange(12).view(3, 4) != 4, 255), "without gaps"),
    "ids_of_a_panoptic_data_set": (torch.arange(12).view(3, 4) * 10**12, "without gaps"),
    "float": (torch.zeros(3, 4), "float32.*integers"),
    "bool_labels": (torch.ones(3, 4, dtype=torch.bool), "bool.*integers"),
    "integer_masks": (torch.ones(2, 3, 4, dtype=torch.int64), "int64.*bool"),
    "empty_mask": (torch.stack([torch.ones(3, 4), torch.zeros(3, 4)]).bool(), r"\[1\]"),
    "no_masks": (torch.zeros(0, 3, 4, dtype=torch.bool), "no "),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_partitions_are_refused(kind: str) -> None:
    partition, message = BAD[kind]
    good = torch.zeros(SIZE, dtype=torch.int64)
    with pytest.raises(ValueError, match=f"(?s)'wrong'.*{message}"):
        canvas_of(torch.ones(2, *SIZE)).statistics({"right": good, "wrong": partition})


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32, torch.int64])
def test_labels_of_any_integer_type(dtype: torch.dtype) -> None:
    labels = torch.arange(12).view(SIZE) % 5
    statistics = canvas_of(torch.rand(2, *SIZE)).statistics({"labels": labels.to(dtype)})
    assert statistics.partitions["labels"].areas.tolist() == [3, 3, 2, 2, 2]
    assert statistics.partitions["labels"].areas.dtype == torch.int64


def test_labels_may_be_numpy_arrays_that_cannot_be_written_to() -> None:
    labels: Any = np.arange(12).reshape(SIZE) % 3
    labels.flags.writeable = False
    statistics = canvas_of(torch.rand(2, *SIZE)).statistics({"labels": labels})
    assert statistics.partitions["labels"].areas.tolist() == [4, 4, 4]


@pytest.mark.parametrize("mass", [0.0, 1.0, -0.1, 2.0, float("nan")])
def test_bad_masses_are_refused(mass: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        canvas_of(torch.ones(2, *SIZE)).statistics(mass=(0.5, mass))


def test_no_masses() -> None:
    statistics = canvas_of(torch.ones(2, *SIZE)).statistics(mass=())
    assert statistics.thresholds == {}
    assert statistics.neurons_per_pixel == {}


def test_an_unknown_partition_is_named() -> None:
    statistics = canvas_of(torch.ones(2, *SIZE)).statistics({"rgb": torch.zeros(SIZE, dtype=torch.int64)})
    for method in (statistics.delta, statistics.delta_variance, statistics.vectors):
        with pytest.raises(KeyError, match=r"'gabor'.*rgb"):
            method("gabor")


# A sample of neurons


def video(max_neurons: int | None = None, seed: int = 0, frame: int = 0) -> Canvas:
    network, _ = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")
    inputs = torch.randn(1, 3, 3, 4, generator=generator(frame))
    return dissect(network, inputs, max_neurons=max_neurons, seed=seed)


def test_statistics_are_about_the_sample() -> None:
    for layer in video(max_neurons=7).values():
        num_sampled = min(7, layer.num_neurons)
        partitions = partitions_for(layer.size)
        statistics = layer.statistics(partitions)
        assert len(statistics.neurons) == num_sampled
        assert torch.equal(statistics.neurons, layer.sample)
        assert statistics.zero_input.shape == (num_sampled,)
        check_against_oracle(statistics, layer.magnitudes(layer.sample), partitions, 0.95)
        assert len(layer.maps()) == layer.num_neurons  # maps are there for all


def test_the_seed_decides_on_the_sample() -> None:
    samples = [video(max_neurons=7, seed=seed)["layers.0"].sample.tolist() for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert samples[0] == sorted(set(samples[0]))


def test_a_sample_as_large_as_the_layer_is_the_layer() -> None:
    whole, sample = video()["layers.2"].statistics(), video(max_neurons=6)["layers.2"].statistics()
    assert sample.neurons.tolist() == list(range(6))
    assert torch.equal(whole.total, sample.total)


@pytest.mark.parametrize("max_neurons", [0, -1])
def test_samples_of_nothing_are_refused(max_neurons: int) -> None:
    with pytest.raises(ValueError, match="max_neurons"):
        video(max_neurons=max_neurons)


# Passes and frames


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


@pytest.mark.parametrize("activation", ["relu", "cos"])
def test_a_third_pass_gives_the_same_numbers(monkeypatch: pytest.MonkeyPatch, activation: str) -> None:
    network, _ = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), activation)
    canvas = dissect(network, torch.randn(1, 3, 3, 4, generator=generator()))
    maps = torch.randint(4, (5, 6, 7), generator=generator()).float()
    layers = [*canvas.values(), canvas_of(maps)]
    before = [layer.statistics(partitions_for(layer.size)) for layer in layers]
    count_everything_in_a_third_pass(monkeypatch)
    for layer, expected in zip(layers, before, strict=True):
        assert_same(layer.statistics(partitions_for(layer.size)), expected)


@pytest.mark.parametrize("third_pass", [False, True])
def test_frames_in_lock_step(monkeypatch: pytest.MonkeyPatch, third_pass: bool) -> None:
    if third_pass:
        count_everything_in_a_third_pass(monkeypatch)
    canvases = [video(frame=frame) for frame in range(3)]
    for name in canvases[0]:
        layers = [canvas[name] for canvas in canvases]
        partitions = [partitions_for(layer.size, seed) for seed, layer in enumerate(layers)]
        together = list(stream_statistics(layers, partitions, MASSES))
        assert together[0].change is None
        for layer, frame, statistics in zip(layers, partitions, together, strict=True):
            assert_same(statistics, layer.statistics(frame, MASSES))
        for before, layer, statistics in zip(layers[:-1], layers[1:], together[1:], strict=True):
            expected = (layer.magnitudes().double() - before.magnitudes().double()).abs().sum(0)
            assert statistics.change is not None
            assert statistics.change.dtype == torch.float64
            torch.testing.assert_close(statistics.change, expected, rtol=1e-5, atol=1e-6 * float(expected.mean()))


def test_canvases_are_let_go_of_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xinc_pl.canvas.lock_step, "_MAX_FRAMES", 2)
    alive: weakref.WeakSet[LayerCanvas] = weakref.WeakSet()
    most = 0

    def canvases() -> Iterator[LayerCanvas]:
        nonlocal most
        for frame in range(9):
            layer = video(frame=frame)["layers.0"]
            alive.add(layer)
            most = max(most, len(alive))
            yield layer
            del layer

    assert len(list(stream_statistics(canvases()))) == 9
    assert most == 3, "two frames and the one before them"


def test_frames_that_are_equal_do_not_change() -> None:
    statistics = list(stream_statistics([video()["layers.0"]] * 2))
    assert statistics[1].change is not None
    assert not statistics[1].change.any()
    assert video()["layers.0"].statistics().change is None


def test_frames_of_a_sample() -> None:
    layers = [video(max_neurons=5, frame=frame)["layers.0"] for frame in range(2)]
    _, statistics = stream_statistics(layers)
    first, second = (layer.magnitudes(layer.sample).double() for layer in layers)
    assert statistics.change is not None
    torch.testing.assert_close(statistics.change, (second - first).abs().sum(0), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("max_neurons", [None, 5])
@pytest.mark.parametrize("frames_at_once", [1, 2, 8])
def test_only_the_change(monkeypatch: pytest.MonkeyPatch, max_neurons: int | None, frames_at_once: int) -> None:
    canvases = [video(max_neurons=max_neurons, frame=frame) for frame in range(5)]
    for name in canvases[0]:
        layers = [canvas[name] for canvas in canvases]
        with monkeypatch.context() as patch:
            patch.setattr(xinc_pl.canvas.lock_step, "_MAX_FRAMES", frames_at_once)
            changes = list(stream_change(layers))
        assert len(changes) == 4
        for change, statistics in zip(changes, list(stream_statistics(layers))[1:], strict=True):
            assert statistics.change is not None
            assert torch.equal(change, statistics.change)


def test_one_frame_does_not_change() -> None:
    assert list(stream_change([video()["layers.0"]])) == []


@pytest.mark.parametrize("frames_at_once", [1, 2, 3])
def test_how_many_frames_go_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch, frames_at_once: int) -> None:
    layers = [video(frame=frame)["layers.0"] for frame in range(5)]
    partitions = [partitions_for(layers[0].size, seed) for seed in range(5)]
    expected = list(stream_statistics(layers, partitions))
    monkeypatch.setattr(xinc_pl.canvas.lock_step, "_MAX_FRAMES", frames_at_once)
    for one, other in zip(stream_statistics(layers, partitions), expected, strict=True):
        assert_same(one, other)
        assert (one.change is None) == (other.change is None)
        assert one.change is None or torch.equal(one.change, other.change)


@pytest.mark.parametrize("stream", [stream_statistics, stream_change])
def test_no_frames_are_refused(stream: Callable[[list[LayerCanvas]], Iterator[object]]) -> None:
    with pytest.raises(ValueError, match="no canvases"):
        list(stream([]))


def test_frames_of_different_layers_are_refused() -> None:
    canvas = video()
    with pytest.raises(ValueError, match=r"layers\.0.*layers\.1"):
        list(stream_statistics([canvas["layers.0"], canvas["layers.1"]]))


def test_frames_of_different_weights_are_refused() -> None:
    inputs = torch.randn(1, 2, 3, 4, generator=generator())
    layers = [dissect(kernel_network((2, 3), (2,), (3,), "relu", seed=seed)[0], inputs) for seed in (0, 1)]
    with pytest.raises(ValueError, match="different weights"):
        list(stream_statistics(canvas["layers.0"] for canvas in layers))


def test_frames_of_different_conventions_are_refused() -> None:
    network, _ = dense_network((4, 9, 3), "relu")
    inputs = torch.randn(12, 4, generator=generator())
    layers = [dissect(network, inputs, size=SIZE, convention=c)["layers.0"] for c in ("paper", "released")]
    with pytest.raises(ValueError, match=r"paper.*released"):
        list(stream_statistics(layers))


@pytest.mark.parametrize("stream", [stream_statistics, stream_change])
def test_frames_of_different_samples_are_refused(stream: Callable[[list[LayerCanvas]], Iterator[object]]) -> None:
    with pytest.raises(ValueError, match="sample"):
        list(stream([video(max_neurons=5, seed=seed)["layers.0"] for seed in (0, 1)]))


def test_as_many_partitions_as_frames_are_asked_for() -> None:
    partitions = partitions_for(video()["layers.0"].size)
    with pytest.raises(ValueError, match=r"for 1 frames, but at least 2 canvases"):
        list(stream_statistics([video()["layers.0"]] * 2, [partitions]))
    with pytest.raises(ValueError, match=r"2 canvases, but partitions for more"):
        list(stream_statistics([video()["layers.0"]] * 2, [partitions] * 3))
