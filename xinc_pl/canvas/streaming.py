"""Statistics of whole layers, streamed: frames in lock-step, neurons in parts, maps made anew in every pass."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.partition import Clusters, clusters_of
from xinc_pl.canvas.rules import ContributionRule
from xinc_pl.canvas.statistics import ClusterSums, LayerStatistics
from xinc_pl.canvas.tallies import FirstPass, GroupWeights, SecondPass

Partitions = Mapping[str, Tensor]
Part = tuple[Tensor, list[tuple[GroupWeights, Tensor]]]


def stream_layers(
    rules: Sequence[ContributionRule], neurons: Tensor, partitions: Sequence[Partitions], masses: Sequence[float]
) -> list[LayerStatistics]:
    """Statistics of one layer on several frames.

    Args:
        rules: The layer's rule on each frame.
        neurons: Which neurons the statistics are about, int64 (N,), ascending.
        partitions: The partitions of each frame.
        masses: For which shares x thresholds are wanted, each between 0 and 1.

    Raises:
        ValueError: A partition or a mass is not what it should be.
    """
    for mass in masses:
        if not 0 < mass < 1:
            raise ValueError(f"mass has {mass}; each must lie between 0 and 1")
    clusters = [
        {name: clusters_of(labels, name, rule.size) for name, labels in frame.items()}
        for rule, frame in zip(rules, partitions, strict=True)
    ]
    firsts = [FirstPass(len(neurons), rule.size, rule.device) for rule in rules]
    for rows, maps in _parts(rules, neurons):
        for first, (group, magnitudes) in zip(firsts, maps, strict=True):
            first.add(group, rows, magnitudes)
    seconds = [SecondPass(first, masses, each) for first, each in zip(firsts, clusters, strict=True)]
    for rows, maps in _parts(rules, neurons):
        before: Tensor | None = None
        for second, (group, magnitudes) in zip(seconds, maps, strict=True):
            second.add(group, rows, magnitudes, before)
            before = magnitudes
    thresholds = [second.finish() for second in seconds]
    if any(second.needs_third_pass for second in seconds):
        for second in seconds:
            second.restart_counts()
        for _, maps in _parts(rules, neurons):
            for second, found, (group, magnitudes) in zip(seconds, thresholds, maps, strict=True):
                second.count_above(group, magnitudes, found)
    return [
        _gather(rule, neurons, first, second, found, each)
        for rule, first, second, found, each in zip(rules, firsts, seconds, thresholds, clusters, strict=True)
    ]


def _parts(rules: Sequence[ContributionRule], neurons: Tensor) -> Iterator[Part]:
    """Some of ``neurons`` at a time, by their places among them, with their maps on every frame."""
    chosen = neurons.to(rules[0].device)
    for groups in zip(*(rule.groups(chosen) for rule in rules), strict=True):
        weights: list[GroupWeights] = []
        for part in groups[0].parts():
            maps = [group.magnitudes(part) for group in groups]
            if not weights:
                weights = [
                    GroupWeights(group, (each.shape[-2], each.shape[-1]))
                    for group, each in zip(groups, maps, strict=True)
                ]
            yield torch.searchsorted(chosen, part), list(zip(weights, maps, strict=True))


def _gather(
    rule: ContributionRule,
    neurons: Tensor,
    first: FirstPass,
    second: SecondPass,
    thresholds: Mapping[float, float],
    clusters: Mapping[str, Clusters],
) -> LayerStatistics:
    sums = second.cluster_sums.cpu().split([len(each.areas) for each in clusters.values()], dim=1)
    return LayerStatistics(
        neurons=neurons,
        size=rule.size,
        total=first.total.cpu(),
        sum=first.sum.cpu(),
        minimum=first.minimum.cpu(),
        maximum=first.maximum.cpu(),
        pixels_per_neuron=second.pixels_per_neuron.cpu(),
        thresholds=dict(thresholds),
        neurons_per_pixel={mass: above.cpu().double() / len(neurons) for mass, above in second.above.items()},
        histogram=first.histogram(),
        zero_map=(first.maximum == 0).cpu(),
        zero_input=rule.zero_inputs().cpu()[neurons],
        partitions={
            name: ClusterSums(each.areas, part, part / each.areas)
            for (name, each), part in zip(clusters.items(), sums, strict=True)
        },
        change=None if second.change is None else second.change.cpu(),
    )


def check_same_layer(rules: Sequence[ContributionRule]) -> None:
    """Refuse canvases that are not of one layer of one network.

    Raises:
        ValueError: Names differ, or sizes, numbers of neurons, conventions, weights.
    """
    first = rules[0]
    for rule in rules[1:]:
        if (rule.layer.name, rule.neuron_shape, rule.size) != (first.layer.name, first.neuron_shape, first.size):
            raise ValueError(
                f"canvases of different layers cannot go in lock-step: {first.layer.name} with {first.num_neurons} "
                f"neurons at {first.size[0]}x{first.size[1]}, and {rule.layer.name} with {rule.num_neurons} at "
                f"{rule.size[0]}x{rule.size[1]}"
            )
        if rule.convention != first.convention:
            raise ValueError(
                f"the canvases of {first.layer.name} follow different conventions, {first.convention} and "
                f"{rule.convention}"
            )
        if not torch.equal(rule.layer.weight, first.layer.weight):
            raise ValueError(f"the canvases of {first.layer.name} are of different weights")
