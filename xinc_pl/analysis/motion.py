"""Do contributions change where something moves? (Fig. 9)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.channels import grey
from xinc_pl.analysis.nulls import (
    Null,
    correlation_null,
    inside_over_outside_null,
    shifted_correlations,
)
from xinc_pl.frames import Frame

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MotionComparison:
    """The change of a layer's contributions between two frames, beside the motion in these frames.

    Motion is what is left of the flow when the scene's median displacement is taken off. Every number stands beside
    the same one with the motion at all other places of the frame.

    Attributes:
        layer: The layer's name.
        change: Float64 (H, W), the change in multiples of its mean (zeros if nothing changes).
        correlation: Spearman's rank correlation over pixels of change and length of the motion; it does not exist where
            one of them is constant.
        given_difference: The same, when the rank of the difference between the two frames is partialled out: what moves
            differs, and so does what flickers. It does not exist where the frames are not known.
        moving_over_still: Mean change of moving over that of still pixels; it does not exist without one of the two, or
            where still pixels do not change at all.
        other_pair: The correlation with the motion of another pair of frames; NaN without one.
        moving_over_still_other_pair: Likewise.
    """

    layer: str
    change: Floats
    correlation: Null
    given_difference: Null
    moving_over_still: Null
    other_pair: float
    moving_over_still_other_pair: float


def flow_between(before: Frame, now: Frame) -> Floats | None:
    """Displacement (x, y) of what each pixel shows, from one frame to a later one, in pixels: float64 (2, H, W).

    The data's own flow where ``now`` has one and ``before`` is the frame right before it; else TV-L1 on grey frames;
    None without targets.
    """
    if now.flow is not None and now.index == before.index + 1:
        return np.asarray(now.flow.detach().cpu().double().numpy())
    if before.target is None or now.target is None:
        return None
    from skimage.registration import optical_flow_tvl1

    # It says where each pixel came from, rows first.
    back = optical_flow_tvl1(grey(now.target), grey(before.target))
    return -np.asarray(back, dtype=np.float64)[::-1]


def difference_between(before: Frame, now: Frame) -> Floats | None:
    """How much two frames differ: float64 (H, W), the mean over channels of the absolute difference.

    None where one of them has no target.
    """
    if before.target is None or now.target is None:
        return None
    return np.asarray((now.target.double() - before.target.double()).abs().mean(0).cpu().numpy())


def residual_motion(flow: Floats) -> Floats:
    """Lengths (H, W) of a flow (2, H, W) against the scene, in pixels.

    The scene is the median displacement, so that the pan of a camera makes nothing move.
    """
    own = flow - np.median(flow, axis=(1, 2), keepdims=True)
    return np.asarray(np.linalg.norm(own, axis=0))


def compare_with_motion(
    layer: str,
    change: Tensor,
    flow: Floats,
    difference: Floats | None,
    other_flow: Floats | None,
    min_motion: float,
) -> MotionComparison:
    """Compare a layer's change (H, W) with the motion between the two frames.

    Args:
        layer: The layer's name.
        change: As from ``stream_change``.
        flow: Float64 (2, H, W), pixels.
        difference: Float64 (H, W), of the two frames, if known.
        other_flow: Of another pair of frames, if there is one.
        min_motion: From how many pixels against the scene on something moves.
    """
    values = change.cpu().double().numpy()
    mean = float(values.mean())
    values = values / mean if mean > 0 else np.zeros_like(values)
    motion = residual_motion(flow)
    changed, moved = ranks(values), ranks(motion)
    unknown = Null(float("nan"), np.empty(0))
    other = None if other_flow is None else residual_motion(other_flow)
    return MotionComparison(
        layer=layer,
        change=values,
        correlation=correlation_null(changed, moved),
        given_difference=unknown if difference is None else correlation_null(changed, moved, ranks(difference)),
        moving_over_still=inside_over_outside_null(values, motion > min_motion),
        other_pair=float("nan") if other is None else float(shifted_correlations(changed, ranks(other))[0, 0]),
        moving_over_still_other_pair=float("nan")
        if other is None
        else inside_over_outside_null(values, other > min_motion).actual,
    )


def ranks(values: Floats) -> Floats:
    """Ranks of a picture's pixels, ties sharing their mean rank: what Spearman's correlation correlates."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values.ravel()), dtype=np.float64).reshape(values.shape)
