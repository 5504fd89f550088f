"""How many pixels a neuron paints, and how many neurons paint a pixel."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np

from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.representation_spread import Spread, spread_of
from xinc_pl.analysis.request import Request
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs


class RepresentationSpread(XINCCallback):
    """Shows how widely contributions are spread over pixels and over neurons (Fig. 6, 7, 15, 17, 18).

    Logs the pictures ``xinc/representation_spread/all_layers/spread`` and ``neurons_per_pixel``, and the scalars below.

    Args:
        mass: Neurons per pixel are counted above the threshold at which the largest contributions make up all but this
            share of everything: 0.1 for the 90 % that matter most.
        max_neurons: Of larger layers a seeded sample of so many neurons; by default all are looked at.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "spread": "left: to how many pixels each neuron contributes more than an average one; right: all contributions "
        "of the layer, sorted",
        "neurons_per_pixel": "which share of the layer's neurons contributes more than the threshold, at each pixel",
        "pixels_per_neuron": "median over neurons: share of pixels to which it contributes more than an average one",
        "neurons_per_pixel_90": "median over pixels: share of neurons among the contributions that make up 90 % (or "
        "what `mass` says)",
        "zero_maps": "neurons whose map is zero everywhere",
        "zero_inputs": "neurons whose own input is zero everywhere",
        "gini": "inequality of neurons: 0, all contribute alike; 1, one does everything (none if all are zero)",
    }

    def __init__(
        self,
        mass: Sequence[float] = (0.1, 0.5),
        max_neurons: int | None = None,
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(**kwargs)
        if max_neurons is not None:
            check_whole("RepresentationSpread", "max_neurons", max_neurons, 1)
        if not mass or not all(0 < each < 1 for each in mass):
            raise ValueError(f"RepresentationSpread: mass is {list(mass)}; give shares between 0 and 1, such as 0.1")
        self.mass = tuple(sorted(set(mass)))
        self.max_neurons = max_neurons

    def request(self) -> Request:
        """The thresholds."""
        return Request(masses=self.mass, max_neurons=self.max_neurons, seed=self.seed)

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Each quantity, of all layers."""
        del layers
        quantities = ["pixels_per_neuron", *(_quantity(mass) for mass in self.mass), "gini"]
        return {quantity.replace("_", " "): [f".*/{quantity}"] for quantity in quantities}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers of every frame."""
        from xinc_pl.plots.representation_spread import draw_neurons_per_pixel, draw_spread

        for dissected in frames:
            index = dissected.frame.index
            spreads = [spread_of(layer, dissected.statistics(layer, self.request()), self.mass) for layer in layers]
            picture = partial(draw_spread, spreads, epoch=outputs.epoch, quality=dissected.quality)
            outputs.image("all_layers", "spread", picture, index)
            picture = partial(draw_neurons_per_pixel, spreads, epoch=outputs.epoch, quality=dissected.quality)
            outputs.image("all_layers", "neurons_per_pixel", picture, index)
            for spread in spreads:
                self._log(spread, index, outputs)

    def _log(self, spread: Spread, index: int, outputs: Outputs) -> None:
        shares = {_quantity(mass): float(np.median(share)) for mass, share in spread.neurons_per_pixel.items()}
        values = {
            "pixels_per_neuron": float(np.median(spread.pixels_per_neuron)),
            **shares,
            "zero_maps": spread.num_zero_maps,
            "zero_inputs": spread.num_zero_inputs,
            "gini": spread.gini,
        }
        outputs.scalars(spread.layer, {name: value for name, value in values.items() if math.isfinite(value)}, index)
        outputs.arrays(
            spread.layer,
            "spread",
            {
                "pixels_per_neuron": spread.pixels_per_neuron,
                "contributions": spread.contributions,
                **{_quantity(mass): share.astype(np.float32) for mass, share in spread.neurons_per_pixel.items()},
            },
            index,
        )


def _quantity(mass: float) -> str:
    return f"neurons_per_pixel_{100 * (1 - mass):.3g}"
