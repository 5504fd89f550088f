from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny import tiny_clip, tiny_video

from xinc_pl import Image, dissect
from xinc_pl.analysis.grouping_variance import (
    compared_magnitudes,
    explained,
    movable,
    variance_distribution,
    variance_nulls,
)
from xinc_pl.analysis.moved_clusters import MovableClusters
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionName, labels_of
from xinc_pl.canvas import LayerCanvas
from xinc_pl.models import NeRV, nerv_from_released

FRAME = tiny_clip().frames[0]
CANVAS = dissect(tiny_video().network, FRAME.inputs)


def naive_variances(canvas: LayerCanvas, labels: torch.Tensor) -> list[float]:
    """Eq. 2 and its variance, one neuron and one cluster after the other."""
    masks = labels if labels.ndim == 3 else torch.stack([labels == k for k in range(int(labels.max()) + 1)])
    variances = []
    for magnitudes in canvas.magnitudes().double():
        deltas = []
        for mask in masks:
            expected = float(mask.sum()) / mask.numel() * float(magnitudes.sum())
            deltas.append((float(magnitudes[mask].sum()) - expected) / expected)
        mean = sum(deltas) / len(deltas)
        variances.append(sum((delta - mean) ** 2 for delta in deltas) / (len(deltas) - 1))
    return variances


@pytest.mark.parametrize("name", PARTITION_NAMES)
def test_variances_are_those_of_plain_loops(name: PartitionName) -> None:
    partition = Partition(name, num_clusters=5, grid=(2, 4))
    wanted = {each.key: labels_of(each, FRAME) for each in (partition, partition.control)}
    statistics = CANVAS["head"].statistics(wanted)
    result = variance_distribution("head", statistics, partition)
    assert result.shuffled is not None
    np.testing.assert_allclose(
        result.variances, sorted(naive_variances(CANVAS["head"], wanted[partition.key])), rtol=1e-4
    )
    np.testing.assert_allclose(
        result.shuffled, sorted(naive_variances(CANVAS["head"], wanted[partition.control.key])), rtol=1e-4
    )
    assert result.quartiles[0] <= result.median <= result.quartiles[1]
    assert result.num_clusters == len(statistics.partitions[partition.key].areas)


@pytest.mark.parametrize(("name", "key"), [("rgb", "abs_delta_variance"), ("grid", "delta_variance")])
@pytest.mark.parametrize("layer", ["block_1", "block_2", "block_3", "head"])
def test_released_variances_are_the_published_codes(
    golden: Callable[[str], dict[str, torch.Tensor]], name: PartitionName, key: str, layer: str
) -> None:
    numbers, expected = golden("nerv_small"), golden("nerv_small_statistics")
    state = {key.removeprefix("state."): value for key, value in numbers.items() if key.startswith("state.")}
    height, width = numbers["fc_hw"].tolist()
    canvas = dissect(nerv_from_released(state, (height, width)), numbers["t"].reshape(1), convention="released")
    partition = Partition(name, convention="released")
    labels = expected["labels"].long()
    statistics = canvas[layer].statistics({partition.key: labels, partition.control.key: labels})
    result = variance_distribution(layer, statistics, partition)
    published = expected[f"{layer}.{key}"].double()
    np.testing.assert_allclose(result.variances, published[~published.isnan()].sort().values.numpy(), rtol=1e-3)


def test_zero_maps_are_left_out_and_counted() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    with torch.no_grad():
        network[0].bias.fill_(2)  # no unit is dead
        network[2].weight[:, :3] = 0
    partition = Partition("grid", grid=(2, 2))
    wanted = {each.key: labels_of(each, FRAME) for each in (partition, partition.control)}
    layer = dissect(network, torch.rand(FRAME.size[0] * FRAME.size[1], 2), size=FRAME.size)["2"]
    result = variance_distribution("2", layer.statistics(wanted), partition)
    assert (len(result.variances), result.num_zero_maps) == (1, 3)
    with torch.no_grad():
        network[2].weight.zero_()
    layer = dissect(network, torch.rand(FRAME.size[0] * FRAME.size[1], 2), size=FRAME.size)["2"]
    result = variance_distribution("2", layer.statistics(wanted), partition)
    assert (len(result.variances), result.num_zero_maps) == (0, 4)
    assert np.isnan(result.median)


def test_shuffled_pixels_are_no_null_and_shifts_are() -> None:
    # A network that has learnt nothing beats shuffled pixels more than a hundred times in its first block, even with
    # rectangles, which are nowhere in particular. It does not beat the same clusters in other places.
    torch.manual_seed(0)
    untrained = NeRV(model_size=1e5, strides=(4, 2, 2))
    grid, colours = Partition("grid"), Partition("rgb", 8)
    (photograph,) = Image("chelsea", (128, 256)).frames
    frame = replace(photograph, inputs=torch.tensor([0.5], dtype=torch.float64))
    wanted = [grid, grid.control, colours]
    labels = {each: labels_of(each, frame) for each in wanted}
    canvas = dissect(untrained, frame.inputs)["block_1"]
    statistics = canvas.statistics({each.key: values for each, values in labels.items()})
    nulls = variance_nulls(compared_magnitudes(canvas, 32), movable(labels), num_shifts=24)
    assert set(nulls) == {colours}, "a shifted grid is a grid"
    of_grid = variance_distribution("block_1", statistics, grid)
    assert of_grid.shuffled is not None
    assert of_grid.median > 100 * np.median(of_grid.shuffled)
    assert of_grid.null is None
    found = variance_distribution("block_1", statistics, colours, nulls[colours]).null
    assert found is not None
    assert found.ratio < 2
    assert found.p > 0.05
    again = variance_nulls(compared_magnitudes(canvas, 32), movable(labels), num_shifts=24)[colours]
    assert np.array_equal(again.draws, found.draws), "seeded"


def test_a_null_is_about_the_same_median_as_the_statistics() -> None:
    for convention in ("paper", "released"):
        partition = Partition("rgb", num_clusters=5, convention=convention)
        labels = labels_of(partition, FRAME)
        statistics = CANVAS["head"].statistics({partition.key: labels})
        everyone = compared_magnitudes(CANVAS["head"], CANVAS["head"].num_neurons)
        (null,) = variance_nulls(everyone, movable({partition: labels}), 3).values()
        assert null.actual == pytest.approx(variance_distribution("head", statistics, partition).median, rel=1e-5)
        assert len(null.draws) == 3


def test_of_objects_colour_and_place_explain_less_than_all() -> None:
    instances, colours = labels_of(Partition("instances"), FRAME), labels_of(Partition("rgb", 4), FRAME)
    magnitudes = compared_magnitudes(CANVAS["block_1"])
    left = explained(magnitudes, MovableClusters.of(instances), colours)
    statistics = CANVAS["block_1"].statistics({"instances": instances})
    whole = variance_distribution("block_1", statistics, Partition("instances")).median
    assert 0 < left.colour < whole
    assert 0 < left.place < whole
    assert left == explained(magnitudes, MovableClusters.of(instances), colours), "seeded"
