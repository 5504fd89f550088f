"""Removal and the Gram matrix in images too large for a recording of all their pixels, tile by tile."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.effect.ablation import indices_of
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.effect.gram import MOST_VALUES, Gram
from xinc_pl.canvas.effect.removal import Removal
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.large import pixels_at_once, recomputed, tiles_of
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.undisturbed import undisturbed
from xinc_pl.canvas.rules.some_pixels import layer_of
from xinc_pl.canvas.rules.tiled import TiledRule

_MOST_IMAGES = 1 << 25
"""Values of all images that are handed out at the same time: 128 MiB of float32."""


class TiledGram(Gram):
    """The Gram matrix as a sum over tiles.

    Args:
        rules: Of the layers, by name.
    """

    def __init__(self, rules: Mapping[str, TiledRule]) -> None:
        super().__init__({name: each.rule for name, each in rules.items() if isinstance(each.rule, EffectRule)})
        self._tiled = dict(rules)

    def __call__(
        self,
        neurons: Mapping[str, Sequence[int] | Tensor],
        means: Mapping[str, Tensor] | None = None,
        most_values: int = MOST_VALUES,
    ) -> Tensor:
        """See ``Canvas.gram``."""
        chosen = [indices_of(self._rule(name).layer, each) for name, each in neurons.items()]
        number = sum(map(len, chosen))
        total = torch.zeros(number, number, dtype=torch.float64)
        if not number:
            return total
        recording = self._tiled[next(iter(neurons))].recording
        most = min(pixels_at_once(recording), most_values // (number * len(recording.image)))
        for tile in tiles_of(recording.size, most):
            with undisturbed():
                within = {name: self._tiled[name].within(tile) for name in neurons}
            rules = {name: rule for name, rule in within.items() if isinstance(rule, EffectRule)}
            total += Gram(rules)(neurons, means, most_values)
        return total


class TiledRemoval(Removal):
    """A large image without some of its neurons.

    Args:
        recording: Of the image.
        layers: Those that neurons may be taken from, by name, as they are on the recording's sample.
    """

    def __init__(self, recording: Recording, layers: Mapping[str, Layer]) -> None:
        super().__init__(recording, layers)
        self._tiles = tiles_of(recording.size, pixels_at_once(recording))

    def each(
        self, layer: str, neurons: Sequence[int] | Tensor, means: Tensor | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """See ``Removal.each``: some neurons at a time, all tiles."""
        indices = indices_of(self._layer(layer), neurons)
        places = torch.arange(len(indices), device=indices.device)
        for own in places.split(max(_MOST_IMAGES // self.image.numel(), 1)):
            part = indices[own]
            images = self.image.new_empty(len(part), *self.image.shape)
            for tile, there in self._each_tile([layer]):
                made = there.each(layer, part, None if means is None else means.to(own.device)[own])
                tile.crop(images)[...] = torch.cat([image for _, image in made])
            yield part, images

    def together(
        self, neurons: Mapping[str, Sequence[int] | Tensor], means: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """See ``Removal.together``."""
        for name, some in neurons.items():
            indices_of(self._layer(name), some)
        image = torch.empty_like(self.image)
        for tile, there in self._each_tile(list(neurons)):
            tile.crop(image)[...] = there.together(neurons, means)
        return image

    def means(self, layer: str, neurons: Sequence[int] | Tensor) -> Tensor:
        """See ``Removal.means``."""
        indices = indices_of(self._layer(layer), neurons)
        return self._mean(layer, lambda there: there.means(layer, indices))

    def input_rms(self, layer: str) -> Tensor:
        """See ``Removal.input_rms``."""
        return self._mean(layer, lambda there: there.input_rms(layer).square()).sqrt()

    def _mean(self, layer: str, function: Callable[[Removal], Tensor]) -> Tensor:
        """The mean over all pixels of something that is a mean over a tile's."""
        total: Tensor | None = None
        for tile, there in self._each_tile([layer]):
            part = function(there) * (tile.num_pixels / (self._recording.size[0] * self._recording.size[1]))
            total = part if total is None else total + part
        assert total is not None, "there are tiles"
        return total

    def _each_tile(self, names: Sequence[str]) -> Iterator[tuple[Window, Removal]]:
        for tile in self._tiles:
            with undisturbed():
                some = recomputed(self._recording, tile)
                layers = {name: layer_of(self._layer(name), some) for name in names}
                there = Removal(some.recording, {name: each for name, each in layers.items() if each is not None})
            yield tile, there
