"""Do contributions change where something moves? (Fig. 9)."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.channels import grey
from xinc_pl.frames import Frame

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MotionComparison:
    """The change of a layer's contributions between two frames, beside the motion.

    Attributes:
        layer: The layer's name.
        change: Float64 (H, W), the change in multiples of its mean (zeros if nothing changes).
        correlation: Spearman's rank correlation over pixels of change and flow magnitude; NaN where one is constant.
        moving_over_still: Mean change of moving over that of still pixels; NaN without one of the two, or where still
            pixels do not change at all.
        correlation_control: The correlation with a flow that is not of these frames.
        moving_over_still_control: Likewise.
    """

    layer: str
    change: Floats
    correlation: float
    moving_over_still: float
    correlation_control: float
    moving_over_still_control: float


def flow_between(before: Frame, now: Frame) -> Floats | None:
    """Displacement of each pixel between two frames, in pixels: float64 (2, H, W).

    The data's own flow where ``now`` has one and ``before`` is the frame right before it; else TV-L1 on grey frames;
    None without targets.
    """
    if now.flow is not None and now.index == before.index + 1:
        return np.asarray(now.flow.detach().cpu().double().numpy())
    if before.target is None or now.target is None:
        return None
    from skimage.registration import optical_flow_tvl1

    return np.asarray(optical_flow_tvl1(grey(now.target), grey(before.target)), dtype=np.float64)


def is_moving(flow: Floats, min_motion: float) -> npt.NDArray[np.bool_]:
    """Which pixels of a flow (2, H, W) move against the scene by more than ``min_motion`` pixels.

    The scene is the median displacement, so that the pan of a camera makes nothing move.
    """
    own = flow - np.median(flow, axis=(1, 2), keepdims=True)
    return np.asarray(np.linalg.norm(own, axis=0) > min_motion)


def compare_with_motion(
    layer: str, change: Tensor, flow: Floats, control: Floats, min_motion: float
) -> MotionComparison:
    """Compare a layer's change (H, W) with a flow, and with one that has nothing to do with it.

    Args:
        layer: The layer's name.
        change: As from ``stream_change``.
        flow: Float64 (2, H, W), pixels.
        control: Likewise.
        min_motion: See ``is_moving``.
    """
    values = change.cpu().double().numpy()
    mean = float(values.mean())
    values = values / mean if mean > 0 else np.zeros_like(values)
    lengths, control_lengths = (np.linalg.norm(each, axis=0) for each in (flow, control))
    return MotionComparison(
        layer=layer,
        change=values,
        correlation=rank_correlation(values, lengths),
        moving_over_still=moving_over_still(values, is_moving(flow, min_motion)),
        correlation_control=rank_correlation(values, control_lengths),
        moving_over_still_control=moving_over_still(values, is_moving(control, min_motion)),
    )


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's rank correlation, ties sharing their mean rank; NaN where one of the two is constant."""
    from scipy.stats import rankdata

    a, b = (rankdata(values.ravel()) for values in (first, second))
    a, b = a - a.mean(), b - b.mean()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms > 0 else float("nan")


def moving_over_still(change: Floats, moves: npt.NDArray[np.bool_]) -> float:
    """Mean of ``change`` where something moves over the mean where nothing does; NaN without one of the two."""
    if moves.all() or not moves.any():
        return float("nan")
    still = float(change[~moves].mean())
    return float(change[moves].mean()) / still if still > 0 else float("nan")
