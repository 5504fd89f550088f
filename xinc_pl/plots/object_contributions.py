"""Contributions of sampled neurons to things and stuff (Fig. 8, 19)."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xinc_pl.analysis.canvas_sample import neuron_label
from xinc_pl.analysis.object_contributions import Concentration, ObjectContributions, ObjectName
from xinc_pl.plots.charts import log_axis, log_places
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, moment_title
from xinc_pl.plots.palette import CATEGORY_COLOURS, MARKERS
from xinc_pl.plots.words import number

LIMITS = (0.1, 10.0)
"""Of a share, in multiples of an even one. The same at every moment; what lies beyond is drawn at the edge."""

_ROW, _HEADING, _LEGEND_ROW = 2.6, 1.05, 0.28
"""Inches: of a layer, of the title and a note, of each row of the legend between them."""
_MAX_COLUMNS, _LINE, _SPACE = 7, 132, 4
"""Of the legend: columns, and characters in a line, some for marker and space."""


def draw_object_contributions(
    results: Sequence[ObjectContributions],
    shapes: Sequence[tuple[int, ...]],
    frames: Sequence[int],
    concentrations: Sequence[Concentration | None] = (),
    num_small: int = 0,
    *,
    epoch: int,
    quality: str,
) -> Figure:
    """Draw a row per layer: for each neuron its objects, and for a video their way through the frames.

    Args:
        results: Of each layer, input side first, with the neurons to draw.
        shapes: ``neuron_shape`` of each layer.
        frames: Indices of the frames.
        concentrations: Of each layer, for its title.
        num_small: How many objects are left out for their size.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    styles = _styles(results[0].objects)
    num_columns = max(1, min(_MAX_COLUMNS, _LINE // (max(len(label) for label, *_ in styles) + _SPACE)))
    heading = _HEADING + _LEGEND_ROW * math.ceil(len(styles) / num_columns)
    height = heading + _ROW * len(results)
    figure = Figure(figsize=(12.8, height), dpi=100, facecolor="white")
    title = f"contributions to objects · {moment_title(epoch, quality)}"
    figure.text(0.012, 1 - 0.1 / height, title, fontsize=HEADING_SIZE, weight="bold", va="top")
    handles = [
        Line2D([], [], color=colour, marker=marker, markerfacecolor=fill, linestyle="none", markersize=8, label=label)
        for label, colour, marker, fill in styles
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        ncols=min(len(handles), num_columns),
        fontsize=FONT_SIZE - 1,
        frameon=False,
        bbox_to_anchor=(0, 1 - 0.5 / height),
        columnspacing=1,
        handletextpad=0.2,
    )
    of_layers = concentrations or [None] * len(results)
    figure.text(
        0.012, 1 - (heading - 0.26) / height, _note(concentrations, num_small), fontsize=FONT_SIZE - 1, color="#555555"
    )
    for row, (result, shape, found) in enumerate(zip(results, shapes, of_layers, strict=True)):
        bottom = 1 - (heading + (row + 1) * _ROW - 0.5) / height
        axes = figure.add_axes((0.075, bottom, 0.915, (_ROW - 0.85) / height))
        _draw_layer(axes, result, shape, styles)
        steps = f"; steps: frames {', '.join(map(str, frames))}" if len(frames) > 1 else ""
        title = f"{result.layer}, sampled neurons{steps}{_words(found)}"
        axes.set_title(title, fontsize=FONT_SIZE, loc="left", weight="bold")
    return figure


def _note(concentrations: Sequence[Concentration | None], num_small: int) -> str:
    """What cannot be seen in the picture."""
    parts = ["▲ ▼: beyond the axis"]
    if num_small:
        parts.append(
            "one object left out for its size" if num_small == 1 else f"{num_small} objects left out for their size"
        )
    known = [each for each in concentrations if each is not None]
    if known:
        few = sum(each.null.p <= 0.05 for each in known)
        floor = number(max(each.floor for each in known))
        parts.append(f"{len(known)} tests of categories, {few} with p ≤ 0.05; smallest p there can be: {floor}")
    return "; ".join(parts)


def _words(found: Concentration | None) -> str:
    return "" if found is None else f"; concentration {number(found.null.actual)}, p {number(found.null.p)}"


def _draw_clipped(axes: Axes, x: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> None:
    """Mark at the edge what lies beyond it."""
    for beyond, edge, marker in ((shares > LIMITS[1], LIMITS[1], "^"), (shares < LIMITS[0], LIMITS[0], "v")):
        if beyond.any():
            places = np.full(int(beyond.sum()), np.log10(edge))
            axes.plot(x[beyond], places, color="black", marker=marker, markersize=7, linestyle="none", clip_on=False)


def _styles(objects: Sequence[ObjectName]) -> list[tuple[str, str, str, str]]:
    """Label, colour, marker and fill of each object: a colour per category, a marker per object, stuff hollow."""
    categories = list(dict.fromkeys(each.category for each in objects))
    styles, seen = [], dict.fromkeys(categories, 0)
    for each in objects:
        colour = CATEGORY_COLOURS[categories.index(each.category) % len(CATEGORY_COLOURS)]
        marker = MARKERS[seen[each.category] % len(MARKERS)]
        seen[each.category] += 1
        styles.append((f"{each.category} {each.id}", colour, marker, colour if each.is_thing else "white"))
    return styles


def _draw_layer(
    axes: Axes, result: ObjectContributions, shape: tuple[int, ...], styles: Sequence[tuple[str, str, str, str]]
) -> None:
    num_frames = result.shares.shape[2]
    offsets = np.linspace(-0.38, 0.38, num_frames) if num_frames > 1 else np.zeros(1)
    # One line per object with a gap after each neuron: thousands of lines would take seconds.
    x = np.concatenate([np.append(place + offsets, np.nan) for place in range(len(result.neurons))])
    for index, (_, colour, marker, fill) in enumerate(styles):
        shares = np.pad(result.shares[:, index], ((0, 0), (0, 1)), constant_values=np.nan).ravel()
        axes.plot(
            x,
            log_places(shares, LIMITS),
            color=colour,
            marker=marker,
            markerfacecolor=fill,
            markersize=5,
            linewidth=1.2,
            linestyle="-" if fill == colour else ":",
        )
        _draw_clipped(axes, x, shares)
    axes.axhline(0, color="#888888", linewidth=0.8)
    for place in range(len(result.neurons) - 1):
        axes.axvline(place + 0.5, color="#dddddd", linewidth=0.8)
    labels = [neuron_label(int(neuron), shape) for neuron in result.neurons]
    axes.set_xticks(range(len(labels)), labels, fontsize=FONT_SIZE - 3)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.set_ylabel("mean A / even", fontsize=FONT_SIZE - 1)
    log_axis(axes, "y", LIMITS)
