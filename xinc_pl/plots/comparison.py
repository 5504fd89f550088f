"""Pictures of runs side by side (Fig. 4, 14)."""

import math
from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xinc_pl.analysis.comparison import LayerComparison
from xinc_pl.analysis.grouping_variance import VarianceDistribution
from xinc_pl.analysis.joint_layout import JointLayout
from xinc_pl.analysis.nulls import Null
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE
from xinc_pl.plots.grouping_variance import LIMITS
from xinc_pl.plots.palette import CATEGORY_COLOURS

_WIDTH = 1280
_LINE = 24
"""Pixels for a line of the heading."""
_MAX_NAME = 100
"""Letters."""


class _Page:
    """A figure with a heading that names the runs; everything is placed in pixels from the upper left corner."""

    def __init__(self, title: str, runs: Sequence[str], body: int, note: str = "") -> None:
        self.top = 56 + _LINE * (len(runs) + bool(note)) + 14
        self.height = self.top + body
        self.figure = Figure(figsize=(_WIDTH / 100, self.height / 100), dpi=100, facecolor="white")
        self._words(title, 10, HEADING_SIZE, "black", bold=True)
        for index, run in enumerate(runs):
            # The end of a long path tells more than its beginning.
            name = run if len(run) <= _MAX_NAME else f"... {run[-_MAX_NAME:]}"
            self._words(f"{index + 1}   {name}", 56 + _LINE * index, FONT_SIZE + 1, run_colour(index), bold=True)
        if note:
            self._words(note, 56 + _LINE * len(runs), FONT_SIZE, "#404040")

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Axes below the heading."""
        bottom = self.height - self.top - top - height
        return self.figure.add_axes((left / _WIDTH, bottom / self.height, width / _WIDTH, height / self.height))

    def _words(self, text: str, top: float, size: int, colour: str, bold: bool = False) -> None:
        self.figure.text(
            14 / _WIDTH,
            1 - top / self.height,
            text,
            va="top",
            fontsize=size,
            color=colour,
            weight="bold" if bold else "normal",
        )


def run_colour(index: int) -> str:
    """The colour of a run, by its place."""
    return CATEGORY_COLOURS[index % len(CATEGORY_COLOURS)]


def draw_run_variances(layers: Sequence[LayerComparison], runs: Sequence[str], title: str) -> Figure:
    """Draw how unevenly neurons treat each partition: one row per layer, boxes side by side by run (Fig. 4).

    Args:
        layers: Input side first.
        runs: What to call them.
        title: Above all.

    Returns:
        A figure of (height, 1280, 3).
    """
    row = 300
    note = "boxes: 25 to 75 % of neurons, whiskers 5 to 95 %; pale: the null, medians for the same clusters shifted"
    page = _Page(title, runs, row * len(layers) + 10, note)
    for index, layer in enumerate(layers):
        axes = page.axes(110, index * row + 34, _WIDTH - 130, row - 84)
        _draw_boxes(axes, layer.variances, len(runs))
        axes.set_title(layer.layer, fontsize=FONT_SIZE + 3, weight="bold", loc="left")
    return page.figure


def _draw_boxes(axes: Axes, partitions: Sequence[Sequence[VarianceDistribution]], num_runs: int) -> None:
    step = 0.84 / num_runs
    for run in range(num_runs):
        left = -0.42 + step * run
        own = [(place + left + 0.5 * step, each[run].variances) for place, each in enumerate(partitions)]
        for place, each in enumerate(partitions):
            _draw_null(axes, place + left + 0.5 * step, 0.9 * step, each[run].null, run_colour(run))
        _draw_run(axes, own, 0.5 * step, run_colour(run))
    axes.set_yscale("log")
    axes.set_ylim(LIMITS)
    ticks = [0.0001, 0.001, 0.01, 0.1, 1.0]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(-0.5, len(partitions) - 0.5)
    axes.set_xticks(range(len(partitions)), [each[0].partition.key for each in partitions])
    axes.set_ylabel("variance of deltas", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE, length=0)
    axes.grid(axis="y", alpha=0.3)
    for place in range(1, len(partitions)):
        axes.axvline(place - 0.5, color="#d0d0d0", linewidth=1)


def _draw_null(axes: Axes, place: float, width: float, null: Null | None, colour: str) -> None:
    """Where nine tenths of the medians lie when the clusters are shifted."""
    if null is None or not null.exists:
        return
    low, high = np.clip(null.band, *LIMITS)
    corner = (place - width / 2, low / 1.05)  # a band that is thin has to be seen
    axes.add_patch(Rectangle(corner, width, high * 1.05 - low / 1.05, color=_paler(colour), zorder=0))


def _draw_run(
    axes: Axes,
    boxes: Sequence[tuple[float, npt.NDArray[np.float64]]],
    width: float,
    colour: str,
) -> None:
    """Draw one run's boxes at their places; none where no neuron has a value."""
    names = ("whislo", "q1", "med", "q3", "whishi")
    found = [
        (place, np.quantile(np.clip(variances, *LIMITS), (0.05, 0.25, 0.5, 0.75, 0.95)))
        for place, variances in boxes
        if len(variances)
    ]
    axes.bxp(
        [dict(zip(names, quantiles.tolist(), strict=True)) for _, quantiles in found],
        positions=[place for place, _ in found],
        widths=width,
        showfliers=False,
        showcaps=False,
        manage_ticks=False,
        patch_artist=True,
        boxprops={"facecolor": colour, "edgecolor": colour, "linewidth": 1},
        medianprops={"color": "black", "linewidth": 2},
        whiskerprops={"color": colour, "linewidth": 1.2},
    )


