from dataclasses import replace

import numpy as np
import pytest
import torch

from xinc_pl import Frame, Instance
from xinc_pl.analysis.object_contributions import (
    ObjectContributions,
    ObjectName,
    concentration,
    mean_contributions,
    object_contributions,
    objects_of,
)

SIZE = (2, 4)


def mask(*pixels: tuple[int, int], size: tuple[int, int] = SIZE) -> torch.Tensor:
    result = torch.zeros(size, dtype=torch.bool)
    for pixel in pixels:
        result[pixel] = True
    return result


def frame(*instances: Instance) -> Frame:
    return Frame(0, torch.zeros(1), SIZE, None, instances)


CAR = Instance(3, "car", True, mask((0, 0), (0, 1)))
SKY = Instance(1, "sky", False, mask((1, 0)))
DOG = Instance(2, "dog", True, mask(*((row, column) for row in range(2) for column in range(4))))


def test_things_come_first_and_objects_without_pixels_do_not_come() -> None:
    gone = Instance(9, "cat", True, mask())
    objects = objects_of([frame(SKY, CAR, gone), frame(DOG, CAR)])
    assert [(each.category, each.id) for each in objects] == [("car", 3), ("dog", 2), ("sky", 1)]


def test_means_are_those_of_plain_loops_and_absent_objects_are_gaps() -> None:
    maps = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(0))
    objects = objects_of([frame(SKY, CAR, DOG)])
    means = mean_contributions(maps, frame(CAR, DOG), objects)
    for neuron in range(3):
        assert means[neuron, 0] == pytest.approx(float(maps[neuron, 0, :2].mean()))
        assert means[neuron, 1] == pytest.approx(float(maps[neuron].mean()))
        assert np.isnan(means[neuron, 2])


def test_shares_average_to_one_and_do_not_depend_on_a_neurons_strength() -> None:
    objects = objects_of([frame(SKY, CAR)])
    maps = torch.rand(2, *SIZE, generator=torch.Generator().manual_seed(0))
    means = [mean_contributions(each * maps, frame(SKY, CAR), objects) for each in (1.0, 3.0)]
    result = object_contributions("head", np.arange(2), objects, means)
    assert result.shares.shape == (2, 2, 2)
    np.testing.assert_allclose(np.nanmean(result.shares, axis=(1, 2)), 1)
    stronger = object_contributions("head", np.arange(2), objects, [5 * each for each in means])
    np.testing.assert_allclose(stronger.shares, result.shares)
    silent = object_contributions("head", np.arange(2), objects, [0 * each for each in means])
    assert not silent.shares.any()


def test_a_mask_of_another_size_is_refused_with_the_remedy() -> None:
    wrong = frame(replace(CAR, mask=mask((0, 0), size=(3, 3))))
    with pytest.raises(ValueError, match=r"mask of instance 3 \(car\) is \(3, 3\).*resize"):
        mean_contributions(torch.ones(1, *SIZE), wrong, objects_of([wrong]))


def of_vectors(vectors: list[list[float]], categories: str) -> ObjectContributions:
    objects = tuple(ObjectName(index, category, True) for index, category in enumerate(categories))
    return ObjectContributions("head", np.arange(2), objects, np.array(vectors, float).T[:, :, None])


def test_concentration_worked_by_hand() -> None:
    # Distances: within a: 1, within b: 2; across: 10, 10 and twice their hypotenuses.
    found = concentration(of_vectors([[0, 0], [0, 1], [10, 0], [10, 2]], "aabb"), seed=0)
    assert found is not None
    across = np.mean([10, np.hypot(10, 2), np.hypot(10, 1), np.hypot(10, 1)])
    assert found.null.actual == pytest.approx(across / 1.5)
    assert found.null.median < found.null.actual
    assert found.null.p == pytest.approx(1 / 3, abs=0.1), "one of the three ways to pair four objects is this one"
    assert found.floor == pytest.approx(1 / 3), "and it can't be less"


def test_p_counts_the_real_deal_and_many_objects_allow_a_small_one() -> None:
    generator = np.random.default_rng(0)
    vectors = [(generator.random(2) + 50 * (place // 5)).tolist() for place in range(10)]
    found = concentration(of_vectors(vectors, "aaaaabbbbb"), seed=0)
    assert found is not None
    assert found.floor == pytest.approx(2 / 252), "ten choose five ways, two of them the same"
    assert len(found.null.known) == 199
    assert found.null.p >= 1 / 200
    assert found.null.p < 0.05
    different = concentration(of_vectors(vectors, "abbbbbbbbb"), seed=0)
    assert different is not None
    assert different.floor == pytest.approx(0.1), "one of ten is the odd one out"


def test_objects_that_have_nothing_in_common_pass_no_more_often_than_they_should() -> None:
    passed = 0
    for seed in range(200):
        vectors = np.random.default_rng(seed).random((8, 2)).tolist()
        found = concentration(of_vectors(vectors, "aaabbbcc"), seed)
        passed += found is not None and found.null.p <= 0.05
    assert passed / 200 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 200)


def test_small_objects_are_left_out() -> None:
    frames = [frame(SKY, CAR, DOG)]
    assert [each.category for each in objects_of(frames, 0.2)] == ["car", "dog"], "the sky has an eighth"
    assert [each.category for each in objects_of(frames, 0.3)] == ["dog"]
    objects = objects_of(frames)
    means = mean_contributions(torch.ones(1, *SIZE), frames[0], objects, 0.2)
    assert np.isnan(means[0]).tolist() == [each.category == "sky" for each in objects]


def test_there_is_no_concentration_without_two_of_a_kind_or_two_kinds() -> None:
    vectors = [[0, 0], [0, 1], [10, 0]]
    assert concentration(of_vectors(vectors, "abc"), 0) is None
    assert concentration(of_vectors(vectors, "aaa"), 0) is None
    assert concentration(of_vectors([[1, 1]] * 3, "aab"), 0) is None
    assert concentration(of_vectors([[1, 1]], "a"), 0) is None


def test_the_order_of_neurons_plays_no_part() -> None:
    contributions = of_vectors([[0, 3], [0, 1], [10, 0], [9, 2]], "aabb")
    turned = replace(contributions, shares=contributions.shares[::-1])
    one, other = concentration(contributions, 0), concentration(turned, 0)
    assert one is not None
    assert other is not None
    assert one.null.actual == pytest.approx(other.null.actual)
    np.testing.assert_allclose(one.null.draws, other.null.draws)
