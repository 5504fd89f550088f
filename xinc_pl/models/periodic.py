"""Image networks whose activations are sines: SIREN and FINER."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xinc_pl.models.coordinate_mlp import WIDTHS, CoordinateMLP, check_positive


class SIREN(CoordinateMLP):
    """Pixel coordinates to colours through sines: sin(omega (W x + b)), then a linear layer (Sitzmann et al. 2020).

    Weights are drawn as in the paper (section 3.2): U(-1/n, 1/n) in the first layer of n inputs, and
    U(-sqrt(6/n), sqrt(6/n)) / omega in all others; biases as PyTorch's, U(-1/sqrt(n), 1/sqrt(n)). Without arguments it
    is the paper's network for images of three channels: 198,915 parameters.

    Args:
        widths: Outputs of the hidden layers.
        first_omega: Frequency of the first layer: how fine the details are that the network finds first.
        omega: Frequency of the other hidden layers.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        first_omega: float = 30.0,
        omega: float = 30.0,
        out_channels: int = 3,
    ) -> None:
        super().__init__(None, 2, widths, out_channels)
        check_positive(type(self).__name__, first_omega=first_omega, omega=omega)
        self.first_omega = first_omega
        self.omega = omega
        for index, layer in enumerate(self.linear_layers):
            bound = math.sqrt(6 / layer.in_features) / omega if index else 1 / layer.in_features
            nn.init.uniform_(layer.weight, -bound, bound)

    def activate(self, values: Tensor, index: int) -> Tensor:
        """Sine of omega times the values."""
        return torch.sin((self.omega if index else self.first_omega) * values)


class FINER(SIREN):
    """Pixel coordinates to colours through sines of variable frequency: sin(omega (|z| + 1) z), z = W x + b.

    From Liu et al. 2024. Weights are drawn as SIREN's, and the first layer's biases from U(-first_bias, first_bias):
    far from zero its sines are fast, so that the bias sets the range of frequencies. (The published code takes the
    factor |z| + 1 for a constant in the derivative, unless told otherwise; here the derivative is the formula's.)

    Args:
        widths: Outputs of the hidden layers.
        first_omega: Frequency of the first layer.
        omega: Frequency of the other hidden layers.
        first_bias: Bound of the first layer's biases before the training.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        widths: Sequence[int] = WIDTHS,
        first_omega: float = 30.0,
        omega: float = 30.0,
        first_bias: float = 1.0,
        out_channels: int = 3,
    ) -> None:
        super().__init__(widths, first_omega, omega, out_channels)
        check_positive("FINER", first_bias=first_bias)
        nn.init.uniform_(self.linear_layers[0].bias, -first_bias, first_bias)

    def activate(self, values: Tensor, index: int) -> Tensor:
        """Sine of omega times the values, faster the larger they are."""
        return super().activate((values.abs() + 1) * values, index)