_MATRICES = {"matched": "mean", "shuffled": "control", "any pair": "any_pair"}
"""What is drawn below one another, and what ``Match`` calls it."""


def draw_matching(layers: Sequence[LayerComparison], runs: Sequence[str], title: str) -> Figure:
    """Draw how well the neurons of each run match those of each other, and by chance: one column per layer.

    Args:
        layers: Input side first.
        runs: What to call them.
        title: Above all.

    Returns:
        A figure of (height, 1280, 3).
    """
    columns = min(len(layers), 4)
    side = min((_WIDTH - 110) / columns - 50, 300)
    band = len(_MATRICES) * (side + 62) + 20
    rows = math.ceil(len(layers) / columns)
    note = "mean correlation of pairs; shuffled: the same search on shuffled vectors; any pair: without a search"
    page = _Page(title, runs, round(rows * band), note)
    for index, layer in enumerate(layers):
        left, top = 120 + index % columns * (side + 50), index // columns * band + 40
        for place, (name, of) in enumerate(_MATRICES.items()):
            axes = page.axes(left, top + place * (side + 62), side, side)
            _draw_matrix(axes, layer, of, len(runs))
            axes.set_title(f"{layer.layer} · {name}", fontsize=FONT_SIZE + 1, weight="bold" if not place else "normal")
    return page.figure


def _draw_matrix(axes: Axes, layer: LayerComparison, of: str, num_runs: int) -> None:
    values = np.full((num_runs, num_runs), np.nan)
    for (first, second), match in layer.matches.items():
        values[first, second] = values[second, first] = getattr(match, of)
    axes.imshow(np.ma.masked_invalid(values), cmap="viridis", vmin=0, vmax=1)
    axes.set_facecolor("#e4e4e4")
    size = FONT_SIZE + 4 if num_runs <= 4 else FONT_SIZE - 2
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else f"{value:.2f}"
        dark = not np.isnan(value) and value < 0.6
        axes.text(column, row, text, ha="center", va="center", fontsize=size, color="white" if dark else "black")
    for set_ticks in (axes.set_xticks, axes.set_yticks):
        set_ticks(range(num_runs), [str(index + 1) for index in range(num_runs)])
    for index, label in chain(enumerate(axes.get_xticklabels()), enumerate(axes.get_yticklabels())):
        label.set(color=run_colour(index), weight="bold")
    axes.tick_params(labelsize=FONT_SIZE, length=0)


_KINDS = {
    "other_seed": ("same signal, other seed", "#4b2a7b"),
    "other_signal": ("another signal", "#9b86c4"),
    "own_beginning": ("own beginning", "#cdc2e2"),
    "shuffled": ("shuffled vectors", "#d8d8d8"),
}
"""What each of ``Similarities`` is called, and its colour: paler ones are controls."""


