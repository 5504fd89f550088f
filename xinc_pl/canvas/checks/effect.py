"""Derivatives as nobody can doubt them: differences of the replayed recording, in double precision."""

import torch
from torch import Tensor

from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.recording.replay import Replay
from xinc_pl.canvas.rules.rule import Plain

_STEP = 1e-6
"""Of a neuron's term: in double precision, neither rounding nor curvature shows."""


def finite_differences(layer: Layer, recording: Recording, neurons: Tensor) -> Plain:
    """How the image moves with the terms of some neurons, one after the other; of a layer in double precision."""
    replay = Replay(recording, [use.output for use in layer.uses])

    def difference(neuron: Tensor) -> Tensor:
        terms = [layer.kind.terms(use.operands, neuron)[0] for use in layer.uses]
        more, less = (
            replay(*(use.output + step * term for use, term in zip(layer.uses, terms, strict=True)))
            for step in (_STEP, -_STEP)
        )
        return as_image((more - less) / (2 * _STEP), recording.size)

    outputs = torch.stack([difference(neuron) for neuron in neurons.split(1)])
    return Plain(outputs.sum(1), outputs.abs().sum(1), outputs)
