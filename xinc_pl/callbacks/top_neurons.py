"""Which neurons paint this object?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis import top_neurons as analysis
from xinc_pl.analysis.canvas_sample import mean_magnitude
from xinc_pl.analysis.channels import as_rgb
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.object_contributions import MIN_AREA
from xinc_pl.analysis.partitions import Partition, PartitionName
from xinc_pl.analysis.request import Request
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import LayerCanvas

Floats = npt.NDArray[np.float32]

_NUM_SHIFTS = 24


class TopNeurons(XINCCallback):
    """Shows the neurons that care most for each object, or for each cluster of another partition.

    For each cluster: the neurons whose mean contribution there is the largest multiple of their mean elsewhere, and
    those that contribute most there; with their maps. Picking the largest of many makes any multiple large, so that its
    null picks anew: the same clusters in wrong places, as for ``GroupingVariance``. Logs for every layer the picture
    ``xinc/top_neurons/<layer>/maps``, the scalars below, and all neurons found to ``top_epoch_*.npz``. Where the frame
    allows no such partition, a line says so and nothing else happens.

    Args:
        k: How many neurons of each kind for each cluster.
        partition: ``instances``, ``rgb``, ``gabor``, ``superpixels``, ``grid`` or ``comb``. By default ``instances``
            where a frame has masks, else ``rgb``.
        num_clusters: Of ``rgb``, ``gabor`` and ``superpixels``.
        max_shown: Of how many clusters, the largest, maps are drawn. Those below 0.2 % of the image are left out.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "maps": "for each cluster, outlined in its place, the neurons with the largest multiple (mean inside over "
        "mean elsewhere), and those with the largest share of all that is contributed there; colours in multiples of "
        "the layer's mean |M|",
        "mean_magnitude": "mean |M| over all neurons and pixels of the layer: the unit of the maps' colours",
        "ratio": "median over clusters of the k-th largest multiple, of a sample of 128 neurons",
        "null_ratio": "the median of the same for these clusters in wrong places",
        "p": "share of 24 cyclic shifts, and of 24 shifts within the frame, that reach the ratio, itself counted; the "
        "larger one: at least 1/25. One test for each layer. A grid is not tested: shifted, it is a grid",
    }

    def __init__(
        self,
        k: int = 3,
        partition: PartitionName | None = None,
        num_clusters: int = 8,
        max_shown: int = 7,
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(**kwargs)
        check_whole("TopNeurons", "k", k, 1, 4)
        check_whole("TopNeurons", "num_clusters", num_clusters, 1)
        check_whole("TopNeurons", "max_shown", max_shown, 1, 12)
        self.k, self.max_shown = k, max_shown
        names: tuple[PartitionName, ...] = ("instances", "rgb") if partition is None else (partition,)
        rules: Literal["paper", "released"] = "released" if self.convention == "released" else "paper"
        try:
            self.partitions = tuple(Partition(name, num_clusters, convention=rules, seed=self.seed) for name in names)
        except ValueError as error:
            raise ValueError(f"TopNeurons: {error}") from None
        self._has_told = False

    def request(self) -> Request:
        """The clusters."""
        return Request(partitions=(self._partition,))

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Ratio beside its null, and p, of all layers."""
        del layers
        return {"ratio": [".*/(null_)?ratio"], "p of ratio": [".*/p"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw every layer of every frame."""
        for dissected in frames:
            if not dissected.available([self._partition]):
                self._tell()
                continue
            for layer in layers:
                self._show(dissected, layer, self._partition, outputs)

    @property
    def _partition(self) -> Partition:
        """One for all frames, so that moments and frames can be compared."""
        has_masks = any(frame.instances for frame in self.frames)
        return self.partitions[0] if has_masks else self.partitions[-1]

    def _tell(self) -> None:
        if not self._has_told:
            rank_zero_info(f"{type(self).__name__} is left out: the frame allows no partition {self._partition.name}")
            self._has_told = True

    def _show(self, dissected: DissectedFrame, layer: str, partition: Partition, outputs: Outputs) -> None:
        from xinc_pl.plots.top_neurons import draw_top_neurons

        index, canvas, totals = dissected.frame.index, dissected.canvas[layer], dissected.totals(layer)
        labels, target = dissected.labels(partition), dissected.frame.target
        names = analysis.cluster_names(partition, dissected.frame, len(totals.partitions[partition.key].areas))
        found = analysis.top_neurons(totals, partition, names, labels, self.k)
        shown = self._largest(found)
        unit = mean_magnitude(totals)
        picture = partial(
            draw_top_neurons,
            shown,
            self._maps(canvas, shown, unit),
            as_rgb(dissected.reconstruction if target is None else target),
            layer,
            canvas.neuron_shape,
            unit,
            epoch=outputs.epoch,
            quality=dissected.quality,
            began=outputs.first(layer, "mean_magnitude", index),
        )
        outputs.image(layer, "maps", picture, index)
        values = {"mean_magnitude": unit}
        if not partition.is_regular:
            null = analysis.ratio_null(canvas, labels, self.k, _NUM_SHIFTS, self.seed)
            values |= {"ratio": null.actual, "null_ratio": null.median, "p": null.p}
        outputs.scalars(layer, {name: value for name, value in values.items() if math.isfinite(value)}, index)
        outputs.arrays(layer, "top", _arrays(found, self.k), index)

    def _largest(self, found: Sequence[analysis.TopNeurons]) -> list[analysis.TopNeurons]:
        """The clusters to draw, in their order."""
        large = [each for each in found if each.mask.mean() >= MIN_AREA]
        chosen = sorted(large, key=lambda each: -int(each.mask.sum()))[: self.max_shown]
        return [each for each in found if each in chosen]

    def _maps(self, canvas: LayerCanvas, shown: Sequence[analysis.TopNeurons], unit: float) -> dict[int, Floats]:
        """By neuron, in units of the layer's mean magnitude."""
        neurons = sorted({int(neuron) for each in shown for neuron in (*each.by_ratio, *each.by_sum)})
        if not neurons:
            return {}
        maps = (canvas.maps(neurons) / (unit or 1.0)).cpu().numpy()
        return dict(zip(neurons, maps, strict=True))


def _arrays(found: Sequence[analysis.TopNeurons], k: int) -> dict[str, npt.NDArray[Any]]:
    """A row per cluster; -1 and NaN where there are fewer than k neurons."""
    neurons = {"by_ratio": [each.by_ratio for each in found], "by_sum": [each.by_sum for each in found]}
    numbers = {"ratios": [each.ratios for each in found], "shares": [each.shares for each in found]}
    filled = {
        name: [np.pad(row, (0, k - len(row)), constant_values=-1) for row in rows] for name, rows in neurons.items()
    }
    filled |= {
        name: [np.pad(row, (0, k - len(row)), constant_values=np.nan) for row in rows] for name, rows in numbers.items()
    }
    return {
        "clusters": np.array([each.name for each in found]),
        **{name: np.array(rows) for name, rows in filled.items()},
    }
