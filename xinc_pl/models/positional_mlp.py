"""An image network of NeRF's kind: an MLP on a positional encoding."""

from collections.abc import Sequence

from torch import Tensor

from xinc_pl.models.coordinate_mlp import WIDTHS, CoordinateMLP
from xinc_pl.models.encodings import PositionalEncoding


class PositionalMLP(CoordinateMLP):
    """Pixel coordinates to colours: sines and cosines of octaves, then linear layers with ReLU between them.

    The encoding is NeRF's (Mildenhall et al. 2020, Eq. 4), with fixed frequencies 2^l pi along both axes, where ``FFN``
    draws them at random. Without arguments it has 206,595 parameters.

    Args:
        levels: Frequencies along each axis.
        widths: Outputs of the hidden layers.
        out_channels: Colours per pixel.
    """

    def __init__(self, levels: int = 8, widths: Sequence[int] = WIDTHS, out_channels: int = 3) -> None:
        super().__init__(PositionalEncoding(levels), 4 * levels, widths, out_channels)

    def activate(self, values: Tensor, index: int) -> Tensor:
        """ReLU."""
        del index
        return values.relu()
