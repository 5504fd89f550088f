"""Narrow places of a network: few values, through which all that some layers do to the image passes.

An encoder's embedding is one. A neuron's map is then what its term does to these values, times how the image answers
each of them. The answers are the same for all layers before, and few; and a backward pass for each of the values tells
what all neurons of all these layers do to it. The rest of the network is run once a value, not once a neuron.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.effect.by_pixel import ByPixel
from xinc_pl.canvas.effect.derivative import derivatives, jvps
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import Placement
from xinc_pl.canvas.layers.reading import Reading
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.replay import Replay

_MOST_VALUES = 256
"""A narrow place has at most so many values: each takes a pass through what follows."""
_MOST_ANSWERS = 1 << 25
"""Values of all answers, which are kept: 128 MiB of float32."""
_ASKED = 512
"""Neurons of a layer whose maps are probably asked for."""
_BATCH = 1 << 22
"""Values of the largest tensor of what follows, for all answers that are made at a time."""


@dataclass(frozen=True, eq=False)
class Neck:
    """A narrow place, and the layers before it.

    Attributes:
        recording: The recording.
        values: The recorded tensor.
        layers: The layers all of whose ways to the image lead through it.
    """

    recording: Recording
    values: Tensor
    layers: tuple[Layer, ...]

    @cached_property
    def answers(self) -> Tensor:
        """How the image answers to each value, to first order: (values, C * H * W)."""
        replay = Replay(self.recording, [self.values])
        units = torch.eye(self.values.numel(), dtype=self.values.dtype, device=self.values.device)
        parts = units.view(-1, *self.values.shape).split(max(_BATCH // replay.largest, 1))
        images = (image for part in parts for image in jvps(replay, [self.values], [part]))
        return torch.stack([as_image(image, self.recording.size).flatten() for image in images])

    @cached_property
    def tangents(self) -> Mapping[str, Tensor]:
        """What each neuron does to each value, to first order, by layer: (neurons, values).

        Raises:
            DissectionError: A function on the way has no derivative backwards.
        """
        uses = [(layer, use) for layer in self.layers for use in layer.uses]
        shares = {
            layer.name: layer.output.new_zeros(layer.num_neurons, dtype=layer.output.real.dtype).requires_grad_()
            for layer in self.layers
        }
        replay = Replay(self.recording, [use.output for _, use in uses], self.values)

        def values() -> Tensor:
            return replay(*(use.output + layer.kind.weighted(use.operands, shares[layer.name]) for layer, use in uses))

        return dict(zip(shares, derivatives(values, list(shares.values())), strict=True))


class NeckEffect(EffectRule):
    """Of a layer before a narrow place: what a neuron does to its values, times the image's answers to them."""

    is_slow = True

    def __init__(self, layer: Layer, by_pixel: ByPixel, neck: Neck) -> None:
        super().__init__(layer, (), Placement(by_pixel.recording.size, None, torch.empty(0)), by_pixel)
        self.neck = neck

    def per_output(self, neurons: Tensor, means: Tensor | None = None) -> Tensor:
        """One matrix product."""
        if means is None:
            tangents = self.neck.tangents[self.layer.name][neurons]
        else:
            front = Replay(self.by_pixel.recording, self.points, self.neck.values)
            tangents = jvps(front, self.points, self.directions(neurons, means)).flatten(1)
        return (tangents @ self.neck.answers).view(len(neurons), -1, *self.size)

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group for all."""
        yield self.group(neurons, self.neck.answers.shape[1])


def necks_of(reading: Reading) -> Mapping[str, Neck]:
    """The narrowest place that each layer has behind it, by name; where it is worth its while."""
    before: dict[int, tuple[Tensor, list[Layer]]] = {}
    for layer in reading.layers:
        values = _narrowest(reading.recording, [use.output for use in layer.uses])
        if values is not None and not layer.weight.is_complex():
            before.setdefault(id(values), (values, []))[1].append(layer)
    necks = [Neck(reading.recording, values, tuple(layers)) for values, layers in before.values()]
    return {layer.name: neck for neck in necks if _is_worth_it(neck) for layer in neck.layers}


def _is_worth_it(neck: Neck) -> bool:
    num_values = neck.values.numel()
    return 2 * num_values <= sum(min(layer.num_neurons, _ASKED) for layer in neck.layers)


def _narrowest(recording: Recording, starts: Sequence[Tensor]) -> Tensor | None:
    """The smallest tensor through which all ways from some tensors to the image lead; None if none is small."""
    calls = Replay(recording, starts).calls
    last_use = {id(tensor): at for at, call in enumerate(calls) for tensor in call.tensors()}
    last_use[id(recording.output)] = len(calls)
    alive = {id(start): start for start in starts if id(start) in last_use}
    found: Tensor | None = None
    for at, call in enumerate(calls[:-1]):
        alive.update((id(each), each) for each in call.outputs)
        alive = {key: each for key, each in alive.items() if last_use.get(key, -1) > at}
        if len(alive) != 1:
            continue
        (only,) = alive.values()
        if only.is_floating_point() and (found is None or only.numel() <= found.numel()):
            found = only
    limit = min(_MOST_VALUES, _MOST_ANSWERS // max(recording.image.numel(), 1))
    return found if found is not None and found.numel() <= limit else None
