"""What stands between two layers: recorded calls that can be replayed on other values."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cached_property, reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.recording.call import Call, Function

_PIXEL_SHUFFLE: Mapping[Function, tuple[str, ...]] = {F.pixel_shuffle: ("input", "upscale_factor")}

_MOVES = frozenset(
    {
        "T", "channel_shuffle", "contiguous", "expand", "expand_as", "flatten", "mT", "moveaxis", "movedim", "permute",
        "pixel_unshuffle", "ravel", "reshape", "reshape_as", "squeeze", "swapaxes", "swapdims", "t", "transpose",
        "unflatten", "unsqueeze", "view", "view_as",
    }
)  # fmt: skip

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
    """Nothing, or gives the tensor another shape or order."""
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

    @classmethod
    def of(cls, calls: Sequence[Call], data: Tensor) -> "Step":
        """The step that ``calls``, in their order, are. Other tensors, such as a learned slope, are copied."""
        step = cls(tuple(calls), data)
        return step.with_parameters(lambda parameter: parameter.detach().clone())

    def __call__(self, values: Tensor) -> Tensor:
        """Replay the calls with ``values`` in the place of the data."""
        replayed, result = {id(self.data): values}, values
        for call in self.calls:
            call = _with_tensors(call, lambda tensor: replayed.get(id(tensor), tensor))
            result = call.function(*call.args, **call.kwargs)
            replayed[id(call.outputs[0])] = result
        return result

    @property
    def call(self) -> Call:
        """The last call, which made the step's result."""
        return self.calls[-1]

    @property
    def result(self) -> Tensor:
        """What the step returned."""
        return self.call.outputs[0]

    @cached_property
    def kind(self) -> StepKind:
        """What the step does."""
        if len(self.calls) == 1:
            if self.call.function in _PIXEL_SHUFFLE:
                return StepKind.PIXEL_SHUFFLE
            if self.call.function is F.interpolate and self.data.ndim == 4:
                return StepKind.RESAMPLING
            if self.call.function in _DROPOUTS and bind(self.call, _DROPOUT).get("training") is False:
                return StepKind.MOVE
            if self.call.name in _MOVES and self.data.numel() == self.result.numel():
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
        return int(bind(self.call, _PIXEL_SHUFFLE[self.call.function])["upscale_factor"])

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
        return _ChannelStep(step.calls, step.data)

    def with_parameters(self, change: Callable[[Tensor], Tensor]) -> "Step":
        """The same step with all tensors changed that do not come from its data."""
        own = self._own_tensors()
        calls = (_with_tensors(call, lambda one: one if id(one) in own else change(one)) for call in self.calls)
        return type(self)(tuple(calls), self.data)

    def _parameters(self) -> Iterator[Tensor]:
        own = self._own_tensors()
        yield from (tensor for call in self.calls for tensor in call.tensors() if id(tensor) not in own)

    def _own_tensors(self) -> set[int]:
        return {id(self.data), *(id(output) for call in self.calls for output in call.outputs)}


class _ChannelStep(Step):
    """Sees its values (n, ...) as n images of one channel: some functions ask for the channel's axis."""

    @cached_property
    def kind(self) -> StepKind:
        return StepKind.ELEMENTWISE

    def __call__(self, values: Tensor) -> Tensor:
        return super().__call__(values.unsqueeze(1)).squeeze(1)


@dataclass(frozen=True)
class Activation:
    """What happens to each value between two places: elementwise steps, one after the other.

    Steps with parameters per channel are applied by ``of_channel``. Called on values that belong to no one channel, as
    those of a map in a later layer, the activation is the mean over its channels.
    """

    steps: tuple[Step, ...] = ()

    def __call__(self, values: Tensor) -> Tensor:
        """Apply all steps to values of any shape. May overwrite ``values``."""
        if self.num_channels == 1:
            steps = [step.of_channel(0) if step.kind is StepKind.PER_CHANNEL else step for step in self.steps]
            return reduce(lambda result, step: step(result), steps, values)
        channels = range(self.num_channels)
        total = sum(self.of_channel(channel, len(channels))(values.clone()) for channel in channels)
        return torch.as_tensor(total / len(channels))

    @cached_property
    def num_channels(self) -> int:
        """How many channels it tells apart."""
        return max((step.num_channels for step in self.steps if step.kind is StepKind.PER_CHANNEL), default=1)

    def of_channel(self, channel: int, num_channels: int) -> "Activation":
        """The activation of one of a layer's ``num_channels`` channels; a pixel shuffle joins neighbouring ones."""
        return Activation(
            tuple(
                step.of_channel(channel * step.num_channels // num_channels)
                if step.kind is StepKind.PER_CHANNEL
                else step
                for step in self.steps
            )
        )

    def at_zero(self, like: Tensor) -> float:
        """The value that it gives to zero."""
        return float(self(torch.zeros(1, dtype=like.dtype, device=like.device)))


def bind(call: Call, parameters: tuple[str, ...]) -> dict[str, Any]:
    """Arguments of a call by name; those left out are missing."""
    return dict(zip(parameters, call.args, strict=False)) | call.kwargs


def keep_places(steps: Sequence[Step], image: bool) -> bool:
    """Whether moves among the steps cancel, so that every value is where it was, up to a step that looks at places.

    Args:
        steps: What follows a layer.
        image: Whether the layer returned an image (1, C, H, W), and not pixels by channels (..., C).
    """
    run: list[Step] = []
    for step in steps:
        if step.kind is StepKind.MOVE:
            run.append(step)
        elif step.kind in SPATIAL:
            if not _cancel(run, image):
                return False
            run = []
    return _cancel(run, image)


def _cancel(moves: Sequence[Step], image: bool) -> bool:
    if all(move.call.name == "contiguous" for move in moves):
        return True
    before, after = moves[0].data.shape, moves[-1].result.shape
    if (before != after) if image else (before[-1:] != after[-1:]):
        return False
    places = torch.arange(before.numel())
    moved = reduce(lambda values, move: move(values), moves, places.view(before))
    return torch.equal(moved.flatten(), places)


def _with_tensors(call: Call, change: Callable[[Tensor], Tensor]) -> Call:
    """The call with all tensors among its arguments changed."""

    def changed(argument: Any) -> Any:  # noqa: ANN401 - any argument of a function
        if isinstance(argument, Tensor):
            return change(argument)
        if type(argument) in (tuple, list):
            return type(argument)(map(changed, argument))
        return argument

    kwargs = {key: changed(argument) for key, argument in call.kwargs.items()}
    return replace(call, args=tuple(map(changed, call.args)), kwargs=kwargs)


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
    except _REFUSALS:  # the function depends on the tensor's shape
        return False
    if after.shape != values.shape:
        return False
    # Vectorised code rounds the last values of a tensor otherwise than those before: close, not equal.
    return _are_close(after.flatten()[order], permuted_after.flatten()) and torch.allclose(
        after.flatten()[half], changed_after.flatten()[half], rtol=0, atol=0, equal_nan=True
    )


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
