"""The change of contributions beside the motion (Fig. 9)."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xinc_pl.analysis.motion import MotionComparison
from xinc_pl.analysis.nulls import Null
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, MAGNITUDE_COLOURS, MARGIN, TITLE_HEIGHT, Sheet, moment_title
from xinc_pl.plots.words import count_words, number, p_words

CHANGE_LIMIT = 5.0
"""Where the colours of the change end, in multiples of its mean."""
FLOW_LIMIT = 8.0
"""Where the colours of the motion end, in pixels."""

_WIDTH = 1280
_HEADING = 54
_FACTS = 92
_COLUMNS = 3
_BARS = 110


def draw_motion(
    comparisons: Sequence[MotionComparison],
    frame: npt.NDArray[np.float32] | None,
    motion: npt.NDArray[np.float64],
    frames: tuple[int, int],
    frame_title: str = "",
    *,
    epoch: int,
    quality: str,
) -> Figure:
    """Draw the frame, the length of the motion, and each layer's change with its numbers.

    Args:
        comparisons: Of each layer, input side first.
        frame: (H, W, 3) in [0, 1], the later of the two, if known.
        motion: Float64 (H, W), length of the flow against the scene, in pixels.
        frames: Indices of the two.
        frame_title: What is written above the frame.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    width = (_WIDTH - _BARS - MARGIN * (_COLUMNS + 1)) / _COLUMNS
    tall = width * motion.shape[0] / motion.shape[1]
    pitch = tall + TITLE_HEIGHT + _FACTS
    rows = math.ceil((len(comparisons) + 2) / _COLUMNS)
    sheet = Sheet(_WIDTH, round(_HEADING + rows * pitch + TITLE_HEIGHT))
    title = f"change and motion · {moment_title(epoch, quality)}"
    sheet.words(title, MARGIN, 8, size=HEADING_SIZE, bold=True)

    def box(place: int) -> tuple[float, float, float, float]:
        row, column = divmod(place, _COLUMNS)
        return MARGIN + column * (width + MARGIN), _HEADING + TITLE_HEIGHT + row * pitch, width, tall

    if frame is not None:
        sheet.picture(frame, box(0), frame_title or f"frame {frames[1]}")
    moved, changed = Normalize(0, FLOW_LIMIT), Normalize(0, CHANGE_LIMIT)
    sheet.picture(motion, box(1), f"motion, frames {frames[0]} to {frames[1]}", colours=MAGNITUDE_COLOURS, norm=moved)
    for place, each in enumerate(comparisons, start=2):
        left, top, _, _ = box(place)
        sheet.picture(each.change, box(place), f"{each.layer}: change", colours=MAGNITUDE_COLOURS, norm=changed)
        for line, text in enumerate(_facts(each)):
            sheet.words(text, left, top + tall + 4 + 21 * line, size=FONT_SIZE - 1)
    left, height = _WIDTH - _BARS + 16, min(tall, 180)
    top = _HEADING + TITLE_HEIGHT
    sheet.colour_bar((left, top, 14, height), MAGNITUDE_COLOURS, moved, [0, 2, 4, 6, 8], "motion / pixels", "max")
    top += pitch if rows > 1 else 0
    if rows > 1:
        sheet.colour_bar(
            (left, top, 14, height), MAGNITUDE_COLOURS, changed, [0, 1, 2, 3, 4, 5], "change / mean", "max"
        )
    nulls = [null for each in comparisons for null in (each.correlation, each.given_difference, each.moving_over_still)]
    note = f"null: the motion shifted to all other places; {count_words(nulls)}"
    sheet.words(note, MARGIN, sheet.height - 28, size=FONT_SIZE - 1, colour="#555555")
    return sheet.figure


def _facts(found: MotionComparison) -> list[str]:
    """The numbers of a layer, each with its null, and that of another pair."""
    lines = [
        f"rank correlation {_with_null(found.correlation)}",
        f"given the difference {_with_null(found.given_difference)}",
        f"moving / still {_with_null(found.moving_over_still)}",
    ]
    if math.isfinite(found.other_pair):
        ratio = number(found.moving_over_still_other_pair)
        lines.append(f"by another pair {number(found.other_pair)}, {ratio}")
    return lines


def _with_null(null: Null) -> str:
    return f"{number(null.actual)} ({p_words(null)})" if null.exists else "none"
