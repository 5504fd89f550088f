"""The variance of deltas per layer and partition, beside that of shifted clusters (Fig. 4, 16)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from xinc_pl.analysis.grouping_variance import VarianceDistribution
from xinc_pl.analysis.nulls import Null
from xinc_pl.plots.charts import boxes, log_axis, log_places
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, moment_title
from xinc_pl.plots.palette import NULL_COLOUR, PARTITION_COLOURS
from xinc_pl.plots.words import count_words, number, p_words, part_words

LIMITS = (1e-5, 10.0)
"""Of the variance. Fixed, so that moments can be compared; what lies beyond is drawn at the edge."""

_SAMPLE = "median of the null's neurons"
_WIDTH, _ROW, _HEADING = 12.8, 3.2, 1.2


def draw_variances(results: Sequence[Sequence[VarianceDistribution]], *, epoch: int, quality: str) -> Figure:
    """Draw a row per layer: boxes of the variances of deltas before their null, and the sorted curves.

    Args:
        results: For each layer, input side first, its partitions.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    height = _HEADING + _ROW * len(results)
    figure = Figure(figsize=(_WIDTH, height), dpi=100, facecolor="white")
    title = f"grouping variance · {moment_title(epoch, quality)}"
    figure.text(0.012, 1 - 0.1 / height, title, fontsize=HEADING_SIZE, weight="bold", va="top")
    nulls = [each.null for layer in results for each in layer if each.null is not None and each.null.exists]
    below_the_title = 1 - 0.5 / height
    figure.legend(
        handles=_keys(results, nulls),
        loc="upper left",
        bbox_to_anchor=(0, below_the_title),
        ncols=4,
        fontsize=FONT_SIZE - 1,
        frameon=False,
        columnspacing=1.2,
        handlelength=1.4,
    )
    if nulls:
        figure.text(0.012, 1 - 0.92 / height, count_words(nulls), fontsize=FONT_SIZE - 1, color="#555555", va="top")
    for row, layer in enumerate(results):
        bottom = 1 - (_HEADING + (row + 1) * _ROW - 0.85) / height
        left = figure.add_axes((0.075, bottom, 0.6, (_ROW - 1.2) / height))
        right = figure.add_axes((0.745, bottom, 0.24, (_ROW - 1.2) / height))
        if layer:
            _draw_boxes(left, layer)
            _draw_curves(right, layer, is_last=row + 1 == len(results))
    return figure


def _keys(results: Sequence[Sequence[VarianceDistribution]], nulls: Sequence[Null]) -> list[Patch | Line2D]:
    """The legend."""
    keys: list[Patch | Line2D] = [Patch(color="#555555", label="neurons")]
    if nulls:
        shifts = max(len(each.known) for each in nulls)
        keys.append(Patch(color=NULL_COLOUR, label=f"null: medians for {shifts} shifts, 5 to 95 %"))
        keys.append(Line2D([], [], color="white", marker="D", markeredgecolor="black", linestyle="none", label=_SAMPLE))
    if any(each.shuffled is not None for layer in results for each in layer):
        keys.append(Patch(color=_pale("#555555"), label="shuffled pixels: no null"))
    return keys


def _draw_boxes(axes: Axes, layer: Sequence[VarianceDistribution]) -> None:
    groups, colours, positions = [], [], []
    for place, result in enumerate(layer):
        if result.null is not None and result.null.exists:
            _draw_null(axes, place, result.null)
        beside = 0.0 if result.shuffled is None else 0.2
        colour = PARTITION_COLOURS[result.partition.name]
        groups.append(log_places(result.variances, LIMITS))
        colours.append(to_rgb(colour))
        positions.append(place - beside)
        if result.shuffled is not None:
            groups.append(log_places(result.shuffled, LIMITS))
            colours.append(_pale(colour))
            positions.append(place + beside)
    boxes(axes, positions, groups, colours, half=0.19)
    axes.set_xticks(range(len(layer)), [_words(result) for result in layer], fontsize=FONT_SIZE - 3)
    axes.set_xlim(-0.6, len(layer) - 0.4)
    axes.set_title(_layer_title(layer[0]), fontsize=FONT_SIZE + 1, weight="bold", loc="left")
    axes.set_ylabel("variance of deltas", fontsize=FONT_SIZE)
    log_axis(axes, "y", LIMITS)


def _draw_null(axes: Axes, place: int, null: Null) -> None:
    """The band behind a box, and the median of the neurons that it is about."""
    low, high = (float(log_places(np.array(each), LIMITS)) for each in null.band)
    room = 0.02  # a band that is thin has to be seen
    axes.add_patch(Rectangle((place - 0.46, low - room), 0.92, high - low + 2 * room, color=NULL_COLOUR, zorder=0))
    axes.plot(
        [place + 0.3],
        [float(log_places(np.array(null.actual), LIMITS))],
        marker="D",
        markersize=6,
        color="white",
        markeredgecolor="black",
        zorder=4,
    )


def _words(result: VarianceDistribution) -> str:
    """What stands below a box."""
    name = f"{result.partition.name} ({result.num_clusters})"
    if result.null is None:
        return f"{name}\nno null"
    return f"{name}\nratio {number(result.null.ratio)}\n{p_words(result.null)}" if result.null.exists else name


def _draw_curves(axes: Axes, layer: Sequence[VarianceDistribution], is_last: bool) -> None:
    for result in layer:
        if len(result.variances):
            # A hundred points show as much of a curve as twenty thousand.
            share = np.linspace(0, 1, min(len(result.variances), 100))
            heights = log_places(np.quantile(result.variances, share), LIMITS)
            axes.plot(100 * share, heights, color=PARTITION_COLOURS[result.partition.name], linewidth=1.6)
    axes.set_xlim(0, 100)
    axes.set_title("sorted over neurons", fontsize=FONT_SIZE)
    if is_last:
        axes.set_xlabel("% of neurons", fontsize=FONT_SIZE, labelpad=1)
    log_axis(axes, "y", LIMITS)


def _layer_title(result: VarianceDistribution) -> str:
    dropped = f", {result.num_zero_maps:,} zero maps left out" if result.num_zero_maps else ""
    return f"{result.layer} ({part_words(len(result.variances), result.num_in_layer)} neurons{dropped})"


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = (1 - 0.35 * (1 - part) for part in to_rgb(colour))
    return red, green, blue
