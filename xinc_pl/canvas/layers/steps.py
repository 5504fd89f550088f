"""What stands between two layers: recorded calls that can be replayed on other values."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.recording.call import Call, Function
from xinc_pl.canvas.recording.nests import tensors_in
from xinc_pl.canvas.recording.replay import replayed

_PIXEL_SHUFFLE: Mapping[Function, tuple[str, ...]] = {F.pixel_shuffle: ("input", "upscale_factor")}

_MOVES = frozenset(
    {
        "T", "__getitem__", "broadcast_to", "channel_shuffle", "contiguous", "diagonal", "expand", "expand_as",
        "flatten", "flip", "fliplr", "flipud", "gather", "index_select", "mT", "moveaxis", "movedim", "narrow",
        "permute", "pixel_unshuffle", "ravel", "repeat", "reshape", "reshape_as", "roll", "rot90", "select", "squeeze",
        "swapaxes", "swapdims", "t", "take_along_dim", "tile", "transpose", "unflatten", "unsqueeze", "view",
        "view_as",
    }
)  # fmt: skip

_LIKE = frozenset({"expand_as", "reshape_as", "to", "type_as", "view_as"})
"""Functions that take a second tensor for its shape or type alone."""

_DROPOUTS = frozenset({F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout})
_DROPOUT = ("input", "p", "training", "inplace")


class StepKind(Enum):
    """What a step does to the values of a tensor."""

    ELEMENTWISE = auto()
    """The same to every value, whatever its place."""
    PER_CHANNEL = auto()
    """The same to every value of a channel."""
    PIXEL_SHUFFLE = auto()
    """Rearranges r**2 channels into r x r pixels."""
    RESAMPLING = auto()
    """Interpolates every channel at other pixels."""
    MOVE = auto()
    """Nothing, or gives the tensor another shape or order, or takes a part of it."""
    OTHER = auto()


SPATIAL = (StepKind.PIXEL_SHUFFLE, StepKind.RESAMPLING)
"""Steps that need an image, (1, C, H, W)."""


@dataclass(frozen=True, eq=False)
class Step:
    """Recorded calls that turn one tensor that came down the chain, ``data``, into one other.

    Mostly a single call. Several where branches leave ``data`` and join again, as in x * sigmoid(x).
    """

    calls: tuple[Call, ...]
    data: Tensor
    result: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """Replay the calls with ``values`` in the place of the data."""
        return replayed(self.result, self.calls, {id(self.data): values})

    @property
    def call(self) -> Call:
        """The last call, which made the step's result."""
        return self.calls[-1]

    @cached_property
    def kind(self) -> StepKind:
        """What the step does."""
        if len(self.calls) == 1:
            if self.call.function in _PIXEL_SHUFFLE:
                return StepKind.PIXEL_SHUFFLE
            if self.call.function is F.interpolate and self.data.ndim == 4:
                return StepKind.RESAMPLING
            if self.call.function in _DROPOUTS and self.call.bound(_DROPOUT).get("training") is False:
                return StepKind.MOVE
            if self.call.name in _MOVES and not any(each.is_floating_point() for each in self._parameters()):
                return StepKind.MOVE
        if self.data.shape == self.result.shape:
            if all(parameter.numel() == 1 for parameter in self._parameters()) and _is_elementwise(self):
                return StepKind.ELEMENTWISE
            if self.channel_axis is not None:
                return StepKind.PER_CHANNEL
        return StepKind.OTHER

    @property
    def upscale_factor(self) -> int:
        """Factor of a pixel shuffle."""
        return int(self.call.bound(_PIXEL_SHUFFLE[self.call.function])["upscale_factor"])

    @cached_property
    def channel_axis(self) -> int | None:
        """The axis of the data for whose every index, or channel, the step has parameters of its own."""
        sizes = {parameter.numel() for parameter in self._parameters()}
        size = sizes - {1} or sizes
        for axis in sorted({1, self.data.ndim - 1}):
            if axis < self.data.ndim and {self.data.shape[axis]} == size and _acts_by_channel(self, axis):
                return axis
        return None

    @property
    def num_channels(self) -> int:
        """How many channels have parameters of their own."""
        return 1 if self.channel_axis is None else self.data.shape[self.channel_axis]

    def of_channel(self, channel: int) -> "Step":
        """What the step does to one channel, to values of any shape."""

        def sliced(parameter: Tensor) -> Tensor:
            return parameter if parameter.numel() == 1 else parameter.flatten()[channel : channel + 1]

        step = self.with_parameters(sliced)
        return _ChannelStep(step.calls, step.data, step.result)

    def with_parameters(self, change: Callable[[Tensor], Tensor]) -> "Step":
        """The same step with all tensors changed that do not come from its data."""
        own = self._own_tensors()
        calls = (call.with_tensors(lambda one: one if id(one) in own else change(one)) for call in self.calls)
        step = type(self)(tuple(calls), self.data, self.result)
        # What the step does has been found out, which takes a while, and is the same.
        step.__dict__.update({name: self.__dict__[name] for name in ("kind", "channel_axis") if name in self.__dict__})
        return step

    def _parameters(self) -> Iterator[Tensor]:
        own = self._own_tensors()
        for call in self.calls:
            values = tensors_in(call.args[:1]) if call.name in _LIKE else call.tensors()
            yield from (tensor for tensor in values if id(tensor) not in own)

    def _own_tensors(self) -> set[int]:
        return {id(self.data), *(id(output) for call in self.calls for output in call.outputs)}


