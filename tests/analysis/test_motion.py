from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.data import astronaut
from skimage.transform import resize

from xinc_pl import Collage, Frame
from xinc_pl.analysis.motion import (
    compare_with_motion,
    difference_between,
    flow_between,
    ranks,
    residual_motion,
)
from xinc_pl.analysis.nulls import shifted_correlations


def test_ranks_are_those_of_spearman_with_ties() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, (6, 7)).astype(float), generator.random((6, 7))
    found = shifted_correlations(ranks(first), ranks(second))[0, 0]
    assert found == pytest.approx(spearmanr(first.ravel(), second.ravel()).statistic)


def test_the_pan_of_a_camera_makes_nothing_move() -> None:
    flow = np.full((2, 4, 6), 3.0)
    assert not residual_motion(flow).any()
    flow[0, 1, 2] += 1
    assert np.argwhere(residual_motion(flow) > 0.5).tolist() == [[1, 2]]


def test_a_pan_does_not_count_for_the_correlation_either() -> None:
    generator = np.random.default_rng(0)
    change, own = torch.from_numpy(generator.random((8, 9))), generator.random((2, 8, 9))
    own[:, 2:4, :3] = np.median(own, axis=(1, 2))[:, None, None]  # these pixels stand still
    still, panned = (compare_with_motion("head", change, own + pan, None, None, 0.1) for pan in (0.0, 30.0))
    assert still.correlation.actual == pytest.approx(panned.correlation.actual)
    assert still.moving_over_still.actual == pytest.approx(panned.moving_over_still.actual)


def test_the_datas_own_flow_is_taken_between_neighbours_only() -> None:
    frames = Collage((24, 48), num_frames=4).frames
    own = flow_between(frames[1], frames[2])
    assert own is not None
    assert frames[2].flow is not None
    assert np.array_equal(own, frames[2].flow.double().numpy())
    estimated = flow_between(frames[0], frames[2])
    assert estimated is not None
    assert estimated.shape == own.shape
    assert not np.array_equal(estimated, own)


def test_a_shifted_photograph_moves_by_its_shift() -> None:
    photograph = torch.from_numpy(resize(astronaut(), (64, 96))).permute(2, 0, 1)
    before, now = (
        Frame(index, torch.zeros(1), (60, 90), photograph[:, 2:62, 4 - shift : 94 - shift])
        for index, shift in enumerate((0, 3))
    )
    flow = flow_between(before, now)
    assert flow is not None
    assert np.median(flow, axis=(1, 2)) == pytest.approx([3, 0], abs=0.5), "x to the right, as the data's own"


def test_without_targets_there_is_no_flow() -> None:
    assert flow_between(Frame(0, torch.zeros(1), (4, 4), None), Frame(1, torch.zeros(1), (4, 4), None)) is None


def test_the_estimated_flow_is_like_the_datas_own() -> None:
    frames = Collage((64, 128), num_frames=30).frames
    own, estimated = flow_between(frames[9], frames[10]), flow_between(frames[9], replace(frames[10], flow=None))
    assert own is not None
    assert estimated is not None
    for axis in (0, 1):
        assert np.corrcoef(own[axis].ravel(), estimated[axis].ravel())[0, 1] > 0.6


def test_a_change_that_is_the_motion_and_one_that_is_nothing() -> None:
    flow, other = (np.random.default_rng(seed).random((2, 8, 9)) * 4 for seed in (0, 1))
    flow[:, 2:4, :3] = 2.01  # these pixels stand nearly still
    difference = np.random.default_rng(2).random((8, 9))
    motion = residual_motion(flow)
    found = compare_with_motion("head", torch.from_numpy(motion), flow, difference, other, 0.5)
    assert found.correlation.actual == pytest.approx(1)
    assert found.correlation.p == found.correlation.floor
    assert found.moving_over_still.p == 1 / 72
    assert found.given_difference.actual > 0.95
    assert abs(found.other_pair) < 0.4
    assert found.moving_over_still.actual == pytest.approx(motion[motion > 0.5].mean() / motion[motion <= 0.5].mean())
    assert found.change.mean() == pytest.approx(1)
    nothing = compare_with_motion("head", torch.zeros(8, 9), flow, None, None, 0.5)
    assert not nothing.correlation.exists
    assert not nothing.given_difference.exists
    assert not nothing.moving_over_still.exists
    assert np.isnan([nothing.other_pair, nothing.moving_over_still_other_pair]).all()
    assert not nothing.change.any()


def test_a_change_that_is_the_difference_of_the_frames_has_nothing_beyond_it() -> None:
    generator = np.random.default_rng(0)
    flow = generator.random((2, 16, 18)) * 4
    difference = residual_motion(flow) + 0.5 * generator.random((16, 18))  # what moves differs
    change = torch.from_numpy(difference + generator.random((16, 18)))  # and the layer follows what differs
    found = compare_with_motion("head", change, flow, difference, None, 0.5)
    assert found.correlation.p == found.correlation.floor
    assert found.correlation.actual > 0.7
    assert abs(found.given_difference.actual) < 0.2


def test_the_difference_is_the_mean_over_channels() -> None:
    first, second = (Frame(i, torch.zeros(1), (1, 2), torch.rand(3, 1, 2)) for i in range(2))
    assert first.target is not None
    assert second.target is not None
    found = difference_between(first, second)
    expected = [
        sum(abs(float(second.target[c, 0, x]) - float(first.target[c, 0, x])) for c in range(3)) / 3 for x in (0, 1)
    ]
    assert found is not None
    assert found[0].tolist() == pytest.approx(expected)
    assert difference_between(replace(first, target=None), second) is None
