"""The variance of deltas per layer and partition, beside that of shuffled pixels (Fig. 4, 16)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from xinc_pl.analysis.grouping_variance import VarianceDistribution
from xinc_pl.plots.charts import boxes, log_axis, log_places
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, moment_title
from xinc_pl.plots.palette import PARTITION_COLOURS

LIMITS = (1e-3, 10.0)
"""Of the standard deviation. Fixed, so that moments can be compared; what lies beyond is drawn at the edge."""

_WIDTH, _ROW, _HEADING = 12.8, 2.9, 0.95


def draw_variances(results: Sequence[Sequence[VarianceDistribution]], *, epoch: int, psnr: float | None) -> Figure:
    """Draw a row per layer: boxes of the standard deviations of deltas, and the sorted curves.

    Args:
        results: For each layer, input side first, its partitions.
        epoch: For the title.
        psnr: For the title, in dB.

    Returns:
        A figure of (height, 1280, 3).
    """
    height = _HEADING + _ROW * len(results)
    figure = Figure(figsize=(_WIDTH, height), dpi=100, facecolor="white")
    title = f"grouping variance · {moment_title(epoch, psnr)}"
    figure.text(0.012, 1 - 0.1 / height, title, fontsize=HEADING_SIZE, weight="bold", va="top")
    handles = [
        Patch(color="#555555", label="partition"),
        Patch(color=_pale("#555555"), label="the same areas at shuffled pixels, which are no null"),
    ]
    below_the_title = (1, 1 - 0.42 / height)
    figure.legend(
        handles=handles, loc="upper right", bbox_to_anchor=below_the_title, ncols=2, fontsize=FONT_SIZE, frameon=False
    )
    for row, layer in enumerate(results):
        bottom = 1 - (_HEADING + (row + 1) * _ROW - 0.5) / height
        left = figure.add_axes((0.075, bottom, 0.53, (_ROW - 0.75) / height))
        right = figure.add_axes((0.68, bottom, 0.305, (_ROW - 0.75) / height))
        if layer:
            _draw_boxes(left, layer)
            _draw_curves(right, layer, is_last=row + 1 == len(results))
    return figure


def _draw_boxes(axes: Axes, layer: Sequence[VarianceDistribution]) -> None:
    groups, colours = [], []
    for result in layer:
        colour = PARTITION_COLOURS[result.partition.name]
        groups += [log_places(np.sqrt(each), LIMITS) for each in (result.variances, result.control)]
        colours += [to_rgb(colour), _pale(colour)]
    boxes(axes, [2.6 * (place // 2) + place % 2 for place in range(len(groups))], groups, colours)
    names = [f"{result.partition.name}\n{result.num_clusters} clusters" for result in layer]
    axes.set_xticks([2.6 * place + 0.5 for place in range(len(layer))], names, fontsize=FONT_SIZE - 3)
    axes.set_xlim(-0.9, 2.6 * len(layer) - 0.7)
    axes.set_title(_layer_title(layer[0]), fontsize=FONT_SIZE + 1, weight="bold", loc="left")
    axes.set_ylabel("std of deltas", fontsize=FONT_SIZE)
    log_axis(axes, "y", LIMITS)


def _draw_curves(axes: Axes, layer: Sequence[VarianceDistribution], is_last: bool) -> None:
    for result in layer:
        colour = PARTITION_COLOURS[result.partition.name]
        for variances, shade in ((result.variances, to_rgb(colour)), (result.control, _pale(colour))):
            if len(variances):
                # A hundred points show as much of a curve as twenty thousand.
                share = np.linspace(0, 1, min(len(variances), 100))
                heights = log_places(np.sqrt(np.quantile(variances, share)), LIMITS)
                axes.plot(100 * share, heights, color=shade, linewidth=1.6)
    axes.set_xlim(0, 100)
    axes.set_title("sorted over neurons", fontsize=FONT_SIZE)
    if is_last:
        axes.set_xlabel("% of neurons", fontsize=FONT_SIZE, labelpad=1)
    log_axis(axes, "y", LIMITS)


def _layer_title(result: VarianceDistribution) -> str:
    dropped = f", {result.num_zero_maps:,} zero maps left out" if result.num_zero_maps else ""
    return f"{result.layer} ({len(result.variances):,} neurons{dropped})"


def _pale(colour: str) -> tuple[float, float, float]:
    red, green, blue = (1 - 0.35 * (1 - part) for part in to_rgb(colour))
    return red, green, blue
