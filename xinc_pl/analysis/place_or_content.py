"""Does a neuron stay where it is, or go along with what it paints? (docs/method.md, section 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from xinc_pl.analysis.nulls import Integers, Null

Floats = npt.NDArray[np.float64]

MIN_MOTION = 8.0
"""Pixels. What moves less is nearly in the same place."""
MAX_TURN = 0.5
"""How much the motion of one thing changes from a frame to the next, in its own length, beside one pixel."""
MAX_DIFFERENCE = 0.1
"""Mean over channels: a pixel whose colour differs by more from where it came from was hidden there."""
_MOST_ROUNDING = 1e-10
"""Of the largest values' product, for each pixel: what two constants have in common is no pattern."""


@dataclass(frozen=True, eq=False)
class ContentPath:
    """Where the content of a frame was some frames before.

    Attributes:
        displacement: Float64 (2, H, W), (x, y) in pixels from there to here, given at the later frame's pixels.
        compared: bool (H, W), the later frame's pixels that have moved against the scene and are visible in both.
    """

    displacement: Floats
    compared: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class PlaceOrContent:
    """How like a layer's maps of two frames are, at the same place and along the content.

    Attributes:
        layer: The layer's name.
        place: Float64 (n,), of each sampled neuron the correlation, over the compared pixels, of its map on the later
            frame with its map on the earlier one; NaN where one of them is constant there.
        content: Float64 (n,), the same with the earlier map taken where the content was.
        null: The median of ``content``, and the same along the motion shifted to wrong places.
        other_pair: The median along the motion of another pair of frames; NaN without one.
    """

    layer: str
    place: Floats
    content: Floats
    null: Null
    other_pair: float

    @property
    def nearer_to_content(self) -> float:
        """Share of neurons whose map goes along with the content rather than staying; NaN without any."""
        known = np.isfinite(self.place) & np.isfinite(self.content)
        return float((self.content[known] > self.place[known]).mean()) if known.any() else float("nan")


