"""Read a recording as a chain of layers, walking back from the network's output."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import LAYER_FUNCTIONS, Layer
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind, bind, keep_places
from xinc_pl.canvas.recording.call import Call


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
        after = layers[0].name if layers else "the output"
        position, steps, broken = walk.back_to_layer(received, position, after)
        layer = walk.layer_at(position, steps, received)
        if layers and (reason := _why_outside_image(layer, layers[0])):
            return Chain(tuple(layers), {layer.name: reason})
        if broken is not None:
            raise broken
        walk.check_steps(layer, after)
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
        if call.function in LAYER_FUNCTIONS:
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
            if call.function in LAYER_FUNCTIONS or any(id(tensor) in self.downstream for tensor in call.tensors()):
                self.downstream.update(map(id, call.outputs))

    def back_to_layer(
        self, tensor: Tensor, position: int, after: str
    ) -> tuple[int, list[Step], DissectionError | None]:
        """Position of the layer that ``tensor`` comes from, and the steps between the two.

        Where the way back breaks, the steps after the break, and the error: of no consequence if these steps rearrange
        a stem's outputs, for then the chain ends with them.
        """
        steps: list[Step] = []
        while True:
            position = self._producer([tensor], position, after)
            if self.calls[position].function in LAYER_FUNCTIONS:
                return position, steps, None
            try:
                position, step = self._step_at(position, after)
            except DissectionError as error:
                if not steps:
                    raise
                return max(index for index in self.names if index < position), steps, error
            steps.insert(0, step)
            tensor = step.data

    def _step_at(self, position: int, after: str) -> tuple[int, Step]:
        """The step whose last call is at ``position``, and the position of its first.

        Where a call joins several tensors that came down the chain, the latest of them is followed back until a single
        one is left.
        """
        last = position
        frontier = {id(output): output for output in self.calls[position].outputs}
        calls: list[Call] = []
        while len(frontier) > 1 or not calls:
            position = self._producer(list(frontier.values()), position if calls else last + 1, after)
            call = self.calls[position]
            if call.function in LAYER_FUNCTIONS or len(call.outputs) != 1:
                raise self._broken(last, after, "joins or splits branches")
            calls.insert(0, call)
            del frontier[id(call.outputs[0])]
            frontier.update((id(tensor), tensor) for tensor in call.tensors() if id(tensor) in self.downstream)
        if not frontier:
            raise self._broken(last, after, "depends on no layer")
        step = Step.of(calls, next(iter(frontier.values())))
        if step.kind is StepKind.OTHER:
            raise self._broken(last, after, _why_refused(step))
        return position, step

    def check_steps(self, layer: Layer, after: str) -> None:
        """Refuse steps that take other axes for channels or space than the layer that they follow."""
        position = next(at for at, call in enumerate(self.calls) if call.outputs[0] is layer.output)
        for step in layer.steps:
            spatial = step.kind in SPATIAL and not layer.is_convolution
            other_axis = step.kind is StepKind.PER_CHANNEL and step.channel_axis != layer.channel_axis
            if spatial or other_axis:
                raise self._broken(position, after, _MIXES, step.call.name)

    def layer_at(self, position: int, steps: Sequence[Step], received: Tensor) -> Layer:
        """The layer called at ``position``."""
        call = self.calls[position]
        bound = bind(call, LAYER_FUNCTIONS[call.function])
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

    def _producer(self, tensors: Sequence[Tensor], before: int, after: str) -> int:
        # The last one: a tensor that is changed in place comes from several calls.
        for position in range(before - 1, -1, -1):
            if any(output is tensor for output in self.calls[position].outputs for tensor in tensors):
                return position
        raise DissectionError(f"what {after} received comes from no recorded torch function: {_HIDDEN}")

    def _broken(self, position: int, after: str, what: str, name: str | None = None) -> DissectionError:
        earlier = [self.names[index] for index in self.names if index <= position]
        before = earlier[-1] if earlier else "the input"
        return DissectionError(
            f"the chain of layers breaks between {before} and {after}: {name or self.calls[position].name!r} {what}. "
            f"{_REMEDY}"
        )


def _why_refused(step: Step) -> str:
    if step.call.function is F.batch_norm:
        return "takes its statistics from the frame: it is in training mode, or keeps no running statistics"
    if len(step.calls) > 1:
        return "joins or splits branches"
    return _MIXES


_HIDDEN = (
    "a scripted or compiled part of the network, or one outside of torch, hides where it comes from. Dissect the "
    "network before it is scripted or compiled"
)
_MIXES = "mixes neurons or pixels, or adds a tensor from elsewhere"
_REMEDY = (
    "Contribution maps need a plain chain of layers: dissect a part of the network that is one (pass that module and "
    "its inputs), or rewrite the step"
)


def _names_of_layers(calls: Sequence[Call], layer_names: Mapping[str, str]) -> dict[int, str]:
    positions = [position for position, call in enumerate(calls) if call.function in LAYER_FUNCTIONS]
    weights = {
        position: bind(calls[position], LAYER_FUNCTIONS[calls[position].function])["weight"] for position in positions
    }
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
    if layer.is_convolution == following.is_convolution and keep_places(layer.steps, layer.is_convolution):
        return None
    if not layer.is_convolution and not following.is_convolution:
        return "its outputs are rearranged between neurons and pixels"
    return "its output channels are rearranged into space, so that its neurons have no place in the image"
