"""Spectra of layers beside those of target and residual."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xinc_pl.analysis.map_spectrum import Spectra
from xinc_pl.plots.charts import boxes, epoch_axis, log_axis, log_places
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, moment_title
from xinc_pl.plots.palette import CONTROL_COLOUR, WHOLE_COLOUR, layer_colours

FREQUENCIES = (0.005, 0.71)
"""Cycles per pixel. Fixed, so that moments can be compared; what lies beyond is drawn at the edge."""
SHARES = (1e-4, 1.0)
"""Of the power in a band."""

_WIDTH, _HEIGHT = 12.8, 5.4


def draw_map_spectrum(
    layers: Sequence[Spectra],
    references: Sequence[Spectra],
    courses: Mapping[str, Mapping[int, float]],
    *,
    epoch: int,
    quality: str,
) -> Figure:
    """Draw median spectra, the distribution of centroids over neurons, and their medians over the epochs.

    Args:
        layers: Of each layer's neurons, input side first.
        references: Of single pictures: target and residual, where they are known.
        courses: Median centroids by epoch, of layers and references by name, this moment included.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (540, 1280, 3).
    """
    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=100, facecolor="white")
    title = f"spectra of maps · {moment_title(epoch, quality)}"
    figure.text(0.012, 0.98, title, fontsize=HEADING_SIZE, weight="bold", va="top")
    colours = layer_colours([each.name for each in layers])
    greys = {each.name: colour for each, colour in zip(references, (CONTROL_COLOUR, WHOLE_COLOUR), strict=False)}
    _draw_spectra(figure.add_axes((0.085, 0.13, 0.245, 0.62)), [*layers, *references], colours | greys, set(greys))
    _draw_centroids(figure.add_axes((0.40, 0.13, 0.26, 0.62)), layers, references, colours, greys)
    _draw_courses(figure.add_axes((0.73, 0.13, 0.255, 0.62)), courses, colours | greys, set(greys))
    figure.legend(
        *figure.axes[0].get_legend_handles_labels(),
        loc="upper left",
        bbox_to_anchor=(0, 0.915),
        ncols=6,
        fontsize=FONT_SIZE - 1,
        frameon=False,
        columnspacing=1.2,
    )
    return figure


def _draw_spectra(axes: Axes, all_spectra: Sequence[Spectra], colours: Mapping[str, str], references: set[str]) -> None:
    for each in all_spectra:
        known = each.power[~np.isnan(each.centroid)]
        if not len(known):
            continue
        x = log_places(each.frequencies, FREQUENCIES)
        low, middle, high = (log_places(values, SHARES) for values in np.quantile(known, (0.25, 0.5, 0.75), axis=0))
        style = "--" if each.name in references else "-"
        axes.plot(x, middle, color=colours[each.name], linestyle=style, linewidth=2, label=each.name)
        if len(known) > 1:
            axes.fill_between(x, low, high, color=colours[each.name], alpha=0.15, linewidth=0)
    log_axis(axes, "x", FREQUENCIES)
    log_axis(axes, "y", SHARES)
    axes.set_xlabel("cycles per pixel", fontsize=FONT_SIZE)
    axes.set_ylabel("share of power", fontsize=FONT_SIZE)
    axes.set_title("median over neurons, quartiles", fontsize=FONT_SIZE)


def _draw_centroids(
    axes: Axes,
    layers: Sequence[Spectra],
    references: Sequence[Spectra],
    colours: Mapping[str, str],
    greys: Mapping[str, str],
) -> None:
    groups = [log_places(each.centroid[~np.isnan(each.centroid)], FREQUENCIES) for each in layers]
    boxes(axes, range(len(layers)), groups, [colours[each.name] for each in layers])
    for each in references:
        for value in each.centroid[~np.isnan(each.centroid)]:
            place = float(log_places(np.array(value), FREQUENCIES))
            axes.axhline(place, color=greys[each.name], linestyle="--", linewidth=2)
    axes.set_xlim(-0.6, max(len(layers), 1) - 0.4)
    axes.set_xticks(range(len(layers)), [each.name for each in layers], fontsize=FONT_SIZE - 3)
    log_axis(axes, "y", FREQUENCIES)
    axes.set_ylabel("centroid / cycles per pixel", fontsize=FONT_SIZE)
    axes.set_title("of neurons", fontsize=FONT_SIZE)


def _draw_courses(
    axes: Axes, courses: Mapping[str, Mapping[int, float]], colours: Mapping[str, str], references: set[str]
) -> None:
    for name, curve in courses.items():
        heights = log_places(np.array(list(curve.values())), FREQUENCIES)
        style = "--" if name in references else "-"
        axes.plot(list(curve), heights, color=colours.get(name, "black"), linestyle=style, marker="o", ms=4)
    epochs = [epoch for curve in courses.values() for epoch in curve]
    if epochs:
        epoch_axis(axes, min(epochs), max(epochs), room=1.3)
    log_axis(axes, "y", FREQUENCIES)
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.set_xlabel("epoch", fontsize=FONT_SIZE)
    axes.set_title("median centroid", fontsize=FONT_SIZE)
