"""What is known of the published claims, on the authors' own trained network: 36 dB on Cityscapes-VPS 0005."""

from collections.abc import Callable
from typing import Any, Literal

import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from xinc_pl.analysis.faithfulness import agreements
from xinc_pl.analysis.removal import Judges, removal_curves
from xinc_pl.analysis.removal_orders import Candidates, evidence_of
from xinc_pl.canvas import dissect
from xinc_pl.models import FFN, ffn_from_released

Convention = Literal["paper", "released", "effect"]
LAYERS = ("layer_1", "layer_2", "layer_3")
SIZE = (128, 256)

# Rank correlation over neurons between a neuron's contribution and the squared change of the output without it; median
# over neurons of the correlation over pixels between its map and the absolute change.
FAITHFULNESS: dict[Convention, tuple[tuple[float, float], ...]] = {
    "released": ((0.28, 0.21), (0.07, 0.93), (0.95, 1.00)),
    "paper": ((0.28, 0.49), (0.52, 0.92), (0.97, 1.00)),
    "effect": ((1.00, 0.93), (0.97, 0.99), (0.99, 1.00)),
}

# The rank correlation with sums of squares: of A, or for `effect` of each output's map.
OF_SQUARES: dict[Convention, tuple[float, float, float]] = {
    "released": (0.28, 0.07, 0.94),
    "paper": (0.28, 0.53, 0.95),
    "effect": (1.00, 0.95, 1.00),
}


def positions(step: int = 1) -> Tensor:
    """Rows and columns of the image's pixels, (H, W, 2)."""
    rows, columns = torch.meshgrid(torch.arange(0, SIZE[0], step), torch.arange(0, SIZE[1], step), indexing="ij")
    return torch.stack([rows, columns], -1)


def coordinates(step: int = 1) -> Tensor:
    return (positions(step).reshape(-1, 2) / (max(SIZE) - 1) - 0.5) * 2


@pytest.fixture(scope="module")
def numbers(golden: Callable[[str], dict[str, Tensor]]) -> dict[str, Tensor]:
    return golden("ffn_cityscapes_0005")


@pytest.fixture(scope="module")
def network(numbers: dict[str, Tensor]) -> FFN:
    return ffn_from_released(numbers["B"], [(numbers[f"weight_{i}"], numbers[f"bias_{i}"]) for i in (1, 2, 3)])


@pytest.fixture(scope="module")
def changes(network: FFN) -> list[Tensor]:
    """How the output (P, 3) of every second pixel of every second row changes when an input is zeroed, by layer."""
    with torch.no_grad():
        received: list[Tensor] = [network.encoding(coordinates(2))]
        for layer in network.layers[:-1]:
            received.append(layer(received[-1]).relu())
        output = network.layers[-1](received[-1])
        changes = []
        for index, inputs in enumerate(received):
            layer: Any = network.layers[index]
            before = layer(inputs)
            without = []
            for neuron in range(inputs.shape[1]):
                values = before - inputs[:, neuron, None] * layer.weight[:, neuron]
                for later in network.layers[index + 1 :]:
                    values = later(values.relu())
                without.append(values - output)
            changes.append(torch.stack(without).double())
    return changes


