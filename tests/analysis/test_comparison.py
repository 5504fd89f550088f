import itertools
import math

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from xinc_pl import NeRV, dissect
from xinc_pl.analysis.comparison import LayerControls, compare_layer, mixing
from xinc_pl.analysis.matching import MAX_NEURONS, SAMPLE_SIZE, match_neurons, sampled
from xinc_pl.analysis.partitions import Partition, labels_of
from xinc_pl.canvas.statistics.results import LayerStatistics, NeuronVectors
from xinc_pl.frames import Frame

GRID = Partition("grid")


def vectors_of(values: Tensor) -> NeuronVectors:
    return NeuronVectors(torch.arange(len(values)), values.double())


def random_vectors(num_neurons: int, seed: int, num_clusters: int = 12) -> NeuronVectors:
    generator = torch.Generator().manual_seed(seed)
    return vectors_of(torch.rand(num_neurons, num_clusters, generator=generator))


def statistics_of(network: NeRV) -> dict[str, LayerStatistics]:
    frame = Frame(0, torch.tensor([0.25], dtype=torch.float64), (16, 32), None)
    canvas = dissect(network, frame.inputs)
    labels = {each.key: labels_of(each, frame) for each in (GRID, GRID.control)}
    return {name: canvas[name].statistics(labels) for name in canvas}


def tiny_network(seed: int) -> NeRV:
    torch.manual_seed(seed)
    return NeRV((16, 32), strides=(2, 2), width=7, levels=6)


def permuted_copy(network: NeRV) -> NeRV:
    """The same function, its first block's output channels in another order."""
    copy = tiny_network(0)
    copy.load_state_dict(network.state_dict())
    first, second = copy.blocks[0].conv, copy.blocks[1].conv
    num_channels = second.in_channels
    order = torch.randperm(num_channels, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(order, torch.arange(num_channels))
    # The pixel shuffle makes one channel of four.
    shuffled = (order[:, None] * 4 + torch.arange(4)).flatten()
    with torch.no_grad():
        first.weight.copy_(first.weight[shuffled].clone())
        first.bias.copy_(first.bias[shuffled].clone())
        second.weight.copy_(second.weight[:, order].clone())
    return copy


def test_matching_worked_by_hand() -> None:
    # Up, down and a hump; the other run has them in another order, and stretched, which correlation does not see.
    first = vectors_of(torch.tensor([[0.0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 1, 0]]))
    second = vectors_of(torch.tensor([[0.0, 0.5, 0.5, 0], [0, 0.1, 0.2, 0.3], [3, 2, 1, 0.0]]))
    match = match_neurons(first, second)
    assert match.neurons.tolist() == [[0, 1], [1, 2], [2, 0]]
    assert match.similarity.tolist() == pytest.approx([1, 1, 1])
    # Up and down are opposites, the hump has nothing to do with either.
    assert match.any_pair == pytest.approx((1 + 1 + 1 - 1 - 1) / 9)


def test_the_pairs_are_the_best_there_are() -> None:
    first, second = random_vectors(5, 0), random_vectors(5, 1)
    match = match_neurons(first, second)
    correlations = np.corrcoef(first.vectors, second.vectors)[:5, 5:]
    best = max(correlations[range(5), order].mean() for order in itertools.permutations(range(5)))
    assert match.mean == pytest.approx(best)
    assert match.similarity.numpy() == pytest.approx(correlations[match.neurons[:, 0], match.neurons[:, 1]])
    assert match.any_pair == pytest.approx(correlations.mean())


def test_permuted_neurons_are_found_again() -> None:
    vectors = random_vectors(40, 0)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(3))
    match = match_neurons(vectors, vectors_of(2 * vectors.vectors[order] + 1))
    assert match.similarity.numpy() == pytest.approx(1)
    assert torch.equal(order[match.neurons[:, 1]], match.neurons[:, 0])


def test_the_assignment_is_scipys() -> None:
    first, second = random_vectors(30, 0), random_vectors(20, 1)
    correlations = np.corrcoef(first.vectors, second.vectors)[:30, 30:]
    rows, columns = linear_sum_assignment(-correlations)
    match = match_neurons(first, second)
    assert match.neurons.tolist() == np.stack([rows, columns], axis=1).tolist()
    assert match.mean == pytest.approx(correlations[rows, columns].mean())


def test_examples_are_the_best_the_median_and_the_worst_pair() -> None:
    match = match_neurons(random_vectors(9, 0), random_vectors(9, 1))
    ordered = sorted(match.similarity.tolist())
    assert match.similarity[match.examples()].tolist() == [ordered[-1], ordered[4], ordered[0]]
    constant = vectors_of(torch.ones(3, 4))
    assert len(match_neurons(constant, constant).examples()) == 0
    alone = random_vectors(1, 0)
    assert match_neurons(alone, alone).examples().tolist() == [0, 0, 0]


