"""A call's demand of memory, found out before it is made: on tensors that have a shape and no memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.nests import tensors_in

META = torch.device("meta")


class TooLargeError(ValueError):
    """A call makes more than there may be."""


class _Limit(TorchDispatchMode):
    """Lets no operation make a result of more than so many bytes; also none within another."""

    def __init__(self, num_bytes: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch has no types there
        self._num_bytes = num_bytes

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Torch would import its compiler, which takes two seconds, to tell it not to compile this."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401 - torch's protocol
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        del types
        result = func(*args, **(kwargs or {}))
        for tensor in tensors_in(result):
            if num_bytes_of(tensor) > self._num_bytes:
                shape = "x".join(map(str, tensor.shape))
                raise TooLargeError(f"it makes a tensor of {shape}, {num_bytes_of(tensor) / 1e9:.3g} GB")
        return result


def num_bytes_of(tensor: Tensor) -> int:
    """What a tensor's values take, if each has its own place."""
    return tensor.numel() * tensor.element_size()


def check_size(call: Call, num_bytes: int) -> None:
    """Insist that a call, and all that it consists of, makes no tensor of more than ``num_bytes``.

    Its outputs do not matter; its devices have to be ``META``.

    Raises:
        TooLargeError: It makes one.
        Exception: What torch raises where arguments do not fit together.
    """
    if call.name in _NOT_EMPTY and any(tensor.numel() == 0 for tensor in call.tensors()):
        raise ValueError("it is called on a tensor without values")
    if _num_results(call) > _MOST_RESULTS:
        raise TooLargeError(f"it makes {_num_results(call)} tensors")
    if _is_no_larger(call):
        return
    with torch.device(META), _Limit(num_bytes):
        call.run(_shape_of)


def _shape_of(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)


_MOST_RESULTS = 100_000


def _num_results(call: Call) -> int:
    """How many tensors a function that splits one makes at most; 0 where it is as many as it is told one by one."""
    tensor = next(call.tensors(), None)
    longest = 0 if tensor is None else max(tensor.shape, default=1)
    others = [*call.args[1:2], *(value for name, value in call.kwargs.items() if name not in ("dim", "input"))]
    given = others[0] if others and type(others[0]) is int else None
    match call.name:
        case "unbind":
            return longest
        case "split" | "unsafe_split" if given is not None:
            return longest // max(given, 1)
        case "chunk" | "unsafe_chunk" if given is not None:
            return given if tensor is not None and not tensor.numel() else min(given, longest)
        case "tensor_split" | "hsplit" | "vsplit" | "dsplit" if given is not None:
            return given
    return 0


_NOT_EMPTY = frozenset({"_weight_norm"})
"""Functions that divide by a size, which ends the process where it is zero."""

_NO_LARGER = frozenset({"argwhere", "cpu", "masked_select", "nonzero", "unique"})
"""Functions whose results are about as large as what they are given, whatever the values in it say."""


def _is_no_larger(call: Call) -> bool:
    """Whether the result's size depends on values, but is bounded by that of the arguments."""
    if call.name == "__getitem__" and len(call.args) == 2:  # by a mask
        return [tensor.dtype for tensor in tensors_in(call.args[1])] == [torch.bool]
    if call.name == "where":
        return len([*call.args, *call.kwargs]) == 1
    return call.name in _NO_LARGER
