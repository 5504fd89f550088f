"""What a number has to beat: the same number where the picture is in the wrong place (docs/method.md, section 4b).

Contribution maps are smooth, so that any contiguous pixels differ from shuffled ones, in an untrained network too. The
nulls here keep areas and shapes, and change the place: cyclic shifts, shifts within the frame, and permutations that
keep something fixed.

A cyclic shift keeps all areas, but cuts what it moves over the border in two, and maps differ at the border by
themselves, for convolutions pad. Shifts within the frame know no border: the middle of the maps is compared with other
parts of the frame of the same size. What is to count has to beat both.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]

MIN_SHIFT = 1 / 8
"""A far shift moves a picture by at least this share of its side, along one axis or the other."""
_ROUNDING = 1e-9
"""What two equal numbers may differ by, relative to the largest."""


@dataclass(frozen=True, eq=False)
class Null:
    """A number beside what it is under a null hypothesis.

    Attributes:
        actual: The number; NaN where there is none.
        draws: Float64 (n,), the same number in the wrong places. Those that do not exist are left out.
        two_sided: Whether a large negative number counts as much as a large positive one.
        also: Another null, of a number like this one, that has to be beaten as well: p and its floor are the larger of
            the two.
    """

    actual: float
    draws: Floats
    two_sided: bool = False
    also: "Null | None" = None

    @cached_property
    def known(self) -> Floats:
        """The draws that exist."""
        return self.draws[np.isfinite(self.draws)]

    @property
    def exists(self) -> bool:
        """Whether there is a number, and something to compare it with."""
        return bool(np.isfinite(self.actual)) and len(self.known) > 0

    @property
    def median(self) -> float:
        """Of the draws; NaN without any."""
        return float(np.median(self.known)) if len(self.known) else float("nan")

    @property
    def band(self) -> tuple[float, float]:
        """Between which values nine tenths of the draws lie."""
        if not len(self.known):
            return float("nan"), float("nan")
        low, high = np.quantile(self.known, (0.05, 0.95))
        return float(low), float(high)

    @property
    def ratio(self) -> float:
        """The number over the median of the draws; NaN where that is 0."""
        return self.actual / self.median if self.exists and self.median else float("nan")

    @property
    def z(self) -> float:
        """How many standard deviations of the draws the number lies above their mean; NaN where they do not vary."""
        spread = float(self.known.std()) if len(self.known) else 0.0
        largest = float(np.abs(self.known).max(initial=0.0))
        return (self.actual - float(self.known.mean())) / spread if spread > _ROUNDING * largest else float("nan")

    @property
    def p(self) -> float:
        """(1 + number of draws that reach the number) / (1 + number of draws); NaN where it does not exist."""
        if not self.exists:
            return float("nan")
        own = p_value(self.actual, self.known, self.two_sided)
        return max(own, self.also.p) if self.also is not None and self.also.exists else own

    @property
    def floor(self) -> float:
        """The smallest p that so many draws allow."""
        own = 1 / (1 + len(self.known))
        return max(own, self.also.floor) if self.also is not None and self.also.exists else own


def p_value(actual: float, draws: Floats, two_sided: bool = False) -> float:
    """The share of draws that reach a number, itself among them, so that p is never 0.

    Args:
        actual: The number.
        draws: Float64 (n,), all finite. One that differs from the number by rounding reaches it.
        two_sided: Compare absolute values.
    """
    if two_sided:
        actual, draws = abs(actual), np.abs(draws)
    rounding = _ROUNDING * max(abs(actual), float(np.abs(draws).max(initial=0.0)))
    return (1 + int((draws >= actual - rounding).sum())) / (1 + len(draws))


def far_offsets(size: tuple[int, int]) -> Truths:
    """Which cyclic shifts (rows down, columns right) of a picture are far: bool (H, W)."""
    steps = [np.arange(side) for side in size]
    rows, columns = (
        np.minimum(step, side - step) >= max(side * MIN_SHIFT, 1) for step, side in zip(steps, size, strict=True)
    )
    return np.asarray(rows[:, None] | columns)


def shift_offsets(size: tuple[int, int], number: int, seed: int) -> Integers:
    """Seeded far shifts, all different: int64 (n, 2), rows down and columns right.

    Args:
        size: Height and width.
        number: How many; fewer where a picture is so small that it has no more.
        seed: Decides which.
    """
    offsets = np.argwhere(far_offsets(size))
    chosen = np.random.default_rng(seed).permutation(len(offsets))[:number]
    return np.asarray(offsets[np.sort(chosen)], dtype=np.int64)


def middle(size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the middle of a picture, half as high and half as wide."""
    starts = [(side - max(side // 2, 1)) // 2 for side in size]
    rows, columns = (slice(start, start + max(side // 2, 1)) for start, side in zip(starts, size, strict=True))
    return rows, columns


def other_parts(size: tuple[int, int], number: int, seed: int) -> Integers:
    """Where other parts of a picture start, as large as its middle and far from it: int64 (n, 2), all different.

    Args:
        size: Height and width.
        number: How many; fewer where a picture is so small that it has no more.
        seed: Decides which.
    """
    rows, columns = middle(size)
    starts = [np.arange(side - (part.stop - part.start) + 1) for side, part in zip(size, (rows, columns), strict=True)]
    is_far = [
        np.abs(start - part.start) >= max(side * MIN_SHIFT, 1)
        for start, side, part in zip(starts, size, (rows, columns), strict=True)
    ]
    places = np.argwhere(is_far[0][:, None] | is_far[1])
    chosen = np.random.default_rng(seed).permutation(len(places))[:number]
    return np.asarray(places[np.sort(chosen)], dtype=np.int64)


def correlations_within(fixed: Floats, moved: Floats) -> Floats:
    """Pearson's correlation of the middle of a picture with every part, as large, of another one.

    Args:
        fixed: (H, W), of which the middle counts.
        moved: (H, W).

    Returns:
        Float64, the correlation with the part that starts at each row and column; NaN where one of the two is constant.
    """
    from skimage.feature import match_template

    template = fixed[middle((fixed.shape[0], fixed.shape[1]))]
    if _is_constant(template) or _is_constant(moved):
        return np.full([side - part + 1 for side, part in zip(fixed.shape, template.shape, strict=True)], np.nan)
    return np.asarray(match_template(moved, template), dtype=np.float64)


def shifted_products(fixed: Floats, moved: Floats) -> Floats:
    """Sums over pixels of one picture times another that is shifted, for every cyclic shift at once, by one FFT.

    Args:
        fixed: (H, W).
        moved: (H, W).

    Returns:
        Float64 (H, W): at [dy, dx] the sum over p of fixed(p) moved(p - (dy, dx)).
    """
    spectrum = np.fft.rfft2(fixed) * np.conj(np.fft.rfft2(moved))
    return np.asarray(np.fft.irfft2(spectrum, s=fixed.shape), dtype=np.float64)


def shifted_correlations(fixed: Floats, moved: Floats) -> Floats:
    """Pearson's correlation over pixels with a picture at every cyclic shift.

    Args:
        fixed: (H, W).
        moved: (H, W), the picture that is shifted.

    Returns:
        Float64 (H, W), as ``shifted_products``: at [0, 0] the one without shift. NaN where one of the two is constant.
    """
    centred = [values - values.mean() for values in (fixed, moved)]
    if any(_is_constant(values) for values in (fixed, moved)):
        return np.full(fixed.shape, np.nan)
    return shifted_products(*centred) / float(np.prod([np.linalg.norm(values) for values in centred]))


def correlation_null(fixed: Floats, moved: Floats, given: Floats | None = None, within: bool = True) -> Null:
    """A correlation beside those with a picture at all other places; both signs count.

    All cyclic shifts, near ones too: then each place of a picture that repeats cyclically is as likely as any other,
    and p is uniform under the null, however smooth the pictures are. And, as another null, all places within the frame.

    Args:
        fixed: (H, W).
        moved: (H, W), the picture that is shifted.
        given: (H, W), what is partialled out. It stays where it is. One that is constant explains nothing.
        within: Whether places within the frame have to be beaten too.
    """
    around, inner_parts = shifted_correlations(fixed, moved), correlations_within(fixed, moved)
    if given is not None and not _is_constant(given):
        around = _partial(around, float(shifted_correlations(fixed, given)[0, 0]), shifted_correlations(given, moved))
        size = fixed.shape[0], fixed.shape[1]
        inner = (values[middle(size)] for values in (fixed, given))
        inner_parts = _partial(
            inner_parts, float(shifted_correlations(*inner)[0, 0]), correlations_within(given, moved)
        )
    here = tuple(part.start for part in middle((fixed.shape[0], fixed.shape[1])))
    place = here[0] * inner_parts.shape[1] + here[1]
    inside = Null(float(inner_parts[here]), np.delete(inner_parts.ravel(), place), two_sided=True)
    return Null(float(around[0, 0]), around.ravel()[1:], two_sided=True, also=inside if within else None)


def _partial(plain: Floats, fixed_given: float, given_moved: Floats) -> Floats:
    """Partial correlations from plain ones; NaN where nothing is left of one of the two."""
    rest = (1 - fixed_given**2) * (1 - given_moved**2)
    left = (plain - fixed_given * given_moved) / np.sqrt(np.maximum(rest, _ROUNDING))
    return np.where(rest > _ROUNDING, left, np.nan)


def inside_over_outside_null(values: Floats, inside: Truths) -> Null:
    """Mean of a picture where something is, over its mean elsewhere, beside the same with that something shifted.

    Args:
        values: (H, W), not negative.
        inside: (H, W). Without pixels, or with all, the ratio does not exist; nor where the mean elsewhere is 0.

    Returns:
        The null over all shifts.
    """
    number = int(inside.sum())
    if number in (0, inside.size):
        return Null(float("nan"), np.full(inside.size - 1, np.nan))
    total = float(values.sum())
    sums = shifted_products(values, inside.astype(np.float64))
    outside = total - sums
    exists = outside > _ROUNDING * max(total, 0.0)
    means = sums / number, np.where(exists, outside, 1.0) / (inside.size - number)
    ratios = np.where(exists, means[0] / means[1], np.nan)
    return Null(float(ratios[0, 0]), ratios.ravel()[1:])


def permuted_within(strata: Integers, generator: np.random.Generator) -> Integers:
    """A permutation of pixels that leaves each in its stratum: int64 (P,).

    Args:
        strata: (P,), a number per pixel.
        generator: Where the permutation comes from.
    """
    here = np.argsort(strata, kind="stable")
    there = np.lexsort((generator.random(len(strata)), strata))
    order = np.empty(len(strata), dtype=np.int64)
    order[here] = there
    return order


def cells(size: tuple[int, int], rows: int = 8, columns: int = 16) -> Integers:
    """Places of a picture: int64 (H, W), the number of the cell of a grid that a pixel lies in."""
    row, column = (np.arange(side) * count // side for side, count in zip(size, (rows, columns), strict=True))
    return np.asarray(row[:, None] * columns + column, dtype=np.int64)


def _is_constant(values: Floats) -> bool:
    """Whether nothing but rounding tells its values apart."""
    return float(np.ptp(values)) <= 1e-12 * float(np.abs(values).max(initial=0.0))
