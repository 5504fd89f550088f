"""A layer of a chain, as it was recorded, and what stands between it and the next."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.steps import SPATIAL, Activation, Step, StepKind
from xinc_pl.canvas.recording.call import Function

_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_CONVOLUTIONS: Mapping[Function, tuple[str, ...]] = {
    F.conv1d: _CONVOLUTION,
    F.conv2d: _CONVOLUTION,
    F.conv3d: _CONVOLUTION,
    F.conv_transpose2d: (*_CONVOLUTION[:5], "output_padding", "groups", "dilation"),
}
LAYER_FUNCTIONS: dict[Function, tuple[str, ...]] = {F.linear: ("input", "weight", "bias"), **_CONVOLUTIONS}
"""Functions that are layers, with their parameters. Which of them can be dissected is for the rules to say."""


def add_layer_function(function: Function, parameters: tuple[str, ...]) -> None:
    """Take calls of ``function`` for layers.

    Args:
        function: A torch function; its channels are the last axis of what it returns.
        parameters: Names of its arguments in their order, ``input``, ``weight`` and, if there is one, ``bias`` among
            them.
    """
    LAYER_FUNCTIONS[function] = parameters


_OF_VALUES = (StepKind.ELEMENTWISE, StepKind.PER_CHANNEL)


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the chain, and what stands between it and the next.

    Attributes:
        name: As in the canvas.
        function: The torch function that it is a call of.
        options: The function's further arguments by name: stride, padding, ...
        input: What it received.
        weight: Its weight.
        bias: Its bias, if any.
        output: What it returned, before any activation.
        steps: What happened to its output.
        received: The result: what the next layer received, or the network's output.
    """

    name: str
    function: Function
    options: Mapping[str, Any]
    input: Tensor
    weight: Tensor
    bias: Tensor | None
    output: Tensor
    steps: tuple[Step, ...]
    received: Tensor

    @property
    def is_convolution(self) -> bool:
        """Whether its channels are the second axis, before those of space, and not the last."""
        return self.function in _CONVOLUTIONS

    @property
    def channel_axis(self) -> int:
        """Axis of its output that counts its channels."""
        return 1 if self.is_convolution else self.output.ndim - 1

    @property
    def activation(self) -> Activation:
        """All steps that change values without looking at their places."""
        return Activation(tuple(step for step in self.steps if step.kind in _OF_VALUES))

    @property
    def stages(self) -> list[Activation | Step]:
        """What happens to its output, in order: spatial steps, and activations between them.

        A pixel shuffle commutes with the activation before it, and comes first.
        """
        stages: list[Activation | Step] = []
        for step in self.steps:
            last = stages[-1] if stages else None
            if step.kind in _OF_VALUES and isinstance(last, Activation):
                stages[-1] = Activation((*last.steps, step))
            elif step.kind in _OF_VALUES:
                stages.append(Activation((step,)))
            elif step.kind is StepKind.PIXEL_SHUFFLE and isinstance(last, Activation):
                stages.insert(-1, step)
            elif step.kind in SPATIAL:
                stages.append(step)
        return stages

    @property
    def upscale(self) -> int:
        """Factor of the pixel shuffle after the layer; 1 without."""
        factors = [step.upscale_factor for step in self.steps if step.kind is StepKind.PIXEL_SHUFFLE]
        return reduce(int.__mul__, factors, 1)

    def call(self, values: Tensor, with_bias: bool = True) -> Tensor:
        """What the layer returns for an input."""
        bias = self.bias if with_bias else None
        result: Tensor = self.function(values, self.weight, bias, **self.options)
        return result

    def replay(self, output: Tensor) -> Tensor:
        """What the next layer would have received, had this one returned ``output``."""
        return reduce(lambda values, step: step(values), self.steps, output)
