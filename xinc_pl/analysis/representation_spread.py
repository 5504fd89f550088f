"""How widely contributions are spread over pixels and over neurons (Fig. 6, 7, 15, 17, 18)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xinc_pl.canvas import LayerStatistics

Floats = npt.NDArray[np.float64]

NUM_POINTS = 200
"""Layers are resampled to so many points, so that they share one axis."""


@dataclass(frozen=True, eq=False)
class Spread:
    """How widely the contributions of one layer are spread.

    Attributes:
        layer: The layer's name.
        num_neurons: How many neurons it is about.
        num_in_layer: How many the layer has.
        pixels_per_neuron: Float64 (200,), ascending: the share of pixels to which a neuron contributes more than an
            average one, sorted over neurons and resampled (Fig. 6).
        neurons_per_pixel: For each mass x, float64 (H, W): the share of neurons above the threshold that the
            largest values, which add up to (1 - x) of everything, lie above (Fig. 7).
        contributions: Float64 (200,), descending: the values at evenly spaced shares of all values, in multiples of
            their mean (Fig. 18).
        thresholds: For each mass, the threshold in multiples of the mean.
        num_zero_maps: Neurons whose map is zero everywhere.
        num_zero_inputs: Neurons whose own input is zero everywhere.
        gini: Gini coefficient of the neurons' sums: 0, all contribute alike; 1, one does everything. NaN if all
            maps are zero.
    """

    layer: str
    num_neurons: int
    num_in_layer: int
    pixels_per_neuron: Floats
    neurons_per_pixel: Mapping[float, Floats]
    contributions: Floats
    thresholds: Mapping[float, float]
    num_zero_maps: int
    num_zero_inputs: int
    gini: float


SHARES: Floats = np.geomspace(1e-4, 1, NUM_POINTS)
"""The shares of all values at which ``Spread.contributions`` are given: the largest 0.01 % first."""


def spread_of(layer: str, statistics: LayerStatistics, masses: tuple[float, ...]) -> Spread:
    """Collect how widely a layer's contributions are spread from its statistics.

    Args:
        layer: The layer's name.
        statistics: With thresholds for ``masses``.
        masses: The shares x.
    """
    num_pixels = statistics.size[0] * statistics.size[1]
    mean = float(statistics.total.sum()) / (statistics.num_neurons * num_pixels)
    unit = mean or 1.0
    return Spread(
        layer=layer,
        num_neurons=statistics.num_neurons,
        num_in_layer=statistics.num_in_layer,
        pixels_per_neuron=resampled(np.sort(statistics.pixels_per_neuron.numpy()) / num_pixels),
        neurons_per_pixel={mass: statistics.neurons_per_pixel[mass].numpy() for mass in masses},
        contributions=_descending(statistics) / unit,
        thresholds={mass: statistics.thresholds[mass] / unit for mass in masses},
        num_zero_maps=int(statistics.zero_map.sum()),
        num_zero_inputs=int(statistics.zero_input.sum()),
        gini=gini(statistics.sum.numpy()),
    )


def resampled(values: Floats) -> Floats:
    """Values at 200 evenly spaced places from the first to the last, by linear interpolation."""
    return np.interp(np.linspace(0, 1, NUM_POINTS), np.linspace(0, 1, len(values)), values)


def gini(values: Floats) -> float:
    """Gini coefficient of non-negative values: their mean absolute difference over twice their mean; NaN of zeros."""
    total = values.sum()
    if not total > 0:
        return float("nan")
    ranks = np.arange(1, len(values) + 1)
    return float(2 * (ranks * np.sort(values)).sum() / (len(values) * total) - (len(values) + 1) / len(values))


def _descending(statistics: LayerStatistics) -> Floats:
    """The value that a share of all values reaches, for ``SHARES``: a bin's mean stands for all in it."""
    counts, sums = (each.numpy()[::-1] for each in (statistics.histogram.counts, statistics.histogram.sums))
    used = counts > 0
    counts, means = counts[used], sums[used] / counts[used]
    places = np.searchsorted(np.cumsum(counts), SHARES * counts.sum() * (1 - 1e-12))
    return np.asarray(means[np.minimum(places, len(means) - 1)], dtype=np.float64)
