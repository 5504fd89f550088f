"""A recording as JSON and pieces of memory, and back."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from xinc_pl.canvas.recording.allowed import UNFILLED
from xinc_pl.canvas.recording.bounded import META, check_size, num_bytes_of
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.encoding import (
    Lookup,
    NotWritableError,
    decoded,
    decoded_function,
    encoded,
    encoded_function,
)
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.large import check_large, large_recording, pixels_at_once
from xinc_pl.canvas.recording.memories import Memories, located
from xinc_pl.canvas.recording.pixels import are_of_pixels
from xinc_pl.canvas.recording.record import NUMBERS_OUT, memory_of
from xinc_pl.canvas.recording.recording import Recording, checked_size
from xinc_pl.canvas.recording.undisturbed import undisturbed


def written_parts(recording: Recording, memories: Memories) -> dict[str, Any]:
    """A recording as JSON; its tensors are added to ``memories``.

    Of a large image that is the recording of a sample of pixels, and the inputs of all.

    Raises:
        NotWritableError: Names the call or the tensor that has no form in a file.
    """
    if recording.sample is None:
        return _Writer(recording).written(memories)
    sample = _Writer(recording.sample).written(memories)
    if len(sample["inputs"]) != len(recording.inputs):
        raise NotWritableError("its encoding has no form in a file, and is too large to be kept for all pixels")
    return {"sample": sample, "inputs": memories.add(recording.inputs), "size": list(recording.size)}


class _Writer:
    """Gives tensors numbers as they occur: those that no call before returned are what the recording starts from."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._numbers: dict[int, int] = {}
        self._starts: dict[int, Tensor] = {}

    def written(self, memories: Memories) -> dict[str, Any]:
        recording = self._recording
        trained, given = set(map(id, recording.parameters)), set(map(id, recording.inputs))
        inputs, calls = list(recording.inputs), []
        for call in recording.calls:
            own = set(map(id, call.tensors()))
            outputs = set(map(id, call.outputs))
            trained |= outputs if own & trained else set()
            given |= outputs if own & given else set()
            if self._is_writable(call, bool(own & trained)):
                calls.append(self._call(call))
            elif own & given:  # a part of the encoding: what came of it is what the network starts from
                inputs.extend(call.outputs)
        parts = {
            "calls": calls,
            "inputs": [self._number(each) for each in inputs],
            "parameters": [self._number(each) for each in recording.parameters],
            "returned": [self._number(each) for each in recording.returned],
            "output": self._number(recording.output),
            "size": list(recording.size),
            "names": {str(path): str(name) for path, name in recording.names.items()},
            "numbers": [[self._number(tensor), name] for tensor, name in recording.numbers],
        }
        places = memories.add(list(self._starts.values()))
        return {"starts": {str(at): place for at, place in zip(self._starts, places, strict=True)}, **parts}

    @staticmethod
    def _is_writable(call: Call, is_trained: bool) -> bool:
        """Whether a call can be written. Where it depends on no parameter, its results will do."""
        try:
            encoded_function(call.function)
            encoded([call.args, call.kwargs], lambda _: 0)
        except NotWritableError as reason:
            if is_trained:
                where = f"the module {call.module}" if call.module else "the network"
                raise NotWritableError(f"{call.name!r} in {where}: {reason}") from None
            return False
        return True

    def _call(self, call: Call) -> dict[str, Any]:
        memory = {memory_of(tensor) for tensor in call.tensors()} - {None}
        written: dict[str, Any] = {
            "function": encoded_function(call.function),
            "args": [encoded(each, self._number) for each in call.args],
            "kwargs": {key: encoded(each, self._number) for key, each in call.kwargs.items()},
            "module": call.module,
        }
        if any(memory_of(output) in memory for output in call.outputs):
            written["views"] = True
        return {**written, "outputs": [self._numbers.setdefault(id(each), len(self._numbers)) for each in call.outputs]}

    def _number(self, tensor: Tensor) -> int:
        if id(tensor) not in self._numbers:
            self._numbers[id(tensor)] = len(self._numbers)
            self._starts[self._numbers[id(tensor)]] = tensor
        return self._numbers[id(tensor)]


