"""The neurons of one layer in a plane, followed over a training (Fig. 10, 12, 13)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.embedding import MIN_POINTS, Points, aligned_planes, moved_onto, umap_plane
from xinc_pl.canvas import LayerTotals

Indices = npt.NDArray[np.int64]

_PAPER_NEIGHBOURS = ((500, 5), (2500, 25), (5000, 75))
_MOST_NEIGHBOURS = 150
_NEAREST = 3
"""A neuron that is new is put between so many others that are most like it."""


@dataclass(frozen=True, eq=False)
class NeuronPoints:
    """Neurons of a layer as points: means of their maps, scaled to [0, 1], in the clusters of a partition.

    Attributes:
        neurons: int64 (M,), indices of the layer's neurons, ascending.
        vectors: float64 (M, K), in [0, 1].
        num_neurons: Of the layer, laid out or not.
        num_left_out: Neurons that were looked at but have no vector: their map is constant.
    """

    neurons: Indices
    vectors: Points
    num_neurons: int
    num_left_out: int


@dataclass(frozen=True, eq=False)
class NeuronLayout:
    """Neurons of a layer in a plane, in groups.

    Attributes:
        neurons: int64 (M,), indices of the layer's neurons, ascending.
        points: float64 (M, 2), without a unit.
        groups: int64 (M,), from 0.
        movement: Median over the neurons that the layout before had, too: how far they have moved, over the root mean
            square distance of the former points from their centre. NaN for a first layout.
    """

    neurons: Indices
    points: Points
    groups: Indices
    movement: float


def paper_neighbours(num_neurons: int, num_points: int) -> int:
    """How many neighbours the paper gives each neuron: 5, 25, 75 or 150, the more the larger the layer.

    Where only some of a layer's neurons are laid out it is the same share of them, but 5 at least.
    """
    count = next((few for most, few in _PAPER_NEIGHBOURS if num_neurons <= most), _MOST_NEIGHBOURS)
    return max(5, round(count * min(1.0, num_points / num_neurons)))


def neuron_points(totals: LayerTotals, partition: str, max_neurons: int, seed: int = 0) -> NeuronPoints:
    """Vectors of a layer's neurons, or of a fixed sample of them, always the same ones for a seed.

    Args:
        totals: Of the layer, or of a sample of it.
        partition: Whose clusters to take, by its key.
        max_neurons: How many neurons to take at most.
        seed: Decides which.
    """
    vectors = totals.vectors(partition)
    chosen = sample_neurons(totals.num_neurons, max_neurons, seed)
    kept = np.isin(vectors.neurons.numpy(), chosen)
    rows = vectors.neurons.numpy()[kept]
    left_out = len(chosen) - len(rows)
    return NeuronPoints(totals.neurons.numpy()[rows], vectors.vectors.numpy()[kept], totals.num_in_layer, left_out)


def neuron_layout(
    points: NeuronPoints,
    before: NeuronLayout | None = None,
    num_neighbours: int = 15,
    num_groups: int = 4,
    seed: int = 0,
) -> NeuronLayout | None:
    """Lay neurons out by UMAP, close to where they were before, and group them by k-means on the layout.

    Args:
        points: The neurons.
        before: The last layout of the same layer, if there is one. Its groups keep their numbers.
        num_neighbours: Of each neuron, for UMAP.
        num_groups: How many groups to make.
        seed: Of UMAP and k-means.

    Returns:
        None where there are fewer neurons than ``MIN_POINTS``.
    """
    if len(points.neurons) < MIN_POINTS:
        return None
    _, now, then = np.intersect1d(points.neurons, [] if before is None else before.neurons, return_indices=True)
    if before is None or len(now) < MIN_POINTS:
        plane = umap_plane(points.vectors, num_neighbours, seed)
        return NeuronLayout(points.neurons, plane, _by_size(_k_means(plane, num_groups, seed)), math.nan)
    start = _start(points.vectors, now, before.points[then])
    plane = moved_onto(umap_plane(points.vectors, num_neighbours, seed, start), before.points[then], now)
    groups = _renamed(_k_means(plane, num_groups, seed), now, before.groups[then])
    return NeuronLayout(points.neurons, plane, groups, movement(before, NeuronLayout(points.neurons, plane, groups, 0)))


def movement(before: NeuronLayout, after: NeuronLayout) -> float:
    """How far neurons have moved between two layouts: see ``NeuronLayout.movement``."""
    _, then, now = np.intersect1d(before.neurons, after.neurons, return_indices=True)
    spread = float(np.sqrt(np.square(before.points - before.points.mean(0)).sum(1).mean()))
    if not len(now) or spread == 0:
        return math.nan
    return float(np.median(np.linalg.norm(after.points[now] - before.points[then], axis=1))) / spread


def aligned_layouts(moments: Sequence[NeuronPoints], num_neighbours: int, seed: int = 0) -> list[Points]:
    """Lay the neurons of several moments out together, each tied to itself at the next one.

    Args:
        moments: At least two, each with ``MIN_POINTS`` neurons or more.
        num_neighbours: Of each neuron, for UMAP.
        seed: Of UMAP.
    """
    relations = []
    for earlier, later in pairwise(moments):
        _, then, now = np.intersect1d(earlier.neurons, later.neurons, return_indices=True)
        relations.append(dict(zip(then.tolist(), now.tolist(), strict=True)))
    return aligned_planes([each.vectors for each in moments], relations, num_neighbours, seed)


def _start(vectors: Points, known: Indices, places: Points) -> Points:
    """Where the neurons ``known`` were, the others between those that they are most like."""
    from sklearn.neighbors import NearestNeighbors

    start = np.empty((len(vectors), 2))
    start[known] = places
    new = np.setdiff1d(np.arange(len(vectors)), known)
    if len(new):
        nearest = NearestNeighbors(n_neighbors=_NEAREST).fit(vectors[known]).kneighbors(vectors[new])[1]
        start[new] = places[nearest].mean(1)
    return start


def _k_means(plane: Points, num_groups: int, seed: int) -> Indices:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    # The same place in double precision may be two in k-means.
    num_groups = min(num_groups, len(np.unique(plane.round(6), axis=0)))
    with threadpool_limits(1):
        labels = KMeans(num_groups, n_init=10, random_state=seed).fit(plane).labels_
    return np.asarray(labels, dtype=np.int64)


def _by_size(groups: Indices) -> Indices:
    """The largest group is the first."""
    order = np.argsort(-np.bincount(groups), kind="stable")
    renamed: Indices = np.argsort(order, kind="stable")[groups]
    return renamed


def _renamed(groups: Indices, rows: Indices, before: Indices) -> Indices:
    """Groups by the names of those before with which they share most neurons."""
    from scipy.optimize import linear_sum_assignment

    count = int(max(groups.max(), before.max())) + 1
    shared = np.zeros((count, count), dtype=np.int64)
    np.add.at(shared, (groups[rows], before), 1)
    names: Indices = linear_sum_assignment(shared, maximize=True)[1].astype(np.int64)
    return names[groups]
