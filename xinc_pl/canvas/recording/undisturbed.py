"""A network called without leaving a trace in it, or in the process."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock, RLock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn


@contextmanager
def undisturbed(network: nn.Module | None = None) -> Iterator[None]:
    """Evaluation mode, no gradients, no autocast, full float32 precision: and everything back as it was after.

    Restores each module's mode, the random state of torch, and the TF32 switches, also after an exception. Several
    threads may ask for one network; they have it one after the other.
    """
    network = nn.Module() if network is None else network
    with _lock_of(network), _left_alone(network):
        yield


_LOCKS: WeakKeyDictionary[nn.Module, Any] = WeakKeyDictionary()
_NEW_LOCK = Lock()


def _lock_of(network: nn.Module) -> Any:  # noqa: ANN401 - RLock is a function
    with _NEW_LOCK:
        return _LOCKS.setdefault(network, RLock())


@contextmanager
def _left_alone(network: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in network.modules()]
    with (
        _process_left_alone(),
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


class _Inside:
    """How many threads are at work, and what puts the process back."""

    number = 0
    back = ExitStack()
    lock = Lock()


@contextmanager
def _process_left_alone() -> Iterator[None]:
    """Random state and precision are the whole process's: they are put back when the last thread is done."""
    with _Inside.lock:
        if _Inside.number == 0:
            devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
            with ExitStack() as back:
                back.enter_context(_full_float32_precision())
                back.enter_context(torch.random.fork_rng(devices=devices))
                _Inside.back = back.pop_all()
        _Inside.number += 1
    try:
        yield
    finally:
        with _Inside.lock:
            _Inside.number -= 1
            if _Inside.number == 0:
                _Inside.back.close()


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
