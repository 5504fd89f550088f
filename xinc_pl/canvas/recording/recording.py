"""A recording: what everything else is computed from."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.image import Selection, as_image, selected, size_of
from xinc_pl.canvas.recording.nests import mapped, tensors_in
from xinc_pl.canvas.recording.record import calls_of, memory_of, uncompiled
from xinc_pl.canvas.recording.undisturbed import undisturbed


class Inputs:
    """What a network is called with, where that is more than one argument.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - whatever a network takes
        self.args = args
        self.kwargs = kwargs

    @classmethod
    def of(cls, inputs: Any) -> "Inputs":  # noqa: ANN401
        """A tuple is positional arguments; anything else is the first argument."""
        if isinstance(inputs, Inputs):
            return inputs
        return cls(*inputs) if type(inputs) is tuple else cls(inputs)


@dataclass(frozen=True, eq=False)
class Recording:
    """What a network computed on one frame.

    No tensor in it changes, not even where the training goes on: parameters are copies.

    Attributes:
        calls: The torch functions that it called, in their order.
        inputs: The tensors that it was called with.
        parameters: Its parameters, among the tensors of the calls.
        returned: All tensors that it returned.
        output: That of them which is the image.
        size: Height and width of the image.
        names: Names for the layers of modules, by the modules' paths.
        numbers: Tensors that numbers were taken out of and came back into the computation, where nobody can follow
            them; and how they were taken out.
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    parameters: tuple[Tensor, ...]
    returned: tuple[Tensor, ...]
    output: Tensor
    size: tuple[int, int]
    names: Mapping[str, str]
    numbers: tuple[tuple[Tensor, str], ...] = ()

    @property
    def image(self) -> Tensor:
        """The output as an image: (C, H, W)."""
        return as_image(self.output, self.size)

    @property
    def device(self) -> torch.device:
        """Where the output is."""
        return self.output.device

    @property
    def dtypes(self) -> set[torch.dtype]:
        """Of the parameters."""
        return {parameter.dtype for parameter in self.parameters}


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
        own = _changed(given, lambda tensor: tensor.detach().to(device, copy=True))
        tensors = tuple(tensors_in((own.args, own.kwargs)))
        (result, image), recorder = calls_of(network, lambda: _called(network, own, output))
        _check_image(image)
        numbers = tuple(recorder.numbers)
        if numbers and not _numbers_come_back(network, given, device, output, image):
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


def checked_size(size: Any) -> tuple[int, int]:  # noqa: ANN401 - whatever was given
    """Height and width as whole numbers.

    Raises:
        ValueError: They are none.
    """
    try:
        height, width = (int(side) for side in size)
    except (TypeError, ValueError) as error:
        raise ValueError(f"size is {size!r}; give height and width of the image, two whole numbers") from error
    if min(height, width) < 1 or [height, width] != list(size):
        raise ValueError(f"size is {size!r}; height and width have to be whole numbers of at least 1")
    return height, width


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


def _numbers_come_back(
    network: nn.Module, inputs: Inputs, device: torch.device | None, output: Selection | None, image: Tensor
) -> bool:
    """Whether the output changes with the numbers that are taken out of tensors on the way."""
    own = _changed(inputs, lambda tensor: tensor.detach().to(device, copy=True))
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
