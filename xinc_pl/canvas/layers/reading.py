"""Find the layers of a recording, and read them as a chain where they form one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as joined

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.chain import HIDDEN, Chain, read_chain, read_tail
from xinc_pl.canvas.layers.convolution import ConvolutionKind
from xinc_pl.canvas.layers.kind import LayerKind, Operands, Origins
from xinc_pl.canvas.layers.layer import Layer, Use
from xinc_pl.canvas.layers.lookup import GridKind, TableKind
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.recording import Recording

KINDS: tuple[LayerKind, ...] = (ProductKind(), ConvolutionKind(), TableKind(), GridKind())
"""The kinds of layers that are known."""


@dataclass(frozen=True, eq=False)
class Reading:
    """What a recording consists of.

    Attributes:
        recording: The recording.
        layers: All layers that lead to the image, in the order of their first calls.
        chain: Those that form a chain up to the image; None if there is none.
        why_no_chain: Why there is none.
        tail: The last of them that form a chain up to the image, whatever comes before; None if there are none.
        skipped: Layers that can be dissected under no convention, with the reason.
    """

    recording: Recording
    layers: tuple[Layer, ...]
    chain: Chain | None
    why_no_chain: DissectionError | None
    tail: Chain | None
    skipped: Mapping[str, str]


def read(recording: Recording, kinds: Sequence[LayerKind] = KINDS) -> Reading:
    """Find all layers of a recording.

    Raises:
        DissectionError: There is none, or one leads to nothing that was returned: something unrecorded hides its way.
    """
    origins = _Origins(recording)
    uses: dict[int, tuple[LayerKind, Use]] = {}
    unknown: dict[int, str] = {}
    weighted: set[int] = set()
    for position, call in enumerate(recording.calls):
        for kind in kinds:
            operands = kind.operands(call, origins)
            if operands is not None:
                uses[position] = (kind, Use(position, operands, call.outputs[0]))
                break
        else:
            if reason := _why_unknown(call, origins) or _why_by_hand(call, weighted):
                unknown[position] = reason
            if call.name in _TIMES and any(origins.is_weight(each) and each.ndim > 1 for each in call.tensors()):
                weighted.update(map(id, call.outputs))
        origins.add(call, position in uses)
    layers = tuple(_grouped(recording, uses))
    ways = _Ways(recording)
    skipped = {_unnamed(recording.calls[at]): reason for at, reason in unknown.items() if ways.lead_to_image(at)}
    _check_nothing_is_cut_off(recording, layers)
    if not layers:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in skipped.items())
        raise DissectionError(f"the output depends on no layer that can be dissected: {reasons or HIDDEN}")
    leading = []
    for layer in layers:
        if reason := ways.why_skipped(layer):
            skipped[layer.name] = reason
        else:
            leading.append(layer)
    try:
        chain, why = read_chain(recording, layers), None
    except DissectionError as error:
        chain, why = None, error
    if chain is not None and any(layer.name in skipped for layer in chain.layers):
        first = max(at for at, layer in enumerate(chain.layers) if layer.name in skipped) + 1
        name = chain.layers[first - 1].name
        chain, why = None, DissectionError(f"the layer {name} cannot be followed to the image: {skipped[name]}")
        tail = None
    else:
        tail = chain or read_tail(recording, layers)
    return Reading(recording, tuple(leading), chain, why, tail, skipped)


class _Origins(Origins):
    """Found out call by call."""

    def __init__(self, recording: Recording) -> None:
        self._inputs = set(map(id, recording.inputs))
        self._parameters = set(map(id, recording.parameters))
        self._layered: set[int] = set()

    def add(self, call: Call, is_layer: bool) -> None:
        """Take what a call returned for what its arguments are."""
        outputs = list(map(id, call.outputs))
        for known in (self._inputs, self._parameters, self._layered):
            if any(id(tensor) in known for tensor in call.tensors()):
                known.update(outputs)
        if is_layer:
            self._layered.update(outputs)

    def is_weight(self, tensor: Tensor) -> bool:
        return id(tensor) in self._parameters and not self.is_input(tensor) and not self.is_layered(tensor)

    def is_layered(self, tensor: Tensor) -> bool:
        return id(tensor) in self._layered

    def is_input(self, tensor: Tensor) -> bool:
        return id(tensor) in self._inputs


class _Ways:
    """What leads to the image, and on which way."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._any = self._before({id(recording.output)}, recording.calls, smooth=False)
        self._smooth = self._before({id(recording.output)}, recording.calls, smooth=True)
        self._numbers = [
            (name, self._before({id(tensor)}, recording.calls, smooth=False)) for tensor, name in recording.numbers
        ]

    @staticmethod
    def _before(wanted: set[int], calls: Sequence[Call], smooth: bool) -> set[int]:
        """Everything that some tensors depend on; by numbers with a fraction alone, if ``smooth``."""
        for call in reversed(calls):
            if any(id(tensor) in wanted for tensor in call.outputs):
                wanted.update(
                    id(tensor)
                    for tensor in call.tensors()
                    if not smooth or tensor.is_floating_point() or tensor.is_complex()
                )
        return wanted

    def lead_to_image(self, position: int) -> bool:
        """Whether what a call returned is on the way to the image."""
        return any(id(tensor) in self._any for tensor in self._recording.calls[position].outputs)

    def why_skipped(self, layer: Layer) -> str | None:
        """Why a layer cannot be dissected under any convention."""
        outputs = [id(use.output) for use in layer.uses]
        for name, before in self._numbers:
            if any(output in before for output in outputs):
                return (
                    f"a number is taken out of what it leads to ({name!r}) and comes back where it cannot be followed; "
                    "keep it a tensor"
                )
        if not any(output in self._any for output in outputs):
            return "it does not lead to the image"
        if not any(output in self._smooth for output in outputs):
            return "it leads to the image only through what has no derivative, such as a comparison or a rounded number"
        return None


