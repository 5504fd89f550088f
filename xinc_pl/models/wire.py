"""An image network whose activations are complex Gabor wavelets."""

from collections.abc import Sequence

import torch
from torch import Tensor

from xinc_pl.models.coordinate_mlp import SMALLEST_EXPONENT, CoordinateMLP, check_positive


class WIRE(CoordinateMLP):
    """Pixel coordinates to colours through complex Gabor wavelets: exp(i omega z - |scale z|^2), z = W x + b.

    From Saragadam et al. 2023. The first layer is real, all others are complex, and the colours are the real part of
    the last. Weights and biases are drawn as PyTorch's. Without arguments it has, as the published code, two hidden
    layers after the first, of 256 / sqrt(2) = 181 complex units. Complex layers have maps under the convention
    ``effect`` only.

    Args:
        widths: Outputs of the hidden layers; complex numbers.
        omega: Frequency of the wavelets.
        scale: One over their width, up to a factor.
        out_channels: Colours per pixel.
    """

    def __init__(
        self, widths: Sequence[int] = (181, 181, 181), omega: float = 20.0, scale: float = 10.0, out_channels: int = 3
    ) -> None:
        # As many bits as the real layer has: double precision stays double.
        super().__init__(None, 2, widths, out_channels, torch.get_default_dtype().to_complex())
        check_positive("WIRE", omega=omega, scale=scale)
        self.omega = omega
        self.scale = scale

    def activate(self, values: Tensor, index: int) -> Tensor:
        """A complex Gabor wavelet of the values."""
        del index
        exponent = -(self.scale * values).abs().square()
        if values.is_complex():
            exponent = exponent - self.omega * values.imag
        return torch.polar(exponent.clamp(min=SMALLEST_EXPONENT).exp(), self.omega * values.real)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Colours (..., out_channels) of coordinates (..., 2): the real part of what the layers give."""
        return super().forward(coordinates).real
