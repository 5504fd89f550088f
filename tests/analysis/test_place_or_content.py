"""Place or content: scenes whose motion is known, and maps that stay or go along."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from xinc_pl import Collage
from xinc_pl.analysis.nulls import shift_offsets
from xinc_pl.analysis.place_or_content import (
    ContentPath,
    PlaceOrContent,
    composed,
    content_path,
    place_or_content,
    quartiles,
)

SIZE = (24, 40)


def scene(steps: int, per_step: int = 3) -> tuple[list[torch.Tensor], list[npt.NDArray[np.float64]]]:
    """A square that moves to the right over a pattern: the pictures, and the flow into each but the first."""
    generator = torch.Generator().manual_seed(0)
    ground, square = torch.rand(3, *SIZE, generator=generator), torch.rand(3, 10, 10, generator=generator)
    pictures, flows = [], []
    for step in range(steps + 1):
        left = 2 + per_step * step
        picture, flow = ground.clone(), np.zeros((2, *SIZE))
        picture[:, 8:18, left : left + 10] = square
        flow[0, 8:18, left : left + 10] = per_step
        pictures.append(picture)
        flows.append(flow)
    return pictures, flows[1:]


def test_flows_are_composed_along_the_way_back() -> None:
    _, flows = scene(4)
    displacement, is_known = composed(flows)
    assert (displacement[0, 8:18, 14:24] == 12).all(), "four steps of three"
    assert not displacement[0, :8].any()
    assert not displacement[1].any()
    assert is_known[18:].all()
    turning = [np.stack([np.full(SIZE, 2.0), np.full(SIZE, 2.0)]), np.stack([np.full(SIZE, 1.0), np.full(SIZE, 3.0)])]
    displacement, is_known = composed(turning)
    assert displacement[:, 10, 10].tolist() == [3, 5]
    assert not is_known[:5].any(), "it has come from above the frame"
    assert not is_known[:, :3].any()
    assert is_known[5:, 3:].all()


def test_a_way_that_leads_into_what_hid_the_content_is_lost() -> None:
    _, flows = scene(4)
    displacement, is_known = composed(flows)
    assert is_known[8:18, 14:24].all(), "the square itself"
    behind = is_known[8:18, 2:14]
    assert not behind[:, 9:].any(), "the ground that the square has just uncovered"
    assert not displacement[:, 8:18, :2].any()


def test_what_moves_and_is_visible_in_both_is_compared() -> None:
    pictures, flows = scene(4)
    path = content_path(flows, pictures[0], pictures[4], min_motion=8)
    expected = np.zeros(SIZE, bool)
    expected[8:18, 14:24] = True
    assert (path.compared == expected).mean() > 0.99
    assert not content_path(flows, pictures[0], pictures[4], min_motion=13).compared.any()
    hidden = pictures[0].clone()
    hidden[:, 8:12, 2:12] = 1 - hidden[:, 8:12, 2:12].round()  # something else stood before a part of it
    covered = content_path(flows, hidden, pictures[4], min_motion=8)
    assert covered.compared[12:18].sum() == 60
    assert covered.compared[8:12].sum() < 8


def test_the_pan_of_a_camera_is_no_motion_of_things() -> None:
    pan = [np.stack([np.full(SIZE, 3.0), np.zeros(SIZE)])] * 4
    picture = torch.full((3, *SIZE), 0.5)
    assert not content_path(pan, picture, picture, min_motion=8).compared.any()


def compared(before: torch.Tensor, now: torch.Tensor, other: ContentPath | None = None) -> PlaceOrContent:
    pictures, flows = scene(4)
    path = content_path(flows, pictures[0], pictures[4], min_motion=8)
    return place_or_content("head", before, now, path, other, shift_offsets(SIZE, 24, 0))


def test_maps_that_stay_and_maps_that_go_along() -> None:
    pictures, _ = scene(4)
    stays = torch.rand(5, *SIZE, generator=torch.Generator().manual_seed(3))
    before, now = torch.cat([stays, pictures[0]]), torch.cat([stays, pictures[4]])
    found = compared(before, now)
    np.testing.assert_allclose(found.place[:5], 1, atol=1e-6)
    np.testing.assert_allclose(found.content[5:], 1, atol=1e-6)
    assert np.abs(found.content[:5]).max() < 0.5
    assert np.abs(found.place[5:]).max() < 0.5
    assert found.nearer_to_content == 3 / 8


def test_correlations_are_those_of_plain_loops_over_pixels() -> None:
    pictures, flows = scene(4)
    path = content_path(flows, pictures[0], pictures[4], min_motion=8)
    generator = torch.Generator().manual_seed(1)
    before, now = (torch.rand(2, *SIZE, generator=generator) for _ in range(2))
    found = place_or_content("head", before, now, path, None, shift_offsets(SIZE, 3, 0))
    pixels = [(int(y), int(x)) for y, x in np.argwhere(path.compared)]
    for neuron in range(2):
        here = [float(now[neuron, y, x]) for y, x in pixels]
        for values, shift in ((found.place, 0), (found.content, 12)):
            there = [float(before[neuron, y, x - shift]) for y, x in pixels]
            assert values[neuron] == pytest.approx(np.corrcoef(here, there)[0, 1], abs=1e-6)
    assert found.null.actual == pytest.approx(np.median(found.content))
    assert len(found.null.draws) == 3
    assert np.isnan(found.other_pair)


def test_going_along_beats_the_motion_elsewhere_and_staying_does_not() -> None:
    pictures, _ = scene(4)
    other = ContentPath(np.full((2, *SIZE), -2.0), np.ones(SIZE, bool))
    along = compared(pictures[0], pictures[4], other)
    assert along.null.p == along.null.floor <= 1 / 20
    assert along.other_pair < 0.5
    noise = torch.rand(4, *SIZE, generator=torch.Generator().manual_seed(3))
    assert compared(noise, noise).null.p > 0.05


def test_constant_maps_have_no_correlation() -> None:
    found = compared(torch.full((2, *SIZE), 0.1), torch.rand(2, *SIZE))
    assert np.isnan(found.place).all()
    assert np.isnan(found.nearer_to_content)
    assert not found.null.exists
    assert np.isnan(quartiles(found.content)).all()


def test_nothing_is_found_between_maps_that_have_nothing_in_common() -> None:
    passed = 0
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        before, now = (torch.rand(5, *SIZE, generator=generator) for _ in range(2))
        passed += compared(before, now).null.p <= 0.05
    assert passed / 100 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)


def test_on_the_collage_the_pixels_that_are_compared_show_the_same() -> None:
    frames = Collage((64, 128), num_frames=30).frames
    flows = [frame.flow.double().numpy() for frame in frames[3:11] if frame.flow is not None]
    before, now = frames[2].target, frames[10].target
    assert before is not None
    assert now is not None
    path = content_path(flows, before, now, min_motion=4)
    assert path.compared.sum() > 200
    along = place_or_content("x", before, now, path, None, shift_offsets((64, 128), 4, 0))
    assert along.content.min() > 0.9 > along.place.max()
