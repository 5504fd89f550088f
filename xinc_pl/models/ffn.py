"""The image network of the paper: an MLP on Fourier features."""

from collections.abc import Sequence

from torch import Tensor

from xinc_pl.models.coordinate_mlp import CoordinateMLP
from xinc_pl.models.encodings import FourierFeatures


class FFN(CoordinateMLP):
    """Pixel coordinates to colours: Fourier features, then linear layers with ReLU between them.

    Without arguments this is the paper's network of 32,971 parameters: 208-104-104-3.

    Args:
        num_frequencies: Random frequencies of the encoding; it has twice as many features.
        widths: Outputs of the hidden layers.
        scale: Standard deviation of the random frequencies: how fine the details are that the network finds first.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        num_frequencies: int = 104,
        widths: Sequence[int] = (104, 104),
        scale: float = 10.0,
        out_channels: int = 3,
    ) -> None:
        super().__init__(FourierFeatures(num_frequencies, scale), 2 * num_frequencies, widths, out_channels)

    def activate(self, values: Tensor, index: int) -> Tensor:
        """ReLU."""
        del index
        return values.relu()
