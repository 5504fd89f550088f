"""Neurons as points: which of them are alike, and where they go."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from xinc_pl.analysis.canvas_sample import mean_magnitude, neuron_label
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.embedding import MIN_POINTS
from xinc_pl.analysis.neuron_layout import (
    NeuronLayout,
    NeuronPoints,
    aligned_layouts,
    neuron_layout,
    neuron_points,
    paper_neighbours,
)
from xinc_pl.analysis.partitions import Partition
from xinc_pl.analysis.request import Request
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.callbacks.projector import Projector

if TYPE_CHECKING:
    from xinc_pl.plots.neuron_layout import Member


class NeuronUMAP(XINCCallback):
    """Lays the neurons of each layer out in a plane, alike ones close together, and follows them (Fig. 10, 12, 13).

    A neuron is a point: the means of its map, scaled to [0, 1], in the clusters of Gabor responses. UMAP lays them out,
    starting from the layout before, so that a neuron stays where it is unless it changes; k-means makes groups of them,
    which keep their numbers. Logs, of the first frame, the picture ``xinc/neuron_umap/<layer>/layout`` with maps of
    some members of each group, and the scalars below. All layers' vectors also go to the PROJECTOR of TensorBoard, with
    their maps. A layer with fewer than 8 neurons that can be laid out is left out, with a line that says so.

    Args:
        num_clusters: How many clusters of Gabor responses, and so of how many numbers a neuron's vector is.
        num_groups: How many groups to make, up to 6.
        max_neurons: Of larger layers a fixed sample of so many neurons is laid out.
        n_neighbors: Of each neuron, for UMAP. By default the paper's: 5 for small layers, 25, 75 or 150 for layers of
            up to 2,500, up to 5,000, or more neurons, in proportion where only a sample is laid out.
        projector: Whether to write what TensorBoard's PROJECTOR shows.
        aligned: Whether to lay all dissections out together at the end of the training, which takes a minute or two for
            each large layer.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "layout": "neurons in a plane, alike ones close together, coloured by group; right: maps of some of each, "
        "their letters in the plane; a line leads there from where a neuron was before",
        "movement": "median distance that neurons have moved since the dissection before, as a share of the layout's "
        "spread (root mean square distance from its centre)",
        "neurons": "neurons that were laid out",
        "left_out": "neurons with a constant map, which have no vector",
        "aligned": "all dissections in one layout (at the end of the training, if asked for)",
    }

    def __init__(
        self,
        num_clusters: int = 32,
        num_groups: int = 4,
        max_neurons: int = 2000,
        n_neighbors: int | None = None,
        projector: bool = True,
        aligned: bool = False,
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        super().__init__(**kwargs)
        for name, value, least, most in (
            ("num_clusters", num_clusters, 2, math.inf),
            ("num_groups", num_groups, 1, 6),
            ("max_neurons", max_neurons, MIN_POINTS, math.inf),
            ("n_neighbors", 2 if n_neighbors is None else n_neighbors, 2, math.inf),
        ):
            check_whole("NeuronUMAP", name, value, least, most)
        self.partition = Partition("gabor", num_clusters, seed=self.seed)
        self.num_groups = num_groups
        self.max_neurons = max_neurons
        self.n_neighbors = n_neighbors
        self.projector = projector
        self.aligned = aligned
        self._layouts: dict[str, NeuronLayout] = {}
        self._limits: dict[str, tuple[float, float, float, float]] = {}
        self._moments: dict[str, dict[int, NeuronPoints]] = {}
        self._told: set[str] = set()

    @property
    def follows(self) -> bool:
        """Its pictures go on from those of the moment before."""
        return True

    def request(self) -> Request:
        """Sums in the clusters of Gabor responses, of the neurons that are laid out."""
        return Request((self.partition,), max_neurons=self.max_neurons, seed=self.seed)

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Movement of all layers."""
        del layers
        return {"movement": [".*/movement"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Lay every layer of the first frame out."""
        dissected = frames[0]
        if not dissected.available([self.partition]):
            return
        projector = Projector()
        for layer in layers:
            totals = dissected.totals(layer, self.request())
            points = neuron_points(totals, self.partition.key, self.max_neurons, self.seed)
            outputs.scalars(layer, {"neurons": len(points.neurons), "left_out": points.num_left_out})
            before = self._layouts.get(layer)
            layout = neuron_layout(points, before, self._neighbours(points), self.num_groups, self.seed)
            if layout is None:
                self._tell(layer, len(points.neurons))
            else:
                self._show(dissected, layer, points, layout, before, outputs)
                self._layouts[layer] = layout
            if self.aligned:
                self._moments.setdefault(layer, {})[outputs.epoch] = _rounded(points)
            if self.projector:
                unit = mean_magnitude(dissected.totals(layer))
                projector.add_layer(dissected.canvas[layer], totals, unit, points, layout, self.seed)
        if self.projector:
            outputs.embedding("all_layers", "neurons", projector.embedding())

    def conclude(self, outputs: Outputs) -> None:
        """Lay all moments out together."""
        from xinc_pl.plots.neuron_layout import draw_aligned

        for layer, moments in self._moments.items():
            moments = {epoch: points for epoch, points in moments.items() if len(points.neurons) >= MIN_POINTS}
            if len(moments) < 2:
                continue
            last = self._layouts[layer]
            some_points = list(moments.values())
            planes = aligned_layouts(some_points, self._neighbours(some_points[-1]), self.seed)
            group_of = dict(zip(last.neurons.tolist(), last.groups.tolist(), strict=True))
            groups = [np.array([group_of.get(each, -1) for each in some.neurons.tolist()]) for some in some_points]
            titles = [f"epoch {epoch}" for epoch in moments]
            outputs.image(layer, "aligned", partial(draw_aligned, planes, groups, titles, layer))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on with the same layouts."""
        return {
            "layouts": {
                layer: (*map(torch.from_numpy, (each.neurons, each.points, each.groups)), each.movement)
                for layer, each in self._layouts.items()
            },
            "limits": self._limits,
            "moments": {
                layer: {
                    epoch: (
                        torch.from_numpy(each.neurons),
                        torch.from_numpy(each.vectors).half(),
                        each.num_neurons,
                        each.num_left_out,
                    )
                    for epoch, each in moments.items()
                }
                for layer, moments in self._moments.items()
            },
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the interrupted run has stopped."""
        self._layouts = {
            layer: NeuronLayout(neurons.numpy(), points.numpy(), groups.numpy(), movement)
            for layer, (neurons, points, groups, movement) in state_dict["layouts"].items()
        }
        self._limits = {layer: (a, b, c, d) for layer, (a, b, c, d) in state_dict["limits"].items()}
        self._moments = {
            layer: {
                epoch: NeuronPoints(neurons.numpy(), vectors.double().numpy(), num_neurons, left_out)
                for epoch, (neurons, vectors, num_neurons, left_out) in moments.items()
            }
            for layer, moments in state_dict["moments"].items()
        }

    def _neighbours(self, points: NeuronPoints) -> int:
        return self.n_neighbors or paper_neighbours(points.num_neurons, len(points.neurons))

    def _tell(self, layer: str, count: int) -> None:
        if layer not in self._told:
            rank_zero_info(
                f"NeuronUMAP: {layer} is left out: {count} of its neurons have a map that is not constant, and a "
                f"layout takes {MIN_POINTS}"
            )
            self._told.add(layer)

    def _show(
        self,
        dissected: DissectedFrame,
        layer: str,
        points: NeuronPoints,
        layout: NeuronLayout,
        before: NeuronLayout | None,
        outputs: Outputs,
    ) -> None:
        from xinc_pl.plots.neuron_layout import draw_layout, widened

        facts = (
            f"{len(layout.neurons):,} of {points.num_neurons:,} neurons · {points.num_left_out:,} with a constant map "
            "left out"
        )
        if math.isfinite(layout.movement):
            outputs.scalars(layer, {"movement": layout.movement})
            facts += f" · moved by {layout.movement:.2f} of the spread since the dissection before"
        self._limits[layer] = widened(self._limits.get(layer), layout.points)
        picture = partial(
            draw_layout,
            layout,
            self._members(dissected, layer, layout),
            before,
            self._limits[layer],
            layer=layer,
            facts=facts,
            epoch=outputs.epoch,
            quality=dissected.quality,
        )
        outputs.image(layer, "layout", picture)
        arrays = {
            "neurons": layout.neurons,
            "points": layout.points,
            "groups": layout.groups,
            "vectors": points.vectors,
        }
        outputs.arrays(layer, "layout", arrays)

    def _members(self, dissected: DissectedFrame, layer: str, layout: NeuronLayout) -> "list[list[Member]]":
        """Some neurons of each group: the first in an order that is always the same, so that they stay."""
        from xinc_pl.plots.neuron_layout import MEMBERS, Member

        canvas, unit = dissected.canvas[layer], mean_magnitude(dissected.totals(layer)) or 1.0
        rank = torch.randperm(canvas.num_neurons, generator=torch.Generator().manual_seed(self.seed)).numpy()
        members = []
        for group in range(int(layout.groups.max()) + 1):
            rows = (layout.groups == group).nonzero()[0]
            rows = rows[np.argsort(rank[layout.neurons[rows]])][:MEMBERS]
            neurons = layout.neurons[rows]
            maps: Tensor | tuple[()] = canvas.maps(torch.from_numpy(neurons)).cpu() / unit if len(rows) else ()
            members.append(
                [
                    Member(int(row), neuron_label(int(neuron), canvas.neuron_shape), each.numpy())
                    for row, neuron, each in zip(rows, neurons, maps, strict=True)
                ]
            )
        return members


def _rounded(points: NeuronPoints) -> NeuronPoints:
    """In half precision, as a checkpoint keeps it: a resumed run is to see the same."""
    return replace(points, vectors=points.vectors.astype(np.float16).astype(np.float64))
