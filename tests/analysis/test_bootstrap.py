import math

import numpy as np
import pytest
from scipy.stats import bootstrap, spearmanr

from xinc_pl.analysis.bootstrap import median, rank_correlation


def test_rank_correlation_and_its_interval_are_those_of_another_library() -> None:
    generator = np.random.default_rng(0)
    one = generator.normal(size=60).round(1)  # with ties
    other = one + generator.normal(size=60)
    found = rank_correlation(one, other, seed=0)
    assert found.value == pytest.approx(spearmanr(one, other).statistic)
    known = bootstrap(
        (one, other),
        lambda a, b, axis=-1: np.array(
            [spearmanr(*pair).statistic for pair in zip(np.atleast_2d(a), np.atleast_2d(b), strict=True)]
        ),
        paired=True,
        n_resamples=2000,
        method="percentile",
        random_state=0,
    ).confidence_interval
    assert (found.low, found.high) == pytest.approx((known.low, known.high), abs=0.03)
    assert found == rank_correlation(one, other, seed=0)
    assert found != rank_correlation(one, other, seed=1)


def test_the_interval_of_a_median_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    intervals = [median(generator.normal(size=80), seed) for seed in range(200)]
    assert 0.88 <= np.mean([each.low <= 0 <= each.high for each in intervals]) <= 0.99


def test_where_there_is_nothing_to_tell() -> None:
    nothing = rank_correlation(np.ones(5), np.arange(5.0), seed=0)
    assert all(map(math.isnan, (nothing.value, nothing.low, nothing.high)))
    nothing = median(np.full(3, np.nan), seed=0)
    assert all(map(math.isnan, (nothing.value, nothing.low, nothing.high)))
    known = median(np.array([np.nan, 2.0]), seed=0)
    assert (known.value, known.low, known.high) == (2, 2, 2)