def read_parts(parts: Any, piece: Callable[[str], Tensor], device: torch.device, max_bytes: int) -> Recording:  # noqa: ANN401 - JSON
    """A recording of JSON and pieces of memory, computed again.

    Args:
        parts: What ``written_parts`` returned.
        piece: Gives a piece of memory by name.
        device: Where to compute.
        max_bytes: What all tensors may take.

    Raises:
        ValueError: Something is damaged, not allowed, or too large; one line says what.
    """
    with undisturbed():
        if not isinstance(parts, Mapping) or "sample" not in parts:
            return _Reader(piece, device, max_bytes).read(parts)
        return _read_large(parts, piece, device, max_bytes)


def _read_large(parts: Any, piece: Callable[[str], Tensor], device: torch.device, max_bytes: int) -> Recording:  # noqa: ANN401 - JSON
    """The recording of a large image, once it is known that its calls on some of its pixels at a time fit."""
    reader = _Reader(piece, device, max_bytes)
    sample = reader.read(_entry(parts, "sample", dict))
    inputs = tuple(map(reader.located, _entry(parts, "inputs", list)))
    size = checked_size(_entry(parts, "size", list))
    check_large(sample, inputs, size)
    reader.check_pixels(parts["sample"], sample, pixels_at_once(sample))
    recording = large_recording(sample, inputs, size)
    if not torch.isfinite(recording.output).all():
        raise ValueError(_NOTHING)
    return recording


