"""Runs side by side: are the canvases of two trainings alike (Fig. 4, 14), and more so than those of two signals?"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from xinc_pl.analysis.grouping_variance import VarianceDistribution, variance_distribution
from xinc_pl.analysis.matching import Match, match_neurons, sampled
from xinc_pl.analysis.nulls import Null
from xinc_pl.analysis.partitions import Partition
from xinc_pl.canvas.statistics.results import LayerTotals, NeuronVectors

NUM_NEIGHBOURS = 15
"""Of each neuron, for ``mixing``."""


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
    """Mean similarity of matched neurons, by whom they are matched with; NaN where there is nobody.

    Trivial matches (see ``Match``) are left out.

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

    signal: LayerTotals | None = None
    beginnings: Sequence[LayerTotals | None] = ()
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
        variances: For each partition, how unevenly the neurons of each run treat its clusters, beside its null.
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
        means = {
            kind: _mean_of(match.mean for match in found.values() if not match.is_trivial)
            for kind, found in self.matched.items()
        }
        return Similarities(**means, shuffled=_mean_of(match.control for match in self.matches.values()))

    @property
    def matched(self) -> Mapping[str, Mapping[tuple[int, int], Match]]:
        """All matches, by what they are of (see ``Similarities``) and by the numbers of the two runs.

        The run of another signal has the number after the last one; a beginning has its run's.
        """
        control = len(self.num_neurons)
        return {
            "other_seed": self.matches,
            "other_signal": {(run, control): match for run, match in self.signals.items()},
            "own_beginning": {(run, run): match for run, match in self.beginnings.items()},
        }


def compare_layer(
    layer: str,
    totals: Sequence[LayerTotals],
    partitions: Sequence[Partition],
    vectors: Partition,
    seed: int = 0,
    nulls: Sequence[Mapping[Partition, Null]] = (),
    controls: LayerControls = LayerControls(),
) -> LayerComparison:
    """Compare one layer of several runs that show the same frame.

    Args:
        layer: Its name.
        totals: Of each run, with all these partitions.
        partitions: Those whose variances are wanted.
        vectors: The one whose clusters the neurons' vectors are made of.
        seed: Of samples and controls.
        nulls: Of each run, as from ``variance_nulls``.
        controls: What else the runs are matched with.
    """
    of_run = nulls or [{} for _ in totals]

    def points_of(each: LayerTotals) -> NeuronVectors:
        found = sampled(each.vectors(vectors.key), each.num_neurons, seed)
        return NeuronVectors(each.neurons[found.neurons], found.vectors)

    points = tuple(map(points_of, totals))
    signal = None if controls.signal is None else points_of(controls.signal)
    return LayerComparison(
        layer,
        tuple(each.num_neurons for each in totals),
        tuple(
            tuple(
                variance_distribution(layer, each, partition, null.get(partition))
                for each, null in zip(totals, of_run, strict=True)
            )
            for partition in partitions
        ),
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


def _mean_of(values: Iterable[float]) -> float:
    """Of those that are none NaN; NaN if there are none."""
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else float("nan")
