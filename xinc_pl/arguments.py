"""What arguments may be: checks that name the argument, what was given and what is wanted."""

import math
from collections.abc import Mapping, Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

MAX_SEED = 2**32 - 1
"""The largest seed that NumPy, scikit-learn and torch all take."""


def check_whole(owner: str, argument: str, value: object, least: int, most: float = math.inf) -> None:
    """Insist on a whole number within limits.

    Args:
        owner: Whose argument it is, for the message.
        argument: Its name.
        value: What was given.
        least: The smallest that will do.
        most: The largest.

    Raises:
        ValueError: Names the argument, the value and the limits.
    """
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= int(value) <= most:  # type: ignore[call-overload] # numpy's integers are Integral
        limit = f"at least {least}" if most == math.inf else f"from {least} to {int(most)}"
        raise ValueError(
            f"{owner}: {argument} is {value!r}; it must be {'' if is_whole else 'a whole number, '}{limit}"
        )


def check_number(owner: str, argument: str, value: object, wanted: str) -> None:
    """Insist on a finite number; ``wanted`` says what for.

    Raises:
        ValueError: Names the argument, the value and what is wanted.
    """
    if not is_number(value):
        raise ValueError(f"{owner}: {argument} is {value!r}; {wanted}")


def check_size(owner: str, size: object) -> None:
    """Insist on height and width in pixels.

    Raises:
        ValueError: Names the value and what is wanted.
    """
    if not isinstance(size, Sequence) or len(size) != 2 or not all(isinstance(side, Integral) for side in size):
        raise ValueError(f"{owner}: size is {size!r}; give height and width in pixels, such as (128, 256)")
    if min(size) < 1:
        raise ValueError(f"{owner}: size is {tuple(size)}; height and width must be at least 1")


def is_number(value: object) -> bool:
    """Whether something is a finite number; true and false are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def first_not_finite(weights: Mapping[str, object]) -> str | None:
    """The name of the first tensor that holds NaN or infinity; None if none does."""
    tensors = ((name, value) for name, value in weights.items() if isinstance(value, Tensor))
    return next((name for name, value in tensors if not bool(torch.isfinite(value).all())), None)
