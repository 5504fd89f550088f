"""Record what a network computes: every torch function it calls, in order."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from xinc_pl.canvas.recording.call import Call, Function


class _Recorder(TorchFunctionMode):
    """Writes down all calls. Functions, not modules: so activations and layers written as functions are seen."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Call] = []
        self.modules: list[str] = [""]

    def __torch_function__(
        self,
        func: Function,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - torch's protocol
        result = func(*args, **(kwargs or {}))
        parts = result if isinstance(result, (tuple, list)) else (result,)
        outputs = tuple(part for part in parts if isinstance(part, Tensor))
        if outputs:
            self.calls.append(Call(func, args, kwargs or {}, outputs, self.modules[-1]))
        return result


_COMPILED = "_orig_mod"
"""By this name a compiled module holds the one that it was made of."""


def uncompiled(network: nn.Module) -> nn.Module:
    """The module that was compiled, if the network is a compiled one, and the network otherwise."""
    original = getattr(network, _COMPILED, network)
    return original if isinstance(original, nn.Module) else network


@contextmanager
def _module_paths(network: nn.Module, stack: list[str]) -> Iterator[None]:
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


def record(network: nn.Module, inputs: Tensor) -> tuple[Any, list[Call]]:
    """Call ``network(inputs)`` and return its result and the calls it made.

    The recorded tensors are alive as long as the calls are, so that a tensor's identity tells where it came from.
    """
    recorder = _Recorder()
    with _module_paths(network, recorder.modules), recorder:
        result = network(inputs)
    return result, recorder.calls
