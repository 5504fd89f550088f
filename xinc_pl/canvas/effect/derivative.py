"""Derivatives of a replayed network along directions, by whatever way its functions allow."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from xinc_pl.canvas.errors import DissectionError

Function = Callable[..., Tensor]
_REFUSALS = (RuntimeError, NotImplementedError, AssertionError, ValueError, TypeError)


def jvp(function: Function, at: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    """Derivative of ``function`` at a point along a direction: forward mode, or where that is missing reverse twice.

    Raises:
        DissectionError: Neither can be had.
    """
    try:
        return _forward(function, at, directions)
    except _REFUSALS:
        return _reverse_twice(function, at, directions)


def jvps(function: Function, at: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    """Derivatives along some directions (n, ...): (n, *output). As a batch, or one at a time where that is missing."""
    try:
        batched: Tensor = torch.func.vmap(lambda *each: _forward(function, at, each))(*directions)
        return batched
    except _REFUSALS:
        return torch.stack([jvp(function, at, each) for each in zip(*directions, strict=True)])


def derivatives(function: Callable[[], Tensor], shares: Sequence[Tensor]) -> list[Tensor]:
    """How all values that a function gives change with each entry of some vectors, a backward pass for each value.

    Args:
        function: Gives values that depend on the vectors.
        shares: The vectors (N,), which take gradients.

    Returns:
        For each vector (N, values).

    Raises:
        DissectionError: There is no derivative.
    """
    try:
        with torch.enable_grad():
            values = function().flatten()
            gradients = [
                torch.autograd.grad(value, shares, retain_graph=True, allow_unused=True, materialize_grads=True)
                for value in values
            ]
    except _REFUSALS as error:
        raise DissectionError(f"it has no derivative: {error}") from error
    return [torch.stack(each, 1) for each in zip(*gradients, strict=True)]


def _forward(function: Function, at: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    with _differentiable():
        derivative: Tensor = torch.func.jvp(function, tuple(at), tuple(directions))[1]
    return derivative


def _reverse_twice(function: Function, at: Sequence[Tensor], directions: Sequence[Tensor]) -> Tensor:
    """J d, as the derivative of J^T u, which is linear in u."""
    try:
        with torch.enable_grad(), _differentiable():
            leaves = [each.detach().requires_grad_() for each in at]
            output = function(*leaves)
            u = torch.zeros_like(output, requires_grad=True)
            gradients = torch.autograd.grad(output, leaves, u, create_graph=True, allow_unused=True)
            used = [(each, along) for each, along in zip(gradients, directions, strict=True) if each is not None]
            if not used:
                return torch.zeros_like(output)
            (derivative,) = torch.autograd.grad([each for each, _ in used], u, [along for _, along in used])
    except _REFUSALS as error:
        raise DissectionError(f"it has no derivative: {error}") from error
    return derivative.detach()


_ONE_AT_A_TIME = RLock()
"""All threads of a process share the level of torch's forward mode, and what warnings are ignored."""


@contextmanager
def _differentiable() -> Iterator[None]:
    """Without fused attention, which has no forward-mode derivative; torch itself uses what it warns of."""
    with _ONE_AT_A_TIME, warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", message=".*torch.jit.script", category=DeprecationWarning)
        yield
