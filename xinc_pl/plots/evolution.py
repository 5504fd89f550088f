"""Every number of a run as a curve over its epochs, beside PSNR."""

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xinc_pl.analysis.evolution import Panel
from xinc_pl.plots.charts import epoch_axis
from xinc_pl.plots.palette import CONTROL_COLOUR, WHOLE_COLOUR, layer_colours

_COLUMNS = 5
_PANEL = (3.4, 2.65)
"""Inches, at 100 pixels each."""
_HEADING = 0.6
_SECTION = 0.55


def draw_evolution(panels: Sequence[Panel], layers: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Draw one small chart per quantity, callback by callback, with one legend.

    Args:
        panels: The charts. What belongs to none of ``layers`` has a colour of its own.
        layers: The network's, input side first.

    Returns:
        An image (height, 1700, 3).
    """
    sections = [(name, list(each)) for name, each in groupby(panels, key=lambda panel: panel.callback)]
    num_rows = sum(math.ceil(len(each) / _COLUMNS) for _, each in sections)
    height = _HEADING + len(sections) * _SECTION + num_rows * _PANEL[1]
    figure = Figure(figsize=(_COLUMNS * _PANEL[0], height), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    colours = layer_colours(layers)
    whole = {curve.layer: WHOLE_COLOUR for panel in panels for curve in panel.curves if curve.layer not in colours}
    epochs = [epoch for panel in panels for curve in panel.curves for epoch in curve.epochs]
    _draw_legend(figure, colours | ({"the frame, all layers": WHOLE_COLOUR} if whole else {}), height)
    top = _HEADING
    for name, each in sections:
        figure.text(0.1 / figure.get_figwidth(), 1 - (top + 0.35) / height, name, fontsize=17, weight="bold")
        top += _SECTION
        for index, panel in enumerate(each):
            column, row = index % _COLUMNS, index // _COLUMNS
            left, upper = column * _PANEL[0] + 0.62, top + row * _PANEL[1]
            box = (
                left / figure.get_figwidth(),
                1 - (upper + 2.05) / height,
                2.65 / figure.get_figwidth(),
                1.7 / height,
            )
            _draw_panel(figure.add_axes(box), panel, colours | whole, (min(epochs), max(epochs)))
        top += math.ceil(len(each) / _COLUMNS) * _PANEL[1]
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _draw_legend(figure: Figure, colours: dict[str, str], height: float) -> None:
    handles = [Line2D([], [], color=colour, marker="o", label=layer) for layer, colour in colours.items()]
    handles.append(Line2D([], [], color=CONTROL_COLOUR, linestyle="--", label="dashed: control"))
    figure.legend(
        handles=handles, loc="upper left", ncols=len(handles), fontsize=14, frameon=False, bbox_to_anchor=(0, 1)
    )


def _draw_panel(axes: Axes, panel: Panel, colours: dict[str, str], span: tuple[int, int]) -> None:
    for curve in panel.curves:
        axes.plot(
            curve.epochs,
            curve.values,
            color=colours[curve.layer],
            linestyle="--" if curve.is_control else "-",
            linewidth=1 if curve.is_control else 1.6,
            marker=None if curve.is_control else "o",
            markersize=3,
        )
    epoch_axis(axes, *span, room=1.15)
    axes.set_xlabel("epoch", fontsize=11, labelpad=1)
    if len({value for curve in panel.curves for value in curve.values}) == 1:
        constant = panel.curves[0].values[0]
        axes.set_ylim(constant - 1, constant + 1)
    axes.tick_params(labelsize=11)
    axes.ticklabel_format(axis="y", scilimits=(-3, 5))
    axes.grid(alpha=0.3)
    axes.set_title(panel.quantity, fontsize=13)
