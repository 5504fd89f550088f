import numpy as np
import pytest
import torch

from xinc_pl import Canvas, Frame, Instance, dissect
from xinc_pl.analysis.partitions import Partition, labels_of
from xinc_pl.analysis.top_neurons import cluster_names, inside_over_outside, masks_of, ratio_null, top_neurons
from xinc_pl.frames import pixel_coordinates
from xinc_pl.models import FFN

SIZE = (12, 16)


def masks() -> torch.Tensor:
    """Two objects that overlap."""
    found = torch.zeros(2, *SIZE, dtype=torch.bool)
    found[0, 2:7, 3:9] = True
    found[1, 5:11, 6:15] = True
    return found


def tiny_canvas() -> Canvas:
    torch.manual_seed(0)
    network = FFN(num_frequencies=6, widths=(10, 8)).eval()
    return dissect(network, pixel_coordinates(SIZE), size=SIZE)


def frame() -> Frame:
    instances = tuple(Instance(index + 3, "cat", True, mask) for index, mask in enumerate(masks()))
    return Frame(0, pixel_coordinates(SIZE), SIZE, torch.rand(3, *SIZE), instances)


@pytest.mark.parametrize("k", [1, 3, 50])
def test_top_neurons_are_those_of_a_loop_over_maps(k: int) -> None:
    partition = Partition("instances")
    labels = labels_of(partition, frame())
    for layer, canvas in tiny_canvas().items():
        statistics = canvas.statistics({partition.key: labels})
        names = cluster_names(partition, frame(), len(labels))
        assert names == ("cat 3", "cat 4", "other")
        found = top_neurons(statistics, partition, names, labels, k)
        maps = canvas.magnitudes().double().numpy()
        for each, mask in zip(found, labels.numpy(), strict=True):
            inside = np.array([values[mask].mean() for values in maps])
            outside = np.array([values[~mask].mean() for values in maps])
            sums = np.array([values[mask].sum() for values in maps])
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = inside / outside
            order = sorted((index for index in range(len(maps)) if ratios[index] > 0), key=lambda it: -ratios[it])[:k]
            assert each.by_ratio.tolist() == order, layer
            np.testing.assert_allclose(each.ratios, ratios[order], rtol=1e-5)
            largest = sorted((index for index in range(len(maps)) if sums[index] > 0), key=lambda it: -sums[it])[:k]
            assert each.by_sum.tolist() == largest
            np.testing.assert_allclose(each.shares, sums[largest] / sums.sum(), rtol=1e-5)
            assert each.mask.tolist() == mask.tolist()


def test_a_neuron_that_contributes_nowhere_else_comes_first_and_a_silent_one_never() -> None:
    inside, whole = torch.tensor([[2.0], [3.0], [0.0]]).double(), torch.tensor([4.0, 3.0, 0.0]).double()
    found = inside_over_outside(inside, whole, torch.tensor([2]), 10)
    assert found[:2, 0].tolist() == [(2 / 2) / (2 / 8), np.inf]
    assert found[2].isnan()


@pytest.mark.parametrize("area", [0, 10])
def test_a_cluster_of_no_pixel_or_of_all_has_no_ratio(area: int) -> None:
    inside = torch.tensor([[4.0 * (area > 0)]]).double()
    assert inside_over_outside(inside, torch.tensor([4.0]).double(), torch.tensor([area]), 10).isnan().all()


class Painted:
    """A canvas of given magnitudes."""

    def __init__(self, magnitudes: torch.Tensor) -> None:
        self._magnitudes = magnitudes
        self.size, self.num_neurons = (magnitudes.shape[1], magnitudes.shape[2]), len(magnitudes)

    def magnitudes(self, neurons: torch.Tensor) -> torch.Tensor:
        return self._magnitudes[neurons]


def test_the_null_is_that_of_a_loop_over_shifts_and_picks_anew() -> None:
    magnitudes = torch.rand(9, 16, 24, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(16, 24, dtype=torch.int64)
    labels[3:9, 5:14] = 1
    labels[9:15, 2:20] = 2

    def number(maps: np.ndarray, places: np.ndarray) -> float:
        of_clusters = []
        for cluster in range(3):
            mask = places == cluster
            if mask.any() and not mask.all():
                ratios = sorted((values[mask].mean() / values[~mask].mean() for values in maps), reverse=True)
                of_clusters.append(ratios[1])
        return float(np.median(of_clusters))

    from xinc_pl.analysis.nulls import middle, other_parts, shift_offsets

    null = ratio_null(Painted(magnitudes), labels, 2, 5, 3)  # type: ignore[arg-type] # all of a canvas that counts
    maps, places = magnitudes.double().numpy(), labels.numpy()
    assert null.actual == pytest.approx(number(maps, places))
    shifted = [number(maps, np.roll(places, offset, (0, 1))) for offset in shift_offsets((16, 24), 5, 3).tolist()]
    np.testing.assert_allclose(null.draws, shifted)
    rows, columns = middle((16, 24))
    assert null.also is not None
    assert null.also.actual == pytest.approx(number(maps[:, rows, columns], places[rows, columns]))
    parts = other_parts((16, 24), 5, 3).tolist()
    within = [number(maps[:, rows, columns], places[top : top + 8, left : left + 12]) for top, left in parts]
    np.testing.assert_allclose(null.also.draws, within)


def test_neurons_that_paint_the_objects_beat_every_shift_and_noise_does_not() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = torch.zeros(32, 48, dtype=torch.int64)
    labels[10:22, 14:34] = 1
    painting = torch.rand(20, 32, 48, generator=generator)
    noise = ratio_null(Painted(painting), labels, 3, 24, 0)  # type: ignore[arg-type] # all of a canvas that counts
    assert noise.ratio == pytest.approx(1, abs=0.05)
    painting[:10] += 3.0 * (labels == 1)
    painting[10:] += 3.0 * (labels == 0)
    found = ratio_null(Painted(painting), labels, 3, 24, 0)  # type: ignore[arg-type] # all of a canvas that counts
    assert found.p == found.floor
    assert found.actual > 3


def test_labels_and_masks_are_the_same_clusters() -> None:
    labels = torch.randint(0, 4, SIZE, generator=torch.Generator().manual_seed(0))
    assert [mask.tolist() for mask in masks_of(labels)] == [(labels == index).tolist() for index in range(4)]
    assert masks_of(masks()) is not None
    assert torch.equal(masks_of(masks()), masks())
