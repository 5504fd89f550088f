"""Do neurons specialise in objects, colours, textures or places?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.channels import as_rgb
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.grouping_variance import (
    NUM_COMPARED,
    NUM_SHIFTS,
    Explained,
    VarianceDistribution,
    compared_magnitudes,
    explained,
    movable,
    variance_distribution,
    variance_nulls,
)
from xinc_pl.analysis.moved_clusters import MovableClusters
from xinc_pl.analysis.nulls import Null, shift_offsets
from xinc_pl.analysis.partitions import PARTITION_NAMES, Partition, PartitionName
from xinc_pl.analysis.request import Request
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.board import Board
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas.maps.threads import in_threads
from xinc_pl.frames import Frame

_MOST_KEPT = 1 << 24
"""Places of moved pixels that are kept for the next moment: some 200 MB, of all shifts and partitions of a frame."""


class GroupingVariance(XINCCallback):
    """Shows how unevenly neurons contribute to objects, colours, textures and places (Fig. 4, 16).

    For every neuron: the variance, over a partition's clusters, of (actual - expected) / expected contribution, where
    expected is the cluster's share of the area. Contribution maps are smooth, so that the variance of any contiguous
    clusters is large. What a partition has to beat is therefore its null: its own clusters, of the same areas and
    shapes, shifted cyclically to wrong places; and, for a cyclic shift cuts what it moves over the border, shifted
    within the frame: in the middle of the maps, the clusters of other parts of the frame. p is the larger of both. A
    shifted grid is a grid: ``grid`` and ``comb`` have no null and test nothing. Logs the picture
    ``xinc/grouping_variance/all_layers/variances``, once the partitions themselves (``frame/partitions``), and the
    scalars below. A partition that the frame does not allow (``instances`` without masks) is left out, with a line that
    says so. Scalars that do not exist (a partition of one cluster has no variance) are left out.

    Args:
        partitions: Which of ``instances``, ``rgb``, ``gabor``, ``superpixels``, ``grid``, ``comb``. All by default.
        num_clusters: Of ``rgb``, ``gabor`` and ``superpixels``.
        grid: Rows and columns of ``grid`` and ``comb``.
        num_shifts: How many shifts of each kind make the null. The smallest p is 1 / (1 + ``num_shifts``): for a
            finished run give 199 or more.
        num_compared: Of how many neurons of each layer, a seeded sample, the null is.
        max_neurons: Of larger layers a seeded sample of so many neurons; by default all are looked at.
        shuffled: Show clusters of the same areas at shuffled pixels too, as the paper does. They are no null: any
            contiguous clusters beat them, in an untrained network's first block 170 times.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "variances": "per layer and partition, the distribution over neurons of the variance of deltas: a neuron that "
        "contributes everywhere alike has 0; behind: the null, medians for the same clusters in wrong places",
        "partitions": "the clusters, over the frame (once)",
        "<partition>/median": "median over neurons of the variance of deltas",
        "<partition>/lower_quartile": "a quarter of the neurons lies below",
        "<partition>/upper_quartile": "a quarter of the neurons lies above",
        "<partition>/null_median": "the median of the null: for the same clusters shifted to wrong places, the median "
        "over a sample of 128 neurons",
        "<partition>/ratio": "the median of these 128 neurons over that of the null: 1 means that the places of the "
        "clusters do not matter",
        "<partition>/p": "share of shifts that reach it, itself counted; of cyclic shifts and of shifts within the "
        "frame the larger one: at least 1/25 with 24 shifts. There is one for each layer and partition, and one of "
        "twenty is below 0.05 by chance",
        "<partition>/given_colour": "of the instances, the median that is left when their pixels change places with "
        "others of like colour: what colour alone explains. No null, and no p",
        "<partition>/given_place": "the same when they change places within 8 by 16 cells: what place alone explains",
        "<partition>/shuffled_median": "the median for clusters of the same areas at shuffled pixels: no null, any "
        "smooth map beats it (with `shuffled`)",
    }

    def __init__(
        self,
        partitions: list[PartitionName] | None = None,
        num_clusters: int = 32,
        grid: tuple[int, int] = (4, 8),
        num_shifts: int = NUM_SHIFTS,
        num_compared: int = NUM_COMPARED,
        max_neurons: int | None = None,
        shuffled: bool = False,
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(**kwargs)
        check_whole("GroupingVariance", "num_clusters", num_clusters, 1)
        if not isinstance(grid, Sequence) or len(grid) != 2:
            raise ValueError(f"GroupingVariance: grid is {grid!r}; give rows and columns, such as (4, 8)")
        check_whole("GroupingVariance", "num_shifts", num_shifts, 1)
        check_whole("GroupingVariance", "num_compared", num_compared, 1)
        if max_neurons is not None:
            check_whole("GroupingVariance", "max_neurons", max_neurons, 1)
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
        self.num_shifts, self.num_compared, self.shuffled = num_shifts, num_compared, shuffled
        self.max_neurons = max_neurons
        self._shown: set[int] = set()
        self._movable: dict[int, Mapping[Partition, MovableClusters]] = {}

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
        """All partitions, and if asked for each one's areas at shuffled pixels."""
        shuffled = tuple(each.control for each in self.partitions) if self.shuffled else ()
        return Request((*self.partitions, *shuffled), max_neurons=self.max_neurons, seed=self.seed)

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """For each layer, all partitions over the training, and beside their null."""
        return {
            f"partitions over training, {layer}: {what}": [f"{layer}/[a-z]+/{what}"]
            for layer in layers
            for what in ("median", "ratio", "p")
        }

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Draw all layers of every frame."""
        from xinc_pl.plots.grouping_variance import draw_variances

        for dissected in frames:
            partitions = dissected.available(self.partitions)
            self._show_partitions(dissected, partitions, outputs)
            labels = {each: dissected.labels(each) for each in partitions}
            results = self._of_layers(dissected, layers, labels, outputs)
            picture = partial(draw_variances, results, epoch=outputs.epoch, quality=dissected.quality)
            outputs.image("all_layers", "variances", picture, dissected.frame.index)
            for result in results:
                self._log(result, dissected, outputs)

    def _of_layers(
        self,
        dissected: DissectedFrame,
        layers: Sequence[str],
        labels: Mapping[Partition, Tensor],
        outputs: Outputs,
    ) -> list[list[VarianceDistribution]]:
        clusters, canvas = self._clusters(dissected.frame, labels), dissected.canvas
        # What colour and place alone explain, where the frame has masks and colours.
        named = {each.name: each for each in labels}
        both = (named["instances"], named["rgb"]) if {"instances", "rgb"} <= set(named) else None

        def nulls(layer: str) -> tuple[Mapping[Partition, Null], Explained | None]:
            if not clusters:
                return {}, None
            magnitudes = compared_magnitudes(canvas[layer], self.num_compared, self.seed)
            found = variance_nulls(magnitudes, clusters, self.num_shifts, self.seed)
            if both is None:
                return found, None
            objects, colours = both
            return found, explained(magnitudes, clusters[objects], labels[colours], self.seed)

        results = []
        for layer, (found, left) in zip(layers, in_threads(nulls, layers, torch.get_num_threads()), strict=True):
            if left is not None:
                values = {"instances/given_colour": left.colour, "instances/given_place": left.place}
                finite = {name: value for name, value in values.items() if math.isfinite(value)}
                outputs.scalars(layer, finite, dissected.frame.index)
            totals = dissected.totals(layer, self.request())
            results.append([variance_distribution(layer, totals, each, found.get(each)) for each in labels])
        return results

    def _clusters(self, frame: Frame, labels: Mapping[Partition, Tensor]) -> Mapping[Partition, MovableClusters]:
        """Those that can be tested. Where they have been moved to is kept from moment to moment, if that is little."""
        kept = self._movable.get(frame.index, {})
        if kept and all(each.labels is labels.get(partition) for partition, each in kept.items()):
            return kept
        clusters = movable(labels)
        if sum(len(each.pixel) for each in clusters.values()) * self.num_shifts <= _MOST_KEPT:
            self._movable[frame.index] = clusters
        return clusters

    def _log(self, results: Sequence[VarianceDistribution], dissected: DissectedFrame, outputs: Outputs) -> None:
        index = dissected.frame.index
        arrays: dict[str, npt.NDArray[np.float64]] = {}
        for result in results:
            values = {
                "median": result.median,
                "lower_quartile": result.quartiles[0],
                "upper_quartile": result.quartiles[1],
            }
            name = result.partition.name
            arrays[name] = result.variances
            if result.null is not None:
                values |= {"null_median": result.null.median, "ratio": result.null.ratio, "p": result.null.p}
                arrays |= {f"{name}_sampled_median": np.array(result.null.actual), f"{name}_null": result.null.draws}
                if result.null.also is not None:
                    within = result.null.also
                    arrays |= {f"{name}_middle": np.array(within.actual), f"{name}_within": within.draws}
            if result.shuffled is not None:
                values["shuffled_median"] = float(np.median(result.shuffled)) if len(result.shuffled) else math.nan
                arrays[f"random_{name}"] = result.shuffled
            finite = {f"{name}/{key}": value for key, value in values.items() if math.isfinite(value)}
            outputs.scalars(result.layer, finite, index)
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
        offset = next(iter(shift_offsets(frame.size, self.num_shifts, self.seed).tolist()), [0, 0])
        shifted = {each.key: np.roll(labels[each.key], offset, (-2, -1)) for each in partitions if not each.is_regular}
        picture = partial(draw_partitions, labels, shifted, as_rgb(target))
        outputs.image("frame", "partitions", picture, frame.index)
