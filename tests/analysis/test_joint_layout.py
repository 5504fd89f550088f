import warnings

import numpy as np
import pytest
import torch

from xinc_pl.analysis.embedding import MIN_POINTS
from xinc_pl.analysis.joint_layout import joint_layout
from xinc_pl.canvas.statistics.results import NeuronVectors


def vectors_around(centre: float, num_neurons: int, seed: int) -> NeuronVectors:
    generator = torch.Generator().manual_seed(seed)
    values = centre + 0.1 * torch.rand(num_neurons, 5, generator=generator, dtype=torch.float64)
    return NeuronVectors(torch.arange(num_neurons) + 10, values)


def test_too_few_neurons_have_no_layout() -> None:
    assert joint_layout([vectors_around(0, MIN_POINTS - 2, 0), vectors_around(0, 1, 1)]) is None


@pytest.mark.slow
def test_kinds_of_neurons_lie_together_whatever_their_run() -> None:
    first, second = vectors_around(0, 30, 0), vectors_around(0.9, 30, 1)
    np.random.seed(3)
    state, num_threads = np.random.get_state()[1].copy(), torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        layout = joint_layout([NeuronVectors(each.neurons, each.vectors) for each in (first, second, first)])
    assert layout is not None
    assert layout.points.shape == (90, 2)
    assert layout.run.tolist() == [0] * 30 + [1] * 30 + [2] * 30
    assert layout.neurons.tolist() == list(range(10, 40)) * 3
    assert np.array_equal(np.random.get_state()[1], state)
    assert torch.get_num_threads() == num_threads
    one, other, again = (layout.points[layout.run == run] for run in range(3))
    twins = np.linalg.norm(one - again, axis=1)
    strangers = np.linalg.norm(one[:, None] - other, axis=2)
    assert np.median(twins) < 0.2 * strangers.min()
    repeated = joint_layout([first, second, first])
    assert repeated is not None
    assert np.array_equal(repeated.points, layout.points)
    small = joint_layout([vectors_around(0, 4, 0), vectors_around(0, 4, 1)])
    assert small is not None
    assert np.isfinite(small.points).all()