def test_a_run_matches_itself_and_the_control_does_not() -> None:
    vectors = random_vectors(30, 0)
    match = match_neurons(vectors, vectors)
    assert match.mean == pytest.approx(1)
    assert match.neurons[:, 0].tolist() == match.neurons[:, 1].tolist()
    assert 0 < match.control < 0.9


def test_vectors_of_noise_match_no_better_than_the_control() -> None:
    first, second = random_vectors(300, 0), random_vectors(300, 1)
    match = match_neurons(first, second)
    assert match.mean == pytest.approx(match.control, abs=0.02)
    assert match.mean > 0.4, "a search among many finds similar ones"


def test_the_control_is_the_same_each_time_and_the_seed_decides_it() -> None:
    first, second = random_vectors(20, 0), random_vectors(20, 1)
    assert match_neurons(first, second, 4).control == match_neurons(first, second, 4).control
    assert match_neurons(first, second, 4).control != match_neurons(first, second, 5).control


def test_of_unequal_numbers_the_smaller_is_matched() -> None:
    many = random_vectors(9, 0)
    few = NeuronVectors(torch.tensor([5, 7]), many.vectors[[3, 8]])
    assert match_neurons(many, few).neurons.tolist() == [[3, 5], [8, 7]]
    assert match_neurons(few, many).neurons.tolist() == [[5, 3], [7, 8]]


def test_constant_vectors_are_left_out() -> None:
    values = torch.tensor([[0.1, 0.1, 0.1], [0.0, 0.5, 1.0]])
    match = match_neurons(vectors_of(values), vectors_of(values))
    assert match.neurons.tolist() == [[1, 1]]
    empty = match_neurons(vectors_of(values[:1]), vectors_of(values))
    assert len(empty.neurons) == 0
    assert math.isnan(empty.mean)
    assert math.isnan(empty.control)


def test_other_clusters_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="of 12 and of 3 clusters"):
        match_neurons(random_vectors(4, 0), random_vectors(4, 0, num_clusters=3))


def test_large_layers_are_sampled_always_alike() -> None:
    vectors = random_vectors(MAX_NEURONS + 1, 0, num_clusters=2)
    number = MAX_NEURONS + 1
    sample = sampled(vectors, number)
    assert len(sample.neurons) == len(sample.neurons.unique()) == SAMPLE_SIZE
    assert torch.equal(sample.vectors, vectors.vectors[sample.neurons])
    assert torch.equal(sample.neurons, sampled(vectors, number).neurons)
    assert not torch.equal(sample.neurons, sampled(vectors, number, 1).neurons)
    small = random_vectors(MAX_NEURONS, 0, num_clusters=2)
    assert sampled(small, MAX_NEURONS) is small


def test_neurons_without_a_vector_change_no_other_neuron_of_the_sample() -> None:
    vectors, number = random_vectors(MAX_NEURONS + 1, 0, num_clusters=2), MAX_NEURONS + 1
    whole = set(sampled(vectors, number).neurons.tolist())
    gone = sorted(whole)[:40]
    alive = torch.tensor([neuron for neuron in range(number) if neuron not in gone])
    rest = sampled(NeuronVectors(alive, vectors.vectors[alive]), number)
    assert len(rest.neurons) == SAMPLE_SIZE
    assert len(whole - set(rest.neurons.tolist())) == len(gone)
    assert torch.equal(rest.vectors, vectors.vectors[rest.neurons])
    few = NeuronVectors(alive[:7], vectors.vectors[:7])
    assert torch.equal(sampled(few, number).neurons, alive[:7])


def naive_mixing(vectors: list[Tensor], num_neighbours: int) -> float:
    points = [(run, vector) for run, each in enumerate(vectors) for vector in each.tolist()]
    ratios = []
    for index, (run, vector) in enumerate(points):
        others = [(math.dist(vector, other), of) for at, (of, other) in enumerate(points) if at != index]
        nearest = sorted(others)[:num_neighbours]
        share = sum(of != run for _, of in nearest) / num_neighbours
        ratios.append(share / (sum(of != run for _, of in others) / len(others)))
    return sum(ratios) / len(ratios)


def test_mixing_agrees_with_plain_loops() -> None:
    runs = [random_vectors(count, count, num_clusters=2).vectors for count in (20, 35, 11)]
    assert mixing(runs, 6) == pytest.approx(naive_mixing(runs, 6))


def test_mixing_worked_by_hand() -> None:
    left, right = torch.tensor([[0.0], [1], [3]]), torch.tensor([[10.0], [11], [13]])
    assert mixing([left, right], 2) == 0
    # Each one's only neighbour is the other run's, where 2 of 3 would be by chance.
    assert mixing([torch.tensor([[0.0], [10]]), torch.tensor([[1.0], [11]])], 1) == pytest.approx(1.5)


