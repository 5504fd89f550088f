"""The canvas itself, layer by layer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xinc_pl.analysis.canvas_sample import canvas_sample
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.dissected import DissectedFrame
from xinc_pl.callbacks.outputs import Outputs


class ContributionCanvas(XINCCallback):
    """Shows contribution maps of a fixed sample of neurons, and their layer's total (Fig. 3, 11).

    Logs for every layer the picture ``xinc/contribution_canvas/<layer>/maps``, with target and reconstruction, and
    the scalars ``mean_magnitude`` (mean of abs(M)), ``zero_maps`` (neurons whose map is zero everywhere) and
    ``completeness_error`` (the self-check: what all contributions add up to, against what the next layer received).
    Maps, total and neurons are kept in ``maps_epoch_*.npz``.

    Args:
        num_neurons: How many neurons of each layer to show.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    def __init__(self, num_neurons: int = 16, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        if not 1 <= num_neurons <= 100:
            raise ValueError(f"ContributionCanvas: num_neurons is {num_neurons}; it must be from 1 to 100")
        self.num_neurons = num_neurons

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw every layer of every frame."""
        # Imported when it is needed: matplotlib takes a second, which --help should not.
        from xinc_pl.plots.contribution_canvas import draw_contribution_canvas

        for dissected in frames:
            frame = dissected.frame
            for layer in layers:
                canvas = dissected.canvas[layer]
                sample = canvas_sample(canvas, dissected.statistics(layer), self.num_neurons, self.seed)
                picture = draw_contribution_canvas(
                    sample,
                    None if frame.target is None else _picture(frame.target),
                    _picture(dissected.reconstruction),
                    epoch=outputs.epoch,
                    psnr=dissected.psnr,
                    frame_name=frame.name if outputs.several_frames else "",
                )
                outputs.image(layer, "maps", picture, frame.index)
                outputs.scalars(
                    layer,
                    {
                        "mean_magnitude": sample.unit,
                        "zero_maps": sample.num_zero_maps,
                        "completeness_error": canvas.completeness_error,
                    },
                    frame.index,
                )
                outputs.arrays(
                    layer,
                    "maps",
                    {"neurons": sample.neurons, "maps": sample.maps, "total": sample.total, "unit": sample.unit},
                    frame.index,
                )


def _picture(image: Tensor) -> npt.NDArray[np.float32]:
    """(3, H, W) to (H, W, 3)."""
    return image.float().cpu().permute(1, 2, 0).numpy()
