"""What stands between two layers: recorded calls that can be replayed on other values."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.recording import Call, Function

_PIXEL_SHUFFLE: Mapping[Function, tuple[str, ...]] = {F.pixel_shuffle: ("input", "upscale_factor")}

_MOVES = frozenset(
    {
        "T", "mT", "contiguous", "expand", "flatten", "moveaxis", "movedim", "permute", "ravel", "reshape", "squeeze",
        "swapaxes", "swapdims", "t", "transpose", "unflatten", "unsqueeze", "view",
    }
)  # fmt: skip


class StepKind(Enum):
    """What a step does to the values of a tensor."""

    ELEMENTWISE = auto()
    """The same to every value, whatever its place."""
    PIXEL_SHUFFLE = auto()
    """Rearranges r**2 channels into r x r pixels."""
    MOVE = auto()
    """Nothing but give the tensor another shape or order."""
    OTHER = auto()


@dataclass(frozen=True, eq=False)
class Step:
    """A recorded call with one tensor that came down the chain, ``data``."""

    call: Call
    data: Tensor

    @classmethod
    def of(cls, call: Call, data: Tensor) -> "Step":
        """The step that ``call`` is. Other tensors of one value, such as a learned slope, are copied."""

        def keep(argument: Any) -> Any:  # noqa: ANN401 - any argument of a function
            is_scalar = isinstance(argument, Tensor) and argument is not data and argument.numel() == 1
            return argument.detach().clone() if is_scalar else argument

        args, kwargs = tuple(map(keep, call.args)), {key: keep(item) for key, item in call.kwargs.items()}
        return cls(replace(call, args=args, kwargs=kwargs), data)

    def __call__(self, values: Tensor) -> Tensor:
        """Replay the call with ``values`` in the place of the data."""
        args = [values if argument is self.data else argument for argument in self.call.args]
        kwargs = {key: values if item is self.data else item for key, item in self.call.kwargs.items()}
        result: Tensor = self.call.function(*args, **kwargs)
        return result

    @property
    def kind(self) -> StepKind:
        """What the call does."""
        before, after = self.data, self.call.outputs[0]
        if self.call.function in _PIXEL_SHUFFLE:
            return StepKind.PIXEL_SHUFFLE
        if self.call.name in _MOVES and before.numel() == after.numel():
            return StepKind.MOVE
        if before.shape == after.shape and self._has_only_scalars_beside_data() and _is_elementwise(self):
            return StepKind.ELEMENTWISE
        return StepKind.OTHER

    @property
    def upscale_factor(self) -> int:
        """Factor of a pixel shuffle."""
        return int(bind(self.call, _PIXEL_SHUFFLE[self.call.function])["upscale_factor"])

    def _has_only_scalars_beside_data(self) -> bool:
        return all(tensor is self.data or tensor.numel() == 1 for tensor in self.call.tensors())


@dataclass(frozen=True)
class Activation:
    """What happens to each value between two layers: elementwise steps, one after the other."""

    steps: tuple[Step, ...] = ()

    def __call__(self, values: Tensor) -> Tensor:
        """Apply all steps to values of any shape. May overwrite ``values``."""
        return reduce(lambda result, step: step(result), self.steps, values)

    def at_zero(self, like: Tensor) -> float:
        """The value that it gives to zero."""
        return float(self(torch.zeros(1, dtype=like.dtype, device=like.device)))


def bind(call: Call, parameters: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of a call by name; those left out are missing."""
    return dict(zip(parameters, call.args, strict=False)) | call.kwargs


def _is_elementwise(step: Step) -> bool:
    """Whether each value after the step depends on the one before it alone, and not on its place."""
    shape = [min(max(side, 2), 5) for side in step.data.shape]
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=generator)
    order = torch.randperm(values.numel(), generator=generator)
    half = torch.arange(values.numel()) % 2 == 0
    permuted = values.flatten()[order].view(shape)
    changed = torch.where(half.view(shape), values, torch.randn(shape, generator=generator))
    try:
        # Copies, since the step may work in place.
        after, permuted_after, changed_after = (
            step(before.to(step.data, copy=True)).cpu() for before in (values, permuted, changed)
        )
    except (RuntimeError, TypeError, ValueError, IndexError):  # the function depends on the tensor's shape
        return False
    if after.shape != values.shape:
        return False
    # Vectorised code rounds the last values of a tensor otherwise than those before: close, not equal.
    precision = torch.finfo(after.dtype).eps if after.is_floating_point() else 0.0
    return torch.allclose(
        after.flatten()[order], permuted_after.flatten(), rtol=64 * precision, atol=64 * precision, equal_nan=True
    ) and torch.allclose(after.flatten()[half], changed_after.flatten()[half], rtol=0, atol=0, equal_nan=True)
