from collections.abc import Callable

import numpy as np
import pytest
import torch
from tiny import tiny_clip, tiny_video

from xinc_pl import Frame, dissect
from xinc_pl.analysis.grouping_variance import variance_distribution
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
    np.testing.assert_allclose(
        result.variances, sorted(naive_variances(CANVAS["head"], wanted[partition.key])), rtol=1e-4
    )
    np.testing.assert_allclose(
        result.control, sorted(naive_variances(CANVAS["head"], wanted[partition.control.key])), rtol=1e-4
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


def test_shuffled_pixels_are_no_null() -> None:
    # Why nothing may be concluded from them: a network that has learnt nothing beats them more than a hundred times
    # in its first block, even with rectangles, which are nowhere in particular.
    torch.manual_seed(0)
    untrained = NeRV(model_size=1e5, strides=(4, 2, 2))
    grid = Partition("grid")
    frame = Frame(0, torch.tensor([0.5], dtype=torch.float64), (128, 256), None)
    labels = {each.key: labels_of(each, frame) for each in (grid, grid.control)}
    statistics = dissect(untrained, frame.inputs)["block_1"].statistics(labels)
    result = variance_distribution("block_1", statistics, grid)
    assert result.median > 100 * result.control_median
