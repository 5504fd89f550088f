import math
import warnings

import numpy as np
import pytest
import torch

from xinc_pl.analysis.embedding import MIN_POINTS, _neighbours, moved_onto, umap_plane
from xinc_pl.analysis.neuron_layout import (
    NeuronLayout,
    NeuronPoints,
    Points,
    aligned_layouts,
    movement,
    neuron_layout,
    neuron_points,
    paper_neighbours,
)
from xinc_pl.canvas import dissect
from xinc_pl.models import NeRV


def kinds(num_neurons: int = 80, seed: int = 0, noise: float = 0.05) -> NeuronPoints:
    """Four kinds of neurons, one after the other."""
    random = np.random.default_rng(seed)
    centres = np.eye(4).repeat(2, axis=1)
    kind = np.arange(num_neurons) % 4
    vectors = (0.2 + 0.6 * centres[kind] + noise * random.standard_normal((num_neurons, 8))).clip(0, 1)
    return NeuronPoints(np.arange(num_neurons) + 5, vectors, num_neurons + 7, 2)


def layout_of(neurons: list[int], points: Points) -> NeuronLayout:
    return NeuronLayout(np.array(neurons), points, np.zeros(len(neurons), dtype=np.int64), math.nan)


@pytest.mark.parametrize(
    ("num_neurons", "num_points", "expected"),
    [
        (66, 66, 5),
        (104, 104, 5),
        (2288, 2288, 25),
        (3224, 3224, 75),
        (18352, 18352, 150),
        (18352, 2000, 16),
        (66, 9, 5),
    ],
)
def test_neighbours_are_the_papers_or_the_same_share_of_a_sample(
    num_neurons: int, num_points: int, expected: int
) -> None:
    assert paper_neighbours(num_neurons, num_points) == expected


def test_points_are_a_fixed_sample_whoever_has_a_vector() -> None:
    torch.manual_seed(0)
    network = NeRV((16, 32), strides=(2, 2), width=7, levels=6).eval()
    canvas = dissect(network, torch.tensor([0.5]))["head"]
    partition = {"p": torch.arange(512).view(16, 32) // 128}
    number = canvas.num_neurons
    first = neuron_points(canvas.statistics(partition), "p", 12, seed=3)
    with torch.no_grad():
        network.head.weight[:, int(first.neurons[2]) // 3] = 0
        network.head.bias.zero_()
    again = neuron_points(dissect(network, torch.tensor([0.5]))["head"].statistics(partition), "p", 12, seed=3)
    assert len(first.neurons) == 12
    assert set(again.neurons) < set(first.neurons)
    assert len(again.neurons) + again.num_left_out == 12
    assert again.num_neurons == number
    few = dissect(network, torch.tensor([0.5]), max_neurons=10)["block_2"]
    sampled = neuron_points(few.statistics(partition), "p", 100)
    assert sampled.neurons.tolist() == few.sample.tolist(), "indices of the layer's neurons, not rows"


@pytest.mark.slow
def test_kinds_become_groups_which_stay_while_neurons_change_come_and_go() -> None:
    np.random.seed(3)
    state, num_threads = np.random.get_state()[1].copy(), torch.get_num_threads()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        first = neuron_layout(kinds(), num_neighbours=10)
        assert first is not None
        assert math.isnan(first.movement)
        changed = kinds(84, seed=1)
        changed = NeuronPoints(changed.neurons[3:], changed.vectors[3:], 84, 0)
        then = neuron_layout(changed, first, num_neighbours=10)
        alone = neuron_layout(changed, None, num_neighbours=10, seed=1)
    assert np.array_equal(np.random.get_state()[1], state)
    assert torch.get_num_threads() == num_threads
    assert then is not None
    assert alone is not None
    kind = (first.neurons - 5) % 4
    assert len({(a, b) for a, b in zip(kind, first.groups, strict=True)}) == 4, "one group for each kind"
    group_of = dict(zip(kind.tolist(), first.groups.tolist(), strict=True))
    # Also those that are new.
    assert [group_of[each] for each in ((then.neurons - 5) % 4).tolist()] == then.groups.tolist()
    assert then.movement == pytest.approx(movement(first, then))
    rows = np.intersect1d(first.neurons, alone.neurons, return_indices=True)
    turned = moved_onto(alone.points, first.points[rows[1]], rows[2])
    assert then.movement < 0.7 * movement(first, NeuronLayout(alone.neurons, turned, alone.groups, 0))
    again = neuron_layout(changed, first, num_neighbours=10)
    assert again is not None
    assert np.array_equal(again.points, then.points)


@pytest.mark.slow
def test_several_moments_in_one_layout_tie_a_neuron_to_itself() -> None:
    moments = [kinds(40, seed=seed) for seed in (0, 1)]
    moments[1] = NeuronPoints(moments[1].neurons[2:], moments[1].vectors[2:], 40, 0)
    one, other = aligned_layouts(moments, 8)
    assert one.shape == (40, 2)
    assert other.shape == (38, 2)
    spread = np.sqrt(np.square(one - one.mean(0)).sum(1).mean())
    assert np.median(np.linalg.norm(one[2:] - other, axis=1)) < 0.4 * spread


def test_the_largest_group_comes_first_and_equal_neurons_are_one_group() -> None:
    vectors = np.concatenate([np.zeros((3, 4)), np.ones((17, 4))])
    layout = neuron_layout(NeuronPoints(np.arange(20), vectors, 20, 0), num_neighbours=5, num_groups=2)
    assert layout is not None
    assert (np.bincount(layout.groups)[:-1] >= np.bincount(layout.groups)[1:]).all()
    assert np.isfinite(layout.points).all()


def test_too_few_neurons_have_no_layout_and_nan_is_refused() -> None:
    points = kinds(MIN_POINTS - 1)
    assert neuron_layout(points) is None
    with pytest.raises(ValueError, match="there are 7 points; a layout takes 8"):
        umap_plane(points.vectors, 5)
    with pytest.raises(ValueError, match="NaN or infinite"):
        umap_plane(np.full((9, 2), np.nan), 5)


def test_movement_by_hand() -> None:
    before = layout_of([1, 2, 3, 4], np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]]))
    after = layout_of([2, 3, 9], np.array([[-1.0, 0.5], [0, 1.5], [7, 7]]))
    assert movement(before, after) == pytest.approx(0.5)
    assert math.isnan(movement(before, layout_of([7], np.zeros((1, 2)))))
    assert math.isnan(movement(layout_of([1, 2], np.zeros((2, 2))), before)), "no spread"