def draw_similarities(layers: Sequence[LayerComparison], runs: Sequence[str], title: str) -> Figure:
    """Draw how well neurons match those of another seed, another signal, their own beginning, and shuffled ones.

    Args:
        layers: Input side first.
        runs: What to call them.
        title: Above all.

    Returns:
        A figure of (height, 1280, 3).
    """
    note = "bars: mean correlation of matched neurons; dots: single runs; crosses: trivial (one encoding), left out"
    page = _Page(title, runs, 500, note)
    axes = page.axes(80, 50, _WIDTH - 110, 390)
    for index, (kind, (name, colour)) in enumerate(_KINDS.items()):
        places = np.arange(len(layers)) + 0.2 * (index - 1.5)
        means = [getattr(layer.similarities, kind) for layer in layers]
        known = not all(map(math.isnan, means))
        axes.bar(places, means, 0.18, color=colour, label=name if known else f"{name}: not known")
        for place, layer, mean in zip(places, layers, means, strict=True):
            matches = list(layer.matched.get(kind, layer.matches).values())
            trivial = [match.mean for match in matches if match.is_trivial and kind != "shuffled"]
            values = [match.control if kind == "shuffled" else match.mean for match in matches]
            counted = [value for value in values if value not in trivial]
            axes.plot([place] * len(trivial), trivial, "x", color="black", markersize=7)
            axes.plot([place] * len(counted), counted, ".", color="black", markersize=7)
            if not math.isnan(mean):
                axes.text(place, np.nanmax([*counted, 0]) + 0.02, f"{mean:.2f}", ha="center", fontsize=FONT_SIZE - 2)
    axes.set_ylim(min([0.0, *(value for layer in layers for value in layer.similarities if value < 0)]), 1.1)
    axes.set_xlim(-0.5, len(layers) - 0.5)
    axes.set_xticks(range(len(layers)), [layer.layer for layer in layers])
    axes.set_ylabel("similarity", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE, length=0)
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, fontsize=FONT_SIZE - 1, frameon=False)
    return page.figure


def draw_layouts(
    layers: Sequence[LayerComparison], layouts: Sequence[JointLayout | None], runs: Sequence[str], title: str
) -> Figure:
    """Draw the neurons of all runs in one layout, coloured by run: one panel per layer (Fig. 14).

    Args:
        layers: Input side first.
        layouts: One per layer; None where there are too few neurons for one.
        runs: What to call them.
        title: Above all.

    Returns:
        A figure of (height, 1280, 3).
    """
    columns = 2 if len(layers) in (2, 4) else min(len(layers), 3)
    side = (_WIDTH - 28 - (columns - 1) * 16) / columns
    height = min(side, 560)
    rows = math.ceil(len(layers) / columns)
    note = "one UMAP of all runs' neurons per layer; mixing: 1 if neighbours come from all runs alike, 0 if from one"
    page = _Page(title, runs, round(rows * (height + 70)), note)
    for index, (layer, layout) in enumerate(zip(layers, layouts, strict=True)):
        axes = page.axes(14 + index % columns * (side + 16), index // columns * (height + 70) + 56, side, height)
        axes.set_xticks([])
        axes.set_yticks([])
        counts = sorted({len(each.neurons) for each in layer.vectors})
        shown = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
        mixing = "" if math.isnan(layer.mixing) else f" · mixing {layer.mixing:.2f}"
        axes.set_title(f"{layer.layer}{mixing}\n{shown} neurons per run", fontsize=FONT_SIZE + 1)
        if layout is None:
            axes.text(0.5, 0.5, "too few neurons", ha="center", fontsize=FONT_SIZE, transform=axes.transAxes)
        else:
            _draw_points(axes, layout)
    return page.figure


def _draw_points(axes: Axes, layout: JointLayout) -> None:
    # In random order, so that no run hides another.
    order = np.random.default_rng(0).permutation(len(layout.run))
    colours = np.array([to_rgb(run_colour(int(run))) for run in layout.run])
    size = float(np.clip(12_000 / len(order), 5, 60))
    x, y = layout.points[order].T
    axes.scatter(x, y, s=size, c=colours[order], alpha=0.7, linewidths=0)


def _paler(colour: str) -> tuple[float, float, float]:
    red, green, blue = (0.3 * part + 0.7 for part in to_rgb(colour))
    return red, green, blue
