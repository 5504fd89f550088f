"""Go through the maps of one layer on several frames at once: part by part, frame after frame within a part."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from threading import Lock
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from xinc_pl.canvas.maps.cells import GroupWeights
from xinc_pl.canvas.maps.threads import for_each_in_threads
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.rules.rule import ContributionRule

_NUM_LANES = 8
"""A layer's parts are divided among so many lanes on a CPU, whatever the number of threads: sums are the same then."""
_MAX_FRAMES = 8
"""Frames that go in lock-step. More would need more memory, and save little: one frame in so many is made twice."""
_MOST_KEPT = 1 << 26
"""Values of maps that are kept from pass to pass where they are slow to make: 256 MiB of float32."""
_MAX_PIXELS = 1 << 21
"""Pixels of all frames that go in lock-step: each takes several float64 in every lane that is at work."""


@dataclass(frozen=True)
class Part:
    """Some neurons of one group.

    Attributes:
        places: int64 (n,), where they are among the chosen ones.
        neurons: int64 (n,), their indices.
        groups: Their group on each frame.
        kept: Maps that were made before.
    """

    places: Tensor
    neurons: Tensor
    groups: Sequence[GroupWeights]
    kept: "_Kept"

    def maps(self, group: GroupWeights) -> Tensor:
        """Magnitudes of their maps on one frame: (n, R, C), to be left as they are."""
        return self.kept.magnitudes(group, self.neurons)


class _Kept:
    """Maps of some parts, for the next pass: as many as there is room for.

    Args:
        most_values: How many values there is room for.
    """

    def __init__(self, most_values: int) -> None:
        self._room = most_values
        self._maps: dict[tuple[GroupWeights, int], Tensor] = {}
        self._lock = Lock()

    def magnitudes(self, group: GroupWeights, neurons: Tensor) -> Tensor:
        """Those of a part of a group: (n, R, C)."""
        if not self._room and not self._maps:
            return group.group.magnitudes(neurons)
        place = (group, int(neurons[0]))
        if place not in self._maps:
            made = group.group.magnitudes(neurons)
            with self._lock:
                if made.numel() > self._room:
                    return made
                self._room -= made.numel()
            self._maps[place] = made
        return self._maps[place]


class _Tally(Protocol):
    """What a pass adds up: in lanes, each for itself, and together at the end."""

    def lane(self) -> Self: ...

    def absorb(self, lane: Self) -> None: ...


_TallyType = TypeVar("_TallyType", bound=_Tally)


class LockStep:
    """The maps of one layer on several frames, in parts that are the same in every pass.

    Args:
        rules: The layer's rule on each frame.
        neurons: Which neurons, int64 (N,), ascending.
        num_passes: How often they will be gone through: maps that are slow to make are kept for the next time.
    """

    def __init__(self, rules: Sequence[ContributionRule], neurons: Tensor, num_passes: int = 1) -> None:
        self._chosen = neurons.to(rules[0].device)
        groups_of_frames = zip(*(rule.groups(self._chosen) for rule in rules), strict=True)
        groups = [[GroupWeights(group, rules[0].size) for group in groups] for groups in groups_of_frames]
        parts = [(frames, part) for frames in groups for part in frames[0].group.parts()]
        num_lanes = _NUM_LANES if rules[0].device.type == "cpu" else 1
        # Consecutive parts, so that a lane sees few groups.
        bounds = [len(parts) * lane // num_lanes for lane in range(num_lanes + 1)]
        self._lanes = [parts[start:stop] for start, stop in pairwise(bounds) if start < stop]
        self._kept = _Kept(_MOST_KEPT if num_passes > 1 and all(rule.is_slow for rule in rules) else 0)
        self._takes_threads = rules[0].device.type == "cpu" and all(rule.takes_threads for rule in rules)

    def stream(self, tallies: Sequence[_TallyType], add: Callable[[Sequence[_TallyType], Part], None]) -> None:
        """Go through all parts, and ``add`` them to tallies."""

        def run(lane: Sequence[tuple[list[GroupWeights], Tensor]]) -> list[_TallyType]:
            own = [tally.lane() for tally in tallies]
            for groups, part in lane:
                add(own, Part(torch.searchsorted(self._chosen, part), part, groups, self._kept))
            return own

        def absorb(own: Sequence[_TallyType]) -> None:
            for tally, lane in zip(tallies, own, strict=True):
                tally.absorb(lane)

        if self._takes_threads:
            for_each_in_threads(run, self._lanes, min(torch.get_num_threads(), len(self._lanes)), absorb)
        else:
            for lane in self._lanes:
                absorb(run(lane))


class Pieces:
    """The image, or where that is too large one tile of it after the other, as often as they are gone through.

    Args:
        rules: The layer's rule on each frame.
        neurons: Which neurons, int64 (N,), ascending.
        num_passes: How often they will be gone through.
    """

    def __init__(self, rules: Sequence[ContributionRule], neurons: Tensor, num_passes: int) -> None:
        self._rules, self._neurons = rules, neurons
        self._tiles = rules[0].tiles()
        self._whole = None if self._tiles else LockStep(rules, neurons, num_passes)

    def __iter__(self) -> Iterator[tuple[Window | None, Sequence[ContributionRule], LockStep]]:
        """A window, None for all of the image; the rules there, and their maps."""
        if self._whole is not None:
            yield None, self._rules, self._whole
        for tile in self._tiles:
            own = [rule.within(tile) for rule in self._rules]
            yield tile, own, LockStep(own, self._neurons)


def frames_at_once(size: tuple[int, int]) -> int:
    """How many frames of this size go in lock-step."""
    return min(max(_MAX_PIXELS // (size[0] * size[1]), 1), _MAX_FRAMES)


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
