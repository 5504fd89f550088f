from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from xinc_pl import Collage, Frame, Instance
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionUnavailableError, labels_of
from xinc_pl.random_state import get_random_state

SIZE = (24, 40)
FRAME = Collage(SIZE, num_frames=2).frames[0]


def areas_of(labels: Tensor) -> list[int]:
    counts = labels.flatten(1).sum(1) if labels.ndim == 3 else torch.bincount(labels.flatten())
    return [int(count) for count in counts]


@pytest.mark.parametrize("convention", ["paper", "released"])
@pytest.mark.parametrize("name", PARTITION_NAMES)
def test_clusters_have_no_gaps_and_controls_the_same_areas(name: str, convention: str) -> None:
    partition = Partition(name, convention=convention)  # type: ignore[arg-type]
    labels, control = labels_of(partition, FRAME), labels_of(partition.control, FRAME)
    assert labels.shape[-2:] == control.shape[-2:] == SIZE
    assert min(areas_of(labels)) > 0
    assert areas_of(labels) == areas_of(control)
    assert not torch.equal(labels, control)
    assert torch.equal(labels, labels_of(partition, FRAME)), "the same whenever it is asked for"


def test_global_random_state_plays_no_part_and_is_left_alone() -> None:
    for name in PARTITION_NAMES:
        first = labels_of(Partition(name), FRAME)
        np.random.seed(7)
        torch.manual_seed(7)
        state = get_random_state()
        assert torch.equal(labels_of(Partition(name), FRAME), first)
        after = get_random_state()
        assert torch.equal(after["torch"], state["torch"])
        assert torch.equal(after["numpy"][1], state["numpy"][1])


def test_the_grid_is_of_equal_rectangles_and_the_last_ones_take_the_rest() -> None:
    labels = labels_of(Partition("grid", grid=(2, 3)), Frame(0, torch.zeros(1), (5, 7), None))
    expected = [[0, 0, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 4, 4, 5, 5, 5]] * 3
    assert labels.tolist() == expected


def test_the_comb_spreads_every_cluster_over_the_frame() -> None:
    labels = labels_of(Partition("comb", grid=(2, 3)), Frame(0, torch.zeros(1), (4, 6), None))
    assert labels.tolist() == [[0, 1, 2] * 2, [3, 4, 5] * 2] * 2


def with_masks(*masks: Tensor) -> Frame:
    instances = tuple(Instance(number, "thing", True, mask) for number, mask in enumerate(masks))
    return Frame(0, torch.zeros(1), (2, 3), None, instances)


def test_other_is_what_no_instance_covers_or_in_the_released_code_what_some_do() -> None:
    one, two = torch.zeros(2, 3, dtype=torch.bool), torch.zeros(2, 3, dtype=torch.bool)
    one[0, 0] = two[0, 0] = two[1, 1] = True  # masks may overlap
    frame = with_masks(one, two)
    paper = labels_of(Partition("instances"), frame)
    released = labels_of(Partition("instances", convention="released"), frame)
    assert areas_of(paper) == [1, 2, 4]
    assert areas_of(released) == [1, 2, 2]
    assert torch.equal(released[2], one | two)


def test_an_instance_of_one_pixel_one_of_all_and_one_of_none() -> None:
    pixel, everything = torch.zeros(2, 3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)
    pixel[1, 2] = True
    labels = labels_of(Partition("instances"), with_masks(pixel, everything, torch.zeros(2, 3, dtype=torch.bool)))
    assert areas_of(labels) == [1, 6], "nothing is left for the others, and the empty one is left out"


def test_masks_of_another_size_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"mask of instance 0 \(thing\) is \(3, 3\).*resize"):
        labels_of(Partition("instances"), with_masks(torch.ones(3, 3, dtype=torch.bool)))


def test_what_the_frame_does_not_tell_is_unavailable() -> None:
    bare = Frame(0, torch.zeros(1), SIZE, None)
    for name in ("instances", "rgb", "gabor", "superpixels"):
        with pytest.raises(PartitionUnavailableError, match="the frame has no"):
            labels_of(Partition(name), bare)  # type: ignore[arg-type]


def test_colours_are_told_apart_and_fewer_than_k_give_fewer_clusters() -> None:
    target = torch.zeros(3, 6, 9)
    target[0, :, 3:6], target[1, :, 6:] = 1.0, 0.5
    labels = labels_of(Partition("rgb"), Frame(0, torch.zeros(1), (6, 9), target))
    assert sorted(areas_of(labels)) == [18, 18, 18]
    assert len(labels[:, 0].unique()) == len(labels[:, 4].unique()) == len(labels[:, 8].unique()) == 1


@pytest.mark.parametrize("name", ["rgb", "gabor", "superpixels"])
def test_a_constant_image_is_one_cluster(name: str) -> None:
    frame = replace(FRAME, target=torch.full((3, *SIZE), 0.4))
    labels = labels_of(Partition(name), frame)  # type: ignore[arg-type]
    assert int(labels.max()) == 0 or name == "superpixels", "superpixels divide it by place alone"


@pytest.mark.parametrize("convention", ["paper", "released"])
def test_an_image_smaller_than_the_filters(convention: str) -> None:
    frame = Frame(0, torch.zeros(1), (3, 4), torch.rand(3, 3, 4, generator=torch.Generator().manual_seed(0)))
    labels = labels_of(Partition("gabor", num_clusters=4, convention=convention), frame)  # type: ignore[arg-type]
    assert 2 <= len(areas_of(labels)) <= 4


def test_gabor_filters_tell_orientations_apart() -> None:
    stripes = torch.zeros(32, 64)
    stripes[:, :32:4], stripes[:, 1:32:4] = 1.0, 1.0  # upright on the left
    stripes[::4, 32:], stripes[1::4, 32:] = 1.0, 1.0
    frame = Frame(0, torch.zeros(1), (32, 64), stripes.expand(3, -1, -1))
    labels = labels_of(Partition("gabor", num_clusters=8), frame)
    left, right = set(labels[8:24, 4:24].flatten().tolist()), set(labels[8:24, 40:60].flatten().tolist())
    assert left - right
    assert right - left


def test_keys_tell_partitions_apart() -> None:
    partitions = [Partition("rgb"), Partition("rgb").control, Partition("rgb", 16), Partition("grid", grid=(2, 2))]
    assert [each.key for each in partitions] == ["rgb", "random_rgb", "rgb_k16", "grid_2x2"]


@pytest.mark.parametrize(
    "arguments", [{"name": "sky"}, {"name": "rgb", "num_clusters": 0}, {"name": "grid", "grid": (0, 2)}]
)
def test_what_there_is_not_is_refused(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="partition"):
        Partition(**arguments)  # type: ignore[arg-type]