def _check_nothing_is_cut_off(recording: Recording, layers: Sequence[Layer]) -> None:
    """Refuse a layer that leads to nothing that was returned: something unrecorded hides its way."""
    if not any(output is recording.output for call in recording.calls for output in call.outputs):
        raise DissectionError(f"what the output received comes from no recorded torch function: {HIDDEN}")
    seen = {id(recording.output), *map(id, recording.returned), *(id(tensor) for tensor, _ in recording.numbers)}
    for call in reversed(recording.calls):
        if any(id(tensor) in seen for tensor in call.outputs):
            seen.update(map(id, call.tensors()))
    for index, layer in enumerate(layers):
        if not any(id(use.output) in seen for use in layer.uses):
            later = [each.name for each in layers[index + 1 :] if id(each.output) in seen]
            ways = f"{later[0]} or to " if later else ""
            raise DissectionError(f"nothing that was recorded leads from {layer.name} to {ways}the output: {HIDDEN}")


_HARMLESS = frozenset({F.layer_norm, F.group_norm, F.batch_norm, F.instance_norm, F.prelu})
_MIXING = frozenset(
    {"bilinear", "cdist", "einsum", "embedding_bag", "ger", "gru", "lstm", "outer", "rnn_relu", "rnn_tanh"}
)
"""Functions that are never elementwise, even where shapes happen to fit."""
_TIMES = frozenset({"__mul__", "__rmul__", "mul", "multiply"})
_SUMS = frozenset({"mean", "nansum", "sum"})


def _why_unknown(call: Call, origins: Origins) -> str | None:
    """Why a call that uses weights as a layer would is none."""
    least = 1 if call.name in ("ger", "outer") else 2
    weights = [tensor for tensor in call.tensors() if origins.is_weight(tensor) and tensor.ndim >= least]
    others = [tensor for tensor in call.tensors() if not origins.is_weight(tensor)]
    if not weights or not others or call.function in _HARMLESS:
        return None
    shapes = {tensor.shape for tensor in (*weights, *others)}
    try:
        elementwise = call.name not in _MIXING and torch.broadcast_shapes(*shapes) == call.outputs[0].shape
    except RuntimeError:
        elementwise = False
    if elementwise or call.name in ("cat", "stack", "__getitem__", "__setitem__", "concat"):
        return None
    return f"{call.name!r} uses weights in a way that no kind of layer covers"


def _why_by_hand(call: Call, weighted: set[int]) -> str | None:
    """Why a sum of what was multiplied by weights is no layer."""
    if call.name not in _SUMS or not any(id(tensor) in weighted for tensor in call.tensors()):
        return None
    return f"it multiplies by weights and takes the {call.name!r}: write that as a matmul, an einsum or a linear layer"


def _unnamed(call: Call) -> str:
    return call.module or call.name


def _grouped(recording: Recording, uses: Mapping[int, tuple[LayerKind, Use]]) -> Iterator[Layer]:
    """Calls of one layer together, with names."""
    calls = recording.calls
    done: set[int] = set()
    names: set[str] = set()
    for number, (position, (kind, use)) in enumerate(uses.items(), start=1):
        if position in done:
            continue
        path = calls[position].module
        siblings = [other for other in uses if calls[other].module == path and other != position]
        same = [other for other in siblings if uses[other][0] is kind and _same(uses[other][1].operands, use.operands)]
        if path and len(siblings) == len(same):
            name = recording.names.get(path, path)
        else:  # a module that calls several layers itself
            name = f"{path}.layer_{number}" if path else f"layer_{number}"
        own = sorted({position, *same} - done)
        done.update(own)
        while name in names:
            name = f"{name}.layer_{number}"
        names.add(name)
        yield Layer(name, kind, tuple(uses[at][1] for at in own))


def _same(one: Operands, other: Operands) -> bool:
    """Whether two calls have the same weight."""
    if one.weight is other.weight:
        return True
    return one.weight.shape == other.weight.shape and torch.equal(one.weight, other.weight)


def left_out(reading: Reading, names: Sequence[str]) -> Mapping[str, str]:
    """All layers but those of some names, with the reason why they are left out."""
    chained = [] if reading.chain is None else [reading.chain.skipped]
    reasons = dict(joined.from_iterable(each.items() for each in (*chained, reading.skipped)))
    first = names[0] if names else "the output"
    for layer in reading.layers:
        if layer.name not in names:
            reasons.setdefault(layer.name, f"it comes before the chain of layers that begins with {first}")
    return reasons
