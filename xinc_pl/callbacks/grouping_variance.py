"""Do neurons specialise in objects, colours, textures or places?"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from xinc_pl.analysis.channels import as_rgb
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.grouping_variance import VarianceDistribution, variance_distribution
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionName
from xinc_pl.analysis.request import Request
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.board import Board
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.frames import Frame


class GroupingVariance(XINCCallback):
    """Shows how unevenly neurons contribute to objects, colours, textures and places (Fig. 4, 16).

    For every neuron: the variance, over a partition's clusters, of (actual - expected) / expected contribution, where
    expected is the cluster's share of the area. Every partition stands beside clusters of the same sizes at shuffled
    pixels. These are no null: maps are smooth, so that any contiguous clusters beat them, in an untrained network's
    first block 170 times. Compare with epoch 0, and with other partitions. Logs the picture
    ``xinc/grouping_variance/all_layers/variances``, once the partitions themselves (``frame/partitions``), and the
    scalars below. A partition that the frame does not allow (``instances`` without masks) is left out, with a line that
    says so. Scalars that do not exist (a partition of one cluster has no variance) are left out.

    Args:
        partitions: Which of ``instances``, ``rgb``, ``gabor``, ``superpixels``, ``grid``, ``comb``. All by default.
        num_clusters: Of ``rgb``, ``gabor`` and ``superpixels``.
        grid: Rows and columns of ``grid`` and ``comb``.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "variances": "per layer and partition, the distribution over neurons of the variance of deltas: a neuron that "
        "contributes everywhere alike has 0; pale: clusters of the same sizes at shuffled pixels, which are no null",
        "partitions": "the clusters, over the frame (once)",
        "<partition>/median": "median over neurons of the variance of deltas",
        "<partition>/lower_quartile": "a quarter of the neurons lies below",
        "<partition>/upper_quartile": "a quarter of the neurons lies above",
        "<partition>/control_median": "the median for clusters of the same sizes at shuffled pixels: no null, any "
        "smooth map beats it",
        "<partition>/ratio": "median over the control's median. More than 1 means little: any contiguous clusters "
        "reach 170 in an untrained network's first block",
    }

    def __init__(
        self,
        partitions: list[PartitionName] | None = None,
        num_clusters: int = 32,
        grid: tuple[int, int] = (4, 8),
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(**kwargs)
        check_whole("GroupingVariance", "num_clusters", num_clusters, 1)
        if not isinstance(grid, Sequence) or len(grid) != 2:
            raise ValueError(f"GroupingVariance: grid is {grid!r}; give rows and columns, such as (4, 8)")
        for side in grid:
            check_whole("GroupingVariance", "grid", side, 1)
        if partitions is not None and not partitions:
            raise ValueError("GroupingVariance: partitions is empty; name some, or leave it out for all")
        rules: Literal["paper", "released"] = "released" if self.convention == "released" else "paper"
        wanted = PARTITION_NAMES if partitions is None else partitions
        try:
            self.partitions = tuple(
                sorted(
                    (Partition(name, num_clusters, (grid[0], grid[1]), rules, self.seed) for name in set(wanted)),
                    key=lambda partition: PARTITION_NAMES.index(partition.name),
                )
            )
        except ValueError as error:
            raise ValueError(f"GroupingVariance: {error}") from None
        self._shown: set[int] = set()

    def take_up(self, frames: Sequence[Frame], board: Board) -> None:
        """Get to know the frames; insist that the grid is no finer than they are.

        Raises:
            ValueError: It is.
        """
        super().take_up(frames, board)
        for partition in self.partitions:
            if partition.grid == Partition(partition.name).grid or partition.name not in ("grid", "comb"):
                continue  # the default is as fine as it can be where a frame is tiny
            for frame in self.frames:
                if partition.grid[0] > frame.size[0] or partition.grid[1] > frame.size[1]:
                    raise ValueError(
                        f"a grid of {partition.grid[0]} by {partition.grid[1]} is finer than frame "
                        f"{frame.index}, which has {frame.size[0]} by {frame.size[1]} pixels; set grid to less"
                    )

    def request(self) -> Request:
        """All partitions, each with its areas at shuffled pixels."""
        return Request(partitions=tuple(each for wanted in self.partitions for each in (wanted, wanted.control)))

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """For each layer, all partitions over the training, and over shuffled pixels."""
        return {
            f"partitions over training, {layer}: {what}": [f"{layer}/[a-z]+/{what}"]
            for layer in layers
            for what in ("median", "ratio")
        }

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers of every frame."""
        from xinc_pl.plots.grouping_variance import draw_variances

        for dissected in frames:
            partitions = dissected.available(self.partitions)
            self._show_partitions(dissected, partitions, outputs)
            results = [
                [variance_distribution(layer, dissected.statistics(layer), each) for each in partitions]
                for layer in layers
            ]
            picture = draw_variances(results, epoch=outputs.epoch, psnr=dissected.psnr)
            outputs.image("all_layers", "variances", picture, dissected.frame.index)
            for result in results:
                self._log(result, dissected, outputs)

    def _log(self, results: Sequence[VarianceDistribution], dissected: DissectedFrame, outputs: Outputs) -> None:
        index = dissected.frame.index
        arrays: dict[str, npt.NDArray[np.float64]] = {}
        for result in results:
            values = {
                "median": result.median,
                "lower_quartile": result.quartiles[0],
                "upper_quartile": result.quartiles[1],
                "control_median": result.control_median,
                "ratio": result.median / result.control_median if result.control_median else math.nan,
            }
            name = result.partition.name
            finite = {f"{name}/{key}": value for key, value in values.items() if math.isfinite(value)}
            outputs.scalars(result.layer, finite, index)
            arrays |= {name: result.variances, f"random_{name}": result.control}
        if results:
            outputs.arrays(results[0].layer, "variances", arrays, index)

    def _show_partitions(self, dissected: DissectedFrame, partitions: Sequence[Partition], outputs: Outputs) -> None:
        """Show once what is grouped."""
        from xinc_pl.plots.partitions import draw_partitions

        frame = dissected.frame
        if frame.index in self._shown or not partitions:
            return
        self._shown.add(frame.index)
        target = dissected.reconstruction if frame.target is None else frame.target
        labels = {each.key: dissected.labels(each).numpy() for each in partitions}
        labels |= {each.control.key: dissected.labels(each.control).numpy() for each in partitions}
        picture = draw_partitions(labels, as_rgb(target))
        outputs.image("frame", "partitions", picture, frame.index)
