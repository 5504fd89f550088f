"""Charts that are quick to draw: a matplotlib log axis costs as much as everything on it."""

import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection

from xinc_pl.plots.figures import FONT_SIZE

Floats = npt.NDArray[np.float64]


def log_places(values: npt.NDArray[Any], limits: tuple[float, float]) -> Floats:
    """Where values stand on an axis made by ``log_axis``; those beyond the limits stand at the edge."""
    places: Floats = np.log10(np.clip(values, *limits))
    return places


def log_axis(axes: Axes, axis: Literal["x", "y"], limits: tuple[float, float]) -> None:
    """Label an axis of decimal logarithms, from ``limits[0]`` to ``limits[1]``, with the powers of ten."""
    low, high = math.log10(limits[0]), math.log10(limits[1])
    powers = range(math.ceil(low), math.floor(high) + 1)
    labels = [f"{10.0**power:g}" for power in powers]
    if axis == "x":
        axes.set_xlim(low, high)
        axes.set_xticks(list(powers), labels, fontsize=FONT_SIZE - 2)
    else:
        axes.set_ylim(low, high)
        axes.set_yticks(list(powers), labels, fontsize=FONT_SIZE - 2)
    axes.grid(axis=axis, alpha=0.3)


def epoch_axis(axes: Axes, first: int, last: int, room: float) -> None:
    """Label an x axis of epochs, logarithmic beyond the first, from ``first`` to ``room`` times ``last``."""
    # Epoch 0 belongs on the axis, which a plain logarithm would not allow.
    axes.set_xscale("symlog", linthresh=1, linscale=0.5)
    ticks = [0, *(10**power for power in range(5) if 10**power <= last)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xlim(first - 0.1, max(last, 1) * room)
    axes.minorticks_off()


def boxes(
    axes: Axes, positions: Sequence[float], groups: Sequence[Floats], colours: Sequence[Any], half: float = 0.4
) -> None:
    """Draw box plots: quartiles, median, and whiskers at the 5th and 95th percentile. An empty group is a gap.

    Args:
        axes: Where.
        positions: Along x.
        groups: The values of each, in the units of the y axis.
        colours: Of each.
        half: Half of a box's width.
    """
    outlines, fills, medians, whiskers = [], [], [], []
    for x, values, colour in zip(positions, groups, colours, strict=True):
        if not len(values):
            continue
        low, first, middle, third, high = np.quantile(values, (0.05, 0.25, 0.5, 0.75, 0.95))
        outlines.append([(x - half, first), (x + half, first), (x + half, third), (x - half, third)])
        fills.append(colour)
        medians.append([(x - half, middle), (x + half, middle)])
        whiskers += [[(x, low), (x, first)], [(x, third), (x, high)]]
        whiskers += [[(x - half / 2, end), (x + half / 2, end)] for end in (low, high)]
    axes.add_collection(LineCollection(whiskers, colors="black", linewidths=1), autolim=False)
    axes.add_collection(PolyCollection(outlines, facecolors=fills, edgecolors="black", linewidths=1), autolim=False)
    axes.add_collection(LineCollection(medians, colors="black", linewidths=2), autolim=False)
