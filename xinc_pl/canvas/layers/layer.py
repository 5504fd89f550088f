"""A layer as it was recorded, and what stands between it and the next of a chain."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from torch import Tensor

from xinc_pl.canvas.layers.activation import VALUE_STEPS, Activation
from xinc_pl.canvas.layers.convolution import ConvolutionKind
from xinc_pl.canvas.layers.kind import LayerKind, Operands
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind
from xinc_pl.canvas.recording.call import Function


@dataclass(frozen=True, eq=False)
class Use:
    """One call of a layer.

    Attributes:
        position: Which of the recorded calls it is.
        operands: What it works on.
        output: What it returned, before any activation.
    """

    position: int
    operands: Operands
    output: Tensor


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer: one set of neurons, however often it is called. In a chain, also what stands between it and the next.

    Attributes:
        name: As in the canvas.
        kind: What is particular to its kind.
        uses: Its calls, in their order. A layer of a chain has one.
        steps: In a chain, what happened to its output.
        received: The result: what the next layer of the chain received, or the network's output.
    """

    name: str
    kind: LayerKind
    uses: tuple[Use, ...]
    steps: tuple[Step, ...] = ()
    received: Tensor | None = None

    @property
    def operands(self) -> Operands:
        """What its first call works on."""
        return self.uses[0].operands

    @property
    def function(self) -> Function:
        """The torch function that it is a call of."""
        return self.operands.function

    @property
    def options(self) -> Mapping[str, Any]:
        """The function's further arguments by name: stride, padding, ..."""
        return self.operands.options

    @property
    def input(self) -> Tensor:
        """What it received."""
        return self.operands.input

    @property
    def weight(self) -> Tensor:
        """Its weight."""
        return self.operands.weight

    @property
    def bias(self) -> Tensor | None:
        """Its bias, if any."""
        return self.operands.bias

    @property
    def output(self) -> Tensor:
        """What it returned, before any activation."""
        return self.uses[0].output

    @property
    def neuron_shape(self) -> tuple[int, ...]:
        """Numbers of neurons along each axis of a neuron's index."""
        return self.kind.neuron_shape(self.operands)

    @property
    def is_convolution(self) -> bool:
        """Whether its channels stand before the axes of space."""
        return isinstance(self.kind, ConvolutionKind)

    @property
    def channel_axis(self) -> int:
        """Axis of its output that counts its channels."""
        return self.kind.channel_axis(self.operands, self.output)

    @property
    def activation(self) -> Activation:
        """All steps that change values without looking at their places."""
        return Activation(tuple(step for step in self.steps if step.kind in VALUE_STEPS))

    @property
    def stages(self) -> list[Activation | Step]:
        """What happens to its output, in order: spatial steps, and activations between them.

        A pixel shuffle commutes with the activation before it, and comes first.
        """
        stages: list[Activation | Step] = []
        for step in self.steps:
            last = stages[-1] if stages else None
            if step.kind in VALUE_STEPS and isinstance(last, Activation):
                stages[-1] = Activation((*last.steps, step))
            elif step.kind in VALUE_STEPS:
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
        """What a layer that is a plain call of its function returns for an input."""
        bias = self.bias if with_bias else None
        result: Tensor = self.function(values, self.weight, bias, **self.options)
        return result

    def replay(self, output: Tensor) -> Tensor:
        """What the next layer would have received, had this one returned ``output``."""
        return reduce(lambda values, step: step(values), self.steps, output)

    def with_weight(self, weight: Tensor, bias: Tensor | None, steps: tuple[Step, ...]) -> "Layer":
        """The layer with another weight and bias, and less behind it."""
        (use,) = self.uses
        operands = replace(use.operands, weight=weight, bias=bias)
        return replace(self, uses=(replace(use, operands=operands, output=self.sum(operands)),), steps=steps)

    def sum(self, operands: Operands) -> Tensor:
        """All neurons' terms and the bias, for other operands: what its call would return."""
        total = self.kind.weighted(operands, operands.weight.new_ones(()).expand(self.num_neurons))
        bias = self.kind.bias_term(operands, total)
        return total if bias is None else total + bias

    @property
    def num_neurons(self) -> int:
        """How many neurons it has."""
        return reduce(int.__mul__, self.neuron_shape, 1)
