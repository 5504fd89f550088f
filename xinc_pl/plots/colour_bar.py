"""Colour bars that are quick to draw: matplotlib's have ``Axes`` of their own, which cost as much as ten pictures."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Polygon

Extend = Literal["neither", "max", "both"]
"""Which ends are pointed, because there are values beyond them."""

_TIP = 0.05
"""Length of a pointed end, over that of the bar between the ends."""
_TICK = 5
_GAP = 4
"""Pixels: of a tick, and between ticks, numbers and label."""
_POINT = 100 / 72
"""Pixels."""
_DIGIT = 0.64
"""Width of a digit, over the size of the font."""


def draw_colour_bar(
    axes: Axes,
    box: tuple[float, float, float, float],
    colours: Colormap,
    norm: Normalize,
    ticks: Sequence[float],
    label: str,
    extend: Extend,
    font_size: int,
) -> None:
    """Draw a colour bar along the longer side of a box, with ticks, numbers and label on its right or below it.

    Args:
        axes: On which a unit is a pixel, y down.
        box: Left, top, width and height of the bar alone.
        colours: From the lowest to the highest value.
        norm: From values to [0, 1], which the bar's length stands for.
        ticks: Values.
        label: What is shown.
        extend: Which ends are pointed.
        font_size: Of numbers and label, in points.
    """
    left, top, width, height = box
    is_upright = height > width
    length, breadth = max(width, height), min(width, height)
    low, high = {"neither": (0.0, 0.0), "max": (0.0, _TIP), "both": (_TIP, _TIP)}[extend]
    scale = length / (low + 1 + high)
    start, stop = low * scale, (low + 1) * scale

    def placed(points: Sequence[tuple[float, float]]) -> npt.NDArray[np.float64]:
        """Points along the bar from its low end on, and across it from the side without ticks, on the sheet."""
        along, across = np.array(points, np.float64).reshape(-1, 2).T
        return np.stack((left + across, top + height - along) if is_upright else (left + along, top + across), 1)

    strip = colours(np.linspace(0, 1, colours.N))
    (x0, y0), (x1, y1) = placed([(start, 0), (stop, breadth)])
    axes.imshow(
        strip[::-1, None] if is_upright else strip[None],
        extent=(x0, x1, max(y0, y1), min(y0, y1)),
        interpolation="nearest",
    )
    first, last = ([(end, 0), (tip, breadth / 2), (end, breadth)] for end, tip in ((start, 0), (stop, length)))
    axes.add_patch(Polygon(placed(first), facecolor=colours.get_under(), linewidth=0))
    axes.add_patch(Polygon(placed(last), facecolor=colours.get_over(), linewidth=0))
    axes.add_patch(Polygon(placed([*first, *reversed(last)]), fill=False, linewidth=0.8))

    places = [start + float(norm(tick)) * (stop - start) for tick in ticks]
    marks = [placed([(place, breadth), (place, breadth + _TICK)]) for place in places]
    axes.add_collection(LineCollection(marks, colors="black", linewidths=0.8), autolim=False)
    numbers = [f"{tick:g}" for tick in ticks]
    align, baseline = ("left", "center_baseline") if is_upright else ("center", "top")
    for number, (x, y) in zip(numbers, placed([(place, breadth + _TICK + _GAP) for place in places]), strict=True):
        axes.text(x, y, number, ha=align, va=baseline, fontsize=font_size)
    if not label:
        return
    size = font_size * _POINT
    taken = max(map(len, numbers), default=0) * _DIGIT * size if is_upright else size
    ((x, y),) = placed([(length / 2, breadth + _TICK + 2 * _GAP + taken)])
    if is_upright:
        axes.text(x, y, label, ha="left", va="center", rotation="vertical", fontsize=font_size + 1)
    else:
        axes.text(x, y, label, ha="center", va="top", fontsize=font_size + 1)
