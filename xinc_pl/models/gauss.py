"""An image network whose activations are Gaussians."""

from collections.abc import Sequence

from torch import Tensor

from xinc_pl.models.coordinate_mlp import SMALLEST_EXPONENT, WIDTHS, CoordinateMLP, check_positive


class Gauss(CoordinateMLP):
    """Pixel coordinates to colours through Gaussians: exp(-z^2 / (2 sigma^2)), z = W x + b, then a linear layer.

    From Ramasinghe and Lucey 2022 ("Beyond periodicity", Table 1); weights and biases are drawn as PyTorch's. Without
    arguments it has 198,915 parameters.

    Args:
        widths: Outputs of the hidden layers.
        sigma: Width of the Gaussians: the smaller, the finer the details that the network finds first.
        out_channels: Colours per pixel.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, sigma: float = 0.05, out_channels: int = 3) -> None:
        super().__init__(None, 2, widths, out_channels)
        check_positive("Gauss", sigma=sigma)
        self.sigma = sigma

    def activate(self, values: Tensor, index: int) -> Tensor:
        """A Gaussian of the values."""
        del index
        return (-0.5 / self.sigma**2 * values.square()).clamp(min=SMALLEST_EXPONENT).exp()
