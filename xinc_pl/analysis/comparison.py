"""Runs side by side: are the canvases of two trainings alike (Fig. 4, 14), and more so than those of two signals?"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.analysis.grouping_variance import VarianceDistribution, variance_distribution
from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas.statistics.results import LayerStatistics, NeuronVectors

MAX_NEURONS = 2000
"""Layers with more neurons than this are compared by a sample."""
SAMPLE_SIZE = 1000
NUM_NEIGHBOURS = 15
"""Of each neuron, for ``mixing``."""


def sampled(vectors: NeuronVectors, num_neurons: int, seed: int = 0) -> NeuronVectors:
    """A fixed sample of ``SAMPLE_SIZE`` neurons of layers that have more than ``MAX_NEURONS``; else all of them.

    It is the beginning of an order of all neurons that depends on nothing but their number and the seed. So a run has
    the same sample as its own beginning, but for neurons that have a vector only in one of them.

    Args:
        vectors: Of those neurons that have one.
        num_neurons: Of the layer.
        seed: Of the order.
    """
    if num_neurons <= MAX_NEURONS:
        return vectors
    places = torch.from_numpy(np.random.default_rng(seed).permutation(num_neurons))[vectors.neurons]
    rows = places.argsort()[:SAMPLE_SIZE].sort().values
    return NeuronVectors(vectors.neurons[rows], vectors.vectors[rows])


@dataclass(frozen=True, eq=False)
class Match:
    """Which neuron of one run is which of another.

    Attributes:
        neurons: int64 (n, 2), pairs: a neuron of the first run, one of the second.
        similarity: float64 (n,), in [-1, 1], of each pair.
        control: The mean similarity that the same search finds after each vector of the second run has been shuffled.
        any_pair: The mean similarity of all pairs, matched or not.
        is_trivial: Whether the layer receives the same in both, because both have the same encoding: its neurons are
            the same ones, trained or not, and what matches says nothing.
    """

    neurons: Tensor
    similarity: Tensor
    control: float
    any_pair: float
    is_trivial: bool = False

    @property
    def mean(self) -> float:
        """Mean similarity of the pairs; NaN where there are none."""
        return float(self.similarity.mean())

    def examples(self) -> Tensor:
        """int64 (3,), places of the best, the median and the worst pair; empty where there are none."""
        order = self.similarity.argsort(descending=True, stable=True)
        return order[[0, (len(order) - 1) // 2, -1]] if len(order) else order


def match_neurons(first: NeuronVectors, second: NeuronVectors, seed: int = 0, is_trivial: bool = False) -> Match:
    """Pair the neurons of two runs so that the mean similarity is highest (optimal assignment).

    Similarity is the Pearson correlation of two vectors over their clusters. A vector that is the same in all clusters
    has none and is left out. Each neuron is used once; where one run has more, some of its neurons stay single.

    A search among many finds similar ones by chance. The control tells how similar: every vector of the second run has
    its own clusters shuffled, which keeps its values but not where they are, and the search is done anew.

    Args:
        first: Vectors (N, K).
        second: Vectors (M, K) over the same clusters.
        seed: Of the shuffle.
        is_trivial: See ``Match``.
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
        is_trivial,
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


class Similarities(NamedTuple):
    """Mean similarity of matched neurons, with whom they are matched; NaN where there is nobody.

    Attributes:
        other_seed: Runs of the same signal, with one another.
        other_signal: Runs with the control, a run of another signal.
        own_beginning: Runs with what they were before the first step.
        shuffled: As ``other_seed``, each vector of one run shuffled.
    """

    other_seed: float
    other_signal: float
    own_beginning: float
    shuffled: float


@dataclass(frozen=True, eq=False)
class LayerControls:
    """What a layer's runs are matched with besides one another.

    Attributes:
        signal: Statistics of a run of another signal, over the clusters of the runs' frame.
        beginnings: Of each run, its statistics before the first step; None where they are not known.
        encodings: Of each run, and last of the run of another signal, what the layer receives where that depends on
            nothing trained; None where it does.
    """

    signal: LayerStatistics | None = None
    beginnings: Sequence[LayerStatistics | None] = ()
    encodings: Sequence[Tensor | None] = ()

    def have_one_encoding(self, first: int, second: int) -> bool:
        """Whether the layer receives the same in two of the runs."""
        if not self.encodings:
            return False
        one, other = self.encodings[first], self.encodings[second]
        return one is not None and other is not None and one.shape == other.shape and torch.allclose(one, other)


@dataclass(frozen=True, eq=False)
class LayerComparison:
    """One layer in several runs.

    Attributes:
        layer: Its name.
        num_neurons: Of each run.
        variances: For each partition, how unevenly the neurons of each run treat its clusters, beside chance.
        matches: For each pair of runs (first < second), which neuron is which.
        vectors: Of each run, the neurons that were compared (``sampled``).
        mixing: See there; of all runs.
        signals: Of each run, its neurons matched with those of a run of another signal; empty without one.
        beginnings: By run, its neurons matched with what they were before the first step, where that is known.
    """

    layer: str
    num_neurons: tuple[int, ...]
    variances: tuple[tuple[VarianceDistribution, ...], ...]
    matches: Mapping[tuple[int, int], Match]
    vectors: tuple[NeuronVectors, ...]
    mixing: float
    signals: Mapping[int, Match] = field(default_factory=dict)
    beginnings: Mapping[int, Match] = field(default_factory=dict)

    @property
    def similarities(self) -> Similarities:
        """The four similarities, means over runs or pairs of them."""
        matches = self.matches.values()
        return Similarities(
            _mean_of(match.mean for match in matches),
            _mean_of(match.mean for match in self.signals.values()),
            _mean_of(match.mean for match in self.beginnings.values()),
            _mean_of(match.control for match in matches),
        )


def compare_layer(
    layer: str,
    statistics: Sequence[LayerStatistics],
    partitions: Sequence[Partition],
    vectors: Partition,
    seed: int = 0,
    controls: LayerControls = LayerControls(),
) -> LayerComparison:
    """Compare one layer of several runs that show the same frame.

    Args:
        layer: Its name.
        statistics: Of each run, with all these partitions and their controls.
        partitions: Those whose variances are wanted.
        vectors: The one whose clusters the neurons' vectors are made of.
        seed: Of samples and controls.
        controls: What else the runs are matched with.
    """

    def points_of(each: LayerStatistics) -> NeuronVectors:
        found = sampled(each.vectors(vectors.key), each.num_neurons, seed)
        return NeuronVectors(each.neurons[found.neurons], found.vectors)

    points = tuple(map(points_of, statistics))
    signal = None if controls.signal is None else points_of(controls.signal)
    return LayerComparison(
        layer,
        tuple(each.num_neurons for each in statistics),
        tuple(tuple(variance_distribution(layer, each, partition) for each in statistics) for partition in partitions),
        {
            (first, second): match_neurons(
                points[first], points[second], seed, controls.have_one_encoding(first, second)
            )
            for first, second in combinations(range(len(points)), 2)
        },
        points,
        mixing([each.vectors for each in points]),
        {}
        if signal is None
        else {
            run: match_neurons(own, signal, seed, controls.have_one_encoding(run, -1)) for run, own in enumerate(points)
        },
        {
            run: match_neurons(points[run], points_of(beginning), seed, controls.have_one_encoding(run, run))
            for run, beginning in enumerate(controls.beginnings)
            if beginning is not None
        },
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


def _mean_of(values: Iterable[float]) -> float:
    """Of those that are none NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else float("nan")


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")
