"""What happens to each value between two places of a chain."""

from dataclasses import dataclass
from functools import cached_property, reduce

import torch
from torch import Tensor

from xinc_pl.canvas.layers.steps import Step, StepKind

VALUE_STEPS = (StepKind.ELEMENTWISE, StepKind.PER_CHANNEL)
"""Steps that change values without looking at their places."""


@dataclass(frozen=True)
class Activation:
    """What happens to each value between two places: elementwise steps, one after the other.

    Steps with parameters per channel are applied by ``of_channel``. Called on values that belong to no one channel, as
    those of a map in a later layer, the activation is the mean over its channels.
    """

    steps: tuple[Step, ...] = ()

    def __call__(self, values: Tensor) -> Tensor:
        """Apply all steps to values of any shape. May overwrite ``values``."""
        if self.num_channels == 1:
            steps = [step.of_channel(0) if step.kind is StepKind.PER_CHANNEL else step for step in self.steps]
            return reduce(lambda result, step: step(result), steps, values)
        channels = range(self.num_channels)
        total = sum(self.of_channel(channel, len(channels))(values.clone()) for channel in channels)
        return torch.as_tensor(total / len(channels))

    @cached_property
    def num_channels(self) -> int:
        """How many channels it tells apart."""
        return max((step.num_channels for step in self.steps if step.kind is StepKind.PER_CHANNEL), default=1)

    def of_channel(self, channel: int, num_channels: int) -> "Activation":
        """The activation of one of a layer's ``num_channels`` channels; a pixel shuffle joins neighbouring ones."""
        return Activation(
            tuple(
                step.of_channel(channel * step.num_channels // num_channels)
                if step.kind is StepKind.PER_CHANNEL
                else step
                for step in self.steps
            )
        )

    def at_zero(self, like: Tensor) -> float:
        """The value that it gives to zero."""
        return float(self(torch.zeros(1, dtype=like.dtype, device=like.device)))
