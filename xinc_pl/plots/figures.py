"""Pictures laid out pixel by pixel, without a window, and what all of them have in common."""

import io
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PatchCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xinc_pl.plots.colour_bar import Extend, draw_colour_bar

FONT_SIZE = 14
HEADING_SIZE = 24
"""Large enough to be read on TensorBoard's cards, which show a sheet at a third of its size."""
TITLE_HEIGHT = 30
"""Pixels above a picture for its title."""
MARGIN = 14
SIGNED_COLOURS = "RdBu_r"
MAGNITUDE_COLOURS = "magma"
ZERO_COLOUR = "#909090"
_FRAME_COLOUR = "#808080"

Box = tuple[float, float, float, float]
"""Left, top, width and height in pixels, from the upper left corner."""


def reduced(values: npt.NDArray[Any], width: int, height: int) -> npt.NDArray[Any]:
    """A picture (H, W, ...) for a box of so many points: means over blocks, where it is far larger than can be seen.

    A figure keeps what it shows, and maps of millions of pixels would take gigabytes. Labels stay as they are.
    """
    factor = min(
        values.shape[0] // (_MOST_PER_POINT * max(height, 1)), values.shape[1] // (_MOST_PER_POINT * max(width, 1))
    )
    if factor < 2 or not np.issubdtype(values.dtype, np.floating) or np.ma.isMaskedArray(values):
        return values
    starts = [np.arange(0, side, factor) for side in values.shape[:2]]
    rows = np.add.reduceat(values, starts[0], axis=0) / _counts(starts[0], values.shape[0], values.ndim, 0)
    means = np.add.reduceat(rows, starts[1], axis=1) / _counts(starts[1], values.shape[1], values.ndim, 1)
    return means.astype(values.dtype)


_MOST_PER_POINT = 2
"""So many pixels are kept for each point along a side."""


def _counts(starts: npt.NDArray[np.int64], length: int, num_axes: int, axis: int) -> npt.NDArray[np.int64]:
    shape = [1] * num_axes
    shape[axis] = len(starts)
    return np.diff(starts, append=length).reshape(shape)


class Sheet:
    """A white sheet of paper on which pictures, words and colour bars are put at given pixels.

    It belongs to nobody: no window, no global state, nothing to close. All pictures share one ``Axes``, and all frames
    one collection, because making one for each would take longer than everything else.

    Args:
        width: In pixels.
        height: In pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._frames: list[Rectangle] = []

    def picture(
        self,
        values: npt.NDArray[Any],
        box: Box,
        title: str = "",
        title_colour: str = "black",
        colours: str | Colormap | None = None,
        norm: Normalize | None = None,
    ) -> None:
        """Put a picture (H, W) or (H, W, 3) into a box, with its title above."""
        left, top, width, height = box
        extent = (left, left + width, top + height, top)
        shown = reduced(values, round(width), round(height))
        self._axes.imshow(shown, cmap=colours, norm=norm, interpolation="antialiased", extent=extent)
        self.frame(box, _FRAME_COLOUR, 0.5)
        if title:
            self.words(title, left + width / 2, top - 4, align="center", baseline="bottom", colour=title_colour)

    def frame(self, box: Box, colour: str, line_width: float = 2.5) -> None:
        """Draw a line around a box."""
        left, top, width, height = box
        self._frames.append(Rectangle((left, top), width, height, fill=False, linewidth=line_width, edgecolor=colour))

    def outline(self, mask: npt.NDArray[np.bool_], box: Box, colour: str = "#202020") -> None:
        """Draw the border of a mask (H, W) that fills a box. Nothing of a mask that has no border."""
        if mask.all() or not mask.any() or min(mask.shape) < 2:
            return
        left, top, width, height = box
        rows, columns = mask.shape
        x, y = left + (np.arange(columns) + 0.5) * width / columns, top + (np.arange(rows) + 0.5) * height / rows
        self._axes.contour(x, y, mask.astype(float), levels=[0.5], colors=[colour], linewidths=0.8)

    def words(
        self,
        text: str,
        x: float,
        y: float,
        align: Literal["left", "center", "right"] = "left",
        baseline: Literal["top", "bottom"] = "top",
        size: int = FONT_SIZE,
        bold: bool = False,
        colour: str = "black",
    ) -> None:
        """Write a line."""
        weight = "bold" if bold else "normal"
        self._axes.text(x, y, text, ha=align, va=baseline, fontsize=size, weight=weight, color=colour)

    def axes(self, box: Box) -> Axes:
        """Axes in a box."""
        left, top, width, height = box
        return self._figure.add_axes(
            (left / self.width, 1 - (top + height) / self.height, width / self.width, height / self.height)
        )

    def colour_bar(
        self,
        box: Box,
        colours: str | Colormap,
        norm: Normalize,
        ticks: Sequence[float],
        label: str = "",
        extend: Extend = "neither",
    ) -> None:
        """Put a colour bar into a box, along its longer side; numbers and label stand on its right or below."""
        table = matplotlib.colormaps.get_cmap(colours)
        draw_colour_bar(self._axes, box, table, norm, ticks, label, extend, FONT_SIZE - 2)

    @property
    def figure(self) -> Figure:
        """The sheet, when all is on it."""
        self._axes.add_collection(PatchCollection(self._frames, match_original=True), autolim=False)
        self._frames = []
        self._axes.set_xlim(0, self.width)
        self._axes.set_ylim(self.height, 0)
        self._axes.set_aspect("auto")
        return self._figure


def pixels_of(figure: Figure) -> npt.NDArray[np.uint8]:
    """A figure as an image (height, width, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def vectors_of(figure: Figure, kind: Literal["pdf", "svg"], note: str = "") -> bytes:
    """A figure as a PDF or SVG file: lines and words stay sharp, and the same figure gives the same bytes.

    Args:
        figure: The figure.
        kind: Which of both.
        note: A line at the lower right.
    """
    buffer = io.BytesIO()
    words = figure.text(0.995, 0.002, note, ha="right", va="bottom", fontsize=FONT_SIZE - 4) if note else None
    try:
        with rc_context({"svg.hashsalt": "xinc", "svg.fonttype": "none", "pdf.fonttype": 42}):
            when = "CreationDate" if kind == "pdf" else "Date"
            figure.savefig(buffer, format=kind, metadata={when: None})
    finally:
        if words is not None:
            words.remove()
    return buffer.getvalue()


def moment_title(epoch: int, quality: str) -> str:
    """When in the training, and which frame was seen how well: ``epoch 30 · collage 7: 28.31 dB``."""
    return f"epoch {epoch}" + (f" · {quality}" if quality else "")


def with_note(pixels: npt.NDArray[np.uint8], note: str) -> npt.NDArray[np.uint8]:
    """A picture (H, W, 3) with a line above it: (H + 30, W, 3)."""
    sheet = Sheet(pixels.shape[1], TITLE_HEIGHT)
    sheet.words(note, MARGIN, 8)
    return np.vstack([pixels_of(sheet.figure), pixels])
