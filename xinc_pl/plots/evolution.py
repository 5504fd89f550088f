"""The numbers of one callback as curves over a run's epochs, beside PSNR."""

import math
import textwrap
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xinc_pl.analysis.evolution import Course, Panel
from xinc_pl.plots.charts import epoch_axis
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, MARGIN
from xinc_pl.plots.palette import CONTROL_COLOUR, WHOLE_COLOUR, layer_colours

_WIDTH = 1280
_MIN_PITCH = 190
"""Width of a chart with its labels. A figure of many is wider than 1280, rather than that they become smaller."""
_HEIGHTS = (165.0, 300.0)
"""Of a chart with its labels, at least and at most."""
_HEADING = 56
_LINE = 26
"""Of the legend, and of the words at the bottom."""
_LEFT, _RIGHT, _ABOVE, _BELOW = 62, 12, 46, 30
"""Pixels around a chart for its labels."""


def draw_evolution(course: Course, layers: Sequence[str]) -> Figure:
    """Draw one small chart per quantity, with one legend.

    Args:
        course: The charts. What belongs to none of ``layers`` has a colour of its own.
        layers: The network's, input side first.

    Returns:
        A figure of (height, 1280 or more, 3), wider than tall.
    """
    places = chart_places([panel.quantity for panel in course.panels])
    num_rows, num_columns = (max(each) + 1 for each in zip(*places, strict=True))
    width = max(_WIDTH, num_columns * _MIN_PITCH)
    pitch = (width / num_columns, min(max(0.72 * width / num_columns, _HEIGHTS[0]), _HEIGHTS[1]))
    keys = _keys(course, layers)
    per_line = max(1, int((width - 2 * MARGIN) // (60 + 11 * max(len(label) for label in keys))))
    notes = textwrap.wrap(f"never changed: {', '.join(course.unchanged)}", width // 10) if course.unchanged else []
    top = _HEADING + _LINE * math.ceil(len(keys) / per_line)
    height = round(top + num_rows * pitch[1] + len(notes) * _LINE + MARGIN)

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
    epochs = [epoch for panel in course.panels for curve in panel.curves for epoch in curve.epochs]
    span = (min(epochs), max(epochs))
    figure.text(
        MARGIN / width,
        1 - 12 / height,
        f"{course.callback} · epochs {span[0]} to {span[1]}",
        fontsize=HEADING_SIZE,
        weight="bold",
        va="top",
    )
    figure.legend(
        handles=list(keys.values()),
        loc="upper left",
        bbox_to_anchor=(0, 1 - (_HEADING - 6) / height),
        ncols=per_line,
        fontsize=FONT_SIZE,
        frameon=False,
        borderpad=0.2,
        labelspacing=0.25,
    )
    for panel, (row, column) in zip(course.panels, places, strict=True):
        left, bottom = column * pitch[0] + _LEFT, top + (row + 1) * pitch[1] - _BELOW
        size = (pitch[0] - _LEFT - _RIGHT, pitch[1] - _ABOVE - _BELOW)
        axes = figure.add_axes((left / width, 1 - bottom / height, size[0] / width, size[1] / height))
        _draw_panel(axes, panel, keys, span)
    for index, line in enumerate(reversed(notes)):
        figure.text(MARGIN / width, (MARGIN + index * _LINE) / height, line, fontsize=FONT_SIZE - 1, color="#555555")
    return figure


def chart_places(quantities: Sequence[str]) -> list[tuple[int, int]]:
    """Row and column of every chart, never more rows than columns.

    Quantities called ``x/y`` share a column of the same ``x`` and a row of the same ``y``, and all others stand in the
    first column; where that would be taller than wide, or no quantity is called so, they follow each other in rows.
    """
    names = [quantity.partition("/") for quantity in quantities]
    columns = list(dict.fromkeys(first for first, slash, _ in names if slash))
    rows = list(dict.fromkeys(second for _, slash, second in names if slash))
    plain = [first for first, slash, _ in names if not slash]
    offset = 1 if plain else 0
    if columns and max(len(rows), len(plain)) <= len(columns) + offset:
        return [
            (rows.index(second), columns.index(first) + offset) if slash else (plain.index(first), 0)
            for first, slash, second in names
        ]
    num_rows = max(1, round(math.sqrt(len(quantities) / 1.8)))
    per_row = math.ceil(len(quantities) / num_rows)
    return [divmod(index, per_row) for index in range(len(quantities))]


_WHOLE, _CONTROL = "frame, all layers", "dashed: for comparison"


def _keys(course: Course, layers: Sequence[str]) -> dict[str, Line2D]:
    """The legend, by label: what of it is drawn."""
    curves = [curve for panel in course.panels for curve in panel.curves]
    drawn = {curve.layer for curve in curves}
    keys = {
        layer: Line2D([], [], color=colour, marker="o", label=layer)
        for layer, colour in layer_colours(layers).items()
        if layer in drawn
    }
    if drawn - set(layers):
        keys[_WHOLE] = Line2D([], [], color=WHOLE_COLOUR, marker="o", label=_WHOLE)
    if any(curve.is_control for curve in curves):
        keys[_CONTROL] = Line2D([], [], color=CONTROL_COLOUR, linestyle="--", label=_CONTROL)
    return keys


def _draw_panel(axes: Axes, panel: Panel, keys: Mapping[str, Line2D], span: tuple[int, int]) -> None:
    for curve in panel.curves:
        axes.plot(
            curve.epochs,
            curve.values,
            color=keys[curve.layer if curve.layer in keys else _WHOLE].get_color(),
            linestyle="--" if curve.is_control else "-",
            linewidth=1.2 if curve.is_control else 2,
            marker=None if curve.is_control else "o",
            markersize=4,
        )
    epoch_axis(axes, *span, room=1.15)
    axes.tick_params(labelsize=FONT_SIZE - 3)
    axes.ticklabel_format(axis="y", scilimits=(-3, 4))
    axes.locator_params(axis="y", nbins=4)
    axes.grid(alpha=0.3)
    axes.set_title(panel.quantity.replace("/", "\n"), fontsize=FONT_SIZE - 1, pad=4, linespacing=1.0)
