"""What tests of the self-check have in common: a chain of each kind and a network that is none."""

from collections.abc import Callable
from typing import Any

import torch
from effect_oracle import COORDINATES, IMAGE, SIZE
from networks import Written, dense_network, kernel_network
from torch import Tensor, nn

from xinc_pl.canvas import dissect

Change = Callable[[Tensor, Tensor], Tensor]
"""Takes maps, and which neurons' they are, to other maps."""


def linear() -> tuple[nn.Module, Tensor]:
    return dense_network((2, 6, 3), "tanh")[0], COORDINATES


def convolutional() -> tuple[nn.Module, Tensor]:
    return kernel_network((3, 2, 3), (2, 1), (3, 3), "tanh")[0], IMAGE


def not_a_chain() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    parts = {"a": nn.Linear(2, 6), "b": nn.Linear(6, 3)}
    return Written(lambda s, x: s.b(s.a(x).softmax(0)).softmax(0), **parts), COORDINATES


def dissected(make: Callable[[], tuple[nn.Module, Tensor]], convention: Any, **options: Any) -> Any:
    network, inputs = make()
    return dissect(network, inputs, size=SIZE if inputs.ndim == 2 else None, convention=convention, **options)
