"""A network, called and recorded."""

import copy
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.recording.image import Selection, selected, size_of
from xinc_pl.canvas.recording.large import recorded_by_pixel
from xinc_pl.canvas.recording.nests import mapped, tensors_in
from xinc_pl.canvas.recording.record import calls_of, memory_of, uncompiled
from xinc_pl.canvas.recording.recording import Inputs, Recording, checked_size
from xinc_pl.canvas.recording.undisturbed import undisturbed

_HALF_PRECISION = {torch.float16, torch.bfloat16}


def record(
    network: nn.Module,
    inputs: Any,  # noqa: ANN401 - whatever a network takes
    *,
    size: tuple[int, int] | None = None,
    output: Selection | None = None,
) -> Recording:
    """Call a network once and record what it computes.

    The network, its mode, and the process's random state come back as they were.

    Where that would take much memory, and every pixel turns out to be a network of its own, it is called on a sample of
    the pixels instead, twice; what it computes for the others is computed again from their inputs when it is asked for.

    Args:
        network: Any module. One in half precision is recorded in full precision.
        inputs: What it is called with: a tensor, or any nest of tensors; a tuple is its positional arguments; or
            ``Inputs``.
        size: Height and width of the image. May be left out where the output's shape tells.
        output: Which part of what it returns is the image: a key, an index, a path of them, or a function of the
            result.

    Raises:
        DissectionError: The output is no image, or not finite.
        ValueError: An argument does not fit.
    """
    size = None if size is None else checked_size(size)
    network = uncompiled(network)
    with undisturbed(network):
        given = Inputs.of(inputs)
        _check_inputs(given)
        if _HALF_PRECISION & {parameter.dtype for parameter in network.parameters()}:
            # Their sums would not be exact.
            network, given = copy.deepcopy(network).float(), _changed(given, _full_precision)
        parameter = next(network.parameters(), None)
        device = None if parameter is None else parameter.device
        given = _changed(given, lambda tensor: tensor.detach().to(device))

        def recorded(some: Inputs, size: tuple[int, int] | None) -> Recording:
            return _recorded(network, some, size, output)

        by_pixel = None if size is None else recorded_by_pixel(recorded, given, size)
        recording = recorded(given, size) if by_pixel is None else by_pixel
        _check_image(recording.output)
        return recording


def _recorded(network: nn.Module, inputs: Inputs, size: tuple[int, int] | None, output: Selection | None) -> Recording:
    """Call a network on copies of its inputs, which it may change, and record it."""
    own = _changed(inputs, Tensor.clone)
    tensors = tuple(tensors_in((own.args, own.kwargs)))
    (result, image), recorder = calls_of(network, lambda: _called(network, own, output))
    _check_image(image)
    numbers = tuple(recorder.numbers)
    if numbers and not _numbers_come_back(network, inputs, output, image):
        numbers = ()
    kept = _Kept(network)
    return Recording(
        calls=tuple(call.with_tensors(kept, outputs=True) for call in recorder.calls),
        inputs=tensors,
        parameters=kept.parameters,
        returned=tuple(map(kept, tensors_in(result))),
        output=kept(image),
        size=size_of(image) if size is None else size,
        names=getattr(network, "layer_names", {}),
        numbers=tuple((kept(tensor), name) for tensor, name in numbers),
    )


def _changed(inputs: Inputs, change: Any) -> Inputs:  # noqa: ANN401 - a function of a tensor
    return Inputs(*mapped(inputs.args, change), **mapped(inputs.kwargs, change))


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in _HALF_PRECISION else tensor


def _check_image(image: Tensor) -> None:
    if not (image.is_floating_point() or image.is_complex()):
        raise ValueError(f"the network's output is {image.dtype}; an image of numbers with a fraction is needed")
    if image.is_complex():
        raise ValueError("the network's output is complex; give output=lambda result: result.real, or what it shows")
    if not torch.isfinite(image).all():
        raise DissectionError("the network's output is NaN or infinite: there is nothing to dissect")


def _numbers_come_back(network: nn.Module, inputs: Inputs, output: Selection | None, image: Tensor) -> bool:
    """Whether the output changes with the numbers that are taken out of tensors on the way."""
    own = _changed(inputs, Tensor.clone)
    (_, altered), _ = calls_of(network, lambda: _called(network, own, output), alter_numbers=True)
    return not torch.equal(altered, image)


def _check_inputs(inputs: Inputs) -> None:
    for value in (*inputs.args, *inputs.kwargs.values()):
        if value is None or type(value).__module__ == "numpy":
            kind = "None" if value is None else "a NumPy array"
            raise ValueError(f"inputs is {kind}; give what the network is called with, torch tensors")


def _called(network: nn.Module, inputs: Inputs, output: Selection | None) -> tuple[Any, Tensor]:
    """What the network returns, and the image in it."""
    result = network(*inputs.args, **inputs.kwargs)
    return result, selected(result, output)


class _Kept:
    """Takes parameters and buffers, and what shares their memory, to copies that no training changes.

    Recordings of one network that was not trained in between share their copies.
    """

    def __init__(self, network: nn.Module) -> None:
        own = [*network.parameters(), *network.buffers()]
        self._memory = set(map(memory_of, own)) - {None}
        # Where something is trained, what is not is an encoding's, such as the frequencies of Fourier features.
        trained = [each for each in network.parameters() if each.requires_grad] or list(network.parameters())
        self._trained = set(map(memory_of, trained)) - {None}
        self._known = _COPIES.setdefault(network, {})
        self._copies: dict[int, tuple[Tensor, Tensor]] = {}  # with the original, so that its number stays its own

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """The copies of parameters that occurred, or of parts of them."""
        return tuple(copied for original, copied in self._copies.values() if memory_of(original) in self._trained)

    def __call__(self, tensor: Tensor) -> Tensor:
        """A copy of what shares memory with the network; anything else as it is."""
        if memory_of(tensor) not in self._memory:
            return tensor
        if id(tensor) not in self._copies:
            self._copies[id(tensor)] = (tensor, self._shared(tensor))
        return self._copies[id(tensor)][1]

    def _shared(self, tensor: Tensor) -> Tensor:
        where = (memory_of(tensor), tensor.storage_offset(), tensor.shape, tensor.stride(), tensor.dtype)
        known = self._known.get(where)
        if known is None or not torch.equal(known, tensor):
            known = self._known[where] = tensor.detach().clone()
        return known


_COPIES: WeakKeyDictionary[nn.Module, dict[Any, Tensor]] = WeakKeyDictionary()
"""The last copies of each network's parameters."""
