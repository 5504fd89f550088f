"""Colours that mean the same in every picture, apart for colour-blind eyes (Okabe and Ito, 2008)."""

from collections.abc import Sequence

PARTITION_COLOURS = {
    "instances": "#0072B2",
    "rgb": "#D55E00",
    "gabor": "#009E73",
    "superpixels": "#CC79A7",
    "grid": "#E69F00",
    "comb": "#56B4E9",
}
"""Of each partition; the same areas at shuffled pixels have it paler."""
NULL_COLOUR = "#DDDDDD"
"""Of what a number has to beat."""

CONVENTION_COLOURS = {"paper": "#0072B2", "released": "#D55E00", "effect": "#009E73"}
CONTROL_COLOUR = "#999999"
WHOLE_COLOUR = "#882255"
"""Of what belongs to no single layer."""

_LAYERS = ("#000000", "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#7F7F7F")
CATEGORY_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C6D31")
"""For what has no fixed colour, in order; start again after the last."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")


def layer_colours(layers: Sequence[str]) -> dict[str, str]:
    """A colour for each layer of a network, input side first."""
    return {layer: _LAYERS[index % len(_LAYERS)] for index, layer in enumerate(layers)}
