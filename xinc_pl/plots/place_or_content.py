"""Neurons between place and content, now and over the epochs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xinc_pl.analysis.place_or_content import PlaceOrContent, quartiles
from xinc_pl.plots.charts import epoch_axis
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, MARGIN, TITLE_HEIGHT, Sheet, moment_title
from xinc_pl.plots.palette import CONTROL_COLOUR
from xinc_pl.plots.words import count_words, number, p_words

PLACE_COLOUR, CONTENT_COLOUR = "#0072B2", "#D55E00"

_WIDTH = 1280
_HEADING = 54
_LEFT, _GAP = 74, 22
_SCATTER, _CURVES = 250, 210
"""Heights of the charts."""

Curve = Mapping[int, float]


@dataclass(frozen=True)
class Course:
    """The medians of one layer by epoch.

    Attributes:
        place: At the same place.
        content: Along the content.
        other: Along the motion of another pair, or of wrong places.
    """

    place: Curve
    content: Curve
    other: Curve


def draw_place_or_content(
    results: Sequence[PlaceOrContent],
    courses: Sequence[Course],
    pictures: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]],
    compared: npt.NDArray[np.bool_],
    frames: tuple[int, int],
    *,
    epoch: int,
    quality: str,
) -> Figure:
    """Draw the two frames, each layer's neurons between place and content, and the medians over the epochs.

    Args:
        results: Of each layer, input side first.
        courses: Of each layer, this moment included.
        pictures: The two frames (H, W, 3) in [0, 1].
        compared: bool (H, W), the pixels of the later one that are compared.
        frames: Indices of the two.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    width = 340.0
    tall = width * compared.shape[0] / compared.shape[1]
    top = _HEADING + TITLE_HEIGHT + tall + TITLE_HEIGHT + 16
    below = top + _SCATTER + 2 * TITLE_HEIGHT + 34
    sheet = Sheet(_WIDTH, round(below + _CURVES + 44 + TITLE_HEIGHT))
    sheet.words(f"place or content · {moment_title(epoch, quality)}", MARGIN, 8, size=HEADING_SIZE, bold=True)
    marked = np.where(compared[..., None], pictures[1], 0.15 * pictures[1] + 0.85)
    titles = f"frame {frames[0]}", f"frame {frames[1]}", "what is compared"
    for column, (picture, title) in enumerate(zip((*pictures, marked), titles, strict=True)):
        across = MARGIN + column * (width + MARGIN)
        sheet.picture(picture, (across, _HEADING + TITLE_HEIGHT, width, tall), title)
    for line, words in enumerate(("dots: neurons", "above the line: nearer", "to content", "+: median")):
        sheet.words(words, MARGIN + 3 * (width + MARGIN), _HEADING + TITLE_HEIGHT + 24 * line, size=FONT_SIZE - 1)
    pitch = (_WIDTH - _LEFT + _GAP - MARGIN) / max(len(results), 3)
    for column, (result, course) in enumerate(zip(results, courses, strict=True)):
        left, wide = _LEFT + column * pitch, pitch - _GAP - 30
        _draw_neurons(sheet.axes((left, top, wide, _SCATTER)), result, is_first=not column)
        _draw_course(sheet.axes((left, below, wide, _CURVES)), course, is_first=not column)
    note = f"null: the same motion shifted to wrong places; {count_words([each.null for each in results])}"
    sheet.words(note, MARGIN, sheet.height - 26, size=FONT_SIZE - 1, colour="#555555")
    return sheet.figure


def _draw_neurons(axes: Axes, result: PlaceOrContent, is_first: bool) -> None:
    axes.plot([-1, 1], [-1, 1], color="#999999", linewidth=1)
    axes.scatter(result.place, result.content, s=9, color=CONTENT_COLOUR, alpha=0.5, linewidths=0)
    middle = [quartiles(values)[1] for values in (result.place, result.content)]
    axes.plot(*([each] for each in middle), marker="P", markersize=11, color="black", markeredgecolor="white")
    axes.set_xlim(-1, 1)
    axes.set_ylim(-1, 1)
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1], ["-1", "0", "1"] if is_first else [""] * 3)
    axes.tick_params(labelsize=FONT_SIZE - 3)
    axes.grid(alpha=0.3)
    axes.set_xlabel("same place", fontsize=FONT_SIZE - 1, labelpad=1)
    if is_first:
        axes.set_ylabel("along content", fontsize=FONT_SIZE - 1, labelpad=1)
    share = result.nearer_to_content
    nearer = "no neurons" if np.isnan(share) else f"{100 * share:.0f} % nearer to content"
    axes.set_title(f"{result.layer}\n{nearer}, {p_words(result.null)}", fontsize=FONT_SIZE - 2)


def _draw_course(axes: Axes, course: Course, is_first: bool) -> None:
    for curve, colour, style, label in (
        (course.other, CONTROL_COLOUR, "--", "null"),
        (course.place, PLACE_COLOUR, "-", "same place"),
        (course.content, CONTENT_COLOUR, "-", "along content"),
    ):
        axes.plot(list(curve), list(curve.values()), color=colour, linestyle=style, marker="o", ms=4, label=label)
    epochs = [*course.place, *course.content]
    if epochs:
        epoch_axis(axes, min(epochs), max(epochs), room=1.3)
    axes.set_ylim(-0.3, 1)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"] if is_first else [""] * 3)
    axes.tick_params(labelsize=FONT_SIZE - 3)
    axes.grid(alpha=0.3)
    axes.set_xlabel("epoch", fontsize=FONT_SIZE - 1, labelpad=1)
    if is_first:
        axes.set_ylabel("median correlation", fontsize=FONT_SIZE - 1, labelpad=1)
        axes.legend(fontsize=FONT_SIZE - 4, loc="best", framealpha=0.7)
    last = [number(list(curve.values())[-1]) if curve else "none" for curve in (course.place, course.content)]
    axes.set_title(f"place {last[0]}, content {last[1]}", fontsize=FONT_SIZE - 2)
