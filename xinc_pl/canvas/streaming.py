"""Statistics of whole layers, streamed: frames in lock-step, neurons in parts, maps made anew in every pass."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from xinc_pl.canvas.partition import Clusters, clusters_of
from xinc_pl.canvas.rules import ContributionRule
from xinc_pl.canvas.statistics import ClusterSums, LayerStatistics
from xinc_pl.canvas.tallies import ChangeTally, FirstPass, SecondPass
from xinc_pl.canvas.weights import GroupWeights
from xinc_pl.canvas.workers import in_threads

Partitions = Mapping[str, Tensor]

_NUM_LANES = 8
"""A layer's parts are divided among so many lanes on a CPU, whatever the number of threads: sums are the same then."""


class _Tally(Protocol):
    """What a pass adds up: in lanes, each for itself, and together at the end."""

    def lane(self) -> Self: ...

    def absorb(self, lane: Self) -> None: ...


_TallyType = TypeVar("_TallyType", bound=_Tally)


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
    layer = _Layer(rules, neurons)
    backend = rules[0].backend
    firsts = [FirstPass(len(neurons), rule.size, rule.device, backend) for rule in rules]
    layer.stream(firsts, _add_to_first)
    for first in firsts:
        first.finish()
    seconds = [SecondPass(first, masses, each, backend) for first, each in zip(firsts, clusters, strict=True)]
    layer.stream(seconds, _add_to_second)
    for second in seconds:
        second.finish()
    if any(second.needs_third_pass for second in seconds):
        layer.stream(seconds, _add_to_third)
    return [
        _gather(rule, neurons, first, second, each, has_change=frame > 0)
        for frame, (rule, first, second, each) in enumerate(zip(rules, firsts, seconds, clusters, strict=True))
    ]


def stream_change_of(rules: Sequence[ContributionRule], neurons: Tensor) -> list[Tensor]:
    """The change between consecutive frames alone: float64 (H, W), on the CPU.

    Args:
        rules: The layer's rule on each frame.
        neurons: Which neurons, int64 (N,), ascending.
    """
    tallies = [ChangeTally(rule.size, rule.device, rule.backend) for rule in rules[1:]]
    _Layer(rules, neurons).stream(tallies, _add_to_change)
    return [tally.sums.image().cpu() for tally in tallies]


class _Layer:
    """The maps of one layer on several frames, in parts that are the same in every pass.

    Args:
        rules: The layer's rule on each frame.
        neurons: Which neurons, int64 (N,), ascending.
    """

    def __init__(self, rules: Sequence[ContributionRule], neurons: Tensor) -> None:
        self._chosen = neurons.to(rules[0].device)
        self._groups = [
            [GroupWeights(group, rule.size) for group, rule in zip(groups, rules, strict=True)]
            for groups in zip(*(rule.groups(self._chosen) for rule in rules), strict=True)
        ]
        parts = [(groups, part) for groups in self._groups for part in groups[0].group.parts()]
        num_lanes = _NUM_LANES if rules[0].device.type == "cpu" else 1
        # Consecutive parts, so that a lane sees few groups.
        bounds = [len(parts) * lane // num_lanes for lane in range(num_lanes + 1)]
        self._lanes = [parts[start:stop] for start, stop in pairwise(bounds) if start < stop]
        self._takes_threads = rules[0].device.type == "cpu" and all(rule.takes_threads for rule in rules)

    def stream(self, tallies: Sequence[_TallyType], add: Callable[[Sequence[_TallyType], "_Part"], None]) -> None:
        """Make all maps, and ``add`` them to the tally of each frame."""

        def run(lane: Sequence[tuple[list[GroupWeights], Tensor]]) -> list[_TallyType]:
            own = [tally.lane() for tally in tallies]
            for groups, part in lane:
                add(own, _Part(torch.searchsorted(self._chosen, part), part, groups))
            return own

        num_threads = min(torch.get_num_threads(), len(self._lanes)) if self._takes_threads else 1
        for own in in_threads(run, self._lanes, num_threads) if self._takes_threads else map(run, self._lanes):
            for tally, each in zip(tallies, own, strict=True):
                tally.absorb(each)


@dataclass(frozen=True)
class _Part:
    """Some neurons of one group.

    Attributes:
        places: int64 (n,), where they are among the chosen ones.
        neurons: int64 (n,), their indices.
        groups: Their group on each frame.
    """

    places: Tensor
    neurons: Tensor
    groups: Sequence[GroupWeights]

    def maps(self) -> Iterator[Tensor]:
        """Their magnitudes on each frame: (n, R, C)."""
        return (each.group.magnitudes(self.neurons) for each in self.groups)


def _add_to_first(firsts: Sequence[FirstPass], part: _Part) -> None:
    for first, group, magnitudes in zip(firsts, part.groups, part.maps(), strict=True):
        first.add(group, part.places, magnitudes)


def _add_to_second(seconds: Sequence[SecondPass], part: _Part) -> None:
    before: Tensor | None = None
    for second, group, magnitudes in zip(seconds, part.groups, part.maps(), strict=True):
        second.add(group, part.places, magnitudes, before)
        before = magnitudes


def _add_to_change(tallies: Sequence[ChangeTally], part: _Part) -> None:
    for tally, group, (before, now) in zip(tallies, part.groups[1:], pairwise(part.maps()), strict=True):
        tally.add(group, now, before)


def _add_to_third(seconds: Sequence[SecondPass], part: _Part) -> None:
    for second, group, magnitudes in zip(seconds, part.groups, part.maps(), strict=True):
        second.count(group, magnitudes)


def _gather(
    rule: ContributionRule,
    neurons: Tensor,
    first: FirstPass,
    second: SecondPass,
    clusters: Mapping[str, Clusters],
    has_change: bool,
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
        thresholds={mass: each.threshold for mass, each in second.thresholds.items()},
        neurons_per_pixel={
            mass: each.above.image().cpu().double() / len(neurons) for mass, each in second.thresholds.items()
        },
        histogram=first.histogram(),
        zero_map=(first.maximum == 0).cpu(),
        zero_input=rule.zero_inputs().cpu()[neurons],
        partitions={
            name: ClusterSums(each.areas, part) for (name, each), part in zip(clusters.items(), sums, strict=True)
        },
        change=second.change.image().cpu() if has_change else None,
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
