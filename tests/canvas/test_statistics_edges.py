"""Statistics at the edge: zero and constant maps, single pixels, bad partitions, samples of neurons."""

from typing import Any

import numpy as np
import pytest
import torch
from networks import kernel_network
from statistics_checks import SIZE, canvas_of, check_against_oracle, generator, partitions_for, video
from torch import Tensor, nn

from xinc_pl.canvas import dissect

pytestmark = pytest.mark.usefixtures("no_warnings")


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
