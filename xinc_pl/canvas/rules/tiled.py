"""Maps of images too large for a recording of all their pixels, tile by tile."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.large import pixels_at_once, recomputed, tiles_of
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.rules.collect import MakeMaps, collected, signed_maps
from xinc_pl.canvas.rules.rule import ContributionRule

_PIXELS_PER_VALUE = 1 << 6
"""Maps of so many neurons are made at once as have 2**25 values: each lot costs a pass through the network."""


class TiledRule(ContributionRule):
    """A layer's maps in a large image, of which only a sample of pixels was recorded.

    Args:
        rule: The layer's rule on the sample.
        recording: Of the image.
        window: Of which part of it; all by default.
    """

    def __init__(self, rule: ContributionRule, recording: Recording, window: Window | None = None) -> None:
        super().__init__(rule.layer, rule.later, rule.placement, rule.convention)
        self.rule, self.recording = rule, recording
        self.window = Window((0, recording.size[0]), (0, recording.size[1])) if window is None else window
        self.size, self.neuron_shape = self.window.size, rule.neuron_shape
        self.backend, self.takes_threads, self.is_slow = rule.backend, rule.takes_threads, rule.is_slow
        self.known_error = rule.known_error

    @property
    def device(self) -> torch.device:
        """Where maps are made."""
        return self.rule.device

    def tiles(self) -> Sequence[Window]:
        """Some rows at a time, or parts of rows."""
        return tiles_of(self.size, pixels_at_once(self.recording))

    def within(self, window: Window) -> ContributionRule:
        """The rule on those pixels, computed anew; or by tiles again, where there are many."""
        own = self.window.inner(window)
        if own.num_pixels > pixels_at_once(self.recording):
            return TiledRule(self.rule, self.recording, own)
        rule = self.rule.on(recomputed(self.recording, own))
        assert rule is not None, "it was tried"
        return rule

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all, of whole maps."""
        yield MapGroup(
            neurons,
            partial(self._made, signed_maps),
            max(self.size[0] * self.size[1] // _PIXELS_PER_VALUE, 1),
            unsigned=partial(self._made, MapGroup.magnitudes),
        )

    def _made(self, make: MakeMaps, neurons: Tensor) -> Tensor:
        return collected(self, neurons, make)

    def per_output(self, neurons: Tensor) -> Tensor:
        """Tile by tile."""
        maps: Tensor | None = None
        for tile in self.tiles():
            part = self.within(tile).per_output(neurons)
            if maps is None:
                maps = part.new_empty(*part.shape[:2], *self.size)
            tile.crop(maps)[...] = part
        assert maps is not None
        return maps

    def zero_inputs(self) -> Tensor:
        """Zero in every tile."""
        return torch.stack([self.within(tile).zero_inputs() for tile in self.tiles()]).all(0)

    def checked(self) -> ContributionRule:
        """The sample."""
        return self.rule


def tiled(rules: Mapping[str, ContributionRule], recording: Recording) -> Mapping[str, TiledRule] | None:
    """Rules of a large image, from those on the recording's sample; None if one of them knows no other pixels."""
    found = {name: TiledRule(rule, recording) for name, rule in rules.items()}
    for each in found.values():
        first, *_, last = (*each.tiles(), each.tiles()[-1])
        if not all(_knows(each.rule, recording, tile) for tile in (first, last)):
            return None
    return found


def _knows(rule: ContributionRule, recording: Recording, window: Window) -> bool:
    """Whether a rule knows what to make of other pixels."""
    there = rule.on(recomputed(recording, window, are_proven=False))
    return there is not None and all(group.rows is group.columns is None for group in there.groups(there.all_neurons()))
