"""The change of contributions beside the motion (Fig. 9)."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xinc_pl.analysis.motion import MotionComparison
from xinc_pl.plots.figures import HEADING_SIZE, MAGNITUDE_COLOURS, MARGIN, TITLE_HEIGHT, Sheet, moment_title

CHANGE_LIMIT = 5.0
"""Where the colours of the change end, in multiples of its mean."""
FLOW_LIMIT = 8.0
"""Where the colours of the motion end, in pixels."""

_WIDTH = 1280
_HEADING = 54
_FACTS = 48
_COLUMNS = 3
_BARS = 110


def draw_motion(
    comparisons: Sequence[MotionComparison],
    frame: npt.NDArray[np.float32] | None,
    flow: npt.NDArray[np.float64],
    frames: tuple[int, int],
    frame_title: str = "",
    *,
    epoch: int,
    psnr: float | None,
) -> Figure:
    """Draw the frame, the flow's magnitude, and each layer's change with its numbers.

    Args:
        comparisons: Of each layer, input side first.
        frame: (H, W, 3) in [0, 1], the later of the two, if known.
        flow: Float64 (H, W), pixels.
        frames: Indices of the two.
        frame_title: What is written above the frame.
        epoch: For the title.
        psnr: For the title, in dB.

    Returns:
        A figure of (height, 1280, 3).
    """
    width = (_WIDTH - _BARS - MARGIN * (_COLUMNS + 1)) / _COLUMNS
    tall = width * flow.shape[0] / flow.shape[1]
    pitch = tall + TITLE_HEIGHT + _FACTS
    rows = math.ceil((len(comparisons) + 2) / _COLUMNS)
    sheet = Sheet(_WIDTH, round(_HEADING + rows * pitch))
    title = f"change and motion, frames {frames[0]} to {frames[1]} · {moment_title(epoch, psnr)}"
    sheet.words(title, MARGIN, 8, size=HEADING_SIZE, bold=True)

    def box(place: int) -> tuple[float, float, float, float]:
        row, column = divmod(place, _COLUMNS)
        return MARGIN + column * (width + MARGIN), _HEADING + TITLE_HEIGHT + row * pitch, width, tall

    if frame is not None:
        sheet.picture(frame, box(0), frame_title or f"frame {frames[1]}")
    moved, changed = Normalize(0, FLOW_LIMIT), Normalize(0, CHANGE_LIMIT)
    sheet.picture(flow, box(1), "motion", colours=MAGNITUDE_COLOURS, norm=moved)
    for place, each in enumerate(comparisons, start=2):
        left, top, _, _ = box(place)
        sheet.picture(each.change, box(place), f"{each.layer}: change", colours=MAGNITUDE_COLOURS, norm=changed)
        facts = (
            ("rank correlation", each.correlation, each.correlation_control),
            ("moving / still", each.moving_over_still, each.moving_over_still_control),
        )
        for line, (name, value, control) in enumerate(facts):
            text = f"{name}: {_number(value)} (control {_number(control)})"
            sheet.words(text, left, top + tall + 4 + 21 * line)
    left, height = _WIDTH - _BARS + 16, min(tall, 180)
    top = _HEADING + TITLE_HEIGHT
    sheet.colour_bar((left, top, 14, height), MAGNITUDE_COLOURS, moved, [0, 2, 4, 6, 8], "motion / pixels", "max")
    top += pitch if rows > 1 else 0
    if rows > 1:
        sheet.colour_bar(
            (left, top, 14, height), MAGNITUDE_COLOURS, changed, [0, 1, 2, 3, 4, 5], "change / mean", "max"
        )
    return sheet.figure


def _number(value: float) -> str:
    return "none" if np.isnan(value) else f"{value:.2f}"
