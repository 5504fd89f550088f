"""The image network of the paper: an MLP on Fourier features."""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from xinc_pl.memory import require_memory
from xinc_pl.models.encodings import FourierFeatures


class FFN(nn.Module):
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
        super().__init__()
        sizes = [2 * num_frequencies, *widths, out_channels]
        if min(sizes) < 1:
            raise ValueError(f"FFN: num_frequencies, widths and out_channels must be at least 1, got {sizes}")
        weights = sum((before + 1) * after for before, after in pairwise(sizes))
        require_memory(
            4 * (weights + sizes[0]), f"FFN with {weights:.3g} weights", "set widths or num_frequencies to less"
        )
        self.encoding = FourierFeatures(num_frequencies, scale)
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(sizes))
        self.layer_names = {f"layers.{index}": f"layer_{index + 1}" for index in range(len(self.layers))}

    def forward(self, coordinates: Tensor) -> Tensor:
        """Colours (..., out_channels) of coordinates (..., 2)."""
        values: Tensor = self.encoding(coordinates)
        for layer in self.layers[:-1]:
            values = layer(values).relu()
        out: Tensor = self.layers[-1](values)
        return out
