"""One recorded call of a torch function."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xinc_pl.canvas.recording.nests import mapped, tensors_in

# Python's and torch's function objects, tensor methods and property getters have no common type.
Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a torch function.

    No tensor ever changes: what works in place is recorded as a function of what was there before (see ``InPlace``),
    so that a tensor's identity tells where its values come from.

    Attributes:
        function: What was called.
        args: Positional arguments.
        kwargs: Keyword arguments.
        outputs: Tensors that came back, in their order.
        module: Path of the innermost module that called it; empty for the network itself.
    """

    function: Function
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    outputs: tuple[Tensor, ...]
    module: str

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return name_of(self.function)

    def tensors(self) -> Iterator[Tensor]:
        """All tensors among the arguments, also those within lists and dictionaries."""
        yield from tensors_in(self.args)
        yield from tensors_in(self.kwargs)

    def bound(self, parameters: Sequence[str]) -> dict[str, Any]:
        """Arguments by name, if these are the parameters in their order; those left out are missing."""
        return dict(zip(parameters, self.args, strict=False)) | self.kwargs

    def run(self, change: Callable[[Tensor], Tensor]) -> tuple[Tensor, ...]:
        """Call again, with other tensors for the recorded ones, and return what stands for the outputs."""
        return tuple(tensors_in(self.function(*mapped(self.args, change), **mapped(self.kwargs, change))))

    def with_tensors(self, change: Callable[[Tensor], Tensor], outputs: bool = False) -> "Call":
        """The same call of other tensors; with others as its results, too, if ``outputs``."""
        results = tuple(map(change, self.outputs)) if outputs else self.outputs
        return Call(self.function, mapped(self.args, change), mapped(self.kwargs, change), results, self.module)


def name_of(function: Function) -> str:
    """A function's name, as it stands in code."""
    name = getattr(function, "__name__", str(function))
    if name == "__get__":  # a property, such as Tensor.T
        return str(getattr(getattr(function, "__self__", None), "__name__", name))
    return str(name)


View = tuple[tuple[int, ...], tuple[int, ...], int]
"""Where a tensor lies in memory: size, stride and offset."""


@dataclass(frozen=True, eq=False)
class InPlace:
    """A function that works in place, as one that returns what all tensors that share the memory hold afterwards.

    Called on what the memory held before, and on the function's own arguments, None standing for the tensor that it
    works on.

    Attributes:
        function: The function.
        place: Which of its arguments that is: a position, or a name.
        target: Which of the tensors that share the memory.
        views: Where each of these lies in the first one's memory; None for that itself.
    """

    function: Function
    place: int | str
    target: int
    views: tuple[View | None, ...]

    @property
    def __name__(self) -> str:
        """The function's."""
        return name_of(self.function)

    def __call__(self, before: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
        """What each of the tensors holds afterwards."""
        sources = (*tensors_in(args), *tensors_in(kwargs))
        # Made of a source, so that it is one of a batch where the source is.
        fresh = sources[0].new_zeros(before.shape, dtype=before.dtype) + before if sources else before.clone()
        # Views are counted in the memory of one tensor, not of a batch whose axis may lie anywhere.
        fresh = fresh.contiguous()
        views = tuple(fresh if view is None else fresh.as_strided(*view) for view in self.views)
        if self.place == "out":  # which derivatives do not know
            views[self.target].copy_(
                self.function(*args, **{key: each for key, each in kwargs.items() if key != "out"})
            )
            return views
        if isinstance(self.place, int):
            args = (*args[: self.place], views[self.target], *args[self.place + 1 :])
        else:
            kwargs = {**kwargs, self.place: views[self.target]}
        self.function(*args, **kwargs)
        return views


@dataclass(frozen=True, eq=False)
class Batched:
    """A function that was called within ``torch.vmap``, as one of the whole batch.

    Attributes:
        function: What was called for each.
        in_dims: The axis of each tensor among the arguments, in their order, that counts the batch; None where there
            is none.
        out_dims: The same of the results.
    """

    function: Function
    in_dims: tuple[int | None, ...]
    out_dims: tuple[int, ...]

    @property
    def __name__(self) -> str:
        """The function's."""
        return name_of(self.function)

    def __call__(self, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
        """The results, as a batch."""
        tensors = (*tensors_in(args), *tensors_in(kwargs))

        def each(*values: Tensor) -> tuple[Tensor, ...]:
            remaining = iter(values)
            own = mapped((args, kwargs), lambda _: next(remaining))
            return tuple(tensors_in(self.function(*own[0], **own[1])))

        if all(dim is None for dim in self.in_dims):
            return each(*tensors)
        batched = torch.vmap(each, in_dims=self.in_dims, out_dims=self.out_dims)
        result: tuple[Tensor, ...] = batched(*tensors)
        return result
