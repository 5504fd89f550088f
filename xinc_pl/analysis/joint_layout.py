"""The neurons of several runs in one plane (Fig. 14)."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from xinc_pl.canvas.statistics import NeuronVectors

MIN_NEURONS = 8
"""Fewer points have no neighbourhoods that could be laid out."""


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
        None where there are fewer than ``MIN_NEURONS`` of them altogether.
    """
    points = torch.cat([each.vectors for each in vectors]).numpy()
    if len(points) < MIN_NEURONS:
        return None
    run = np.concatenate([np.full(len(each.neurons), index) for index, each in enumerate(vectors)])
    neurons = torch.cat([each.neurons for each in vectors]).numpy()
    return JointLayout(_umap(points, seed), run, neurons)


def _umap(points: npt.NDArray[np.float64], seed: int) -> npt.NDArray[np.float64]:
    num_threads = torch.get_num_threads()
    count = min(max(5, min(150, round(math.sqrt(len(points))))), len(points) - 1)
    # The spectral start needs clearly more points than dimensions.
    start = "spectral" if len(points) > 50 else "random"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it runs in one thread, and that TensorFlow is not there
            import umap  # takes two seconds

            reducer = umap.UMAP(
                n_neighbors=count, min_dist=0.1, metric="euclidean", random_state=seed, n_jobs=1, init=start
            )
            return np.asarray(reducer.fit_transform(points), dtype=np.float64)
    finally:
        # It leaves its compiler's number of threads behind, which is torch's as well.
        torch.set_num_threads(num_threads)
