"""Statistics of whole layers, streamed: frames in lock-step, neurons in parts, maps made anew in every pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from xinc_pl.canvas.maps.clusters import Clusters, clusters_of
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.rules.rule import ContributionRule
from xinc_pl.canvas.statistics.lock_step import LockStep, Part, Pieces
from xinc_pl.canvas.statistics.passes import FirstPass, SecondPass
from xinc_pl.canvas.statistics.results import ClusterSums, LayerStatistics, LayerTotals

Partitions = Mapping[str, Tensor]
_TallyType = TypeVar("_TallyType", FirstPass, SecondPass)


def stream_layers(
    rules: Sequence[ContributionRule], neurons: Tensor, partitions: Sequence[Partitions], masses: Sequence[float]
) -> list[LayerStatistics]:
    """Statistics of one layer on some consecutive frames.

    Args:
        rules: The layer's rule on each frame, and first of all, if there is one, on the frame before them.
        neurons: Which neurons the statistics are about, int64 (N,), ascending.
        partitions: The partitions of each frame, without the one before them.
        masses: For which shares x thresholds are wanted, each between 0 and 1.

    Raises:
        ValueError: A partition or a mass is not what it should be.
    """
    for mass in masses:
        if not 0 < mass < 1:
            raise ValueError(f"mass has {mass}; each must lie between 0 and 1")
    own, backend = rules[-len(partitions) :], rules[0].backend
    clusters = [_clusters(rule, frame) for rule, frame in zip(own, partitions, strict=True)]
    pieces = Pieces(rules, neurons, num_passes=2)
    firsts = [
        FirstPass(len(neurons), rule.size, rule.device, backend, list(each.values()))
        for rule, each in zip(own, clusters, strict=True)
    ]
    zero_inputs = _first_pass(pieces, firsts, own)
    for first in firsts:
        first.finish()
    seconds = [SecondPass(first, masses, backend) for first in firsts]
    for tile, _, layer in pieces:
        _pass(seconds, tile, layer, _add_to_second, SecondPass.take)
    for second in seconds:
        second.finish()
    if any(second.needs_third_pass for second in seconds):
        for tile, _, layer in pieces:
            _pass(seconds, tile, layer, _add_to_third, SecondPass.take_counts)
    return [
        _gather(rule, neurons, first, second, each, zero, has_change=len(rules) - len(own) + frame > 0)
        for frame, (rule, first, second, each, zero) in enumerate(
            zip(own, firsts, seconds, clusters, zero_inputs, strict=True)
        )
    ]


def layer_totals(rule: ContributionRule, neurons: Tensor, partitions: Partitions) -> LayerTotals:
    """What one pass over the maps of one layer tells: the same bits as in its statistics.

    Args:
        rule: The layer's.
        neurons: Which neurons it is about, int64 (N,), ascending.
        partitions: Of the frame.

    Raises:
        ValueError: A partition is not what it should be.
    """
    clusters = _clusters(rule, partitions)
    first = FirstPass(len(neurons), rule.size, rule.device, rule.backend, list(clusters.values()), has_histogram=False)
    (zero_inputs,) = _first_pass(Pieces([rule], neurons, num_passes=1), [first], [rule])
    first.check()
    return _totals(rule, neurons, first, clusters, zero_inputs)


def _clusters(rule: ContributionRule, partitions: Partitions) -> dict[str, Clusters]:
    return {name: clusters_of(labels, name, rule.size) for name, labels in partitions.items()}


def _first_pass(pieces: Pieces, firsts: Sequence[FirstPass], rules: Sequence[ContributionRule]) -> list[Tensor]:
    """Go through all maps once; which neurons' inputs are zero everywhere, on each frame."""
    zero_inputs = [torch.ones(rule.num_neurons, dtype=torch.bool, device=rule.device) for rule in rules]
    for tile, there, layer in pieces:
        _pass(firsts, tile, layer, _add_to_first, FirstPass.take)
        for zero, rule in zip(zero_inputs, there[-len(rules) :], strict=True):
            zero &= rule.zero_inputs()
    return zero_inputs


def _pass(
    tallies: Sequence[_TallyType],
    tile: Window | None,
    layer: LockStep,
    add: Callable[[Sequence[_TallyType], Part], None],
    take: Callable[[_TallyType, Window | None, _TallyType], None],
) -> None:
    """Go through the maps in a tile, or in the whole image."""
    parts = [tally.within(tile) for tally in tallies]
    layer.stream(parts, add)
    for tally, part in zip(tallies, parts, strict=True):
        take(tally, tile, part)


def _add_to_first(firsts: Sequence[FirstPass], part: Part) -> None:
    for first, group in zip(firsts, part.groups[-len(firsts) :], strict=True):
        first.add(group, part.places, part.maps(group))


def _add_to_second(seconds: Sequence[SecondPass], part: Part) -> None:
    groups = part.groups[-len(seconds) :]
    before = part.maps(part.groups[0]) if len(groups) < len(part.groups) else None
    for second, group in zip(seconds, groups, strict=True):
        magnitudes = part.maps(group)
        second.add(group, part.places, magnitudes, before)
        before = magnitudes


def _add_to_third(seconds: Sequence[SecondPass], part: Part) -> None:
    for second, group in zip(seconds, part.groups[-len(seconds) :], strict=True):
        second.count(group, part.maps(group))


def _gather(
    rule: ContributionRule,
    neurons: Tensor,
    first: FirstPass,
    second: SecondPass,
    clusters: Mapping[str, Clusters],
    zero_inputs: Tensor,
    has_change: bool,
) -> LayerStatistics:
    return LayerStatistics(
        **vars(_totals(rule, neurons, first, clusters, zero_inputs)),
        pixels_per_neuron=second.pixels_per_neuron.cpu(),
        thresholds={mass: each.threshold for mass, each in second.thresholds.items()},
        neurons_per_pixel={
            mass: each.above.image().cpu().double() / len(neurons) for mass, each in second.thresholds.items()
        },
        histogram=first.histogram(),
        change=second.change.image().cpu() if has_change else None,
    )


def _totals(
    rule: ContributionRule,
    neurons: Tensor,
    first: FirstPass,
    clusters: Mapping[str, Clusters],
    zero_inputs: Tensor,
) -> LayerTotals:
    sums = first.cluster_sums.cpu().split([len(each.areas) for each in clusters.values()], dim=1)
    return LayerTotals(
        neurons=neurons,
        num_in_layer=rule.num_neurons,
        size=rule.size,
        total=first.total.cpu(),
        sum=first.sum.cpu(),
        minimum=first.minimum.cpu(),
        maximum=first.maximum.cpu(),
        zero_map=(first.maximum == 0).cpu(),
        zero_input=zero_inputs.cpu()[neurons],
        partitions={
            name: ClusterSums(each.areas, part) for (name, each), part in zip(clusters.items(), sums, strict=True)
        },
    )
