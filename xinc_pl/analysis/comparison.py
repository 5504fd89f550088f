"""Runs side by side: are the canvases of two trainings alike (Fig. 4, 14)?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.grouping_variance import VarianceDistribution, variance_distribution
from xinc_pl.analysis.nulls import Null
from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas.statistics.results import LayerStatistics, NeuronVectors

MAX_NEURONS = 2000
"""Layers with more neurons than this are compared by a sample."""
SAMPLE_SIZE = 1000
NUM_NEIGHBOURS = 15
"""Of each neuron, for ``mixing``."""


def sampled(vectors: NeuronVectors, seed: int = 0) -> NeuronVectors:
    """A fixed sample of ``SAMPLE_SIZE`` neurons where there are more than ``MAX_NEURONS``; else all of them.

    It depends on nothing but the seed and the number of neurons, so that a run is the same as itself.
    """
    if len(vectors.neurons) <= MAX_NEURONS:
        return vectors
    chosen = np.random.default_rng(seed).choice(len(vectors.neurons), SAMPLE_SIZE, replace=False)
    rows = torch.from_numpy(np.sort(chosen))
    return NeuronVectors(vectors.neurons[rows], vectors.vectors[rows])


@dataclass(frozen=True, eq=False)
class Match:
    """Which neuron of one run is which of another.

    Attributes:
        neurons: int64 (n, 2), pairs: a row of the first run's statistics, one of the second's.
        similarity: float64 (n,), in [-1, 1], of each pair.
        control: The mean similarity that the same search finds after each vector of the second run has been shuffled.
        any_pair: The mean similarity of all pairs, matched or not.
    """

    neurons: Tensor
    similarity: Tensor
    control: float
    any_pair: float

    @property
    def mean(self) -> float:
        """Mean similarity of the pairs; NaN where there are none."""
        return float(self.similarity.mean())


def match_neurons(first: NeuronVectors, second: NeuronVectors, seed: int = 0) -> Match:
    """Pair the neurons of two runs so that the mean similarity is highest (optimal assignment).

    Similarity is the Pearson correlation of two vectors over their clusters. A vector that is the same in all clusters
    has none and is left out. Each neuron is used once; where one run has more, some of its neurons stay single.

    A search among many finds similar ones by chance. The control tells how similar: every vector of the second run has
    its own clusters shuffled, which keeps its values but not where they are, and the search is done anew.

    Args:
        first: Vectors (N, K).
        second: Vectors (M, K) over the same clusters.
        seed: Of the shuffle.
    """
    if first.vectors.shape[1] != second.vectors.shape[1]:
        raise ValueError(
            f"vectors of {first.vectors.shape[1]} and of {second.vectors.shape[1]} clusters cannot be compared; use "
            "the same partition for both"
        )
    rows, one = _standardised(first)
    columns, other = _standardised(second)
    similarity = one @ other.T
    pairs = _assignment(similarity)
    shuffled = np.random.default_rng(seed).permuted(other, axis=1)
    chance = one @ shuffled.T
    return Match(
        torch.stack([rows[pairs[0]], columns[pairs[1]]], dim=1),
        torch.from_numpy(similarity[pairs].clip(-1, 1)),
        _mean(chance[_assignment(chance)]),
        _mean(similarity),
    )


def mixing(vectors: Sequence[Tensor], num_neighbours: int = NUM_NEIGHBOURS) -> float:
    """How far kinds of neurons recur: whether the neurons most like one neuron come from other runs as well.

    For each neuron the share of its nearest neighbours (Euclidean, itself excluded) that come from another run, over
    the share that a random mixture gives: the other runs' neurons over all others. Neighbours that are equally far
    away take the last places in equal shares.

    Args:
        vectors: Of each run, (N, K).
        num_neighbours: How many neighbours of each neuron count.

    Returns:
        Mean over all neurons: 1 for a perfect mixture, 0 where each run keeps to itself; NaN with fewer than two runs
        that have neurons.
    """
    points = torch.cat(list(vectors)).double()
    run = torch.cat([torch.full((len(each),), index) for index, each in enumerate(vectors)])
    if len(run.unique()) < 2:
        return float("nan")
    num_neighbours = min(num_neighbours, len(points) - 1)
    expected = (len(points) - torch.bincount(run)[run]) / (len(points) - 1)
    shares = torch.cat(
        [_foreign_share(part, points, run, num_neighbours) for part in torch.arange(len(points)).split(512)]
    )
    return float((shares / expected).mean())


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """One layer in several runs.

    Attributes:
        layer: Its name.
        num_neurons: Of each run.
        variances: For each partition, how unevenly the neurons of each run treat its clusters, beside its null.
        matches: For each pair of runs (first < second), which neuron is which.
        vectors: Of each run, the neurons that were compared (``sampled``).
        mixing: See there; of all runs.
    """

    layer: str
    num_neurons: tuple[int, ...]
    variances: tuple[tuple[VarianceDistribution, ...], ...]
    matches: Mapping[tuple[int, int], Match]
    vectors: tuple[NeuronVectors, ...]
    mixing: float


def compare_layer(
    layer: str,
    statistics: Sequence[LayerStatistics],
    partitions: Sequence[Partition],
    vectors: Partition,
    seed: int = 0,
    nulls: Sequence[Mapping[Partition, Null]] = (),
) -> LayerComparison:
    """Compare one layer of several runs that show the same frame.

    Args:
        layer: Its name.
        statistics: Of each run, with all these partitions.
        partitions: Those whose variances are wanted.
        vectors: The one whose clusters the neurons' vectors are made of.
        seed: Of samples and controls.
        nulls: Of each run, as from ``variance_nulls``.
    """
    of_run = nulls or [{} for _ in statistics]
    points = tuple(sampled(each.vectors(vectors.key), seed) for each in statistics)
    return LayerComparison(
        layer,
        tuple(each.num_neurons for each in statistics),
        tuple(
            tuple(
                variance_distribution(layer, each, partition, null.get(partition))
                for each, null in zip(statistics, of_run, strict=True)
            )
            for partition in partitions
        ),
        {
            (first, second): match_neurons(points[first], points[second], seed)
            for first, second in combinations(range(len(points)), 2)
        },
        points,
        mixing([each.vectors for each in points]),
    )


def _foreign_share(rows: Tensor, points: Tensor, run: Tensor, num_neighbours: int) -> Tensor:
    """The share of the neighbours of some points that come from another run."""
    distances = torch.cdist(points[rows], points, compute_mode="donot_use_mm_for_euclid_dist")
    distances[torch.arange(len(rows)), rows] = torch.inf
    last = distances.kthvalue(num_neighbours, dim=1, keepdim=True).values
    foreign = run[rows, None] != run
    nearer, equal = distances < last, distances == last
    places = num_neighbours - nearer.sum(1)
    return ((nearer & foreign).sum(1) + places * (equal & foreign).sum(1) / equal.sum(1)) / num_neighbours


def _standardised(vectors: NeuronVectors) -> tuple[Tensor, npt.NDArray[np.float64]]:
    """Vectors whose products are correlations, and the neurons that have one."""
    centred = vectors.vectors.double() - vectors.vectors.double().mean(dim=1, keepdim=True)
    norms = centred.norm(dim=1, keepdim=True)
    # Rounding makes a constant vector not quite constant.
    varied = (norms > 1e-9).flatten()
    return vectors.neurons[varied], (centred[varied] / norms[varied]).numpy()


def _assignment(similarity: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(similarity, maximize=True)
    return rows, columns


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