def test_the_network_computes_what_it_did_for_its_authors(network: FFN, numbers: dict[str, Tensor]) -> None:
    with torch.no_grad():
        output = network(coordinates()).T.view(3, *SIZE)
    torch.testing.assert_close(output, numbers["output"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("convention", FAITHFULNESS)
def test_how_faithful_contributions_are(network: FFN, changes: list[Tensor], convention: Convention) -> None:
    canvas = dissect(network, coordinates(2), size=(64, 128), convention=convention)
    for name, change, expected in zip(LAYERS, changes, FAITHFULNESS[convention], strict=True):
        maps = canvas[name].magnitudes().flatten(1).double()
        rank = spearmanr(maps.sum(1), change.square().sum((1, 2))).statistic
        assert rank == pytest.approx(expected[0], abs=0.03), name
        absolute = change.abs().sum(2)
        correlations = torch.stack(
            [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(maps, absolute, strict=True)]
        )
        # Of the neurons that change anything and have a map that is not constant.
        assert float(correlations.nanmedian()) == pytest.approx(expected[1], abs=0.03), name


def test_the_analysis_finds_the_same(network: FFN) -> None:
    """With squares against squares, which the maps of ``effect`` predict best."""
    canvases = {each: dissect(network, coordinates(2), size=(64, 128), convention=each) for each in FAITHFULNESS}
    for index, name in enumerate(LAYERS):
        of_layer = {convention: [canvas[name]] for convention, canvas in canvases.items()}
        every_neuron = torch.arange(canvases["paper"][name].num_neurons)
        for found in agreements([canvases["effect"]], of_layer, name, every_neuron):
            what = name, found.convention
            assert found.rank_correlation.value == pytest.approx(OF_SQUARES[found.convention][index], abs=0.03), what
            assert found.rank_correlation.low <= found.rank_correlation.value <= found.rank_correlation.high, what
            _, spatial = FAITHFULNESS[found.convention][index]
            assert found.spatial_correlation.value == pytest.approx(spatial, abs=0.03), what
            assert found.spatial_control.value < 0.7 * found.spatial_correlation.value, what


def test_what_neurons_change_together_tells_which_can_go(network: FFN, numbers: dict[str, Tensor]) -> None:
    """On the authors' network: the better an order knows what neurons do to the output, the less is lost."""
    size = 32, 64
    effect = dissect(network, coordinates(4), size=size, convention="effect")
    noise = torch.randn(3, *size, generator=torch.Generator().manual_seed(0))
    # Their photograph may not be passed on; the output, off by as much as they report, takes its place.
    judges = Judges([effect], [numbers["output"][:, ::4, ::4].clamp(0, 1) + noise * 10 ** (-36.19 / 20)])
    candidates = Candidates({name: torch.arange(effect[name].num_neurons) for name in LAYERS})
    evidence = evidence_of([effect], {}, candidates)
    lost = {curve.order: curve.mean_lost for curve in removal_curves(judges, evidence, LAYERS)}
    by_loss = sorted(lost, key=lambda order: lost[order])
    assert set(by_loss[:2]) == {"gram", "gram_mean"}
    assert by_loss[2] == "effect"
    assert by_loss[-3:] == ["magnitude_over_mean", "magnitude", "random"]


def test_variances_of_deltas_are_the_known_ones(network: FFN) -> None:
    # The numbers that are known, medians over neurons, are of the convention `released`. They tell nothing about space:
    # a shifted grid is a grid, and smooth maps differ from shuffled pixels under any contiguous clusters.
    rows, columns = positions().unbind(-1)
    rectangles = rows // 32 * 8 + columns // 32
    shuffled = torch.randperm(rows.numel(), generator=torch.Generator().manual_seed(0))
    partitions = {
        "rectangles": rectangles,
        "comb": rows % 4 * 8 + columns % 8,
        "random": rectangles.flatten()[shuffled].view(SIZE),
    }
    canvas = dissect(network, coordinates(), size=SIZE, convention="released")
    for name, expected_rectangles, expected_comb in (("layer_2", 0.093, 0.0004), ("layer_3", 0.044, 0.0002)):
        statistics = canvas[name].statistics(partitions)
        variance = {key: float(statistics.delta_variance(key).nanmedian()) for key in partitions}
        assert variance["rectangles"] == pytest.approx(expected_rectangles, abs=0.0006)
        assert variance["comb"] == pytest.approx(expected_comb, abs=0.00006)
        # A random cluster of a pixels is a sample: its mean has the variance of one pixel, over a.
        maps = canvas[name].magnitudes().flatten(1).double()
        relative = maps[~statistics.zero_map]
        expected = (relative.var(1) / relative.mean(1).square()).median() / 1024
        assert variance["random"] == pytest.approx(float(expected), rel=0.1)


@pytest.mark.parametrize("layer", LAYERS)
def test_statistics_of_the_authors_network(network: FFN, numbers: dict[str, Tensor], layer: str) -> None:
    canvas = dissect(network, coordinates(), size=SIZE, convention="released")[layer]
    statistics = canvas.statistics({"labels": numbers["labels"]})
    for mass, percent in ((0.1, 10), (0.5, 50)):
        assert statistics.thresholds[mass] == pytest.approx(float(numbers[f"{layer}.threshold_{percent}"]), rel=1e-4)
        share = statistics.neurons_per_pixel[mass] - numbers[f"{layer}.neurons_per_pixel_{percent}"]
        assert share.abs().max() < 1.5 / statistics.num_neurons
        assert (share.abs() > 0.5 / statistics.num_neurons).float().mean() < 0.001
    counts = (statistics.pixels_per_neuron - numbers[f"{layer}.pixels_per_neuron"]).abs()
    assert counts.max() <= 1
    assert counts.sum() <= 3
    for ours, theirs in (
        (statistics.total, numbers[f"{layer}.total"]),
        (statistics.sum, numbers[f"{layer}.sum_per_neuron"]),
        (statistics.partitions["labels"].mean, numbers[f"{layer}.mean_per_cluster"]),
        (statistics.delta("labels", signed=False), numbers[f"{layer}.abs_delta"]),
        (statistics.delta_variance("labels"), numbers[f"{layer}.delta_variance"]),
    ):
        atol = 2e-4 * float(theirs.nanmean().abs())
        torch.testing.assert_close(ours.double(), theirs.double(), rtol=1e-3, atol=atol, equal_nan=True)
    assert statistics.zero_map.sum() == {"layer_1": 1, "layer_2": 47, "layer_3": 0}[layer]
