"""Read a recording as a chain of layers, walking back from the image."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.layers.placement import channel_axis_at, keep_places, moves_cancel
from xinc_pl.canvas.layers.steps import SPATIAL, Step, StepKind
from xinc_pl.canvas.recording.call import Call, InPlace
from xinc_pl.canvas.recording.recording import Recording


@dataclass(frozen=True)
class Chain:
    """Layers from the input side to the output, and why earlier ones are not among them."""

    layers: tuple[Layer, ...]
    skipped: Mapping[str, str]


def read_chain(recording: Recording, layers: Sequence[Layer]) -> Chain:
    """Walk back from the output through the recorded calls, to the first layer.

    What precedes that one is the encoding and may be anything. The walk ends earlier at a layer whose output channels
    are rearranged into space, as a stem's are: its neurons have no place in the image. Tables that are looked up belong
    to the encoding.

    Args:
        recording: The recording.
        layers: All layers in it.

    Raises:
        DissectionError: The layers do not form a chain; names the layers between which it breaks.
    """
    found: list[Layer] = []
    skipped = {layer.name: _LOOKED_UP for layer in layers if layer.kind.is_looked_up}
    before = _walk_back(recording, layers, found)
    return Chain(tuple(found), skipped | before)


def read_tail(recording: Recording, layers: Sequence[Layer]) -> Chain | None:
    """The last layers, as far back from the output as they are a chain; None if not even the last one is.

    It is the whole chain where there is one. All that the output takes from its layers comes by it.
    """
    found: list[Layer] = []
    with suppress(DissectionError):
        _walk_back(recording, layers, found)
    return Chain(tuple(found), {}) if found else None


def _walk_back(recording: Recording, layers: Sequence[Layer], found: list[Layer]) -> dict[str, str]:
    """Put the layers of a chain before ``found``, one by one, until it breaks or ends; why the one before it is none.

    Raises:
        DissectionError: It breaks.
    """
    walk = _Walk(recording.calls, layers)
    received, position = recording.output, len(recording.calls)
    while True:
        after = found[0].name if found else "the output"
        position, steps, broken = walk.back_to_layer(received, position, after)
        layer = replace(walk.layers[position], steps=tuple(steps), received=received)
        # Between layers of pixels, moves behind a break tell nothing of the earlier one.
        is_known = broken is None or (bool(found) and found[0].is_convolution)
        if found and is_known and (reason := _why_outside_image(layer, found[0])):
            return {layer.name: reason}
        if broken is not None:
            raise broken
        walk.check_steps(layer, after)
        if len(layer.uses) > 1:
            raise DissectionError(f"the layer {layer.name} is used more than once in one pass. {REMEDY}")
        if layer.weight.is_complex():
            raise DissectionError(f"the weight of {layer.name} is complex, which no contribution rule covers. {REMEDY}")
        found.insert(0, layer)
        if id(layer.input) not in walk.downstream:
            return {}
        received = layer.input


class _Walk:
    """A recording, and where in it each tensor comes from."""

    def __init__(self, calls: Sequence[Call], layers: Sequence[Layer]) -> None:
        self.calls = calls
        uses = {use.position: layer for layer in layers for use in layer.uses}
        self.layers = {position: layer for position, layer in uses.items() if not layer.kind.is_looked_up}
        # Everything computed from some layer's output. The rest is encoding, constants and parameters.
        self.downstream: set[int] = set()
        for position, call in enumerate(calls):
            computed = position not in uses and any(id(tensor) in self.downstream for tensor in call.tensors())
            if computed or position in self.layers:
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
            if position in self.layers:
                return position, steps, None
            try:
                position, step = self._step_at(position, tensor, after)
            except DissectionError as error:
                earlier = [index for index in self.layers if index < position]
                if not steps or not earlier:
                    raise
                return max(earlier), steps, error
            steps.insert(0, step)
            tensor = step.data

    def _step_at(self, position: int, result: Tensor, after: str) -> tuple[int, Step]:
        """The step whose last call is at ``position``, and the position of its first.

        Where a call joins several tensors that came down the chain, the latest of them is followed back until a single
        one is left.
        """
        last = position
        frontier = {id(result): result}
        calls: list[Call] = []
        while len(frontier) > 1 or not calls:
            position = self._producer(list(frontier.values()), position if calls else last + 1, after)
            call = self.calls[position]
            if position in self.layers or not (len(call.outputs) == 1 or isinstance(call.function, InPlace)):
                raise self._broken(last, after, "joins or splits branches")
            calls.insert(0, call)
            for output in call.outputs:
                frontier.pop(id(output), None)
            frontier.update((id(tensor), tensor) for tensor in call.tensors() if id(tensor) in self.downstream)
        if not frontier:
            raise self._broken(last, after, "depends on no layer")
        step = Step(tuple(calls), next(iter(frontier.values())), result)
        if step.kind is StepKind.OTHER:
            raise self._broken(last, after, _why_refused(step))
        return position, step

    def check_steps(self, layer: Layer, after: str) -> None:
        """Refuse steps that take other axes for channels or space than the layer that they follow."""
        for index, step in enumerate(layer.steps):
            spatial = step.kind in SPATIAL and not layer.is_convolution
            other_axis = step.kind is StepKind.PER_CHANNEL and step.channel_axis != channel_axis_at(layer, index)
            if spatial or other_axis:
                raise self._broken(layer.uses[0].position, after, _MIXES, step.call.name)

    def _producer(self, tensors: Sequence[Tensor], before: int, after: str) -> int:
        for position in range(before - 1, -1, -1):
            if any(output is tensor for output in self.calls[position].outputs for tensor in tensors):
                return position
        raise DissectionError(f"what {after} received comes from no recorded torch function: {HIDDEN}")

    def _broken(self, position: int, after: str, what: str, name: str | None = None) -> DissectionError:
        earlier = [self.layers[index].name for index in self.layers if index <= position]
        before = earlier[-1] if earlier else "the input"
        return DissectionError(
            f"the chain of layers breaks between {before} and {after}: {name or self.calls[position].name!r} {what}. "
            f"{REMEDY}"
        )


def _why_refused(step: Step) -> str:
    if step.call.function is F.batch_norm:
        return "takes its statistics from the frame: it is in training mode, or keeps no running statistics"
    if len(step.calls) > 1:
        return "joins or splits branches"
    return _MIXES


HIDDEN = (
    "a scripted or compiled part of the network, or one outside of torch, hides where it comes from. Dissect the "
    "network before it is scripted or compiled"
)
_MIXES = "mixes neurons or pixels, or adds a tensor from elsewhere"
REMEDY = (
    "Contribution maps need a plain chain of layers: dissect a part of the network that is one (pass that module and "
    "its inputs), or rewrite the step"
)


_LOOKED_UP = "it is looked up, not computed from pixels; convention='effect' covers it"


def _why_outside_image(layer: Layer, following: Layer) -> str | None:
    """Why the neurons of a layer that is followed by another have no place in the image; None if they have."""
    both = layer.is_convolution == following.is_convolution
    if both and (keep_places(layer, following) if not layer.is_convolution else moves_cancel(layer.steps)):
        return None
    if not layer.is_convolution and not following.is_convolution:
        return "its outputs are rearranged between neurons and pixels"
    return "its output channels are rearranged into space, so that its neurons have no place in the image"
