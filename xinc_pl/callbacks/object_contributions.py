"""Which neurons paint which objects?"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis import object_contributions as analysis
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.arguments import check_whole
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
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "objects": "mean contribution of each neuron to each object's pixels, over the neuron's mean for all objects: "
        "1 is a neuron that does not look at objects. Colour: category; marker: object; hollow: stuff; gaps: "
        "the object is not in the frame",
        "concentration": "mean distance between objects of different categories over that within one: above 1, objects "
        "of a category are treated alike",
        "concentration_control": "the same, when categories are dealt out at random",
        "concentration_p": "share of 200 such deals that reach the concentration; with few objects there are few "
        "different deals",
    }

    def __init__(self, num_neurons: int = 12, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        check_whole("ObjectContributions", "num_neurons", num_neurons, 1, _NUM_COMPARED)
        self.num_neurons = num_neurons
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
        """Concentration of all layers, with its control."""
        del layers
        return {"concentration": [".*/concentration(_control)?"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers over all frames."""
        from xinc_pl.plots.object_contributions import draw_object_contributions

        objects = analysis.objects_of([dissected.frame for dissected in frames])
        if not objects:
            if not self._has_told:
                rank_zero_info(f"{type(self).__name__} is left out: the frames have no instance masks")
                self._has_told = True
            return
        results = [self._of_layer(frames, layer) for layer in layers]
        shapes = [frames[0].canvas[layer].neuron_shape for layer in layers]
        shown = [_first(result, self.num_neurons) for result in results]
        indices = [dissected.frame.index for dissected in frames]
        picture = draw_object_contributions(shown, shapes, indices, epoch=outputs.epoch, psnr=frames[0].psnr)
        outputs.image("all_layers", "objects", picture)
        for result in results:
            found = analysis.concentration(result, self.seed)
            if found is not None:
                values = {"": found.ratio, "_control": found.control, "_p": found.p}
                outputs.scalars(result.layer, {f"concentration{end}": value for end, value in values.items()})
            outputs.arrays(result.layer, "objects", {"neurons": result.neurons, "shares": result.shares})

    def _of_layer(self, frames: Sequence[DissectedFrame], layer: str) -> analysis.ObjectContributions:
        objects = analysis.objects_of([dissected.frame for dissected in frames])
        number = frames[0].canvas[layer].num_neurons
        shown = sample_neurons(number, self.num_neurons, self.seed)
        compared = sample_neurons(number, _NUM_COMPARED, self.seed)
        # Those that are shown come first.
        neurons = torch.from_numpy(np.concatenate([shown, np.setdiff1d(compared, shown)]))
        means = [
            analysis.mean_contributions(dissected.canvas[layer].magnitudes(neurons), dissected.frame, objects)
            for dissected in frames
        ]
        return analysis.object_contributions(layer, neurons.numpy(), objects, means)


def _first(result: analysis.ObjectContributions, number: int) -> analysis.ObjectContributions:
    return replace(result, neurons=result.neurons[:number], shares=result.shares[:number])
