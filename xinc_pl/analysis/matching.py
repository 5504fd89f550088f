"""Which neuron of one network is which of another: an optimal assignment on their vectors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xinc_pl.canvas.statistics.results import NeuronVectors

MAX_NEURONS = 2000
"""Layers with more neurons than this are compared by a sample."""
SAMPLE_SIZE = 1000


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
