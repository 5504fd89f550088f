"""Networks to dissect, and the oracle's description of the same."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from oracle import Dense, Kernels, identity
from torch import Tensor, nn

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "gelu": nn.functional.gelu,
    "sin": lambda values: torch.sin(3 * values),
    "tanh": torch.tanh,
    "softplus": nn.functional.softplus,
    "cos": torch.cos,
    "sigmoid": torch.sigmoid,
}
SCALED: dict[str, tuple[float, Callable[[Tensor], Tensor]]] = {"sin": (3, torch.sin)}
"""Activations that begin with a scale, which is part of the layer before: the scale, and what is left of them."""


class Written(nn.Module):
    """A network whose forward pass is a function of it and its inputs, with modules and parameters by name."""

    def __init__(self, forward: Callable[[Any, Tensor], Any], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self._function = forward
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, inputs: Tensor) -> Any:
        return self._function(self, inputs)


def three_linear(activation: Callable[[Tensor], Tensor]) -> Written:
    """Layers a, b, c with an activation between them."""
    torch.manual_seed(0)
    return Written(
        lambda self, inputs: self.c(activation(self.b(activation(self.a(inputs))))),
        a=nn.Linear(2, 7),
        b=nn.Linear(7, 6),
        c=nn.Linear(6, 3),
    )


def dense_network(
    widths: Sequence[int], activation: str, bias: bool = True, seed: int = 0
) -> tuple[nn.Module, list[Dense]]:
    """Linear layers ``0``, ``1``, ... with an activation after all but the last."""
    torch.manual_seed(seed)
    function = ACTIVATIONS[activation]
    scale, rest = SCALED.get(activation, (1, function))
    layers = nn.ModuleList(nn.Linear(*sides, bias=bias) for sides in pairwise(widths))

    def forward(self: Any, values: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            values = function(layer(values))
        return self.layers[-1](values)

    description = [
        Dense(*_scaled(layer, 1), identity) if layer is layers[-1] else Dense(*_scaled(layer, scale), rest)
        for layer in layers
    ]
    return Written(forward, layers=layers), description


def kernel_network(
    channels: Sequence[int],
    strides: Sequence[int],
    kernels: Sequence[int],
    activation: str,
    bias: bool = True,
    seed: int = 0,
) -> tuple[nn.Module, list[Kernels]]:
    """Convolutions with pixel shuffles and activations; the last has a tanh behind it, which no map shows."""
    torch.manual_seed(seed)
    function = ACTIVATIONS[activation]
    layers = nn.ModuleList(
        nn.Conv2d(before, after * stride**2, kernel, padding=kernel // 2, bias=bias)
        for before, after, stride, kernel in zip(channels[:-1], channels[1:], strides, kernels, strict=True)
    )

    def forward(self: Any, values: Tensor) -> Tensor:
        for index, (layer, stride) in enumerate(zip(self.layers, strides, strict=True)):
            values = layer(values)
            if stride > 1:
                values = nn.functional.pixel_shuffle(values, stride)
            values = function(values) if index < len(self.layers) - 1 else torch.tanh(values) * 0.5 + 0.5
        return values

    scale, rest = SCALED.get(activation, (1, function))
    description = [
        Kernels(*_scaled(layer, 1 if layer is layers[-1] else scale), stride, rest)
        for layer, stride in zip(layers, strides, strict=True)
    ]
    return Written(forward, layers=layers), description


def _scaled(layer: Any, scale: float) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a layer that a scale follows."""
    return layer.weight.detach() * scale, None if layer.bias is None else layer.bias.detach() * scale
