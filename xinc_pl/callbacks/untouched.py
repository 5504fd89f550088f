"""What an analysis may change while it works, and what is put back after it, so that the training never notices."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from xinc_pl.random_state import preserved_random_state


@contextmanager
def untouched(*modules: nn.Module) -> Iterator[None]:
    """Put back, also after an exception, all of a process's state that decides which bits a training ends with.

    That is: random state; whether gradients are recorded; numbers of threads; torch's default type, its precision of
    matrix products and its choice of deterministic algorithms; and of every module whether it is in training mode, and
    of every parameter whether it is trained.

    Args:
        modules: The modules, with all that are in them.
    """
    modes = [(module, module.training) for root in modules for module in root.modules()]
    trained = [(parameter, parameter.requires_grad) for root in modules for parameter in root.parameters()]
    gradients, threads, dtype = torch.is_grad_enabled(), torch.get_num_threads(), torch.get_default_dtype()
    precision = torch.get_float32_matmul_precision()
    deterministic = _determinism()
    compiled_threads = _numba_threads()
    try:
        with preserved_random_state():
            yield
    finally:
        torch.set_grad_enabled(gradients)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if torch.get_default_dtype() != dtype:
            torch.set_default_dtype(dtype)
        if torch.get_float32_matmul_precision() != precision:
            torch.set_float32_matmul_precision(precision)
        if _determinism() != deterministic:
            torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
        if compiled_threads is not None and _numba_threads() != compiled_threads:
            sys.modules["numba"].set_num_threads(compiled_threads)
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in trained:
            if parameter.requires_grad != requires_grad:
                parameter.requires_grad_(requires_grad)


def _determinism() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _numba_threads() -> int | None:
    """How many threads numba uses; None where nobody has imported it, which takes a second."""
    numba = sys.modules.get("numba")
    return None if numba is None else int(numba.get_num_threads())
