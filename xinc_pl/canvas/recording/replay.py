"""A recorded network, replayed with other values in the place of some of its tensors."""

from collections.abc import Callable, Sequence

from torch import Tensor

from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.recording import Recording

_STOP_GRADIENTS = ("detach", "detach_", "data")

Change = Callable[[tuple[Tensor, ...], Call], tuple[Tensor, ...]]


class Replay:
    """The image that a recorded network shows, as a function of some of the tensors in it.

    Called with the recorded values it gives the recorded image. Where one of the tensors depends on another, what is
    added to its recorded value is added to what it becomes.

    Args:
        recording: The recording.
        starts: The tensors: what calls of layers returned, say.
        result: Which recorded tensor is wanted; the network's output by default.
    """

    def __init__(self, recording: Recording, starts: Sequence[Tensor], result: Tensor | None = None) -> None:
        self.starts = tuple(starts)
        self.recording = recording
        self.result = recording.output if result is None else result
        reached = set(map(id, starts))
        self.calls: list[Call] = []
        for call in recording.calls:
            if any(id(tensor) in reached for tensor in call.tensors()):
                reached.update(map(id, call.outputs))
                self.calls.append(call)
                if result is not None and any(output is result for output in call.outputs):
                    break
        self.reaches_output = id(self.result) in reached

    @property
    def largest(self) -> int:
        """How many values the largest tensor on the way has."""
        return max((tensor.numel() for call in self.calls for tensor in call.outputs), default=1)

    def __call__(self, *starts: Tensor) -> Tensor:
        """The result, had there been these tensors in the place of the recorded ones."""
        given = {id(old): (old, new) for old, new in zip(self.starts, starts, strict=True)}
        changed = {key for key, (old, new) in given.items() if old is not new}

        def added(outputs: tuple[Tensor, ...], call: Call) -> tuple[Tensor, ...]:
            # What a call hands on as it is, as a dropout does, has been changed where it was made.
            own = changed & set(map(id, call.outputs)) - set(map(id, call.tensors()))
            return tuple(
                value + (given[id(each)][1] - given[id(each)][0]) if id(each) in own else value
                for value, each in zip(outputs, call.outputs, strict=True)
            )

        return replayed(self.result, self.calls, {key: new for key, (_, new) in given.items()}, added)


def replayed(result: Tensor, calls: Sequence[Call], values: dict[int, Tensor], change: Change | None = None) -> Tensor:
    """Run calls again.

    Args:
        result: Which of the recorded tensors is wanted.
        calls: In their order.
        values: Other values, by the identity of the recorded tensors that they stand for. What is computed is added,
            and let go of when no call needs it any more.
        change: Takes what a call returns, and the call, to what it is to return.
    """
    last_use = {id(tensor): at for at, call in enumerate(calls) for tensor in call.tensors()}
    last_use[id(result)] = len(calls)
    for at, call in enumerate(calls):
        if call.name in _STOP_GRADIENTS:  # which is about training: the values pass
            outputs: tuple[Tensor, ...] = (values.get(id(call.args[0]), call.args[0]),)
        else:
            outputs = call.run(lambda tensor: values.get(id(tensor), tensor))
        if change is not None:
            outputs = change(outputs, call)
        values.update(zip(map(id, call.outputs), outputs, strict=True))
        for tensor in (*call.tensors(), *call.outputs):
            if last_use.get(id(tensor), -1) <= at:
                values.pop(id(tensor), None)
    return values.get(id(result), result)
