import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from skimage.data import astronaut
from skimage.transform import resize

from xinc_pl import Collage, Frame
from xinc_pl.analysis.motion import compare_with_motion, flow_between, is_moving, moving_over_still, rank_correlation


def test_rank_correlation_is_spearmans_with_ties_and_none_with_a_constant() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.integers(0, 5, (6, 7)).astype(float), generator.random((6, 7))
    assert rank_correlation(first, second) == pytest.approx(spearmanr(first.ravel(), second.ravel()).statistic)
    assert np.isnan(rank_correlation(first, np.zeros((6, 7))))


def test_moving_over_still_by_hand() -> None:
    change = np.array([[1.0, 3.0], [2.0, 2.0]])
    moves = np.array([[True, True], [False, False]])
    assert moving_over_still(change, moves) == 1.0
    assert moving_over_still(change, np.array([[False, True], [False, False]])) == pytest.approx(3 / (5 / 3))
    for all_or_none in (np.ones((2, 2), bool), np.zeros((2, 2), bool)):
        assert np.isnan(moving_over_still(change, all_or_none))
    assert np.isnan(moving_over_still(np.array([[1.0, 1.0], [0.0, 0.0]]), moves)), "still pixels do not change at all"


def test_the_pan_of_a_camera_makes_nothing_move() -> None:
    flow = np.full((2, 4, 6), 3.0)
    assert not is_moving(flow, 0.5).any()
    flow[0, 1, 2] += 1
    assert np.argwhere(is_moving(flow, 0.5)).tolist() == [[1, 2]]


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
    assert np.median(np.linalg.norm(flow, axis=0)) == pytest.approx(3, abs=0.5)


def test_without_targets_there_is_no_flow() -> None:
    assert flow_between(Frame(0, torch.zeros(1), (4, 4), None), Frame(1, torch.zeros(1), (4, 4), None)) is None


def test_a_change_that_is_the_motion_and_one_that_is_nothing() -> None:
    flow = np.random.default_rng(0).random((2, 8, 9)) * 4
    control = np.random.default_rng(1).random((2, 8, 9)) * 4
    found = compare_with_motion("head", torch.from_numpy(np.linalg.norm(flow, axis=0)), flow, control, 0.5)
    assert found.correlation == pytest.approx(1)
    assert abs(found.correlation_control) < 0.4
    assert found.change.mean() == pytest.approx(1)
    nothing = compare_with_motion("head", torch.zeros(8, 9), flow, control, 0.5)
    assert np.isnan(nothing.correlation)
    assert not nothing.change.any()
