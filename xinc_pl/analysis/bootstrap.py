"""How far a number is to be trusted that is about a sample of neurons."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NUM_RESAMPLES = 1000
LEVEL = 0.95
"""Of the resampled values, within an interval."""


@dataclass(frozen=True)
class Estimate:
    """A number about a sample of neurons, and between which values it would lie for others of the kind.

    Attributes:
        value: Of the sample; NaN where there is none.
        low: Of 95 % of the samples that are drawn from it with replacement, the lowest; NaN without a value.
        high: The highest.
    """

    value: float
    low: float
    high: float


def rank_correlation(one: Floats, other: Floats, seed: int) -> Estimate:
    """Spearman's of two numbers of each neuron (n,), the same ones resampled in both. NaN where either is constant."""
    pairs = np.stack([one, other])
    value = float(_spearman(pairs[:, None])[0])
    return _estimate(value, _spearman(pairs[:, _resamples(len(one), seed)]))


def median(values: Floats, seed: int) -> Estimate:
    """The median of those of the values (n,) that are not NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return Estimate(math.nan, math.nan, math.nan)
    return _estimate(float(np.median(known)), np.median(known[_resamples(len(known), seed)], axis=1))


def interval(
    values: Floats, statistic: Callable[[Floats], float], seed: int, level: float = LEVEL, number: int = NUM_RESAMPLES
) -> tuple[float, float]:
    """A bootstrap interval: between which values a statistic of resampled values lies.

    Args:
        values: (n,), one per neuron, clip or seed: whatever another sample would have others of.
        statistic: Such as ``np.median``.
        seed: Of the resampling.
        level: How much of the resampled statistics the interval holds.
        number: How often to resample.

    Returns:
        Lower and upper end; NaN without values.
    """
    if not len(values):
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    found = [statistic(values[generator.integers(0, len(values), len(values))]) for _ in range(number)]
    return _bounds(np.array(found), level)


def _estimate(value: float, resampled: Floats) -> Estimate:
    known = resampled[~np.isnan(resampled)]
    if math.isnan(value) or not len(known):
        return Estimate(value, math.nan, math.nan)
    return Estimate(value, *_bounds(known, LEVEL))


def _bounds(resampled: Floats, level: float) -> tuple[float, float]:
    """Between which values a share ``level`` of them lies."""
    low, high = np.quantile(resampled, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def _resamples(number: int, seed: int) -> npt.NDArray[np.int64]:
    """Indices (resamples, number), drawn with replacement."""
    return np.random.default_rng(seed).integers(0, number, (NUM_RESAMPLES, number))


def _spearman(pairs: npt.NDArray[Any]) -> Floats:
    """Of pairs (2, samples, n), along the last axis: (samples,)."""
    from scipy.stats import rankdata

    ranks = rankdata(pairs, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    products = (ranks[0] * ranks[1]).sum(-1)
    norms = np.sqrt((ranks**2).sum(-1).prod(0))
    result: Floats = np.divide(products, norms, out=np.full(products.shape, np.nan), where=norms > 0)
    return result