def test_a_random_mixture_is_mixed() -> None:
    runs = [random_vectors(count, count, num_clusters=4).vectors for count in (400, 900)]
    assert mixing(runs) == pytest.approx(1, abs=0.03)


def test_neighbours_at_the_same_distance_share_the_last_places() -> None:
    runs = [torch.zeros(10, 3), torch.zeros(30, 3)]
    assert mixing(runs, 4) == pytest.approx(1)


def test_one_run_alone_has_no_mixing() -> None:
    assert math.isnan(mixing([torch.zeros(4, 2), torch.zeros(0, 2)]))


def test_a_permuted_copy_of_a_network_matches_perfectly() -> None:
    network = tiny_network(0)
    one, other = statistics_of(network), statistics_of(permuted_copy(network))
    comparison = compare_layer("block_2", [one["block_2"], other["block_2"]], [GRID], GRID)
    match = comparison.matches[0, 1]
    assert match.mean == pytest.approx(1, abs=1e-5)
    assert match.control < 0.8
    assert match.neurons[:, 0].tolist() != match.neurons[:, 1].tolist()
    stranger = statistics_of(tiny_network(1))["block_2"]
    assert compare_layer("block_2", [one["block_2"], stranger], [GRID], GRID).matches[0, 1].mean < 0.95


def test_a_layer_of_three_runs() -> None:
    runs = [statistics_of(tiny_network(seed))["head"] for seed in range(3)]
    comparison = compare_layer("head", runs, [GRID], GRID)
    assert comparison.num_neurons == tuple(each.num_neurons for each in runs)
    assert list(comparison.matches) == [(0, 1), (0, 2), (1, 2)]
    (distributions,) = comparison.variances
    for found, statistics in zip(distributions, runs, strict=True):
        deltas = statistics.delta("grid")[~statistics.zero_map].numpy()
        assert found.median == pytest.approx(np.median(deltas.var(1, ddof=1)))
    assert comparison.mixing == mixing([each.vectors("grid").vectors for each in runs])


def test_the_four_similarities() -> None:
    first, second, stranger, beginning = (statistics_of(tiny_network(seed))["head"] for seed in range(4))
    controls = LayerControls(stranger, [beginning, None])
    found = compare_layer("head", [first, second], [GRID], GRID, controls=controls)

    def similarity(one: LayerStatistics, other: LayerStatistics) -> float:
        correlations = np.corrcoef(one.vectors("grid").vectors, other.vectors("grid").vectors)
        correlations = correlations[: one.num_neurons, one.num_neurons :]
        return float(correlations[linear_sum_assignment(-correlations)].mean())

    assert {kind: list(each) for kind, each in found.matched.items()} == {
        "other_seed": [(0, 1)],
        "other_signal": [(0, 2), (1, 2)],
        "own_beginning": [(0, 0)],
    }
    similarities = found.similarities
    assert similarities.other_seed == pytest.approx(similarity(first, second))
    both = similarity(first, stranger), similarity(second, stranger)
    assert similarities.other_signal == pytest.approx(np.mean(both))
    assert similarities.own_beginning == pytest.approx(similarity(first, beginning))
    assert similarities.shuffled == found.matches[0, 1].control
    alone = compare_layer("head", [first, second], [GRID], GRID).similarities
    assert math.isnan(alone.other_signal)
    assert math.isnan(alone.own_beginning)


def test_a_run_is_its_own_beginning_where_nothing_was_trained() -> None:
    run = statistics_of(tiny_network(0))["block_1"]
    found = compare_layer("block_1", [run, run], [GRID], GRID, controls=LayerControls(None, [run, run]))
    assert found.similarities.own_beginning == pytest.approx(1)


def test_runs_with_one_encoding_are_left_out_of_the_means() -> None:
    runs = [statistics_of(tiny_network(seed))["head"] for seed in range(3)]
    one, other = torch.rand(5, 4), torch.rand(5, 4)
    # The control, which is the last, has the first one's encoding.
    controls = LayerControls(runs[2], [runs[0], None], [one, other, one.clone()])
    found = compare_layer("head", runs[:2], [GRID], GRID, controls=controls)
    assert not found.matches[0, 1].is_trivial
    assert [found.signals[run].is_trivial for run in (0, 1)] == [True, False]
    assert found.beginnings[0].is_trivial
    assert found.similarities.other_signal == found.signals[1].mean
    assert math.isnan(found.similarities.own_beginning)
    unknown = LayerControls(runs[2], [], [None, other, None])
    assert not compare_layer("head", runs[:2], [GRID], GRID, controls=unknown).signals[0].is_trivial
    smaller = LayerControls(runs[2], [], [one, other, one[:4]])
    assert not compare_layer("head", runs[:2], [GRID], GRID, controls=smaller).signals[0].is_trivial
