"""Do contributions follow brightness, or edges?"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis.channels import as_rgb, noted
from xinc_pl.analysis.contribution_vs_intensity import FrameFeatures, compare_with_intensity, frame_features
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.frames import Frame


class ContributionVsIntensity(XINCCallback):
    """Compares each layer's total contribution with the frame's intensity and edges (Fig. 5).

    Smooth pictures, as totals and frames are, correlate by themselves: what a correlation has to beat is the same one
    with the frame shifted cyclically to any other place. Logs the picture
    ``xinc/contribution_vs_intensity/all_layers/comparison``, and the scalars below. A frame without target is left out,
    with a line that says so; so is the correlation with something constant.

    Args:
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "comparison": "total and intensity, each scaled to [0, 1], their difference, and the frame's edges",
        "intensity": "Pearson correlation over pixels of the layer's total with the frame's intensity",
        "intensity_z": "how many standard deviations it lies from the mean of the same correlations with the frame "
        "shifted to all other places",
        "intensity_p": "share of all places of the frame, the right one counted, where the correlation is as strong, "
        "whatever its sign: smooth pictures correlate by themselves. One test for each layer, as for edges",
        "edges": "Pearson correlation of the layer's total with the frame's Sobel edges",
        "edges_z": "likewise",
        "edges_p": "likewise",
    }

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        self._features: dict[int, FrameFeatures | None] = {}

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Each correlation of all layers, and its p."""
        del layers
        names = {"correlation with intensity": "intensity", "correlation with edges": "edges"}
        return {
            f"{start}{title}": [f".*/{name}{tag}"]
            for title, name in names.items()
            for start, tag in (("", ""), ("p of ", "_p"))
        }

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Compare all layers of every frame that has a target."""
        for dissected in frames:
            features = self._features_of(dissected.frame)
            if features is not None:
                self._compare(dissected, features, layers, outputs)

    def _features_of(self, frame: Frame) -> FrameFeatures | None:
        """Intensity and edges, computed once; None without target."""
        if frame.index not in self._features:
            self._features[frame.index] = None if frame.target is None else frame_features(frame.target)
            if frame.target is None:
                rank_zero_info(f"{type(self).__name__} leaves out frame {frame.index}: it has no target")
        return self._features[frame.index]

    def _compare(
        self, dissected: DissectedFrame, features: FrameFeatures, layers: Sequence[str], outputs: Outputs
    ) -> None:
        from xinc_pl.plots.contribution_vs_intensity import draw_contribution_vs_intensity

        frame = dissected.frame
        assert frame.target is not None, "it has features"
        results = [compare_with_intensity(layer, dissected.totals(layer).total, features) for layer in layers]
        picture = partial(
            draw_contribution_vs_intensity,
            results,
            features,
            as_rgb(frame.target),
            noted("frame", len(frame.target)),
            epoch=outputs.epoch,
            quality=dissected.quality,
        )
        outputs.image("all_layers", "comparison", picture, frame.index)
        for result in results:
            nulls = {"intensity": result.with_intensity, "edges": result.with_edges}
            outputs.nulls(result.layer, nulls, frame.index)
        totals = {result.layer: result.total.astype("float32") for result in results}
        outputs.arrays("all_layers", "totals", totals, frame.index)
