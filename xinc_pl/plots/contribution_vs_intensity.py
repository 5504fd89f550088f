"""Totals of all layers beside the frame's intensity and edges (Fig. 5)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from xinc_pl.analysis.contribution_vs_intensity import FrameFeatures, IntensityComparison
from xinc_pl.analysis.nulls import Null
from xinc_pl.plots.figures import (
    FONT_SIZE,
    HEADING_SIZE,
    MAGNITUDE_COLOURS,
    MARGIN,
    SIGNED_COLOURS,
    TITLE_HEIGHT,
    Sheet,
    moment_title,
)
from xinc_pl.plots.words import count_words, p_words

EDGE_LIMIT = 0.5
"""Where the colours of edges end: the Sobel gradient of an intensity in [0, 1] hardly ever passes it."""

_WIDTH = 1280
_HEADING = 54
_BARS = 90
_FACTS = 160
"""Height of the words below the pictures."""


def draw_contribution_vs_intensity(
    comparisons: Sequence[IntensityComparison],
    features: FrameFeatures,
    frame: npt.NDArray[np.float32],
    frame_title: str = "frame",
    *,
    epoch: int,
    quality: str,
) -> Figure:
    """Draw frame, intensity and edges in the first column, then a column per layer: total, and total - intensity.

    Args:
        comparisons: Of each layer, input side first.
        features: Of the frame.
        frame: (H, W, 3) in [0, 1].
        frame_title: What is written above it.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    columns = len(comparisons) + 1
    aspect = frame.shape[0] / frame.shape[1]
    width = min((_WIDTH - _BARS - MARGIN * (columns + 1)) / columns, 420)
    tall = width * aspect
    pitch = tall + TITLE_HEIGHT
    sheet = Sheet(_WIDTH, round(_HEADING + 2 * pitch + max(pitch, _FACTS) + TITLE_HEIGHT))
    sheet.words(f"contribution and intensity · {moment_title(epoch, quality)}", MARGIN, 8, size=HEADING_SIZE, bold=True)
    unit, signed = Normalize(0, 1), Normalize(-1, 1)

    def box(column: int, row: int) -> tuple[float, float, float, float]:
        return MARGIN + column * (width + MARGIN), _HEADING + TITLE_HEIGHT + row * pitch, width, tall

    sheet.picture(frame, box(0, 0), frame_title)
    sheet.picture(features.intensity, box(0, 1), "intensity", colours=MAGNITUDE_COLOURS, norm=unit)
    sheet.picture(features.edges, box(0, 2), "edges", colours=MAGNITUDE_COLOURS, norm=Normalize(0, EDGE_LIMIT))
    for column, each in enumerate(comparisons, start=1):
        sheet.picture(each.total, box(column, 0), f"{each.layer}: total", colours=MAGNITUDE_COLOURS, norm=unit)
        sheet.picture(each.difference, box(column, 1), "total - intensity", colours=SIGNED_COLOURS, norm=signed)
        left, top, _, _ = box(column, 2)
        lines = ["correlation with", *_facts("intensity", each.with_intensity), *_facts("edges", each.with_edges)]
        for line, text in enumerate(lines):
            sheet.words(text, left, top - TITLE_HEIGHT + 12 + 25 * line)
    bar = _WIDTH - _BARS + 12
    nulls = [null for each in comparisons for null in (each.with_intensity, each.with_edges)]
    note = f"null: the frame shifted to all other places; {count_words(nulls)}"
    sheet.words(note, MARGIN, sheet.height - 28, size=FONT_SIZE - 1, colour="#555555")
    sheet.colour_bar((bar, box(0, 0)[1], 14, tall), MAGNITUDE_COLOURS, unit, [0, 0.5, 1])
    sheet.colour_bar((bar, box(0, 1)[1], 14, tall), SIGNED_COLOURS, signed, [-1, 0, 1])
    return sheet.figure


def _facts(name: str, null: Null) -> list[str]:
    """A correlation, and how it stands to its null, in two lines."""
    if not null.exists:
        return [f"{name}: none", ""]
    return [f"{name}: {null.actual:+.2f}", f"    z {null.z:+.1f}, {p_words(null)}"]
