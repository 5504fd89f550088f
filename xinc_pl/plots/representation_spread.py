"""How widely contributions are spread, layer by layer (Fig. 6, 7, 15, 17, 18)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure

from xinc_pl.analysis.representation_spread import SHARES, Spread
from xinc_pl.plots.charts import log_axis, log_places
from xinc_pl.plots.figures import FONT_SIZE, HEADING_SIZE, MAGNITUDE_COLOURS, MARGIN, TITLE_HEIGHT, Sheet, moment_title
from xinc_pl.plots.palette import layer_colours
from xinc_pl.plots.words import part_words

CONTRIBUTION_LIMITS = (1e-4, 1e3)
"""Of a single contribution, in multiples of the layer's mean."""
_WIDTH = 1280
_HEADING = 74


def draw_spread(spreads: Sequence[Spread], *, epoch: int, quality: str) -> Figure:
    """Draw pixels per neuron and the distribution of contributions, all layers in one chart each.

    Args:
        spreads: Of each layer, input side first.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (560, 1280, 3).
    """
    figure = Figure(figsize=(12.8, 5.6), dpi=100, facecolor="white")
    figure.text(0.012, 0.98, f"spread · {moment_title(epoch, quality)}", fontsize=HEADING_SIZE, weight="bold", va="top")
    colours = layer_colours([spread.layer for spread in spreads])
    left, right = figure.add_axes((0.075, 0.125, 0.38, 0.66)), figure.add_axes((0.565, 0.125, 0.42, 0.66))
    _draw_pixels(left, spreads, colours)
    _draw_contributions(right, spreads, colours)
    handles, labels = left.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper left", ncols=8, fontsize=FONT_SIZE, frameon=False, bbox_to_anchor=(0.0, 0.915)
    )
    return figure


def _draw_pixels(axes: Axes, spreads: Sequence[Spread], colours: dict[str, str]) -> None:
    for spread in spreads:
        share = 100 * np.linspace(0, 1, len(spread.pixels_per_neuron))
        label = f"{spread.layer} ({part_words(spread.num_neurons, spread.num_in_layer)})"
        axes.plot(share, 100 * spread.pixels_per_neuron, color=colours[spread.layer], linewidth=2, label=label)
    axes.set_xlim(0, 100)
    axes.set_ylim(0, 100)
    axes.set_title("pixels per neuron", fontsize=FONT_SIZE)
    axes.set_xlabel("% of neurons", fontsize=FONT_SIZE)
    axes.set_ylabel("% of pixels, more than average", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE - 2)
    axes.grid(alpha=0.3)


def _draw_contributions(axes: Axes, spreads: Sequence[Spread], colours: dict[str, str]) -> None:
    for spread in spreads:
        colour = colours[spread.layer]
        places = np.log10(100 * SHARES)
        axes.plot(places, log_places(spread.contributions, CONTRIBUTION_LIMITS), color=colour, linewidth=2)
        for threshold, marker in zip(spread.thresholds.values(), "os", strict=False):
            # Contributions fall, so that the place at which they pass the threshold is found from the other end.
            at = np.searchsorted(-spread.contributions, -threshold)
            if 0 < at < len(places):
                axes.plot(places[at], log_places(np.array(threshold), CONTRIBUTION_LIMITS), marker, color=colour, ms=8)
    masses = " and ".join(f"{1 - mass:.0%}" for mass in spreads[0].thresholds) if spreads else ""
    axes.set_title(f"contributions, sorted; marks: {masses} of the sum", fontsize=FONT_SIZE)
    axes.set_xlabel("% of all contributions", fontsize=FONT_SIZE)
    axes.set_ylabel("contribution / mean |M|", fontsize=FONT_SIZE)
    log_axis(axes, "x", (1e-2, 1e2))
    log_axis(axes, "y", CONTRIBUTION_LIMITS)


def draw_neurons_per_pixel(spreads: Sequence[Spread], *, epoch: int, quality: str) -> Figure:
    """Draw which share of a layer's neurons stands out at each pixel: a row per mass, a column per layer.

    Args:
        spreads: Of each layer, input side first.
        epoch: For the title.
        quality: Whose reconstruction this is, and how good, for the title.

    Returns:
        A figure of (height, 1280, 3).
    """
    masses = list(spreads[0].neurons_per_pixel)
    size = spreads[0].neurons_per_pixel[masses[0]].shape
    columns = len(spreads)
    width = min((_WIDTH - 110 - MARGIN * (columns + 1)) / columns, 480)
    pitch = width * size[0] / size[1] + TITLE_HEIGHT
    height = max(_HEADING + len(masses) * pitch + MARGIN, 240)
    sheet = Sheet(_WIDTH, round(height))
    sheet.words(f"neurons per pixel · {moment_title(epoch, quality)}", MARGIN, 10, size=HEADING_SIZE, bold=True)
    shares = " or ".join(f"{1 - mass:.0%}" for mass in masses)
    facts = f"share of the neurons among the largest contributions, those that make up {shares} of the sum"
    sheet.words(facts, MARGIN, 46)
    norm = PowerNorm(0.5, 0, 100)
    for row, mass in enumerate(masses):
        for column, spread in enumerate(spreads):
            left, top = MARGIN + column * (width + MARGIN), _HEADING + TITLE_HEIGHT + row * pitch
            values = 100 * spread.neurons_per_pixel[mass]
            title = f"{spread.layer}, {1 - mass:.0%}: {values.mean():.2g} %"
            sheet.picture(values, (left, top, width, pitch - TITLE_HEIGHT), title, colours=MAGNITUDE_COLOURS, norm=norm)
    bar = (_WIDTH - 96, _HEADING + TITLE_HEIGHT, 14, height - _HEADING - TITLE_HEIGHT - 2 * MARGIN)
    sheet.colour_bar(bar, MAGNITUDE_COLOURS, norm, [0, 1, 5, 10, 25, 50, 100], "% of neurons")
    return sheet.figure