def quartiles(values: Floats) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of the values that exist; NaN without any."""
    known = values[np.isfinite(values)]
    if not len(known):
        return float("nan"), float("nan"), float("nan")
    low, middle, high = np.quantile(known, (0.25, 0.5, 0.75))
    return float(low), float(middle), float(high)


def composed(flows: Sequence[Floats]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Follow the content of a frame back through several flows.

    Args:
        flows: Of consecutive frames, (2, H, W) each, (x, y) in pixels from the frame before, the last frame's last.

    Returns:
        The displacement float64 (2, H, W) over all of them, at the last frame's pixels; and bool (H, W), whether the
        way back has stayed within the frame, and has not turned suddenly: there it leads into what hid the content.
    """
    height, width = flows[0].shape[1:]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    y, x = rows.copy(), columns.copy()
    is_known = np.ones((height, width), dtype=bool)
    last = flows[-1]
    for flow in reversed(flows):
        # The nearest pixel's flow: between two objects that of either, and nothing in between.
        at = np.rint(y).astype(np.int64), np.rint(x).astype(np.int64)
        step = flow[:, at[0], at[1]]
        is_known &= np.linalg.norm(step - last, axis=0) <= 1 + MAX_TURN * np.linalg.norm(last, axis=0)
        x, y, last = x - step[0], y - step[1], step
        is_known &= (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
        x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    return np.stack([columns - x, rows - y]), is_known


def content_path(flows: Sequence[Floats], before: Tensor, now: Tensor, min_motion: float = MIN_MOTION) -> ContentPath:
    """Find where a frame's content was, and which of it can be compared.

    Args:
        flows: As for ``composed``, from the frame after ``before`` to ``now``.
        before: The earlier frame (C, H, W).
        now: The later frame.
        min_motion: From how many pixels on, both from its place and against the scene's median, something has moved.
    """
    displacement, is_known = composed(flows)
    against_scene = displacement - np.median(displacement, axis=(1, 2), keepdims=True)
    moves = np.minimum(*(np.linalg.norm(each, axis=0) for each in (displacement, against_scene))) >= min_motion
    earlier, later = (each.cpu().float().flatten(1).T.contiguous() for each in (before, now))
    differs = (_along(earlier, displacement, np.ones_like(is_known)) - later).abs().mean(1).view(is_known.shape).numpy()
    return ContentPath(displacement, is_known & moves & (differs <= MAX_DIFFERENCE))


def place_or_content(
    layer: str, before: Tensor, now: Tensor, path: ContentPath, other: ContentPath | None, offsets: Integers
) -> PlaceOrContent:
    """Compare a layer's maps of two frames.

    Args:
        layer: The layer's name.
        before: Magnitudes (n, H, W) of some neurons on the earlier frame.
        now: Magnitudes of the same neurons on the later one.
        path: Of these two frames.
        other: Of two other frames, whose motion has nothing to do with these.
        offsets: int64 (m, 2), cyclic shifts of the motion for the null.
    """
    earlier, later = _rows(before), _rows(now)
    least = _MOST_ROUNDING * later.abs().amax(0) * earlier.abs().amax(0)

    def along(displacement: Floats, compared: npt.NDArray[np.bool_]) -> Floats:
        return _correlations(later, earlier, displacement, compared, least)

    content = along(path.displacement, path.compared)
    moved = (
        (np.roll(path.displacement, tuple(offset), (1, 2)), np.roll(path.compared, tuple(offset), (0, 1)))
        for offset in offsets
    )
    draws = [quartiles(along(*each))[1] for each in moved]
    along_other = None if other is None else along(other.displacement, other.compared)
    return PlaceOrContent(
        layer=layer,
        place=along(np.zeros_like(path.displacement), path.compared),
        content=content,
        null=Null(quartiles(content)[1], np.array(draws)),
        other_pair=float("nan") if along_other is None else quartiles(along_other)[1],
    )


def _rows(maps: Tensor) -> Tensor:
    """Maps (n, H, W) pixel by pixel: float32 (H * W, n), about each map's mean, so that little is lost to rounding."""
    flat = maps.cpu().flatten(1)
    return (flat - flat.mean(1, keepdim=True)).T.float().contiguous()


def _correlations(
    now: Tensor, before: Tensor, displacement: Floats, compared: npt.NDArray[np.bool_], least: Tensor
) -> Floats:
    """Pearson's over the compared pixels, for each neuron; NaN where there are fewer than three, or one is constant.

    Args:
        now: Rows of the later maps.
        before: Rows of the earlier ones.
        displacement: (2, H, W).
        compared: (H, W).
        least: (n,), what rounding may leave of a constant, for each pixel: that is no pattern.
    """
    inside = compared & _stays_inside(displacement)
    number = int(inside.sum())
    if number < 3:
        return np.full(now.shape[1], np.nan)
    pairs = now[torch.from_numpy(inside.ravel())], _along(before, displacement, inside)
    first, second = (values - values.mean(0) for values in pairs)
    norms = first.norm(dim=0) * second.norm(dim=0)
    found = torch.where(norms > least * number, (first * second).sum(0) / norms, torch.nan)
    return np.asarray(found.double().numpy())


def _stays_inside(displacement: Floats) -> npt.NDArray[np.bool_]:
    """Whether what is displaced so comes from within the frame."""
    height, width = displacement.shape[1:]
    rows, columns = np.mgrid[:height, :width]
    x, y = columns - displacement[0], rows - displacement[1]
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))


def _along(values: Tensor, displacement: Floats, wanted: npt.NDArray[np.bool_]) -> Tensor:
    """Rows (H * W, n) where the content of the wanted pixels was, bilinear: (wanted, n)."""
    height, width = wanted.shape
    rows, columns = np.nonzero(wanted)
    x = (columns - displacement[0][wanted]).clip(0, width - 1)
    y = (rows - displacement[1][wanted]).clip(0, height - 1)
    left, above = np.minimum(x.astype(np.int64), max(width - 2, 0)), np.minimum(y.astype(np.int64), max(height - 2, 0))
    right, below = np.minimum(left + 1, width - 1), np.minimum(above + 1, height - 1)
    to_right, down = x - left, y - above
    corners = np.stack([each * width + other for each in (above, below) for other in (left, right)], 1)
    weights = np.stack([each * other for each in (1 - down, down) for other in (1 - to_right, to_right)], 1)
    with torch.no_grad():
        return embedding_bag(
            torch.from_numpy(corners), values, per_sample_weights=torch.from_numpy(weights).float(), mode="sum"
        )
