"""The image without neurons, against the rest of the network, run on the layer's output without their terms."""

import torch
from torch import Tensor

from xinc_pl.canvas.checks.differences import EXACT, compare
from xinc_pl.canvas.effect.removal import Removal
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.replay import Replay

_TOLERANCE = 1e3 * EXACT
"""Networks may make much of a rounding."""


def check_removal(what: str, layer: Layer, recording: Recording, neurons: Tensor) -> None:
    """One neuron at a time, and together; of a layer in double precision."""
    replay = Replay(recording, [use.output for use in layer.uses])
    removal = Removal(recording, {layer.name: layer})
    scale = recording.image.abs().max()

    def without(some: Tensor) -> Tensor:
        terms = [layer.kind.terms(use.operands, some).sum(0) for use in layer.uses]
        starts = [use.output - term for use, term in zip(layer.uses, terms, strict=True)]
        return as_image(replay(*starts), recording.size)

    for part, images in removal.each(layer.name, neurons):
        meant = torch.stack([without(neuron) for neuron in part.split(1)])
        compare(f"{what}: removal of one", images, meant, _TOLERANCE, neurons=part, scale=scale)
    if len(layer.uses) > 1:  # a later use may have other terms once an earlier one has lost some
        return
    for some in (*neurons[:8].split(1), neurons[::2]):
        together = removal.together({layer.name: some})
        numbers = ", ".join(map(str, some.tolist()[:8]))
        compare(f"{what}: removal together of {numbers}", together, without(some), _TOLERANCE, scale=scale)
