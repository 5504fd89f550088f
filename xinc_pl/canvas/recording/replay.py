"""The rest of a recorded network, replayed from some of its tensors on."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.recording.call import Call

_STOP_GRADIENTS = ("detach", "detach_", "data")


class Rest:
    """The rest of a recorded network, as a function of some of the tensors in it.

    Args:
        calls: The recording, from where these tensors are there.
        starts: The tensors: what a call returned, say, or weights.
        result: The network's output.

    Raises:
        DissectionError: A tensor from elsewhere is changed in place by what comes from these: what it held before was
            not recorded.
    """

    def __init__(self, calls: Sequence[Call], starts: Sequence[Tensor], result: Tensor) -> None:
        self.starts = tuple(starts)
        self.result = result
        reached = set(map(id, starts))
        self.calls = []
        for call in calls:
            if any(id(tensor) in reached for tensor in call.tensors()):
                changed = {id(tensor) for tensor in call.tensors()} & set(map(id, call.outputs))
                if changed - reached:
                    raise DissectionError(
                        f"{call.name!r} in {call.module or 'the network'} changes a tensor in place that does not come "
                        "from the layer, so that it cannot be repeated; use the function that returns a new tensor"
                    )
                reached.update(map(id, call.outputs))
                self.calls.append(call)

    @classmethod
    def after(cls, calls: Sequence[Call], position: int, result: Tensor) -> "Rest":
        """What follows the call at ``position``, as a function of what that returned."""
        return cls(calls[position + 1 :], [calls[position].outputs[0]], result)

    def __call__(self, *starts: Tensor) -> Tensor:
        """The network's output, had there been these tensors in the place of the recorded ones."""
        # Clones: what follows may work in place.
        values = {id(old): new.clone() for old, new in zip(self.starts, starts, strict=True)}

        def replaced(argument: Any) -> Any:  # noqa: ANN401 - any argument of a function
            if isinstance(argument, (tuple, list)):
                return type(argument)(map(replaced, argument))
            return values.get(id(argument), argument) if isinstance(argument, Tensor) else argument

        for call in self.calls:
            if call.name in _STOP_GRADIENTS:  # which is about training: the values pass
                result = replaced(call.args[0])
            else:
                result = call.function(*map(replaced, call.args), **{k: replaced(v) for k, v in call.kwargs.items()})
            parts = result if isinstance(result, (tuple, list)) else (result,)
            tensors = [part for part in parts if isinstance(part, Tensor)]
            values.update(zip(map(id, call.outputs), tensors, strict=True))
        return values[id(self.result)]


def with_kept_parameters(calls: Sequence[Call]) -> list[Call]:
    """The same calls on copies of parameters and buffers, which the next training step does not change."""
    copies: dict[int, Tensor] = {}
    computed = {id(tensor) for call in calls for tensor in call.outputs}
    given = [tensor for call in calls for tensor in call.tensors() if id(tensor) not in computed]
    memory = {tensor.untyped_storage().data_ptr() for tensor in given} - {0}

    def kept(argument: Any) -> Any:  # noqa: ANN401 - any argument of a function
        if isinstance(argument, Tensor):
            # A transposed parameter, say, was computed, but shares its memory.
            if id(argument) in computed and argument.untyped_storage().data_ptr() not in memory:
                return argument
            if id(argument) not in copies:
                copies[id(argument)] = argument.detach().clone()
            return copies[id(argument)]
        if isinstance(argument, (tuple, list)):
            return type(argument)(map(kept, argument))
        return argument

    return [
        Call(
            call.function,
            tuple(map(kept, call.args)),
            {k: kept(v) for k, v in call.kwargs.items()},
            call.outputs,
            call.module,
        )
        for call in calls
    ]


def as_image(output: Tensor, size: tuple[int, int]) -> Tensor:
    """A network's output (1, C, H, W), or pixels by channels in any shape (..., C), as (C, H, W).

    Raises:
        DissectionError: It has another number of pixels.
    """
    if output.ndim == 4 and tuple(output.shape[-2:]) == tuple(size) and len(output) == 1:
        return output[0]
    pixels = output.reshape(-1, output.shape[-1])
    if len(pixels) != size[0] * size[1]:
        raise DissectionError(
            f"the network's output has shape {tuple(output.shape)}, which is no image of {size[0]}x{size[1]} pixels"
        )
    return pixels.T.reshape(-1, *size)
