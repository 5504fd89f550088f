"""Which neurons paint which objects?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis import object_contributions as analysis
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.arguments import check_number, check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs

_NUM_FRAMES = 6
_NUM_COMPARED = 64


class ObjectContributions(XINCCallback):
    """Shows what sampled neurons contribute to things and stuff, on one image or over a video (Fig. 8, 19).

    Logs the picture ``xinc/object_contributions/all_layers/objects`` and, where two objects share a category, the
    scalars below, which are about 64 neurons of each layer. Needs instance masks: without any, a line says so and
    nothing else happens. Of a video, six evenly spaced frames are looked at, if ``frames`` does not say otherwise.

    Args:
        num_neurons: How many neurons of each layer to show.
        min_area: Share of the image that an object has to cover to be looked at. Smaller ones are left out and counted;
            one that is too small in some frames is absent there.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "objects": "mean contribution of each neuron to each object's pixels, over the neuron's mean for all objects: "
        "1 is a neuron that does not look at objects. Colour: category; marker: object; hollow: stuff; gaps: "
        "the object is not in the frame",
        "concentration": "mean distance between objects of different categories over that within one: above 1, objects "
        "of a category are treated alike",
        "concentration_null": "the median of the same when categories are dealt out among the objects at random",
        "concentration_p": "share of 199 such deals that reach the concentration, the real one counted; one test for "
        "each layer",
        "concentration_p_floor": "the smallest p that these objects allow: with few of them there are few different "
        "deals, and where it is above 0.05 nothing can be shown",
    }

    def __init__(self, num_neurons: int = 12, min_area: float = analysis.MIN_AREA, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        check_whole("ObjectContributions", "num_neurons", num_neurons, 1, _NUM_COMPARED)
        check_number("ObjectContributions", "min_area", min_area, "give a share of the image, such as 0.002")
        if not 0 <= min_area < 1:
            raise ValueError(f"ObjectContributions: min_area is {min_area}; give a share of the image, such as 0.002")
        self.num_neurons = num_neurons
        self.min_area = min_area
        self._has_told = False

    def choose_frames(self, indices: Sequence[int] | None, num_frames: int | None) -> Sequence[int]:
        """Six evenly spaced frames of a video."""
        if indices is not None or num_frames is None or num_frames <= 1:
            return super().choose_frames(indices, num_frames)
        number = min(_NUM_FRAMES, num_frames)
        return [round(place * (num_frames - 1) / (number - 1)) for place in range(number)]

    def choose_among(self, recorded: Sequence[int]) -> Sequence[int]:
        """Six evenly spaced ones."""
        places = self.choose_frames(None, len(recorded))
        return [recorded[place] for place in places]

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Concentration of all layers, with its null, and its p."""
        del layers
        return {"concentration": [".*/concentration(_null)?"], "p of concentration": [".*/concentration_p"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers over all frames."""
        from xinc_pl.plots.object_contributions import draw_object_contributions

        objects, num_small = self._objects(frames)
        if not objects:
            self._tell(num_small)
            return
        results = [self._of_layer(frames, layer, objects) for layer in layers]
        found = [analysis.concentration(result, self.seed) for result in results]
        shapes = [frames[0].canvas[layer].neuron_shape for layer in layers]
        shown = [_first(result, self.num_neurons) for result in results]
        indices = [dissected.frame.index for dissected in frames]
        picture = partial(
            draw_object_contributions,
            shown,
            shapes,
            indices,
            found,
            num_small,
            epoch=outputs.epoch,
            quality=frames[0].quality,
        )
        outputs.image("all_layers", "objects", picture)
        for result, each in zip(results, found, strict=True):
            if each is not None:
                null = each.null
                values = {"": null.actual, "_null": null.median, "_p": null.p, "_p_floor": each.floor}
                outputs.scalars(result.layer, {f"concentration{end}": value for end, value in values.items()})
            outputs.arrays(result.layer, "objects", {"neurons": result.neurons, "shares": result.shares})

    def _objects(self, frames: Sequence[DissectedFrame]) -> tuple[tuple[analysis.ObjectName, ...], int]:
        """Those that are large enough, and how many are not."""
        shown = [dissected.frame for dissected in frames]
        objects = analysis.objects_of(shown, self.min_area)
        return objects, len(analysis.objects_of(shown)) - len(objects)

    def _tell(self, num_small: int) -> None:
        """Say once why nothing is shown."""
        if not self._has_told:
            why = "the frames have no instance masks"
            if num_small:
                why = f"all {num_small} objects cover less than {self.min_area:g} of the image; set min_area to less"
            rank_zero_info(f"{type(self).__name__} is left out: {why}")
            self._has_told = True

    def _of_layer(
        self, frames: Sequence[DissectedFrame], layer: str, objects: tuple[analysis.ObjectName, ...]
    ) -> analysis.ObjectContributions:
        number = frames[0].canvas[layer].num_neurons
        shown = sample_neurons(number, self.num_neurons, self.seed)
        compared = sample_neurons(number, _NUM_COMPARED, self.seed)
        # Those that are shown come first.
        neurons = torch.from_numpy(np.concatenate([shown, np.setdiff1d(compared, shown)]))
        means = [
            analysis.mean_contributions(
                dissected.canvas[layer].magnitudes(neurons), dissected.frame, objects, self.min_area
            )
            for dissected in frames
        ]
        return analysis.object_contributions(layer, neurons.numpy(), objects, means)


def _first(result: analysis.ObjectContributions, number: int) -> analysis.ObjectContributions:
    return replace(result, neurons=result.neurons[:number], shares=result.shares[:number])
