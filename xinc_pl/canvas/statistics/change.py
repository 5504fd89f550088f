"""How much the maps of a layer change from frame to frame, on its own."""

from collections.abc import Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.backends.backend import Backend
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.rules.rule import ContributionRule
from xinc_pl.canvas.statistics.lock_step import Part, Pieces
from xinc_pl.canvas.statistics.sums import PixelSums


class Change:
    """Change of one frame against the one before it, summed over neurons.

    Args:
        sums: To add to.
        backend: Who computes.
    """

    def __init__(self, sums: PixelSums, backend: Backend) -> None:
        self.sums = sums
        self.backend = backend

    def lane(self) -> "Change":
        """One for a lane."""
        return Change(self.sums.fresh(), self.backend)

    def within(self, tile: Window | None) -> "Change":
        """One for a tile; itself for the whole image."""
        return self if tile is None else Change(self.sums.within(tile), self.backend)

    def take(self, tile: Window | None, part: "Change") -> None:
        """Add what a tile has added up."""
        if tile is not None:
            self.sums.put(tile, part.sums)

    def absorb(self, lane: "Change") -> None:
        """Add what a lane has added up."""
        self.sums += lane.sums


def change_of_layers(rules: Sequence[ContributionRule], neurons: Tensor) -> list[Tensor]:
    """Change between each two consecutive frames, in one pass over the neurons.

    Args:
        rules: The layer's rule on each frame.
        neurons: Which neurons, int64 (N,), ascending.

    Returns:
        float64 (H, W) on the CPU for every frame but the first.
    """
    changes = [Change(PixelSums(rule.size, torch.float64, rule.device), rule.backend) for rule in rules[1:]]
    for tile, _, layer in Pieces(rules, neurons, num_passes=1):
        parts = [change.within(tile) for change in changes]
        layer.stream(parts, _add)
        for change, part in zip(changes, parts, strict=True):
            change.take(tile, part)
    return [change.sums.image().cpu() for change in changes]


def _add(changes: Sequence[Change], part: Part) -> None:
    before = part.maps(part.groups[0])
    for change, group in zip(changes, part.groups[1:], strict=True):
        magnitudes = part.maps(group)
        change.backend.add_change(magnitudes, before, change.sums.cells(group))
        before = magnitudes
