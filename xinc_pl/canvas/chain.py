"""Read a recording as a chain of layers, walking back from the network's output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.recording import Call, Function
from xinc_pl.canvas.steps import Activation, Step, StepKind, bind

_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_LAYERS: Mapping[Function, tuple[str, ...]] = {
    F.linear: ("input", "weight", "bias"),
    F.conv1d: _CONVOLUTION,
    F.conv2d: _CONVOLUTION,
    F.conv3d: _CONVOLUTION,
    F.conv_transpose2d: (*_CONVOLUTION[:5], "output_padding", "groups", "dilation"),
}
"""Functions that are layers, with their parameters. Which of them can be dissected is for the rules to say."""


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
    def activation(self) -> Activation:
        """The elementwise steps, which commute with all others."""
        return Activation(tuple(step for step in self.steps if step.kind is StepKind.ELEMENTWISE))

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


@dataclass(frozen=True)
class Chain:
    """Layers from the input side to the output, and why earlier ones are not among them."""

    layers: tuple[Layer, ...]
    skipped: Mapping[str, str]


def read_chain(
    output: Tensor, calls: Sequence[Call], layer_names: Mapping[str, str], returned: Sequence[Tensor] = ()
) -> Chain:
    """Walk back from ``output`` through the recorded calls, to the first layer.

    What precedes that one is the encoding and may be anything. The walk ends earlier at a layer whose output
    channels are rearranged into space, as a stem's are: its neurons have no place in the image.

    Args:
        output: The network's output.
        calls: As recorded, in order.
        layer_names: Names for the layers of modules, by the modules' paths.
        returned: All tensors that the network returned. A layer that leads to none of them, not even through the
            chain, is cut off from it.

    Raises:
        DissectionError: The layers do not form a chain; names the layers between which it breaks.
    """
    walk = _Walk(calls, layer_names)
    layers: list[Layer] = []
    received, position = output, len(calls)
    while True:
        position, steps = walk.back_to_layer(received, position, layers[0].name if layers else "the output")
        layer = walk.layer_at(position, steps, received)
        if layers and (reason := _why_outside_image(layer, layers[0])):
            return Chain(tuple(layers), {layer.name: reason})
        if any(layer.name == other.name for other in layers):
            raise DissectionError(f"the layer {layer.name} is used more than once in one pass. {_REMEDY}")
        layers.insert(0, layer)
        if id(layer.input) not in walk.downstream:
            walk.check_nothing_is_cut_off(position, (output, *returned))
            return Chain(tuple(layers), {})
        received = layer.input


def layers_leading_to(
    output: Tensor, calls: Sequence[Call], layer_names: Mapping[str, str], returned: Sequence[Tensor] = ()
) -> list[tuple[int, Layer]]:
    """All layers that ``output`` depends on, in the order of their calls, with their positions; chain or not.

    What stands between them is left out. A layer that is called several times comes as often.

    Raises:
        DissectionError: A layer leads to nothing that was ``returned``: something unrecorded hides its way.
    """
    walk = _Walk(calls, layer_names)
    walk.check_nothing_is_cut_off(len(calls), (output, *returned))
    needed = {id(output)}
    found = []
    for position in range(len(calls) - 1, -1, -1):
        call = calls[position]
        if not any(id(tensor) in needed for tensor in call.outputs):
            continue
        needed.update(map(id, call.tensors()))
        if call.function in _LAYERS:
            found.append((position, walk.layer_at(position, (), call.outputs[0])))
    return found[::-1]


class _Walk:
    """A recording, and where in it each tensor comes from."""

    def __init__(self, calls: Sequence[Call], layer_names: Mapping[str, str]) -> None:
        self.calls = calls
        self.names = _names_of_layers(calls, layer_names)
        # Everything computed from some layer's output. The rest is encoding, constants and parameters.
        self.downstream: set[int] = set()
        for call in calls:
            if call.function in _LAYERS or any(id(tensor) in self.downstream for tensor in call.tensors()):
                self.downstream.update(map(id, call.outputs))

    def back_to_layer(self, tensor: Tensor, position: int, after: str) -> tuple[int, list[Step]]:
        """Position of the layer that ``tensor`` comes from, and the steps between the two."""
        steps: list[Step] = []
        while True:
            position = self._producer(tensor, position, after)
            call = self.calls[position]
            if call.function in _LAYERS:
                return position, steps
            data = {id(argument): argument for argument in call.tensors() if id(argument) in self.downstream}
            if len(data) != 1 or len(call.outputs) != 1:
                raise self._broken(call, position, after, "joins or splits branches")
            step = Step.of(call, next(iter(data.values())))
            if step.kind is StepKind.OTHER:
                raise self._broken(call, position, after, "mixes neurons or pixels, or adds a tensor from elsewhere")
            steps.insert(0, step)
            tensor = step.data

    def layer_at(self, position: int, steps: Sequence[Step], received: Tensor) -> Layer:
        """The layer called at ``position``."""
        call = self.calls[position]
        bound = bind(call, _LAYERS[call.function])
        if id(bound["weight"]) in self.downstream:
            raise DissectionError(f"the weight of {self.names[position]} is computed by another layer. {_REMEDY}")
        if bound["weight"].is_complex():
            raise DissectionError(f"the weight of {self.names[position]} is complex, which no contribution rule covers")
        # Copies of the parameters: a canvas may be asked for maps after the next training step.
        return Layer(
            name=self.names[position],
            function=call.function,
            options={key: value for key, value in bound.items() if key not in ("input", "weight", "bias")},
            input=bound["input"],
            weight=bound["weight"].detach().clone(),
            bias=None if bound.get("bias") is None else bound["bias"].detach().clone(),
            output=call.outputs[0],
            steps=tuple(steps),
            received=received,
        )

    def check_nothing_is_cut_off(self, first: int, returned: Sequence[Tensor]) -> None:
        """Refuse a layer before the chain's ``first`` that leads nowhere: something unrecorded hides its way."""
        for position in sorted((position for position in self.names if position < first), reverse=True):
            reached = set(map(id, self.calls[position].outputs))
            for call in self.calls[position + 1 :]:
                if any(id(tensor) in reached for tensor in call.tensors()):
                    reached.update(map(id, call.outputs))
            if not any(id(tensor) in reached for tensor in returned):
                chain = f"{self.names[first]} or to " if first in self.names else ""
                raise DissectionError(
                    f"nothing that was recorded leads from {self.names[position]} to {chain}the output: {_HIDDEN}"
                )

    def _producer(self, tensor: Tensor, before: int, after: str) -> int:
        # The last one: a tensor that is changed in place comes from several calls.
        for position in range(before - 1, -1, -1):
            if any(output is tensor for output in self.calls[position].outputs):
                return position
        raise DissectionError(f"what {after} received comes from no recorded torch function: {_HIDDEN}")

    def _broken(self, call: Call, position: int, after: str, what: str) -> DissectionError:
        earlier = [self.names[index] for index in self.names if index < position]
        before = earlier[-1] if earlier else "the input"
        return DissectionError(
            f"the chain of layers breaks between {before} and {after}: {call.name!r} {what}. {_REMEDY}"
        )


