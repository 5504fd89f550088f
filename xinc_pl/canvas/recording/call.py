"""One recorded call of a torch function."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

# Python's and torch's function objects, tensor methods and property getters have no common type.
Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a torch function.

    Attributes:
        function: What was called.
        args: Positional arguments.
        kwargs: Keyword arguments.
        outputs: Tensors that came back.
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
        name = getattr(self.function, "__name__", str(self.function))
        if name == "__get__":  # a property, such as Tensor.T
            return str(getattr(getattr(self.function, "__self__", None), "__name__", name))
        return str(name)

    def tensors(self) -> Iterator[Tensor]:
        """All tensors among the arguments, also those within lists."""
        for argument in (*self.args, *self.kwargs.values()):
            if isinstance(argument, Tensor):
                yield argument
            elif isinstance(argument, (tuple, list)):
                yield from (item for item in argument if isinstance(item, Tensor))
