"""The canvas itself, layer by layer."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.canvas_sample import CanvasSample, canvas_sample, shares, strongest
from xinc_pl.analysis.channels import as_rgb, channels_note
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import CONVENTIONS, Convention

if TYPE_CHECKING:
    from xinc_pl.plots.printing import Drawing

Neurons = npt.NDArray[np.int64]


class ContributionCanvas(XINCCallback):
    """Shows contribution maps of a fixed sample of neurons, and their layer's total (Fig. 3, 11).

    Logs for every layer the picture ``xinc/contribution_canvas/<layer>/maps``, with target and reconstruction, and
    the scalars ``mean_magnitude``, ``zero_maps`` and ``completeness_error``. Maps, total and neurons are kept in
    ``maps_epoch_*.npz``; without the maps where a ``CanvasRecorder`` keeps what they can be computed from.

    Args:
        num_neurons: How many neurons of each layer to show.
        neurons: Indices of the neurons to show instead, of every layer that has them. An index is input channel times
            output channels plus output channel, as titles tell.
        order: Which neurons to show: a fixed random ``sample``, the same at every moment; the ``top`` ones, with the
            largest totals at that moment; or those that have ``changed`` their share of the layer's total most since
            the moment before.
        beside: Another convention under which to show the same neurons, next to the first.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "maps": "contribution maps of the same neurons at every epoch, in multiples of the layer's mean |M|",
        "mean_magnitude": "mean |M| over all neurons and pixels of the layer: the unit of the maps' colours",
        "zero_maps": "neurons whose map is zero everywhere",
        "completeness_error": "the self-check: what all contributions add up to, against what the next layer received",
    }

    def __init__(
        self,
        num_neurons: int = 16,
        beside: Convention | None = None,
        neurons: list[int] | None = None,
        order: Literal["sample", "top", "changed"] = "sample",
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(**kwargs)
        check_whole("ContributionCanvas", "num_neurons", num_neurons, 1, 100)
        _check_neurons(neurons, order)
        if beside is not None and (beside not in CONVENTIONS or beside == self.convention):
            others = ", ".join(each for each in CONVENTIONS if each != self.convention)
            raise ValueError(f"ContributionCanvas: beside is {beside!r}; choose from {others}, or leave it out")
        self.num_neurons = num_neurons
        self.beside = beside
        self.neurons = neurons
        self.order = order
        self._shares: dict[str, dict[int, Tensor]] = {}

    @property
    def follows(self) -> bool:
        """Its pictures tell the unit of the first moment, and may show the neurons that have changed since the last."""
        return True

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Mean magnitudes of all layers."""
        del layers
        return {"mean magnitude": [".*/mean_magnitude"], "zero maps": [".*/zero_maps"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw every layer of every frame."""
        for dissected in frames:
            for layer in layers:
                chosen = self._chosen(dissected, layer)
                if chosen is None or len(chosen):
                    self._show(dissected, layer, chosen, outputs)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to find what has changed."""
        return {"shares": self._shares} if self._shares else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the interrupted run has stopped."""
        self._shares = {layer: dict(each) for layer, each in state_dict.get("shares", {}).items()}

    def _chosen(self, dissected: DissectedFrame, layer: str) -> Neurons | None:
        """The neurons to show; None for a sample."""
        if self.neurons is not None:
            return np.array([each for each in self.neurons if each < dissected.canvas[layer].num_neurons], np.int64)
        if self.order == "sample":
            return None
        totals = dissected.totals(layer)
        before = self._shares.get(layer, {}).get(dissected.frame.index)
        if self.order == "changed":
            self._shares.setdefault(layer, {})[dissected.frame.index] = shares(totals)
        return strongest(totals, self.num_neurons, before)

    def _show(self, dissected: DissectedFrame, layer: str, chosen: Neurons | None, outputs: Outputs) -> None:
        index = dissected.frame.index
        sample = self._sample(dissected, layer, chosen)
        began = outputs.first(layer, "mean_magnitude", index)
        picture = self._drawing(sample, dissected, outputs, began)
        if self.beside is not None:
            other = dissected.under(self.beside)
            if layer in other.canvas:
                picture = _side_by_side(picture, self._drawing(self._sample(other, layer, chosen), other, outputs))
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
        arrays: dict[str, npt.ArrayLike] = {"neurons": sample.neurons, "total": sample.total, "unit": sample.unit}
        if index not in outputs.recorded:
            arrays["maps"] = sample.maps
        outputs.arrays(layer, "maps", arrays, index)

    def _sample(self, dissected: DissectedFrame, layer: str, chosen: Neurons | None) -> CanvasSample:
        return canvas_sample(dissected.canvas[layer], dissected.totals(layer), self.num_neurons, self.seed, chosen)

    def _drawing(
        self,
        sample: CanvasSample,
        dissected: DissectedFrame,
        outputs: Outputs,
        began: tuple[int, float] | None = None,
    ) -> "Drawing":
        # Imported when it is needed: matplotlib takes a second, which --help should not.
        from xinc_pl.plots.contribution_canvas import draw_contribution_canvas

        target, reconstruction = dissected.frame.target, dissected.reconstruction
        notes: list[str] = [dissected.convention] if self.beside is not None else []
        notes += [note] if (note := channels_note(len(reconstruction))) else []
        return partial(
            draw_contribution_canvas,
            sample,
            None if target is None else as_rgb(target),
            as_rgb(reconstruction),
            epoch=outputs.epoch,
            quality=dissected.quality,
            note=" · ".join(notes),
            began=began,
        )


def _side_by_side(*drawings: "Drawing") -> "Drawing":
    from xinc_pl.plots.printing import side_by_side

    return partial(side_by_side, drawings)


def _check_neurons(neurons: object, order: object) -> None:
    if order not in ("sample", "top", "changed"):
        raise ValueError(f"ContributionCanvas: order is {order!r}; choose sample, top or changed")
    if neurons is None:
        return
    if order != "sample":
        raise ValueError(f"ContributionCanvas: neurons are named, and order is {order!r}; leave one of them out")
    if isinstance(neurons, str) or not isinstance(neurons, Sequence) or not 1 <= len(neurons) <= 100:
        raise ValueError(f"ContributionCanvas: neurons is {neurons!r}; give a list of 1 to 100 indices")
    for neuron in neurons:
        check_whole("ContributionCanvas", "neurons", neuron, 0)
    if len(set(neurons)) < len(neurons):
        raise ValueError(f"ContributionCanvas: neurons is {neurons!r}; give each index once")