def test_a_layout_is_turned_back_but_not_bent() -> None:
    points = np.random.default_rng(0).standard_normal((30, 2)) * (3, 1)
    angle = 2.0
    rotation = np.array([[math.cos(angle), math.sin(angle)], [math.sin(angle), -math.cos(angle)]])
    turned = 4 * points @ rotation + (5, -2)
    rows = np.arange(0, 30, 2)
    np.testing.assert_allclose(moved_onto(turned, points[rows], rows), points, atol=1e-9)
    assert np.isfinite(moved_onto(np.zeros((9, 2)), points[:9], np.arange(9))).all()


def test_what_is_compiled_of_umap_is_kept_for_the_next_process() -> None:
    umap_plane(np.random.default_rng(0).random((20, 4)), 5)
    umap = pytest.importorskip("umap")
    for function in (umap.umap_.smooth_knn_dist, umap.layouts._nb_optimize_layout_euclidean_single_epoch):
        assert function.stats.cache_path, function


def test_the_code_of_several_threads_is_not_kept_as_that_of_one() -> None:
    umap_plane(np.random.default_rng(0).random((20, 4)), 5)
    functions = [each for each in vars(pytest.importorskip("umap").layouts).values() if hasattr(each, "targetoptions")]
    both = [each for each in functions if [other.py_func for other in functions].count(each.py_func) > 1]
    assert both  # otherwise there is nothing left to watch
    for each in both:
        assert bool(each.stats.cache_path) is not bool(each.targetoptions["parallel"]), each


def test_neighbours_are_those_of_another_library_and_everyone_is_his_own_first() -> None:
    points = np.random.default_rng(0).random((60, 5))
    points[7] = points[3]  # in one place: each is still its own nearest
    nearest, distances = _neighbours(points, 6)
    expected = pytest.importorskip("sklearn.neighbors").NearestNeighbors(n_neighbors=6, algorithm="kd_tree").fit(points)
    np.testing.assert_allclose(distances, expected.kneighbors(points)[0], atol=1e-6)
    assert (nearest[:, 0] == np.arange(60)).all()
    assert nearest[3, 1] == 7
    assert nearest[7, 1] == 3


def test_a_layout_is_as_good_with_these_neighbours_as_with_those_that_umap_finds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = kinds(60).vectors
    kept = {}
    for name, most in (("ours", 4096), ("theirs", 0)):
        monkeypatch.setattr("xinc_pl.analysis.embedding._MOST_COMPARED", most)
        plane = umap_plane(points, 8)
        near = [_neighbours(each, 9)[0][:, 1:] for each in (points, plane)]
        kept[name] = np.mean([len(np.intersect1d(*each)) / 8 for each in zip(*near, strict=True)])
    assert kept["ours"] > kept["theirs"] - 0.05
