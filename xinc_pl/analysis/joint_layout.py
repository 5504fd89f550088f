"""The neurons of several runs in one plane (Fig. 14)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from xinc_pl.analysis.embedding import MIN_POINTS, umap_plane
from xinc_pl.canvas.statistics.results import NeuronVectors


@dataclass(frozen=True, eq=False)
class JointLayout:
    """Neurons of several runs in one plane.

    Attributes:
        points: float64 (M, 2), without a unit.
        run: int64 (M,), the place of the run that each is from.
        neurons: int64 (M,), rows of that run's statistics.
    """

    points: npt.NDArray[np.float64]
    run: npt.NDArray[np.int64]
    neurons: npt.NDArray[np.int64]


def joint_layout(vectors: Sequence[NeuronVectors], seed: int = 0) -> JointLayout | None:
    """Lay the neurons of several runs out by UMAP (min_dist 0.1, Euclidean), as if they were of one network.

    Each point has as many neighbours as the root of their number, but 5 at least and 150 at most: about what the
    paper takes for its layers.

    Args:
        vectors: Of each run.
        seed: Of UMAP.

    Returns:
        None where there are fewer than ``MIN_POINTS`` of them altogether.
    """
    points = torch.cat([each.vectors for each in vectors]).numpy()
    if len(points) < MIN_POINTS:
        return None
    run = np.concatenate([np.full(len(each.neurons), index) for index, each in enumerate(vectors)])
    neurons = torch.cat([each.neurons for each in vectors]).numpy()
    num_neighbours = max(5, min(150, round(math.sqrt(len(points)))))
    return JointLayout(umap_plane(points, num_neighbours, seed), run, neurons)
