"""Learning rates over a run: factor of the base rate as a function of progress in [0, 1]."""

import math
from collections.abc import Callable
from typing import Literal

ScheduleName = Literal["constant", "warmup_cosine"]

_WARMUP = 0.1  # share of the run


def constant(progress: float) -> float:
    """Always one: the schedule of the paper's image network."""
    del progress
    return 1.0


def warmup_cosine(progress: float) -> float:
    """From 0.1 up to 1 over the first tenth, then half a cosine down to 0: the schedule of NeRV (released code)."""
    if progress < _WARMUP:
        return 0.1 + 0.9 * progress / _WARMUP
    return (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP))) / 2


SCHEDULES: dict[ScheduleName, Callable[[float], float]] = {"constant": constant, "warmup_cosine": warmup_cosine}