class _ChannelStep(Step):
    """Sees its values (n, ...) as n images of one channel: some functions ask for the channel's axis."""

    @cached_property
    def kind(self) -> StepKind:
        return StepKind.ELEMENTWISE

    def __call__(self, values: Tensor) -> Tensor:
        return super().__call__(values.unsqueeze(1)).squeeze(1)


def _is_elementwise(step: Step) -> bool:
    """Whether each value after the step depends on the one before it alone, and not on its place.

    Several probes say so, each independently: other places, other values in either half, other extremes, and a part
    that is constant. What stays as it was must come out as it did, to the bit.
    """
    shape = [min(max(side, 2), 5) for side in step.data.shape]
    generator = torch.Generator().manual_seed(0)
    try:
        return all(
            _is_elementwise_at(step, torch.randn(shape, generator=generator) * scale, generator) for scale in (1, 30)
        )
    except _REFUSALS:  # the function depends on the tensor's shape
        return False


def _is_elementwise_at(step: Step, values: Tensor, generator: torch.Generator) -> bool:
    order = torch.randperm(values.numel(), generator=generator)
    after = _on_copy(step, values)
    if after.shape != values.shape:
        return False
    # Vectorised code rounds the last values of a tensor otherwise than those before: close, not equal.
    moved = _on_copy(step, values.flatten()[order].view(values.shape))
    return _are_close(after.flatten()[order], moved.flatten()) and all(
        torch.equal(after.nan_to_num()[kept], _on_copy(step, changed).nan_to_num()[kept])
        for changed, kept in _changed(values, generator)
    )


def _changed(values: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Values some of which are others, and which of them are not."""
    half = (torch.arange(values.numel()) % 2 == 0).view(values.shape)
    for kept in (half, ~half):
        yield torch.where(kept, values, torch.randn(values.shape, generator=generator)), kept
        yield torch.where(kept, values, values.flatten()[0]), kept
    for extreme in (values.argmax(), values.argmin()):
        kept = (torch.arange(values.numel()) != extreme).view(values.shape)
        for factor in (100, -100, 0):
            yield torch.where(kept, values, values * factor), kept


def _on_copy(step: Step, values: Tensor) -> Tensor:
    """What a step, which may work in place, makes of values."""
    return step(values.to(step.data, copy=True)).cpu()


def _acts_by_channel(step: Step, axis: int) -> bool:
    """Whether the step is elementwise in every channel, with that channel's parameters."""
    shape = [2] * step.data.ndim
    shape[axis] = step.data.shape[axis]
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(step.data)
    by_channel = values.movedim(axis, 0).flatten(1)
    try:
        # The first value of each channel alone: statistics over the others would show.
        separate = [
            torch.cat([step.of_channel(channel)(each[part].clone()) for part in (slice(1), slice(1, None))])
            for channel, each in enumerate(by_channel)
        ]
        together = step(values.clone())
    except _REFUSALS:
        return False
    return together.shape == values.shape and _are_close(together.movedim(axis, 0).flatten(1), torch.stack(separate))


_REFUSALS = (RuntimeError, TypeError, ValueError, IndexError, AssertionError)


def _are_close(values: Tensor, others: Tensor) -> bool:
    precision = torch.finfo(values.dtype).eps if values.is_floating_point() else 0.0
    return torch.allclose(values, others, rtol=64 * precision, atol=64 * precision, equal_nan=True)
