"""Nulls against plain loops, worked examples, and random data on which nothing may be found."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from xinc_pl.analysis.bootstrap import interval
from xinc_pl.analysis.nulls import (
    Null,
    cells,
    correlation_null,
    correlations_within,
    far_offsets,
    inside_over_outside_null,
    middle,
    other_parts,
    p_value,
    permuted_within,
    shift_offsets,
    shifted_correlations,
    shifted_products,
)

Floats = npt.NDArray[np.float64]
GENERATOR = np.random.default_rng(0)
FIXED, MOVED, GIVEN = (GENERATOR.random((6, 7)) for _ in range(3))


def at_each_shift(function: Callable[[Floats], float], moved: npt.NDArray[np.generic]) -> Floats:
    """The plain way: move the picture, compute."""
    rows, columns = moved.shape
    return np.array([[function(np.roll(moved, (y, x), (0, 1))) for x in range(columns)] for y in range(rows)])


def smooth(seed: int, shape: tuple[int, int] = (24, 32), width: float = 3.0) -> Floats:
    """A random picture without edges, as smooth as contribution maps are."""
    y, x = (np.fft.fftfreq(side) for side in shape)
    low = np.exp(-2 * (np.pi * width) ** 2 * (y[:, None] ** 2 + x**2))
    return np.fft.ifft2(np.fft.fft2(np.random.default_rng(seed).standard_normal(shape)) * low).real


def test_products_and_correlations_are_those_of_plain_loops() -> None:
    expected = at_each_shift(lambda moved: float((FIXED * moved).sum()), MOVED)
    np.testing.assert_allclose(shifted_products(FIXED, MOVED), expected)
    expected = at_each_shift(lambda moved: float(np.corrcoef(FIXED.ravel(), moved.ravel())[0, 1]), MOVED)
    np.testing.assert_allclose(shifted_correlations(FIXED, MOVED), expected, atol=1e-12)


def test_partial_correlations_are_those_of_what_a_regression_leaves() -> None:
    def left_of(values: Floats) -> Floats:
        design = np.stack([np.ones(GIVEN.size), GIVEN.ravel()], 1)
        return np.asarray(values.ravel() - design @ np.linalg.lstsq(design, values.ravel(), rcond=None)[0])

    expected = at_each_shift(lambda moved: float(np.corrcoef(left_of(FIXED), left_of(moved))[0, 1]), MOVED)
    found = correlation_null(FIXED, MOVED, GIVEN)
    np.testing.assert_allclose([found.actual, *found.draws], expected.ravel(), atol=1e-9)
    plain, constant = correlation_null(FIXED, MOVED), correlation_null(FIXED, MOVED, np.full((6, 7), 0.3))
    np.testing.assert_array_equal(plain.draws, constant.draws)
    assert not correlation_null(FIXED, MOVED, FIXED).exists, "nothing is left of the first"


def test_within_the_frame_the_middle_meets_every_part() -> None:
    assert middle((6, 7)) == (slice(1, 4), slice(2, 5))
    expected = np.array(
        [
            [np.corrcoef(FIXED[1:4, 2:5].ravel(), MOVED[y : y + 3, x : x + 3].ravel())[0, 1] for x in range(5)]
            for y in range(4)
        ]
    )
    np.testing.assert_allclose(correlations_within(FIXED, MOVED), expected, atol=1e-6)
    also = correlation_null(FIXED, MOVED).also
    assert also is not None
    assert also.actual == pytest.approx(expected[1, 2])
    np.testing.assert_allclose(np.sort(also.draws), np.sort(np.delete(expected.ravel(), 7)), atol=1e-6)
    assert np.isnan(correlations_within(np.ones((6, 7)), MOVED)).all()


def test_other_parts_are_far_from_the_middle_and_within_the_frame() -> None:
    places = other_parts((16, 32), 24, seed=0)
    assert len({tuple(place) for place in places.tolist()}) == 24
    for top, left in places:
        assert 0 <= top <= 8
        assert 0 <= left <= 16
        assert abs(top - 4) >= 2 or abs(left - 8) >= 4
    assert len(other_parts((1, 1), 24, seed=0)) == 0


def test_the_larger_p_of_two_nulls_counts() -> None:
    draws = np.arange(24.0)
    assert Null(30.0, draws, also=Null(10.0, draws)).p == Null(10.0, draws).p == 15 / 25
    assert Null(30.0, draws, also=Null(30.0, draws[:9])).p == 1 / 10
    assert Null(30.0, draws, also=Null(30.0, draws[:9])).floor == 1 / 10
    assert Null(30.0, draws, also=Null(float("nan"), draws)).p == 1 / 25, "there is no other"


def test_inside_over_outside_is_that_of_plain_loops() -> None:
    inside = MOVED > 0.6
    expected = at_each_shift(lambda moved: float(FIXED[moved > 0].mean() / FIXED[moved == 0].mean()), inside)
    found = inside_over_outside_null(FIXED, inside)
    assert found.actual == pytest.approx(expected[0, 0])
    np.testing.assert_allclose(found.draws, expected.ravel()[1:])
    for all_or_none in (np.ones((6, 7), bool), np.zeros((6, 7), bool)):
        assert np.isnan(inside_over_outside_null(FIXED, all_or_none).p)
    assert np.isnan(inside_over_outside_null(inside.astype(float), inside).actual), "nothing is elsewhere"


def test_a_constant_has_no_correlation_and_no_p() -> None:
    found = correlation_null(FIXED, np.full((6, 7), 0.1))
    assert not found.exists
    assert np.isnan([found.actual, found.p, found.z, found.ratio, found.median, *found.band]).all()


def test_p_worked_by_hand() -> None:
    draws = np.array([0.1, 0.2, 0.3, -0.9])
    assert p_value(0.25, draws) == 2 / 5
    assert p_value(0.25, draws, two_sided=True) == 3 / 5
    assert p_value(0.5, draws) == 1 / 5, "never 0"
    assert p_value(0.3, draws + 1e-12) == 2 / 5, "rounding does not decide"
    assert p_value(0.3, draws - 1e-12) == 2 / 5


def test_a_null_worked_by_hand() -> None:
    found = Null(6.0, np.array([1.0, 2.0, np.nan, 3.0]))
    assert (found.p, found.floor, found.median, found.ratio) == (0.25, 0.25, 2.0, 3.0)
    assert found.z == pytest.approx(4 / np.sqrt(2 / 3))
    assert found.band == pytest.approx((1.1, 2.9))
    assert np.isnan(Null(1.0, np.array([2.0, 2.0])).z)
    assert np.isnan(Null(1.0, np.array([0.0])).ratio)


def test_far_offsets_are_an_eighth_of_a_side_away_along_one_axis() -> None:
    far = far_offsets((16, 32))
    for y in range(16):
        for x in range(32):
            assert far[y, x] == (min(y, 16 - y) >= 2 or min(x, 32 - x) >= 4)
    assert not far_offsets((1, 1)).any()
    assert far_offsets((2, 3)).sum() == 5


def test_offsets_are_far_different_seeded_and_uniform() -> None:
    offsets = shift_offsets((16, 32), 24, seed=3)
    assert far_offsets((16, 32))[tuple(offsets.T)].all()
    assert len({tuple(offset) for offset in offsets.tolist()}) == 24
    assert np.array_equal(offsets, shift_offsets((16, 32), 24, seed=3))
    assert not np.array_equal(offsets, shift_offsets((16, 32), 24, seed=4))
    assert len(shift_offsets((2, 3), 24, seed=0)) == 5, "there are no more"
    drawn = np.zeros((8, 8))
    for seed in range(400):
        drawn[tuple(shift_offsets((8, 8), 6, seed).T)] += 1
    expected = 400 * 6 / far_offsets((8, 8)).sum()
    assert drawn[0, 0] == 0
    assert np.abs(drawn[far_offsets((8, 8))] - expected).max() < 5 * np.sqrt(expected)


def test_permutations_stay_within_their_strata_and_move_everything_else() -> None:
    strata = np.array([2, 0, 0, 1, 2, 0, 2, 2])
    seen = set()
    for seed in range(200):
        order = permuted_within(strata, np.random.default_rng(seed))
        assert sorted(order) == list(range(8))
        assert np.array_equal(strata[order], strata)
        seen.add(tuple(order.tolist()))
    assert len(seen) > 80, "there are 4! 3! = 144"


def test_cells_are_even_rectangles() -> None:
    places = cells((16, 32))
    assert len(np.unique(places)) == 128
    assert (np.bincount(places.ravel()) == 4).all()
    assert places[:2, :2].max() == 0
    assert len(np.unique(cells((3, 5)))) == 15, "a picture of fewer pixels has a cell for each"


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(100):
        low, high = interval(np.random.default_rng(seed).standard_normal(40), lambda x: float(x.mean()), seed)
        covered += low <= 0 <= high
    assert 88 <= covered <= 100
    assert np.isnan(interval(np.zeros(0), lambda x: float(x.mean()), 0)).all()
    assert interval(np.full(5, 2.0), lambda x: float(np.median(x)), 0) == (2.0, 2.0)


@pytest.mark.parametrize("two_pictures", ["correlation", "partial", "ratio"])
def test_on_smooth_pictures_that_have_nothing_to_do_with_each_other_p_is_uniform(two_pictures: str) -> None:
    found = []
    for seed in range(300):
        first, second = smooth(2 * seed), smooth(2 * seed + 1)
        if two_pictures == "correlation":
            found.append(replace(correlation_null(first, second), also=None).p)
        elif two_pictures == "partial":
            found.append(replace(correlation_null(first, second, smooth(seed + 1000)), also=None).p)
        else:
            found.append(inside_over_outside_null(first - first.min(), second > second.mean()).p)
    for level in (0.05, 0.2, 0.5):  # within three standard deviations of a share
        share = np.mean(np.array(found) <= level)
        assert abs(share - level) < 3 * np.sqrt(level * (1 - level) / 300), (level, share)


def test_a_picture_that_is_the_other_one_has_the_smallest_p_there_is() -> None:
    first = smooth(0)
    found = correlation_null(first, -3 * first + 1)
    assert found.p == found.floor == 1 / (13 * 17), "so many places has the middle"
    assert replace(found, also=None).p == 1 / first.size
    assert found.z < -3
