"""A recording: what everything else is computed from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Optional

import torch
from torch import Tensor

from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.image import as_image


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
        sample: Of an image too large to be kept, the recording of a sample of its pixels, as an image of one row. The
            calls are in that one alone: what they gave for other pixels, ``recomputed`` tells.
    """

    calls: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    parameters: tuple[Tensor, ...]
    returned: tuple[Tensor, ...]
    output: Tensor
    size: tuple[int, int]
    names: Mapping[str, str]
    numbers: tuple[tuple[Tensor, str], ...] = ()
    sample: Optional["Recording"] = None

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

    def with_tensors(self, replaced: Callable[[Tensor], Tensor], size: tuple[int, int]) -> "Recording":
        """The same calls on other tensors, and with other results; parameters are the same.

        Args:
            replaced: What stands in the place of a tensor.
            size: Height and width of the image that there is then.
        """
        return Recording(
            calls=tuple(call.with_tensors(replaced, outputs=True) for call in self.calls),
            inputs=tuple(map(replaced, self.inputs)),
            parameters=self.parameters,
            returned=tuple(map(replaced, self.returned)),
            output=replaced(self.output),
            size=size,
            names=self.names,
            numbers=tuple((replaced(tensor), name) for tensor, name in self.numbers),
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
