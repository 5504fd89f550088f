"""What is particular to a kind of layer, said once: its calls, its neurons, and what each adds to its output."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from xinc_pl.canvas.maps.group import CHUNK_VALUES
from xinc_pl.canvas.recording.call import Call, Function


@dataclass(frozen=True, eq=False)
class Operands:
    """What one call of a layer works on.

    Attributes:
        function: What was called.
        input: What comes from upstream.
        weight: What it is combined with.
        bias: What is added to the result; it belongs to no neuron.
        options: Further arguments by name: stride, padding, ...
    """

    function: Function
    input: Tensor
    weight: Tensor
    bias: Tensor | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


class Origins(ABC):
    """Where tensors of a recording come from."""

    @abstractmethod
    def is_weight(self, tensor: Tensor) -> bool:
        """Whether it comes from parameters alone: not from the network's inputs, nor from a layer."""

    @abstractmethod
    def is_layered(self, tensor: Tensor) -> bool:
        """Whether it comes from a layer."""

    @abstractmethod
    def is_input(self, tensor: Tensor) -> bool:
        """Whether it comes from the network's inputs."""


class LayerKind(ABC):
    """A kind of layer: calls of some functions, and the neurons in them.

    A layer's output is its bias and the sum of its neurons' terms. With a kind alone, a layer has the convention
    ``effect``, removal, faithfulness and all statistics. The conventions ``paper`` and ``released`` need a
    ``ContributionRule`` besides. ``check_kind`` checks all of this.

    Attributes:
        functions: Functions that are calls of it, with the names of their arguments in their order: ``input``,
            ``weight`` and, if there is one, ``bias`` among them.
    """

    functions: Mapping[Function, tuple[str, ...]] = {}
    is_looked_up = False
    """Whether its output is no function of pixels, so that only ``effect`` applies."""

    def operands(self, call: Call, origins: Origins) -> Operands | None:
        """What a call works on; None if it is no layer of this kind."""
        del origins
        if call.function not in self.functions:
            return None
        bound = call.bound(self.functions[call.function])
        values = [bound.pop(name, None) for name in ("input", "weight", "bias")]
        if not isinstance(values[0], Tensor) or not isinstance(values[1], Tensor):
            return None
        return Operands(call.function, values[0], values[1], values[2], bound)

    @abstractmethod
    def neuron_shape(self, operands: Operands) -> tuple[int, ...]:
        """Numbers of neurons along each axis of a neuron's index, the last one fastest."""

    @abstractmethod
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """Z_i: what each of some neurons (n,) adds to the layer's output: (n, *output)."""

    def channel_axis(self, operands: Operands, output: Tensor) -> int:
        """Which axis of the output counts its channels."""
        del operands
        return output.ndim - 1

    def output_axes(self, operands: Operands, output: Tensor) -> tuple[int, ...]:
        """Which axes of the output count what belongs to one pixel; the others are pixels. The axis of channels."""
        return (self.channel_axis(operands, output),)

    def pixels(self, operands: Operands, output: Tensor) -> Tensor:
        """The layer's output, or a tensor of its shape, as pixels by outputs: (P, O)."""
        axis = self.channel_axis(operands, output)
        return output.movedim(axis, -1).reshape(-1, output.shape[axis])

    def input_pixels(self, operands: Operands, values: Tensor) -> Tensor:
        """The layer's input, or a tensor of its shape, as pixels by inputs: (P, I)."""
        del operands
        return values.reshape(-1, values.shape[-1])

    def bias_term(self, operands: Operands, output: Tensor) -> Tensor | None:
        """What belongs to no neuron, in a shape that can be added to the output; None if there is nothing."""
        if operands.bias is None:
            return None
        shape = [1] * output.ndim
        shape[self.channel_axis(operands, output)] = -1
        return operands.bias.reshape(shape)

    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        """sum_i weights_i Z_i, over all neurons (N,), in the shape of the output."""
        total: Tensor | None = None
        for part in self.parts(operands):
            terms = self.terms(operands, part)
            term = torch.tensordot(weights[part].to(terms), terms, 1)
            total = term if total is None else total + term
        assert total is not None
        return total

    def term_sums(self, operands: Operands, output: Tensor, neurons: Tensor) -> Tensor:
        """Sums of the terms of some neurons (n,) over pixels: (n, O), outputs in the order of ``output_axes``."""
        axes = [axis + 1 for axis in self.output_axes(operands, output)]
        num_outputs = torch.Size(output.shape[axis - 1] for axis in axes).numel()
        sums = []
        for part in neurons.split(max(CHUNK_VALUES // max(output.numel(), 1), 1)):
            terms = self.terms(operands, part).movedim(axes, list(range(-len(axes), 0)))
            sums.append(terms.reshape(len(part), -1, num_outputs).sum(1))
        return torch.cat(sums)

    def parts(self, operands: Operands) -> Iterator[Tensor]:
        """All neurons, so many at a time that their terms stay small."""
        (first,) = self.terms(operands, torch.zeros(1, dtype=torch.int64, device=operands.weight.device))
        neurons = torch.arange(math.prod(self.neuron_shape(operands)), device=operands.weight.device)
        yield from neurons.split(max(CHUNK_VALUES // max(first.numel(), 1), 1))

    def part(self, operands: Operands, output: Tensor, num_values: int) -> tuple[Operands, Tensor]:
        """The layer on some of its pixels, where that can be had: so many that a tensor of theirs has ``num_values``.

        For the self-check, which would otherwise take long on large images.
        """
        del num_values
        return operands, output

    def in_double_precision(self, operands: Operands) -> Operands:
        """The same in double precision."""
        return replace(
            operands,
            input=_doubled(operands.input),
            weight=_doubled(operands.weight),
            bias=None if operands.bias is None else _doubled(operands.bias),
        )

    def neuron_weights(self, operands: Operands, neurons: Tensor) -> Tensor:
        """Weights of each neuron: (n, m). By default those of what it adds to the output."""
        return self.terms(operands, neurons).flatten(1)

    def input_rms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """Root mean square over pixels of each neuron's own input: (n,).

        By default 1 for all: weights that are what a neuron adds hold its input already.
        """
        return operands.weight.real.new_ones(len(neurons))

    def zero_inputs(self, operands: Operands) -> Tensor:
        """Bool (N,): whether a neuron's own input is zero everywhere. By default, whether it adds nothing."""
        return torch.cat([(self.terms(operands, part) == 0).flatten(1).all(1) for part in self.parts(operands)])

    def label(self, operands: Operands, neuron: int) -> str:
        """A neuron's name in pictures."""
        shape = self.neuron_shape(operands)
        place = []
        for side in reversed(shape):
            place.append(str(neuron % side))
            neuron //= side
        return " → ".join(reversed(place))


def _doubled(tensor: Tensor) -> Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor
