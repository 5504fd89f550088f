"""Contributions beside what taking neurons away does."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from xinc_pl.analysis.bootstrap import Estimate
from xinc_pl.analysis.faithfulness import Agreement
from xinc_pl.analysis.removal import RemovalCurve
from xinc_pl.analysis.removal_orders import (
    EFFECT_L1,
    GRAM,
    GRAM_MEAN,
    MAGNITUDE,
    MAGNITUDE_OVER_MEAN,
    ORDERS,
    RANDOM,
    RMS_TIMES_NORM,
)
from xinc_pl.plots.charts import epoch_axis
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, moment_title
from xinc_pl.plots.palette import CONTROL_COLOUR, CONVENTION_COLOURS


class _Look(NamedTuple):
    """How an order is drawn."""

    label: str
    colour: str
    style: Literal["-", "--", ":"] = "-"
    width: float = 2.0
    alpha: float = 1.0


# In networks of convolutions `released` is `paper`: a broad pale line below a thin one shows both.
_BROAD, _PALE = 5.0, 0.5
_LOOKS = {
    GRAM: _Look("gram: together, to first order", "#882255", width=3.0),
    GRAM_MEAN: _Look("gram, means stay in the bias", "#CC79A7", width=3.0),
    "effect": _Look("effect, squares", CONVENTION_COLOURS["effect"]),
    EFFECT_L1: _Look("effect, absolute", CONVENTION_COLOURS["effect"], ":"),
    "paper": _Look("paper", CONVENTION_COLOURS["paper"]),
    "released": _Look("released", CONVENTION_COLOURS["released"], width=_BROAD, alpha=_PALE),
    RMS_TIMES_NORM: _Look("rms input x weights / layer's mean", "#E69F00"),
    MAGNITUDE_OVER_MEAN: _Look("weights / layer's mean", "#000000"),
    MAGNITUDE: _Look("weights", "#000000", "--"),
    RANDOM: _Look("random (mean, range of 5)", CONTROL_COLOUR, "--"),
}
_WIDTH = 16.0
_ROW = 3.7
_HEADING = 1.95
"""Inches, at 100 pixels each."""
_COLUMNS = (0.045, 0.32, 0.6)
_WIDTHS = (0.22, 0.22, 0.385)
_NAMES = 0.135
"""Room for the names of orders before their bars."""
_LOSSES = (0, 0.1, 0.3, 1, 3, 10, 30)
"""DB."""


def draw_faithfulness(
    agreements: Mapping[int, Sequence[Agreement]],
    curves: Mapping[str, Sequence[RemovalCurve]],
    sizes: Mapping[str, tuple[int, int]],
    epoch: int,
    frames: Sequence[tuple[int, float | None]],
) -> Figure:
    """Draw a row for each layer, and one for all at once: correlations over the epochs, and removal curves.

    Args:
        agreements: By epoch, of all layers and conventions.
        curves: By layer, input side first, of all orders; those of all layers at once come last.
        sizes: By layer, how many neurons may go, of how many.
        epoch: Completed epochs.
        frames: Index and PSNR in dB, if known, of each frame.

    Returns:
        A figure of (height, 1600, 3).
    """
    height = _HEADING + _ROW * len(curves)
    figure = Figure(figsize=(_WIDTH, height), dpi=100, facecolor="white")
    figure.text(0.01, 1 - 0.1 / height, _title(epoch, frames), fontsize=HEADING_SIZE, weight="bold", va="top")
    _draw_legend(figure, height, curves)
    for row, (layer, of_layer) in enumerate(curves.items()):
        bottom = 1 - (_HEADING + (row + 1) * _ROW - 0.62) / height
        axes = [
            figure.add_axes((left, bottom, width, (_ROW - 1.32) / height))
            for left, width in zip(_COLUMNS, _WIDTHS, strict=True)
        ]
        found = {at: [each for each in some if each.layer == layer] for at, some in agreements.items()}
        if layer in sizes:
            number, of = sizes[layer]
            title = f"{layer} · {number} of {of} neurons may go" if number < of else f"{layer} · {of} neurons"
        else:
            number = sum(each for each, _ in sizes.values())
            title = f"all layers at once: one order of {number} neurons"
        _draw_removal(axes[2], of_layer)
        if any(found.values()):
            _draw_ranks(axes[0], found)
            _draw_places(axes[1], found)
        else:
            for each in axes[:2]:
                each.remove()
            left, right = _COLUMNS[0] + _NAMES, _COLUMNS[1] + _WIDTHS[1]
            _draw_means(figure.add_axes((left, bottom, right - left, (_ROW - 1.32) / height)), of_layer)
        top = 1 - (_HEADING + row * _ROW) / height
        figure.text(0.01, top, title, fontsize=FONT_SIZE + 4, weight="bold", va="top")
    return figure


def _title(epoch: int, frames: Sequence[tuple[int, float | None]]) -> str:
    known = [psnr for _, psnr in frames if psnr is not None]
    psnr = sum(known) / len(known) if len(known) == len(frames) else None
    which = f"frame {frames[0][0]}" if len(frames) == 1 else f"frames {', '.join(str(index) for index, _ in frames)}"
    mean = "mean " if len(frames) > 1 else ""
    quality = which if psnr is None else f"{which}: {mean}{psnr:.2f} dB"
    return f"faithfulness · {moment_title(epoch, quality)}"


def _draw_legend(figure: Figure, height: float, curves: Mapping[str, Sequence[RemovalCurve]]) -> None:
    there = {curve.order for each in curves.values() for curve in each}
    control = Line2D([], [], color="black", linewidth=1.2, linestyle="--", marker="_", label="pixels: another's change")
    figure.legend(
        handles=[*(_line(order) for order in ORDERS if order in there), control],
        loc="upper left",
        ncols=4,
        fontsize=FONT_SIZE,
        frameon=False,
        columnspacing=1.5,
        bbox_to_anchor=(0.0, 1 - 0.55 / height),
    )


def _line(order: str) -> Line2D:
    look = _LOOKS[order]
    return Line2D(
        [], [], color=look.colour, linewidth=look.width, alpha=look.alpha, linestyle=look.style, label=look.label
    )


def _draw_ranks(axes: Axes, found: Mapping[int, Sequence[Agreement]]) -> None:
    count = max(each.num_neurons for some in found.values() for each in some)
    # Of unrelated orders 95 % lie within.
    chance = 1.96 / math.sqrt(max(count - 1, 1))
    axes.axhspan(-chance, chance, color="#E4E4E4", linewidth=0)
    axes.text(0.98, 0, "chance", transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=FONT_SIZE - 3)
    _draw_over_epochs(axes, found, lambda each: each.rank_correlation, "-")
    axes.set_title("which neurons: rank correlation", fontsize=FONT_SIZE, loc="left")


def _draw_places(axes: Axes, found: Mapping[int, Sequence[Agreement]]) -> None:
    _draw_over_epochs(axes, found, lambda each: each.spatial_control, "--")
    _draw_over_epochs(axes, found, lambda each: each.spatial_correlation, "-")
    axes.set_title("where: pixel correlation", fontsize=FONT_SIZE, loc="left")


def _draw_over_epochs(
    axes: Axes, found: Mapping[int, Sequence[Agreement]], estimate: Callable[[Agreement], Estimate], style: str
) -> None:
    """Lines through the values; bars are intervals over neurons, side by side where conventions share an epoch."""
    epochs = sorted(found)
    for place, (convention, colour) in enumerate(CONVENTION_COLOURS.items()):
        points = [(at, estimate(each)) for at in epochs for each in found[at] if each.convention == convention]
        if not points:
            continue
        look = _LOOKS[convention]
        is_control = style == "--"
        values = [each.value for _, each in points]
        # Apart, so that bars do not hide one another.
        at = [epoch * 1.06 ** (place - 1) + (0.04 * (place - 1) if epoch == 0 else 0) for epoch, _ in points]
        axes.plot(at, values, style, color=colour, linewidth=1.2 if is_control else look.width,
                  marker="_" if is_control else "o", markersize=6 if is_control else max(6, 2 * look.width),
                  alpha=look.alpha, zorder=2.0 if look.alpha < 1 else 2.1)  # fmt: skip
        if not is_control:
            lows, highs = [each.low for _, each in points], [each.high for _, each in points]
            axes.vlines(at, lows, highs, color=colour, linewidth=1.5, zorder=2.2)
    epoch_axis(axes, 0, max(epochs[-1], 1), room=1.3)
    axes.set_ylim(-0.7, 1.05)
    axes.set_yticks([-0.5, 0, 0.5, 1])
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.set_xlabel("epoch", fontsize=FONT_SIZE - 1, labelpad=1)
    axes.grid(alpha=0.3)


def _draw_removal(axes: Axes, curves: Sequence[RemovalCurve]) -> None:
    for curve in sorted(curves, key=lambda each: _LOOKS[each.order].alpha):
        look = _LOOKS[curve.order]
        places = range(len(curve.shares))
        axes.plot(places, _place(curve.lost), color=look.colour, linewidth=look.width, linestyle=look.style,
                  alpha=look.alpha, marker="o", markersize=4)  # fmt: skip
        if curve.order == RANDOM:
            most, least = (_place([curve.intact - each for each in some]) for some in (curve.lowest, curve.highest))
            axes.fill_between(places, least, most, color=look.colour, alpha=0.2, linewidth=0)
    axes.set_xticks(
        range(len(curves[0].shares)), [f"{100 * share:g}" for share in curves[0].shares], fontsize=FONT_SIZE - 2
    )
    axes.set_yticks(_place(_LOSSES), [f"{loss:g}" for loss in _LOSSES], fontsize=FONT_SIZE - 2)
    axes.set_ylim(*_place((-0.1, 45)))
    axes.set_xlabel("% of them taken away", fontsize=FONT_SIZE - 1, labelpad=1)
    axes.set_ylabel("dB lost", fontsize=FONT_SIZE, labelpad=0)
    axes.set_title("which can go: PSNR lost, those first that seem to matter least", fontsize=FONT_SIZE, loc="left")
    axes.grid(alpha=0.3)


def _draw_means(axes: Axes, curves: Sequence[RemovalCurve]) -> None:
    """A bar for each order, in words and numbers."""
    for place, curve in enumerate(curves):
        look = _LOOKS[curve.order]
        axes.barh(-place, max(curve.mean_lost, 0), color=look.colour, alpha=look.alpha, height=0.7)
        axes.text(max(curve.mean_lost, 0), -place, f" {curve.mean_lost:.2f}", va="center", fontsize=FONT_SIZE - 3)
    labels = [_LOOKS[curve.order].label for curve in curves]
    axes.set_yticks([-place for place in range(len(curves))], labels, fontsize=FONT_SIZE - 3)
    axes.set_xlim(0, 1.15 * max(*(curve.mean_lost for curve in curves), 0.1))
    axes.tick_params(axis="x", labelsize=FONT_SIZE - 2)
    axes.set_xlabel("dB lost, mean over the shares", fontsize=FONT_SIZE - 1, labelpad=1)
    axes.set_title("mean loss of each order", fontsize=FONT_SIZE, loc="left")


def _place(lost: Sequence[float]) -> list[float]:
    """Where losses stand: evenly up to about 0.1 dB, by their logarithm beyond."""
    return [math.asinh(each / 0.1) for each in lost]
