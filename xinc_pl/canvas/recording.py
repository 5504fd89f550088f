"""Record what a network computes: every torch function it calls, in order."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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


@contextmanager
def undisturbed(network: nn.Module | None = None) -> Iterator[None]:
    """Evaluation mode, no gradients, no autocast, full float32 precision: and everything back as it was after.

    Restores each module's mode, the random state of torch, and the TF32 switches, also after an exception.
    """
    network = nn.Module() if network is None else network
    modes = [(module, module.training) for module in network.modules()]
    devices = sorted({parameter.device.index for parameter in network.parameters() if parameter.device.type == "cuda"})
    with (
        _full_float32_precision(),
        torch.random.fork_rng(devices=devices),
        # Inference tensors, as in Trainer.validate, could not be saved for a later use in training.
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cuda", enabled=False),
        torch.autocast("cpu", enabled=False),
    ):
        try:
            for module, _ in modes:
                module.training = False
            yield
        finally:
            for module, training in modes:
                module.training = training


@contextmanager
def _full_float32_precision() -> Iterator[None]:
    """Switch TF32 and its like off for a while."""
    backends: Any = torch.backends
    switches: list[Any] = []
    if hasattr(backends.cudnn, "conv"):  # PyTorch 2.9: one switch per kind of operation
        switches = [backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv]
    before = [switch.fp32_precision for switch in switches]
    older: tuple[str, bool] | None
    try:
        older = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    except RuntimeError:  # they are refused once somebody used the newer ones
        older = None
    try:
        if older is not None:
            torch.set_float32_matmul_precision("highest")
            backends.cudnn.allow_tf32 = False
        for switch in switches:
            switch.fp32_precision = "ieee"
        yield
    finally:
        if older is not None:
            torch.set_float32_matmul_precision(older[0])
            backends.cudnn.allow_tf32 = older[1]
        for switch, value in zip(switches, before, strict=True):
            switch.fp32_precision = value
