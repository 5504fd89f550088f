import numpy as np
import numpy.typing as npt
import pytest
import torch

from xinc_pl.analysis.moved_clusters import MovableClusters, given, nulls_within, shifted_nulls
from xinc_pl.analysis.nulls import other_parts, shift_offsets

SIZE = (6, 8)
GENERATOR = torch.Generator().manual_seed(0)
MAPS = torch.rand(5, *SIZE, generator=GENERATOR)
LABELS = torch.arange(48).view(SIZE) // 5
MASKS = torch.rand(4, *SIZE, generator=GENERATOR) > 0.6
OFFSETS = shift_offsets(SIZE, 7, seed=1)


def naive_median(maps: torch.Tensor, masks: npt.NDArray[np.bool_], signed: bool) -> float:
    """Median over neurons of the variance over clusters of (actual - expected) / expected, one by one."""
    found = []
    for magnitudes in maps.double().numpy():
        if not magnitudes.any():
            continue
        deltas = []
        for mask in masks:
            expected = mask.sum() / mask.size * magnitudes.sum()
            delta = (magnitudes[mask].sum() - expected) / expected
            deltas.append(delta if signed else abs(delta))
        found.append(np.var(deltas, ddof=1))
    return float(np.median(found))


@pytest.mark.parametrize("signed", [True, False])
def test_nulls_are_those_of_plain_loops_over_labels_and_overlapping_masks(signed: bool) -> None:
    maps = MAPS.clone()
    maps[2] = 0
    of_labels = np.stack([(k == LABELS).numpy() for k in range(int(LABELS.max()) + 1)])
    partitions = [MovableClusters.of(each, signed) for each in (LABELS, MASKS)]
    for found, masks in zip(shifted_nulls(maps, partitions, OFFSETS), (of_labels, MASKS.numpy()), strict=True):
        assert found.actual == pytest.approx(naive_median(maps, masks, signed), rel=1e-5)
        expected = [naive_median(maps, np.roll(masks, tuple(offset), (1, 2)), signed) for offset in OFFSETS]
        np.testing.assert_allclose(found.draws, expected, rtol=1e-5)


def test_within_the_frame_the_middle_meets_the_clusters_of_other_parts() -> None:
    places = other_parts(SIZE, 5, seed=0)
    for found, partition in zip(
        nulls_within(MAPS, [MovableClusters.of(each) for each in (LABELS, MASKS)], places), (LABELS, MASKS), strict=True
    ):
        masks = partition if partition.ndim == 3 else torch.stack([partition == k for k in partition.unique()])
        expected = []
        for top, left in [(1, 2), *places.tolist()]:
            part = masks[:, top : top + 3, left : left + 4]
            expected.append(naive_median(MAPS[:, 1:4, 2:6], part[part.flatten(1).any(1)].numpy(), signed=True))
        np.testing.assert_allclose([found.actual, *found.draws], expected, rtol=1e-5)


def test_memory_stays_bounded_by_taking_some_neurons_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    partitions = [MovableClusters.of(LABELS)]
    (whole,) = shifted_nulls(MAPS, partitions, OFFSETS)
    monkeypatch.setattr("xinc_pl.analysis.moved_clusters._CHUNK_VALUES", 2 * 48)
    (in_parts,) = shifted_nulls(MAPS, partitions, OFFSETS)
    assert whole.actual == pytest.approx(in_parts.actual, rel=1e-6)
    np.testing.assert_allclose(whole.draws, in_parts.draws, rtol=1e-6)


def test_what_is_in_the_right_place_beats_what_is_not_and_one_cluster_has_no_variance() -> None:
    labels = torch.zeros(16, 16, dtype=torch.int64)
    labels[3:9, 4:11] = 1
    offsets = shift_offsets((16, 16), 24, seed=0)
    (found,) = shifted_nulls((labels + 0.1)[None], [MovableClusters.of(labels)], offsets)
    assert found.p == found.floor == 1 / 25
    assert found.ratio > 5
    (nothing,) = shifted_nulls(torch.ones(2, 16, 16), [MovableClusters.of(labels)], offsets)
    assert (nothing.actual, nothing.p) == (0, 1)
    (one,) = shifted_nulls(MAPS, [MovableClusters.of(torch.zeros(SIZE, dtype=torch.int64))], OFFSETS)
    assert not one.exists
    assert shifted_nulls(MAPS, [], OFFSETS) == ()


def test_smooth_maps_that_know_nothing_of_the_clusters_pass_no_more_often_than_they_should() -> None:
    passed, generator = 0, torch.Generator().manual_seed(0)
    y, x = torch.fft.fftfreq(24)[:, None], torch.fft.fftfreq(32)
    low = torch.exp(-100 * (y.square() + x.square()))
    for seed in range(200):
        noise = torch.fft.ifft2(torch.fft.fft2(torch.randn(6, 24, 32, generator=generator)) * low).real
        noise = noise / noise.flatten(1).std(1)[:, None, None]
        labels = (noise[0] > 0).long() + (noise[1] > 0)
        (found,) = shifted_nulls(
            (noise[2:] + 4).clamp(min=0), [MovableClusters.of(labels)], shift_offsets((24, 32), 24, seed)
        )
        passed += found.p <= 0.05
    assert passed / 200 < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_colour_explains_what_follows_colour_and_not_what_does_not() -> None:
    colours = (torch.arange(16)[:, None] // 2 + torch.zeros(16)).long()  # stripes
    objects = torch.stack([torch.zeros(16, 16).bool(), torch.ones(16, 16).bool()])
    objects[0, :6] = True
    objects[1, :6] = False
    clusters = MovableClusters.of(objects)
    maps = 1.0 + (torch.arange(16)[:, None] < 6) + torch.zeros(1, 16, 16)
    (plain,) = shifted_nulls(maps, [clusters], shift_offsets((16, 16), 1, 0))
    assert given(maps, clusters, [colours.numpy()], 0) == pytest.approx([plain.actual]), (
        "stripes stay within the object"
    )
    _, anywhere = given(maps, clusters, [colours.numpy(), np.zeros((16, 16), np.int64)], 0)
    assert anywhere < 0.05 * plain.actual, "pixels of one stratum may go anywhere"
