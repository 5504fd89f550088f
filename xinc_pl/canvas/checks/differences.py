"""Differences, told in one line: what does not hold, of which neuron, where, and by how much."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

EXACT = 1e-9
"""What is allowed where everything is in double precision; relative, as all of these."""
MAPS = 1e-4
"""Of maps, which are float32, against their formula."""
SINGLE = 1e-3
"""Of a network in single precision against the same in double precision."""
_FLOOR = 1e-3
"""Of the largest scale: what is smaller is compared by this."""


def must(holds: bool, message: str) -> None:
    """Raise an ``AssertionError`` with a message of one line, unless something holds."""
    if not holds:
        raise AssertionError(" ".join(message.split()))


@contextmanager
def told(what: str, *passing: type[Exception]) -> Iterator[None]:
    """Whatever is raised as an ``AssertionError`` of one line, but for ``passing``: who raises, breaks a promise."""
    try:
        yield
    except Exception as error:
        if isinstance(error, (AssertionError, *passing)):
            raise
        lines = str(error).splitlines() or [""]
        raise AssertionError(f"{what}: {type(error).__name__}: {lines[0]}") from error


def compare(
    what: str,
    made: Tensor,
    meant: Tensor,
    tolerance: float,
    *,
    neurons: Tensor | None = None,
    scale: Tensor | None = None,
) -> None:
    """Compare values with what they are meant to be.

    Args:
        what: The property, for the message.
        made: The values.
        meant: What they are to be, of the same shape.
        tolerance: The largest relative error that is allowed.
        neurons: Which neurons (n,) the entries of the first axis are; without, it is no axis of neurons.
        scale: What errors are relative to, in a shape that fits. By default the largest of each neuron's values, or
            without neurons of all.

    Raises:
        AssertionError: They differ, anywhere.
    """
    must(made.shape == meant.shape, f"{what}: the shape is {tuple(made.shape)} instead of {tuple(meant.shape)}")
    if not meant.numel():
        return
    difference = (made - meant).abs().double()
    if scale is None and neurons is not None:
        largest = meant.abs().flatten(1).amax(1) if meant.ndim > 1 else meant.abs()
        scale = largest.view(-1, *[1] * (meant.ndim - 1))
    scale = (meant.abs().max() if scale is None else scale).double()
    scale = torch.maximum(scale, scale.max() * _FLOOR).clamp_min(torch.finfo(torch.float32).tiny)
    errors = (difference / scale).nan_to_num(nan=torch.inf, posinf=torch.inf).expand(meant.shape)
    worst = int(errors.argmax())
    error = float(errors.flatten()[worst])
    if error <= tolerance:
        return
    place = [int(each) for each in torch.unravel_index(torch.tensor(worst), meant.shape)]
    where = f"at {tuple(place)}"
    if neurons is not None:
        where = f"neuron {int(neurons[place[0]])}" + (f" at {tuple(place[1:])}" if place[1:] else "")
    is_, should = made.flatten()[worst].item(), meant.flatten()[worst].item()
    raise AssertionError(
        f"{what}: {where}: {is_:.6g} instead of {should:.6g} (relative error {error:.2g}; {tolerance:.0e} is allowed)"
    )
