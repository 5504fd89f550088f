"""How fine is what neurons paint?"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.channels import intensity
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.map_spectrum import Spectra, spectra
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs


class MapSpectrum(XINCCallback):
    """Shows how fine the patterns are that neurons paint, beside those of the target and of what is still missing.

    Networks learn coarse patterns before fine ones (spectral bias); this shows it neuron by neuron. For a sample of
    neurons: the power spectrum of the contribution map by frequency, its centroid (mean frequency) and its bandwidth.
    Logs the picture ``xinc/map_spectrum/all_layers/spectra``, and the scalars below, those of the frame as layers
    ``target`` and ``residual`` (reconstruction minus target). Compare with epoch 0: every architecture has spectra
    before it has learnt anything.

    Args:
        num_neurons: How many neurons of each layer to look at, a seeded sample.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "spectra": "median share of power by frequency, centroids of neurons, and their medians over the epochs",
        "centroid": "median over neurons of the mean frequency of a map, weighted by power, in cycles per pixel; of "
        "`target` and `residual`, of these pictures",
        "centroid_lower_quartile": "a quarter of the neurons lies below",
        "centroid_upper_quartile": "a quarter of the neurons lies above",
        "bandwidth": "median over neurons of the standard deviation of frequency, weighted by power",
        "constant_maps": "sampled neurons whose map is constant: they have no spectrum",
    }

    def __init__(self, num_neurons: int = 128, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        check_whole("MapSpectrum", "num_neurons", num_neurons, 1)
        self.num_neurons = num_neurons

    @property
    def follows(self) -> bool:
        """Its pictures show the moments before."""
        return True

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Centroids and bandwidths of all layers, target and residual."""
        del layers
        return {"centroid": [".*/centroid"], "bandwidth": [".*/bandwidth"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers of every frame."""
        from xinc_pl.plots.map_spectrum import draw_map_spectrum

        for dissected in frames:
            index = dissected.frame.index
            of_layers = [self._of_layer(dissected, layer) for layer in layers]
            references = self._references(dissected)
            for each in of_layers:
                self._log(each, index, outputs)
            for each in references:
                outputs.scalars(each.name, _known({"centroid": each.centroid, "bandwidth": each.bandwidth}), index)
            names = [each.name for each in (*of_layers, *references)]
            courses = {name: outputs.curve(name, "centroid", index) for name in names}
            picture = partial(
                draw_map_spectrum, of_layers, references, courses, epoch=outputs.epoch, quality=dissected.quality
            )
            outputs.image("all_layers", "spectra", picture, index)

    def _of_layer(self, dissected: DissectedFrame, layer: str) -> Spectra:
        canvas = dissected.canvas[layer]
        neurons = torch.from_numpy(sample_neurons(canvas.num_neurons, self.num_neurons, self.seed))
        return spectra(layer, canvas.maps(neurons))

    def _references(self, dissected: DissectedFrame) -> list[Spectra]:
        """Of the target's intensity, and of what the reconstruction misses of all channels; none without target."""
        target = dissected.frame.target
        if target is None:
            return []
        missing = (dissected.reconstruction - target.float().cpu()).double()
        return [
            spectra("target", torch.from_numpy(intensity(target))[None]),
            spectra("residual", missing.sum(0)[None]),
        ]

    def _log(self, found: Spectra, index: int, outputs: Outputs) -> None:
        values = _known({"centroid": found.centroid, "bandwidth": found.bandwidth})
        known = found.centroid[~np.isnan(found.centroid)]
        if len(known):
            low, high = np.quantile(known, (0.25, 0.75))
            values |= {"centroid_lower_quartile": float(low), "centroid_upper_quartile": float(high)}
        outputs.scalars(found.name, {**values, "constant_maps": found.num_constant}, index)
        arrays = {
            "frequencies": found.frequencies,
            "power": found.power,
            "centroid": found.centroid,
            "bandwidth": found.bandwidth,
        }
        outputs.arrays(found.name, "spectra", arrays, index)


def _known(values: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, float]:
    """The median of each, where it exists."""
    known = {name: each[~np.isnan(each)] for name, each in values.items()}
    return {name: float(np.median(each)) for name, each in known.items() if len(each)}
