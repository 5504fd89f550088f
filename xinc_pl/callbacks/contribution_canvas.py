"""The canvas itself, layer by layer."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from xinc_pl.analysis.canvas_sample import CanvasSample, canvas_sample
from xinc_pl.analysis.channels import as_rgb, channels_note
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import CONVENTIONS, Convention


class ContributionCanvas(XINCCallback):
    """Shows contribution maps of a fixed sample of neurons, and their layer's total (Fig. 3, 11).

    Logs for every layer the picture ``xinc/contribution_canvas/<layer>/maps``, with target and reconstruction, and
    the scalars ``mean_magnitude``, ``zero_maps`` and ``completeness_error``. Maps, total and neurons are kept in
    ``maps_epoch_*.npz``.

    Args:
        num_neurons: How many neurons of each layer to show.
        beside: Another convention under which to show the same neurons, next to the first.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "maps": "contribution maps of the same neurons at every epoch, in multiples of the layer's mean |M|",
        "mean_magnitude": "mean |M| over all neurons and pixels of the layer: the unit of the maps' colours",
        "zero_maps": "neurons whose map is zero everywhere",
        "completeness_error": "the self-check: what all contributions add up to, against what the next layer received",
    }

    def __init__(self, num_neurons: int = 16, beside: Convention | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        check_whole("ContributionCanvas", "num_neurons", num_neurons, 1, 100)
        if beside is not None and (beside not in CONVENTIONS or beside == self.convention):
            others = ", ".join(each for each in CONVENTIONS if each != self.convention)
            raise ValueError(f"ContributionCanvas: beside is {beside!r}; choose from {others}, or leave it out")
        self.num_neurons = num_neurons
        self.beside = beside

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Mean magnitudes of all layers."""
        del layers
        return {"mean magnitude": [".*/mean_magnitude"], "zero maps": [".*/zero_maps"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw every layer of every frame."""
        for dissected in frames:
            for layer in layers:
                self._show(dissected, layer, outputs)

    def _show(self, dissected: DissectedFrame, layer: str, outputs: Outputs) -> None:
        index = dissected.frame.index
        sample = self._sample(dissected, layer)
        picture = self._drawn(sample, dissected, outputs, outputs.first(layer, "mean_magnitude", index))
        if self.beside is not None:
            other = dissected.under(self.beside)
            if layer in other.canvas:
                picture = np.hstack([picture, self._drawn(self._sample(other, layer), other, outputs)])
        outputs.image(layer, "maps", picture, index)
        outputs.scalars(
            layer,
            {
                "mean_magnitude": sample.unit,
                "zero_maps": sample.num_zero_maps,
                "completeness_error": dissected.canvas[layer].completeness_error,
            },
            index,
        )
        outputs.arrays(
            layer,
            "maps",
            {"neurons": sample.neurons, "maps": sample.maps, "total": sample.total, "unit": sample.unit},
            index,
        )

    def _sample(self, dissected: DissectedFrame, layer: str) -> CanvasSample:
        return canvas_sample(dissected.canvas[layer], dissected.statistics(layer), self.num_neurons, self.seed)

    def _drawn(
        self,
        sample: CanvasSample,
        dissected: DissectedFrame,
        outputs: Outputs,
        began: tuple[int, float] | None = None,
    ) -> npt.NDArray[np.uint8]:
        # Imported when it is needed: matplotlib takes a second, which --help should not.
        from xinc_pl.plots.contribution_canvas import draw_contribution_canvas

        target, reconstruction = dissected.frame.target, dissected.reconstruction
        notes: list[str] = [dissected.convention] if self.beside is not None else []
        notes += [note] if (note := channels_note(len(reconstruction))) else []
        return draw_contribution_canvas(
            sample,
            None if target is None else as_rgb(target),
            as_rgb(reconstruction),
            epoch=outputs.epoch,
            quality=dissected.quality,
            note=" · ".join(notes),
            began=began,
        )
