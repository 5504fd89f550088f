"""The default clip: what is in it, and that its masks and its flow are those of what one sees."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.registration import phase_cross_correlation
from torch import Tensor

from xinc_pl.data.collage import Collage, render_collage
from xinc_pl.frames import Frame

Clip = tuple[Frame, ...]

MEANS = ((0.26834, 0.29429, 0.36911), (0.28378, 0.28902, 0.35794), (0.3251, 0.30658, 0.35984))
"""Mean colours of the default clip at 24x32, three frames."""


@pytest.fixture(scope="module")
def clip() -> Clip:
    return render_collage()


def target_of(frame: Frame) -> Tensor:
    assert frame.target is not None
    return frame.target


def flow_of(frame: Frame) -> Tensor:
    assert frame.flow is not None
    return frame.flow


def owners(frame: Frame) -> Tensor:
    """Ids of the instances at all pixels, float32 (H, W)."""
    return torch.stack([instance.id * instance.mask.float() for instance in frame.instances]).sum(dim=0)


def areas(clip: Clip, category: str) -> list[dict[int, int]]:
    """Pixels of each instance of a category, by its id, for each frame."""
    return [
        {instance.id: int(instance.mask.sum()) for instance in frame.instances if instance.category == category}
        for frame in clip
    ]


def pulled(image: Tensor, flow: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    """An image (C, H, W) moved along a flow (2, H, W), and which pixels come from inside of the image."""
    height, width = flow.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    x, y = (columns - flow[0]) / width * 2 - 1, (rows - flow[1]) / height * 2 - 1
    grid = torch.stack([x, y], dim=-1)
    moved = F.grid_sample(image[None], grid[None], mode=mode, align_corners=False)[0]
    return moved, (grid.abs() < 1).all(dim=-1)


def assert_same(clip: Clip, other: Clip) -> None:
    for frame, twin in zip(clip, other, strict=True):
        assert torch.equal(target_of(frame), target_of(twin))
        assert torch.equal(owners(frame), owners(twin))


def test_depends_on_its_arguments_only_and_leaves_random_state_alone() -> None:
    first = render_collage((24, 32), 3, seed=5)
    torch.manual_seed(99)
    np.random.seed(99)
    expected = torch.rand(()).item(), np.random.random()
    torch.manual_seed(99)
    np.random.seed(99)
    assert_same(first, render_collage((24, 32), 3, seed=5))
    assert (torch.rand(()).item(), np.random.random()) == expected


def test_seed_varies_the_paths() -> None:
    first, second = (render_collage((24, 32), 3, seed)[1] for seed in (0, 1))
    assert not torch.equal(owners(first), owners(second))


@pytest.mark.parametrize("size", [(24, 32), (32, 32), (64, 36), (20, 90), (1, 1)])
@pytest.mark.parametrize("num_frames", [1, 2])
def test_any_size_and_length(size: tuple[int, int], num_frames: int) -> None:
    clip = render_collage(size, num_frames)
    assert [frame.index for frame in clip] == list(range(num_frames))
    assert [frame.inputs.tolist() for frame in clip] == [[index / num_frames] for index in range(num_frames)]
    assert [frame.flow is None for frame in clip] == [index == 0 for index in range(num_frames)]
    for frame in clip:
        assert frame.size == size
        assert frame.inputs.dtype == torch.float64
        assert target_of(frame).shape == (3, *size)
        assert target_of(frame).dtype == torch.float32
        assert target_of(frame).min() >= 0
        assert target_of(frame).max() <= 1
    for frame in clip[1:]:
        assert flow_of(frame).shape == (2, *size)
        assert flow_of(frame).dtype == torch.float32


@pytest.mark.parametrize("seed", range(6))
def test_every_pixel_belongs_to_one_instance(seed: int) -> None:
    for frame in render_collage((48, 96), 6, seed):
        masks = torch.stack([instance.mask for instance in frame.instances])
        assert masks.dtype == torch.bool
        assert (masks.sum(dim=0) == 1).all()
        assert masks.flatten(1).any(dim=1).all()


def test_a_longer_clip_tells_the_same_story() -> None:
    assert_same(render_collage((24, 48), 4), render_collage((24, 48), 12)[::3])


def test_a_smaller_clip_is_the_same_picture_without_aliasing() -> None:
    small, large = (target_of(render_collage(size, 2)[1]) for size in ((32, 64), (128, 256)))
    reduced = F.avg_pool2d(large, 4)
    aliased = large[:, 2::4, 2::4]
    assert (small - reduced).abs().mean() < 0.6 * (aliased - reduced).abs().mean()


def test_ids_keep_their_meaning(clip: Clip) -> None:
    meanings = {(one.id, one.category, one.is_thing) for frame in clip for one in frame.instances}
    assert len({meaning[0] for meaning in meanings}) == len(meanings)
    assert {category for _, category, is_thing in meanings if not is_thing} == {
        "sky",
        "ground",
        "launch tower",
    }
    things = sorted(category for _, category, is_thing in meanings if is_thing)
    assert things == ["astronaut", "motorcycle", "rocket", "space shuttle", "space shuttle"]


def test_two_space_shuttles_are_seen_at_once(clip: Clip) -> None:
    assert sum(len(shuttles) == 2 and min(shuttles.values()) > 200 for shuttles in areas(clip, "space shuttle")) > 9


def test_the_astronaut_enters_from_the_right(clip: Clip) -> None:
    area = [sum(frame.values()) for frame in areas(clip, "astronaut")]
    first = next(index for index, pixels in enumerate(area) if pixels)
    assert first > 0
    columns = next(one for one in clip[first].instances if one.category == "astronaut").mask.any(dim=0)
    assert columns[-1]
    assert not columns[: len(columns) // 2].any()
    assert area[-1] > 4000


def test_a_space_shuttle_leaves_at_the_top(clip: Clip) -> None:
    shuttles = areas(clip, "space shuttle")
    (left,) = set(shuttles[0]) - set(shuttles[-1])
    last = max(index for index, frame in enumerate(shuttles) if left in frame)
    rows = next(one for one in clip[last].instances if one.id == left).mask.any(dim=1)
    assert rows[0]
    assert not rows[len(rows) // 4 :].any()


def test_the_motorcycle_passes_behind_the_astronaut(clip: Clip) -> None:
    area = [sum(frame.values()) for frame in areas(clip, "motorcycle")]
    hidden = min(range(10, 25), key=lambda index: area[index])
    assert area[hidden] < 100
    assert max(area[:hidden]) > 1500
    assert max(area[hidden:]) > 500
    masks = {one.category: one.mask.float()[None] for one in clip[hidden - 2].instances}
    around = F.max_pool2d(masks["motorcycle"], 3, stride=1, padding=1)
    assert (around * masks["astronaut"]).any()


def test_masks_lie_on_what_they_name(clip: Clip) -> None:
    for frame in clip[12:16]:
        colour = {one.category: target_of(frame)[:, one.mask].mean(dim=1) for one in frame.instances}
        red, _, blue = colour["astronaut"]
        assert red > 1.3 * blue
        red, _, blue = colour["sky"]
        assert blue > 1.3 * red
        assert colour["space shuttle"].min() > 1.5 * colour["launch tower"].max()


def test_flow_moves_each_frame_onto_the_next(clip: Clip) -> None:
    for before, frame in pairwise(clip):
        flow = flow_of(frame)
        moved, inside = pulled(target_of(before), flow, "bicubic")
        owner_before, _ = pulled(owners(before)[None], flow, "nearest")
        seen_before = inside & (owner_before[0] == owners(frame))
        assert seen_before.float().mean() > 0.9
        error = (moved - target_of(frame)).abs().mean(dim=0)
        change = (target_of(before) - target_of(frame)).abs().mean(dim=0)
        assert error[seen_before].mean() < 0.25 * change[seen_before].mean()
        for one in frame.instances:
            if one.is_thing and (seen_before & one.mask).sum() > 200:
                assert error[seen_before & one.mask].mean() < 0.25 * change[seen_before & one.mask].mean()


@pytest.mark.parametrize("index", [2, 4, 6])
def test_flow_of_the_background_is_the_pan_that_the_pictures_show(clip: Clip, index: int) -> None:
    rows, columns = slice(0, 80), slice(100, 200)
    before, now = (target_of(clip[i])[:, rows, columns].mean(dim=0).numpy() for i in (index - 1, index))
    down, right = phase_cross_correlation(now, before, upsample_factor=50)[0]
    x, y = flow_of(clip[index])[:, rows, columns].mean(dim=(1, 2)).tolist()
    assert abs(x) > 1
    assert (x, y) == pytest.approx((right, down), abs=0.2)


def test_datamodule_serves_the_clip() -> None:
    collage = Collage(size=(24, 48), num_frames=5, batch_size=2, seed=3)
    assert_same(collage.frames, render_collage((24, 48), 5, seed=3))
    assert [len(batch.indices) for batch in collage.train_dataloader()] == [2, 2, 1]


def test_the_default_clip_stays_as_it_is() -> None:
    means = [target_of(frame).mean((1, 2)).tolist() for frame in render_collage((24, 32), 3)]
    np.testing.assert_allclose(means, MEANS, atol=2e-5)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_another_seed_is_another_clip_whose_flow_is_that_of_what_one_sees(seed: int) -> None:
    frames, default = render_collage((64, 128), 30, seed), render_collage((64, 128), 30)
    before, now = frames[14:16]
    assert not torch.allclose(target_of(now), target_of(default[15]), atol=0.05)
    assert {each.category for each in now.instances}.isdisjoint({"sky", "ground", "rocket"})
    owned = torch.stack([each.mask for each in now.instances]).sum(0)
    assert bool((owned == 1).all())
    moved, inside = pulled(target_of(before), flow_of(now), "bilinear")
    same_owner = pulled(owners(before)[None], flow_of(now), "nearest")[0][0] == owners(now)
    error = (moved - target_of(now)).abs().mean(0)[inside & same_owner].mean()
    still = (target_of(before) - target_of(now)).abs().mean(0)[inside & same_owner].mean()
    assert error < 0.7 * still
