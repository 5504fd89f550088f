"""Record what a network computes: every torch function it calls, in order."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch._C import _functorch as functorch
from torch.overrides import TorchFunctionMode

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.recording.call import Batched, Call, Function, InPlace, View, name_of
from xinc_pl.canvas.recording.nests import mapped, tensors_in
from xinc_pl.canvas.recording.opened import OPENED

NUMBERS_OUT = frozenset({"__float__", "__complex__", "item", "tolist", "numpy", "__array__"})
"""Functions by which numbers leave tensors, and may come back where nobody sees it."""

_NO_WRITES = frozenset({"requires_grad_", "retain_grad", "share_memory_", "rename_", "detach_"})

_ALTERED = 1 + 2**-8
"""By so much numbers that were taken out of tensors are changed, to see whether they come back."""


class Recorder(TorchFunctionMode):
    """Writes down all calls. Functions, not modules: so activations and layers written as functions are seen.

    Args:
        alter_numbers: Change the numbers that are taken out of tensors a little.

    Attributes:
        calls: What was called so far.
        modules: Paths of the modules that are running.
        numbers: Tensors that numbers were taken out of, and by which function.
    """

    def __init__(self, alter_numbers: bool = False) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.modules: list[str] = [""]
        self.numbers: list[tuple[Tensor, str]] = []
        self._alter = alter_numbers
        self._sharing: dict[int, list[Tensor]] = {}

    def know(self, tensors: Iterator[Tensor]) -> None:
        """Remember which tensors share their memory."""
        for tensor in tensors:
            memory = memory_of(tensor)
            if memory is not None:
                sharing = self._sharing.setdefault(memory, [])
                if not any(other is tensor for other in sharing):
                    sharing.append(tensor)

    def __torch_function__(
        self,
        func: Function,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch's protocol
        kwargs = kwargs or {}
        if func in OPENED:
            with self:
                return OPENED[func](*args, **kwargs)
        name = name_of(func)
        if isinstance(kwargs.get("out"), Tensor):
            return self._into(kwargs["out"], func, args, {key: kwargs[key] for key in kwargs if key != "out"})
        if name in NUMBERS_OUT:
            return self._number(func, name, args, kwargs)
        self.know(tensors_in((args, kwargs)))
        place = _written_argument(func, name, args, kwargs)
        target = None if place is None else args[place] if isinstance(place, int) else kwargs[place]
        if isinstance(target, Tensor) and isinstance(place, int | str):
            return self._write(func, target, place, args, kwargs)
        result = func(*args, **kwargs)
        outputs = tuple(tensors_in(result))
        if outputs:
            self.know(iter(outputs))
            self.calls.append(_whole(Call(func, args, kwargs, outputs, self.modules[-1])))
        return result

    def _number(self, func: Function, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        number = func(*args, **kwargs)
        tensor = args[0]
        if tensor.is_floating_point() or tensor.is_complex():
            self.numbers.append((tensor, name.strip("_")))
            if self._alter:
                return _altered(number)
        return number

    def _into(self, out: Tensor, func: Function, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
        """Call a function with ``out``, which has no derivative, as one without, and copy."""
        if out.numel():
            with self:
                return out.copy_(func(*args, **kwargs))
        func(*args, **kwargs, out=out)  # which gets its size, and memory, by this
        self.know(tensors_in((args, kwargs, out)))
        self.calls.append(Call(func, args, kwargs, (out,), self.modules[-1]))
        return out

    def _write(
        self, func: Function, target: Tensor, place: int | str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:  # noqa: ANN401
        """Call a function that works in place, and record it as one that does not.

        Everything recorded so far gets to hold what was in the memory before.
        """
        memory = memory_of(target)
        if memory is None:
            raise DissectionError(
                f"{name_of(func)!r} changes a tensor in place within vmap or a compiled part, where nobody can follow"
            )
        sharing = self._sharing[memory]
        base = max(sharing, key=Tensor.numel)
        if not base.is_contiguous() or not all(_lies_within(each, base) for each in sharing):
            raise DissectionError(
                f"{name_of(func)!r} in {self.modules[-1] or 'the network'} changes a part of a tensor in place that "
                "cannot be followed; use the function that returns a new tensor"
            )
        others = [each for each in sharing if each is not base]
        held = base.clone()
        before = {id(base): held}
        for each in others:
            before[id(each)] = held.as_strided(*_view(each, base) or (each.shape, each.stride(), 0))

        def was(tensor: Tensor) -> Tensor:
            return before.get(id(tensor), tensor)

        self.calls = [call.with_tensors(was, outputs=True) for call in self.calls]
        self.numbers = [(was(tensor), name) for tensor, name in self.numbers]
        own_args, own_kwargs = list(args), dict(kwargs)
        (own_args if isinstance(place, int) else own_kwargs)[place] = None  # type: ignore[index]
        outputs = (base, *others)
        function = InPlace(
            func,
            place,
            next(index for index, each in enumerate(outputs) if each is target),
            (None, *(_view(each, base) for each in others)),
        )
        result = func(*args, **kwargs)
        self.know(tensors_in(result))
        arguments = mapped(tuple(own_args), was)
        self.calls.append(Call(function, (held, *arguments), mapped(own_kwargs, was), outputs, self.modules[-1]))
        return result


def memory_of(tensor: Tensor) -> int | None:
    """What tensors that share their memory have in common; None where there is no memory to speak of."""
    if tensor.layout is not torch.strided or functorch.is_functorch_wrapped_tensor(tensor):
        return None
    try:
        return tensor.untyped_storage().data_ptr() or None
    except (RuntimeError, NotImplementedError):  # a tensor that only stands for one, as where a part is compiled
        return None


def _written_argument(func: Function, name: str, args: Sequence[Any], kwargs: dict[str, Any]) -> int | str | None:
    """Which argument a function works on in place: a position or a name; None if it does not."""
    in_place = (name.endswith("_") and not name.endswith("__")) or name == "__setitem__"
    if in_place or (name.startswith("__i") and name not in ("__index__", "__int__", "__invert__")):
        if name in _NO_WRITES:
            return None
        return 0 if args else "input"
    position = _in_place_switch(func)
    if position is not None and (kwargs.get("inplace") or (len(args) > position and args[position] is True)):
        return 0 if args else "input"
    return None


@cache
def _in_place_switch(func: Function) -> int | None:
    """Where a function has an argument ``inplace``."""
    if not inspect.isfunction(func):
        return None
    names = list(inspect.signature(func, follow_wrapped=False).parameters)
    return names.index("inplace") if "inplace" in names else None


def _lies_within(tensor: Tensor, base: Tensor) -> bool:
    """Whether a tensor is a view of another, contiguous one."""
    start = tensor.storage_offset() - base.storage_offset()
    reach = sum((side - 1) * step for side, step in zip(tensor.shape, tensor.stride(), strict=True))
    plain = tensor.dtype == base.dtype and tensor.is_conj() == base.is_conj() and tensor.is_neg() == base.is_neg()
    return plain and start >= 0 and (tensor.numel() == 0 or start + reach < base.numel())


def _view(tensor: Tensor, base: Tensor) -> View | None:
    """Where a tensor lies in the memory of another; None where it lies as that does."""
    if tensor.shape == base.shape and tensor.stride() == base.stride():
        return None
    return tuple(tensor.shape), tensor.stride(), int(tensor.storage_offset() - base.storage_offset())


def _altered(number: Any) -> Any:  # noqa: ANN401 - a number, or lists or arrays of them
    if isinstance(number, list):
        return [_altered(each) for each in number]
    return number * _ALTERED


def _whole(call: Call) -> Call:
    """A call within ``torch.vmap`` as one of the whole batch."""
    while any(map(functorch.is_batchedtensor, (*call.tensors(), *call.outputs))):
        levels = [functorch.maybe_get_level(each) for each in (*call.tensors(), *call.outputs)]
        level = max(each for each in levels if each >= 0)

        def dim_of(tensor: Tensor, level: int = level) -> int | None:
            inside = functorch.is_batchedtensor(tensor) and functorch.maybe_get_level(tensor) == level
            return functorch.maybe_get_bdim(tensor) if inside else None

        def outside(tensor: Tensor, level: int = level) -> Tensor:
            inside = functorch.is_batchedtensor(tensor) and functorch.maybe_get_level(tensor) == level
            return functorch.get_unwrapped(tensor) if inside else tensor

        function = Batched(
            call.function, tuple(map(dim_of, call.tensors())), tuple(dim_of(each) or 0 for each in call.outputs)
        )
        outputs = tuple(map(outside, call.outputs))
        call = Call(function, mapped(call.args, outside), mapped(call.kwargs, outside), outputs, call.module)
    return call


_COMPILED = "_orig_mod"
"""By this name a compiled module holds the one that it was made of."""


def uncompiled(network: nn.Module) -> nn.Module:
    """The module that was compiled, if the network is a compiled one, and the network otherwise."""
    original = getattr(network, _COMPILED, network)
    return original if isinstance(original, nn.Module) else network


@contextmanager
def module_paths(network: nn.Module, stack: list[str]) -> Iterator[None]:
    """Keep the path of the module that is running on top of ``stack``."""
    with ExitStack() as hooks:
        for path, module in network.named_modules():
            path = ".".join(part for part in path.split(".") if part != _COMPILED)
            if isinstance(module, torch.jit.ScriptModule):  # takes no hooks, and calls nothing that is recorded
                continue

            def enter(module: nn.Module, args: Any, path: str = path) -> None:  # noqa: ANN401
                del module, args
                stack.append(path)

            def leave(module: nn.Module, args: Any, output: Any) -> None:  # noqa: ANN401
                del module, args, output
                stack.pop()

            hooks.callback(module.register_forward_pre_hook(enter).remove)
            hooks.callback(module.register_forward_hook(leave).remove)
        yield


def calls_of(network: nn.Module, call: Callable[[], Any], alter_numbers: bool = False) -> tuple[Any, Recorder]:
    """What ``call()`` returns, and what the network computed meanwhile.

    The recorded tensors are alive as long as the calls are, so that a tensor's identity tells where it came from.
    """
    recorder = Recorder(alter_numbers)
    with module_paths(network, recorder.modules), recorder:
        result = call()
    return result, recorder