_HIDDEN = (
    "a scripted or compiled part of the network, or one outside of torch, hides where it comes from. Dissect the "
    "network before it is scripted or compiled"
)
_REMEDY = (
    "Contribution maps need a plain chain of layers: dissect a part of the network that is one (pass that module and "
    "its inputs), or rewrite the step"
)


def _names_of_layers(calls: Sequence[Call], layer_names: Mapping[str, str]) -> dict[int, str]:
    positions = [position for position, call in enumerate(calls) if call.function in _LAYERS]
    weights = {position: bind(calls[position], _LAYERS[calls[position].function])["weight"] for position in positions}
    names: dict[int, str] = {}
    for number, position in enumerate(positions, start=1):
        path = calls[position].module
        siblings = [other for other in positions if calls[other].module == path and other != position]
        if path and (not siblings or any(weights[other] is weights[position] for other in siblings)):
            names[position] = layer_names.get(path, path)
        else:  # a module that calls several layers itself
            names[position] = f"{path}.layer_{number}" if path else f"layer_{number}"
    return names


def _why_outside_image(layer: Layer, following: Layer) -> str | None:
    """Why the neurons of a layer that is followed by another have no place in the image; None if they have."""
    moves = [step for step in layer.steps if step.kind is StepKind.MOVE]
    if layer.function is F.linear and following.function is F.linear:
        outputs = layer.output.shape[-1]
        moved = all(
            step.call.outputs[0].shape[-1] == outputs and step.call.name in ("flatten", "reshape", "view", *_AROUND)
            for step in moves
        )
        return None if moved else "its outputs are rearranged between neurons and pixels"
    if layer.function is F.linear or any(step.call.name not in ("contiguous",) for step in moves):
        return "its output channels are rearranged into space, so that its neurons have no place in the image"
    return None


_AROUND = ("contiguous", "squeeze", "unsqueeze")
