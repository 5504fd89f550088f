"""Contributions beside what taking neurons away does."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xinc_pl.analysis.faithfulness import Agreement
from xinc_pl.analysis.removal import RANDOM, RemovalCurve
from xinc_pl.plots.charts import epoch_axis
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, moment_title
from xinc_pl.plots.palette import CONTROL_COLOUR, CONVENTION_COLOURS

_COLOURS = {**CONVENTION_COLOURS, "magnitude": "#000000", RANDOM: CONTROL_COLOUR}
# In networks of convolutions `released` is `paper`: a broad pale line below a thin one shows both.
_WIDTHS = {"released": 5.0}
_LABELS = {"magnitude": "magnitude of the weights"}
_LIMITS = (5.0, 40.0)
"""dB"""
_WIDTH = 16.0
_ROW = 3.35
_HEADING = 1.15
"""Inches, at 100 pixels each."""
_COLUMNS = (0.04, 0.285, 0.54, 0.79)
_PANEL_WIDTH = 0.2


def draw_faithfulness(
    agreements: Mapping[int, Sequence[Agreement]],
    curves: Mapping[str, Sequence[RemovalCurve]],
    epoch: int,
    quality: str,
) -> Figure:
    """Draw a row for each layer, and one for all at once: correlations over the epochs, and removal curves.

    Args:
        agreements: By epoch, of all layers and conventions.
        curves: By layer, input side first, of all orders; those of all layers at once come last.
        epoch: Completed epochs.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1600, 3).
    """
    height = _HEADING + _ROW * len(curves)
    figure = Figure(figsize=(_WIDTH, height), dpi=100, facecolor="white")
    title = f"faithfulness · {moment_title(epoch, quality)}"
    figure.text(0.01, 1 - 0.1 / height, title, fontsize=HEADING_SIZE, weight="bold", va="top")
    orders = [curve.order for curve in next(iter(curves.values()))]
    control = Line2D([], [], color="black", linewidth=1.2, linestyle="--", label="control: another neuron's change")
    figure.legend(
        handles=[*map(_line, orders), control],
        loc="upper left",
        ncols=len(orders) + 1,
        fontsize=FONT_SIZE + 1,
        frameon=False,
        bbox_to_anchor=(0.0, 1 - 0.5 / height),
    )
    # One scale for a whole run, if it is not an exceptionally good one.
    limits = _LIMITS if max(curve.intact for each in curves.values() for curve in each) < _LIMITS[1] else (5.0, 70.0)
    for row, (layer, of_layer) in enumerate(curves.items()):
        bottom = 1 - (_HEADING + (row + 1) * _ROW - 0.6) / height
        axes = [figure.add_axes((left, bottom, _PANEL_WIDTH, (_ROW - 1.22) / height)) for left in _COLUMNS]
        _draw_removal(axes[2], of_layer, lambda curve: curve.first, "most contributing first", limits)
        _draw_removal(axes[3], of_layer, lambda curve: curve.last, "least contributing first (pruning)", limits)
        found = {at: [each for each in some if each.layer == layer] for at, some in agreements.items()}
        if any(found.values()):
            _draw_ranks(axes[0], found)
            _draw_places(axes[1], found)
            axes[0].set_title("which neurons: rank correlation", fontsize=FONT_SIZE, loc="left")
            axes[1].set_title("where: pixel correlation", fontsize=FONT_SIZE, loc="left")
            title = layer
        else:
            axes[0].set_axis_off()
            axes[1].set_axis_off()
            title = "all layers at once: one order of all their neurons"
        top = 1 - (_HEADING + row * _ROW) / height
        figure.text(0.01, top, title, fontsize=FONT_SIZE + 4, weight="bold", va="top")
    return figure


def _line(order: str) -> Line2D:
    style: Literal["--", "-"] = "--" if order == RANDOM else "-"
    return Line2D([], [], color=_COLOURS[order], linewidth=_WIDTHS.get(order, 2.0), alpha=_alpha(order),
                  linestyle=style, label=_LABELS.get(order, order))  # fmt: skip


def _alpha(order: str) -> float:
    return 0.5 if order in _WIDTHS else 1.0


def _order(order: str) -> float:
    return 2.0 if order in _WIDTHS else 2.1


def _draw_ranks(axes: Axes, found: Mapping[int, Sequence[Agreement]]) -> None:
    count = max(each.num_neurons for some in found.values() for each in some)
    # Of unrelated orders 95 % lie within.
    chance = 1.96 / math.sqrt(max(count - 1, 1))
    axes.axhspan(-chance, chance, color="#E4E4E4", linewidth=0)
    axes.text(0.98, 0, "chance", transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=FONT_SIZE - 3)
    _draw_over_epochs(axes, found, lambda each: each.rank_correlation, "-")


def _draw_places(axes: Axes, found: Mapping[int, Sequence[Agreement]]) -> None:
    _draw_over_epochs(axes, found, lambda each: each.spatial_control, "--")
    _draw_over_epochs(axes, found, lambda each: each.spatial_correlation, "-")


def _draw_over_epochs(
    axes: Axes, found: Mapping[int, Sequence[Agreement]], value: Callable[[Agreement], float], style: str
) -> None:
    epochs = sorted(found)
    for convention, colour in CONVENTION_COLOURS.items():
        points = [(at, value(each)) for at in epochs for each in found[at] if each.convention == convention]
        if points:
            width = _WIDTHS.get(convention, 2.0) if style == "-" else 1.2
            marker = "o" if style == "-" else "_"
            axes.plot(*zip(*points, strict=True), style, color=colour, linewidth=width, marker=marker,
                      markersize=max(6, 2 * width), alpha=_alpha(convention), zorder=_order(convention))  # fmt: skip
    epoch_axis(axes, 0, max(epochs[-1], 1), room=1.3)
    axes.set_ylim(-0.7, 1.05)
    axes.set_yticks([-0.5, 0, 0.5, 1])
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.set_xlabel("epoch", fontsize=FONT_SIZE - 1, labelpad=1)
    axes.grid(alpha=0.3)


def _draw_removal(
    axes: Axes,
    curves: Sequence[RemovalCurve],
    left: Callable[[RemovalCurve], Sequence[float]],
    title: str,
    limits: tuple[float, float],
) -> None:
    for curve in curves:
        places = range(len(curve.shares) + 1)
        line = _line(curve.order)
        axes.plot(places, [curve.intact, *left(curve)], color=line.get_color(), linewidth=line.get_linewidth(),
                  linestyle=line.get_linestyle(), alpha=_alpha(curve.order), zorder=_order(curve.order), marker="o",
                  markersize=4)  # fmt: skip
    shares = ["0", *(f"{100 * share:g}" for share in curves[0].shares)]
    axes.set_xticks(range(len(shares)), shares, fontsize=FONT_SIZE - 2)
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.set_ylim(limits)
    axes.set_xlabel("% of neurons taken away", fontsize=FONT_SIZE - 1, labelpad=1)
    axes.set_ylabel("PSNR (dB)", fontsize=FONT_SIZE, labelpad=0)
    axes.set_title(title, fontsize=FONT_SIZE, loc="left")
    axes.grid(alpha=0.3)
