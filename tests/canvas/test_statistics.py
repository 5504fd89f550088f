"""Statistics of whole layers: the published code's numbers, a naive oracle, and a few by hand."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from networks import dense_network, kernel_network
from statistics_checks import (
    MASSES,
    assert_same,
    canvas_of,
    check_against_oracle,
    comb,
    count_everything_in_a_third_pass,
    generator,
    partitions_for,
)
from torch import Tensor, nn

from xinc_pl.canvas import dissect
from xinc_pl.canvas.statistics.results import LayerStatistics
from xinc_pl.models import ffn_from_released, nerv_from_released

pytestmark = pytest.mark.usefixtures("no_warnings")
Golden = Callable[[str], dict[str, Tensor]]
FFN_LAYERS = ("layer_1", "layer_2", "layer_3")
NERV_LAYERS = ("block_1", "block_2", "block_3", "head")


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