class _Reader:
    def __init__(self, piece: Callable[[str], Tensor], device: torch.device, max_bytes: int) -> None:
        self._piece = piece
        self._pieces: dict[str, Tensor] = {}
        self._device = device
        self._left = max_bytes
        self._max_bytes = max_bytes
        self._tensors: dict[int, Tensor] = {}
        self._replaced: dict[int, Tensor] = {}

    def read(self, parts: Any) -> Recording:  # noqa: ANN401 - JSON
        starts, calls, names = (_entry(parts, *each) for each in (("starts", dict), ("calls", list), ("names", dict)))
        for number, place in starts.items():
            if not number.isdecimal() or len(number) > 9:
                raise ValueError("it has a tensor without a number")
            self._tensors[int(number)] = self.located(place)
        read = [self._call(index, call) for index, call in enumerate(calls)]
        if self._replaced:
            read = [call.with_tensors(lambda each: self._replaced.get(id(each), each), outputs=True) for call in read]
        if not all(isinstance(name, str) for name in names.values()):
            raise ValueError("it has a layer whose name is none")
        recording = Recording(
            calls=tuple(read),
            inputs=self._several(parts, "inputs"),
            parameters=self._several(parts, "parameters"),
            returned=self._several(parts, "returned"),
            output=self._tensor(_entry(parts, "output", int)),
            size=checked_size(_entry(parts, "size", list)),
            names=names,
            numbers=tuple(map(self._taken_number, _entry(parts, "numbers", list))),
        )
        if not recording.output.is_floating_point() or not torch.isfinite(recording.output).all():
            raise ValueError(_NOTHING)
        as_image(recording.output, recording.size)
        return recording

    def located(self, place: Any) -> Tensor:  # noqa: ANN401 - JSON
        """The tensor that lies at a place, if there may be one as large."""
        tensor = located(place, self._memory, self._device)
        if num_bytes_of(tensor) > self._left:
            raise self._too_large(f"it has a tensor of {'x'.join(map(str, tensor.shape))}")
        return tensor

    def check_pixels(self, parts: Any, sample: Recording, number: int) -> None:  # noqa: ANN401 - JSON
        """Insist that no call makes too much of so many pixels, where it was made on those of a sample."""

        def shaped(at: int) -> Tensor:
            tensor = self._tensor(at)
            if not are_of_pixels(tensor, sample) or any(tensor is each for each in sample.parameters):
                return tensor
            shape = list(tensor.shape)
            shape[shape.index(sample.size[1])] = number
            return torch.empty(shape, dtype=tensor.dtype, device=META)

        for index, call in enumerate(parts["calls"]):
            try:
                check_size(self._decoded(call, shaped, META), self._left)
            except Exception as error:  # torch raises of all kinds where arguments do not fit
                raise ValueError(f"call {index} cannot be made on {number} pixels: {error}") from error

    @staticmethod
    def _decoded(call: Any, lookup: Lookup, device: torch.device) -> Call:  # noqa: ANN401 - JSON
        """A call of JSON, without its results."""
        return Call(
            decoded_function(_entry(call, "function")),
            tuple(decoded(each, lookup, device) for each in _entry(call, "args", list)),
            {key: decoded(each, lookup, device) for key, each in _entry(call, "kwargs", dict).items()},
            (),
            _entry(call, "module", str),
        )

    def _memory(self, name: str) -> Tensor:
        if name not in self._pieces:
            self._pieces[name] = self._piece(name)
        return self._pieces[name]

    def _tensor(self, number: int) -> Tensor:
        if number not in self._tensors:
            raise ValueError(f"it refers to tensor {number} before anything has computed it")
        return self._tensors[number]

    def _several(self, parts: Any, name: str) -> tuple[Tensor, ...]:  # noqa: ANN401 - JSON
        numbers = _entry(parts, name, list)
        if not all(type(number) is int for number in numbers):
            raise ValueError(f"its {name} are damaged")
        return tuple(map(self._tensor, numbers))

    def _taken_number(self, entry: Any) -> tuple[Tensor, str]:  # noqa: ANN401 - JSON
        if isinstance(entry, list) and len(entry) == 2 and type(entry[0]) is int and entry[1] in _TAKEN:
            return self._tensor(entry[0]), entry[1]
        raise ValueError("it has a number that was taken out of nothing")

    def _call(self, index: int, call: Any) -> Call:  # noqa: ANN401 - JSON
        """Repeat a call, once it is known that its results fit."""
        own, outputs = self._decoded(call, self._tensor, self._device), _entry(call, "outputs", list)
        if not outputs or not all(type(number) is int and number >= 0 for number in outputs):
            raise ValueError(f"call {index} has no results")

        try:
            check_size(self._decoded(call, self._tensor, META), self._left)
            results = own.run(lambda tensor: tensor)
        except ValueError as error:
            raise ValueError(f"call {index}, {own.name!r}: {error}") from error
        except Exception as error:  # torch raises of all kinds where arguments do not fit
            raise ValueError(f"call {index}, {own.name!r}, cannot be repeated: {error}") from error
        if len(results) != len(outputs):
            raise ValueError(f"call {index}, {own.name!r}, has {len(results)} results instead of {len(outputs)}")
        kept = self._kept(own, results, outputs, bool(call.get("views")))
        return Call(own.function, own.args, own.kwargs, kept, own.module)

    def _kept(
        self, call: Call, results: tuple[Tensor, ...], numbers: list[int], may_be_views: bool
    ) -> tuple[Tensor, ...]:
        """Results as they are recorded: each an object of its own unless it was handed on as it is."""
        before = {memory_of(tensor) for tensor in call.tensors()} - {None}
        for result, number in zip(results, numbers, strict=True):
            if any(tensor is self._tensors.get(number) for tensor in call.tensors()):  # handed on, as by a dropout
                continue
            is_view = memory_of(result) in before
            if is_view:
                result = result.detach() if may_be_views else result.clone()
            if call.name in UNFILLED:
                result.zero_()
            self._left -= 0 if is_view and may_be_views else num_bytes_of(result)
            if self._left < 0:
                raise self._too_large("all its tensors together are too large")
            if number in self._tensors:  # it had no size before, as what is given for ``out``
                self._replaced[id(self._tensors[number])] = result
            self._tensors[number] = result
        return tuple(self._tensors[number] for number in numbers)

    def _too_large(self, what: str) -> ValueError:
        return ValueError(f"{what}; it may take {self._max_bytes / 1e9:.3g} GB")


_NOTHING = "its output is NaN or infinite, or no image: there is nothing to dissect"

_TAKEN = [name.strip("_") for name in NUMBERS_OUT]
"""How numbers may be taken out of tensors."""


def _entry(parts: Any, name: str, kind: type | None = None) -> Any:  # noqa: ANN401 - JSON
    """An entry of JSON.

    Raises:
        ValueError: There is none, or it is of another kind.
    """
    if not isinstance(parts, Mapping) or name not in parts:
        raise ValueError(f"it has no entry {name!r}")
    value = parts[name]
    if kind is not None and type(value) is not kind:
        raise ValueError(f"its entry {name!r} is damaged")
    return value
