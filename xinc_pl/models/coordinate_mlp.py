"""What networks of coordinates have in common: an encoding, linear layers, an activation between them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from xinc_pl.memory import require_memory

WIDTHS = (256, 256, 256, 256)
"""Hidden layers of the networks that are compared in the literature."""

SMALLEST_EXPONENT = -50.0
"""Where exponentials stop falling: far below what a colour can show, and above where float32 becomes slow (1e-38)."""


class CoordinateMLP(nn.Module, ABC):
    """Coordinates to colours: an encoding, then linear layers with an activation between them.

    Args:
        encoding: Makes features (..., num_features) of coordinates (..., 2); None if they are the features.
        num_features: Inputs of the first layer.
        widths: Outputs of the hidden layers.
        out_channels: Colours per pixel.
        inner_dtype: Numbers of all layers but the first; None for the default.
    """

    def __init__(
        self,
        encoding: nn.Module | None,
        num_features: int,
        widths: Sequence[int],
        out_channels: int,
        inner_dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.encoding = encoding
        name, sizes = type(self).__name__, [num_features, *widths, out_channels]
        if min(sizes) < 1:
            raise ValueError(f"{name}: features, widths and out_channels must be at least 1, got {sizes}")
        weights = sum((before + 1) * after for before, after in pairwise(sizes))
        require_memory(4 * weights, f"{name} with {weights:.3g} weights", "set widths to less")
        self.layers = nn.ModuleList(
            nn.Linear(before, after, dtype=inner_dtype if index else None)
            for index, (before, after) in enumerate(pairwise(sizes))
        )
        self.layer_names = {f"layers.{index}": f"layer_{index + 1}" for index in range(len(self.layers))}

    @property
    def linear_layers(self) -> list[nn.Linear]:
        """All layers, input side first."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    @abstractmethod
    def activate(self, values: Tensor, index: int) -> Tensor:
        """What hidden layer ``index``, from 0, makes of its values."""

    def forward(self, coordinates: Tensor) -> Tensor:
        """Colours (..., out_channels) of coordinates (..., 2)."""
        values = coordinates if self.encoding is None else self.encoding(coordinates)
        for index, layer in enumerate(self.layers[:-1]):
            values = self.activate(layer(values), index)
        out: Tensor = self.layers[-1](values)
        return out


def check_positive(name: str, **arguments: float) -> None:
    """Insist on arguments that are positive and finite.

    Raises:
        ValueError: Names the first that is not.
    """
    for argument, value in arguments.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name}: {argument} is {value}; it must be positive")
